#pragma once

#include <span>

namespace cenote::bench {

/// What is printed of repeated measurements of one thing.
struct Summary {
  double median = 0;
  double low = 0;   ///< smallest value
  double high = 0;  ///< largest value

  /// Half the distance between the extremes in percent of the median: the "±" of the table.
  double spread_percent() const;
};

/// All zero for no values. The median of an even number of values is the mean of the middle two.
Summary summarize(std::span<const double> values);

}  // namespace cenote::bench
