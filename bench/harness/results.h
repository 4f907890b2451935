#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/goal.h"
#include "harness/statistics.h"

namespace cenote::bench {

/// One finished row: medians over the rounds, and how the goal fared.
struct RowResult {
  std::string name;
  std::string unit;
  std::string medium;
  std::string reference_name;
  Summary cenote;
  std::optional<Summary> reference;
  std::optional<Summary> ratio;  ///< median of the ratios of the rounds, not the ratio of the medians
  Goal goal;
  unsigned rounds = 0;
  double steal_percent = 0;    ///< of all cores, while the comparison ran
  double foreign_percent = 0;  ///< CPU time of other processes, of all cores
  /// side.detail -> median over the rounds
  std::map<std::string, double> details;
  /// Why there are no numbers; empty when there are.
  std::string failure;

  /// What the goal is judged by.
  double judged() const { return ratio ? ratio->median : cenote.median; }
  /// nullopt when the row has no goal.
  std::optional<bool> pass() const;
};

/// One object with at least name, unit, cenote, reference, ratio, goal, pass; absent numbers are null.
nlohmann::json to_json(const RowResult& row);
RowResult row_from_json(const nlohmann::json& object);

/// The table, one line per row, and the details of each below it when `details` is set.
std::string to_table(const std::vector<RowResult>& rows, bool details);

}  // namespace cenote::bench
