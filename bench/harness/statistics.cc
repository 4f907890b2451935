#include "harness/statistics.h"

#include <algorithm>
#include <vector>

namespace cenote::bench {

double Summary::spread_percent() const { return median == 0 ? 0 : (high - low) / 2 / median * 100; }

Summary summarize(std::span<const double> values) {
  if (values.empty()) return {};
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  const std::size_t middle = sorted.size() / 2;
  const double median = sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return Summary{.median = median, .low = sorted.front(), .high = sorted.back()};
}

}  // namespace cenote::bench
