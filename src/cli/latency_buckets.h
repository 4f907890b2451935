#pragma once

#include <map>
#include <optional>

namespace cenote::cli {

/// A histogram as it is exported: how many took at most so long, for some bounds.
class LatencyBuckets {
 public:
  /// So many more took at most `bound_s`, which may be infinite. What is no count, or no bound, is left out.
  void add(double bound_s, double count);
  void add(const LatencyBuckets& other);
  /// What came since `before`. Buckets that did not grow, as after a restart, are empty.
  LatencyBuckets since(const LatencyBuckets& before) const;
  /// Whether some bucket holds less than before: it was counted anew.
  bool fell_behind(const LatencyBuckets& before) const;

  double count() const;
  /// The time in seconds that `share` of all (0 to 1) took at most, taken as if a bucket's were spread evenly over it.
  /// nullopt: nothing was counted. Beyond the last bound: that.
  std::optional<double> quantile(double share) const;

 private:
  std::map<double, double> counts_;  ///< by bound, which are ascending; counts are cumulative
};

}  // namespace cenote::cli
