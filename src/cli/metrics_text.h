#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "latency_buckets.h"

namespace cenote::cli {

/// One line of metrics.
struct MetricSample {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;  ///< may be no number, and infinite

  /// nullptr: it has no such label.
  const std::string* label(std::string_view key) const;
};

/// Metrics in Prometheus' text format, as the control port of an engine prints them. What comes from there may be cut,
/// or of a program that only looks like an engine: every text can be read, and what is no line of metrics is counted.
class MetricsText {
 public:
  using Filter = std::pair<std::string_view, std::string_view>;
  static constexpr std::size_t kMaxLabels = 64;  ///< of one line

  static MetricsText parse(std::string_view text);

  const std::vector<MetricSample>& samples() const { return samples_; }
  std::size_t malformed_lines() const { return malformed_; }

  // Over all series of that name that have all these labels; what is no finite number is left out. nullopt: there are
  // none.
  std::optional<double> sum(std::string_view name, std::span<const Filter> filters = {}) const;
  std::optional<double> max(std::string_view name) const;
  /// The buckets of a histogram, added up.
  LatencyBuckets buckets(std::string_view histogram, std::span<const Filter> filters) const;

 private:
  std::vector<MetricSample> samples_;
  std::size_t malformed_ = 0;
};

}  // namespace cenote::cli
