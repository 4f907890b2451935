// Invariants of a table: the members of a row lie in different domains of the level of separation; in a round that no
// repair touched no target occurs twice; entries of a target are its share of all to within a few.

#include "slot_table.h"

#include <algorithm>
#include <limits>

#include "cenote/base/assert.h"
#include "round_filler.h"

namespace cenote::cluster {
namespace {

constexpr std::uint64_t kSeed = 0x43656e6f7465;  // "Cenote"
/// Entries of an average target: so many that one more or less is below one percent.
constexpr std::uint64_t kEntriesPerTarget = 256;
/// Rows that are looked at for the entry that a target takes over.
constexpr std::uint32_t kProbedRows = 16;
constexpr std::uint32_t kProbedDomains = 32;
constexpr std::uint32_t kProbedTargets = 16;

}  // namespace

bool is_apart(const FaultTree& tree, std::size_t level, std::span<const std::uint32_t> group, std::size_t column,
              std::uint32_t target) {
  const std::uint32_t domain = tree.domain_of(level, target);
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (i != column && group[i] != kNoEntry && tree.domain_of(level, group[i]) == domain) return false;
  }
  return true;
}

bool is_even(const FaultTree& tree, const Shares& shares, std::span<const std::uint32_t> group, std::size_t column,
             std::uint32_t target) {
  for (std::size_t level = 0; level < shares.most_members.size(); ++level) {
    const std::uint32_t domain = tree.domain_of(level, target);
    std::uint32_t members = 1;
    for (std::size_t i = 0; i < group.size(); ++i)
      members += i != column && group[i] != kNoEntry && tree.domain_of(level, group[i]) == domain ? 1 : 0;
    if (members > std::max(shares.most_members[level][domain], 1u)) return false;
  }
  return true;
}

SlotTableBuilder::SlotTableBuilder(const FaultTree& tree, std::uint32_t group_size)
    : tree_(tree), counts_(tree.target_count()) {
  table_.group_size = group_size;
}

void SlotTableBuilder::add(std::span<const std::uint32_t> targets) {
  members_.insert(members_.end(), targets.begin(), targets.end());
  ++generation_;
  if (!table_.empty()) {
    extend(targets);
  } else if (members_.size() >= table_.group_size) {
    start();
  }
}

void SlotTableBuilder::start() {
  shares_ = compute_shares(tree_, members_, table_.group_size);
  const std::uint64_t largest = *std::ranges::max_element(shares_.of_target);
  const auto most_rows = static_cast<std::uint32_t>(members_.size() / table_.group_size);
  // As many rows as no target has to be in twice; what rounding may have added to its share does not count.
  table_.rows = std::clamp(static_cast<std::uint32_t>((kOne + most_rows) / largest), 1u, most_rows);
  table_.first_rounds = 1;
  while (std::uint64_t{table_.first_rounds} * table_.rows * table_.group_size < kEntriesPerTarget * members_.size())
    table_.first_rounds *= 2;
  table_.rounds = table_.first_rounds;
  table_.entries.reserve(table_.all_rows() * table_.group_size);
  Random random(mix(kSeed + table_.group_size));
  RoundFiller filler(tree_, members_, shares_, table_.group_size, table_.rows);
  for (std::uint32_t round = 0; round < table_.rounds; ++round) filler.append_round(random, table_.entries);
  count_entries();
}

void SlotTableBuilder::extend(std::span<const std::uint32_t> joined) {
  const std::size_t separation_before = shares_.separation;
  shares_ = compute_shares(tree_, members_, table_.group_size);
  add_rounds();
  Random random(mix(kSeed + table_.group_size) ^ mix(generation_));
  if (shares_.separation < separation_before) separate(random);
  hand_over(joined, random);
}

void SlotTableBuilder::add_rounds() {
  while (table_.all_rows() * table_.group_size < kEntriesPerTarget * members_.size()) {
    const std::size_t size = table_.entries.size();
    table_.entries.resize(2 * size);
    std::copy_n(table_.entries.begin(), size, table_.entries.begin() + static_cast<std::ptrdiff_t>(size));
    table_.rounds *= 2;
    for (std::uint32_t& count : counts_) count *= 2;
  }
}

void SlotTableBuilder::count_entries() {
  std::ranges::fill(counts_, 0u);
  for (const std::uint32_t target : table_.entries) ++counts_[target];
}

std::int64_t SlotTableBuilder::excess(std::uint32_t target) const {
  return static_cast<std::int64_t>((std::uint64_t{counts_[target]} << kPointBits) -
                                   table_.all_rows() * shares_.of_target[target]);
}

void SlotTableBuilder::replace(std::uint32_t& entry, std::uint32_t target) {
  --counts_[entry];
  ++counts_[target];
  entry = target;
}

// A level has become wide enough for a whole group: what lies together in its domains is taken apart.
void SlotTableBuilder::separate(Random& random) {
  members_of_domain_.assign(tree_.domain_bound(shares_.separation), {});
  for (const std::uint32_t target : members_)
    members_of_domain_[tree_.domain_of(shares_.separation, target)].push_back(target);
  std::erase_if(members_of_domain_, [](const auto& domain) { return domain.empty(); });
  for (std::uint32_t round = 0; round < table_.rounds; ++round) {
    for (std::uint32_t row = 0; row < table_.rows; ++row) separate_row(table_.row(round, row), random);
  }
  members_of_domain_.clear();
}

void SlotTableBuilder::separate_row(std::span<std::uint32_t> group, Random& random) {
  const std::size_t level = shares_.separation;
  for (;;) {
    // Of all members that share their domain, the one that has most entries too many.
    std::size_t chosen = group.size();
    for (std::size_t column = 0; column < group.size(); ++column) {
      if (is_apart(tree_, level, group, column, group[column])) continue;
      if (chosen == group.size() || excess(group[column]) > excess(group[chosen])) chosen = column;
    }
    if (chosen == group.size()) return;
    replace(group[chosen], best_apart(group, chosen, random));
  }
}

// Of some targets in domains that the group does not have, the one that lacks most entries.
std::uint32_t SlotTableBuilder::best_apart(std::span<const std::uint32_t> group, std::size_t column,
                                           Random& random) const {
  const auto domains = static_cast<std::uint32_t>(members_of_domain_.size());
  const std::uint32_t first = random.below(domains);
  std::uint32_t best = kNoEntry;
  std::uint32_t probed = 0;
  for (std::uint32_t i = 0; i < domains && probed < kProbedDomains; ++i) {
    const std::vector<std::uint32_t>& members = members_of_domain_[(first + i) % domains];
    if (!is_apart(tree_, shares_.separation, group, column, members.front())) continue;
    ++probed;
    for (std::uint32_t k = 0; k < kProbedTargets; ++k) {
      const std::uint32_t target = members[random.below(static_cast<std::uint32_t>(members.size()))];
      if (best == kNoEntry || excess(target) < excess(best)) best = target;
    }
  }
  // There are at least as many domains as members, and one of them has none.
  ASSERT(best != kNoEntry);
  return best;
}

// Each joined target takes what it lacks, evenly from all rounds.
void SlotTableBuilder::hand_over(std::span<const std::uint32_t> joined, Random& random) {
  std::vector<std::uint64_t> per_round(joined.size());
  std::vector<std::uint64_t> credits(joined.size());
  for (std::size_t i = 0; i < joined.size(); ++i) {
    per_round[i] = static_cast<std::uint64_t>(std::max<std::int64_t>(-excess(joined[i]), 0)) / table_.rounds;
    credits[i] = random.next() >> kPointBits;
  }
  for (std::uint32_t round = 0; round < table_.rounds; ++round) {
    for (std::size_t i = 0; i < joined.size(); ++i) {
      credits[i] += per_round[i];
      while (credits[i] >= kOne && take_entry(round, joined[i], random)) credits[i] -= kOne;
    }
  }
}

bool SlotTableBuilder::take_entry(std::uint32_t round, std::uint32_t target, Random& random) {
  const bool all = table_.rows <= kProbedRows;
  std::uint32_t* best = nullptr;
  std::int64_t best_score = 0;
  for (std::uint32_t probe = 0; probe < std::min(kProbedRows, table_.rows); ++probe) {
    const std::span<std::uint32_t> group = table_.row(round, all ? probe : random.below(table_.rows));
    for (std::size_t column = 0; column < group.size(); ++column) {
      if (group[column] == target || !is_apart(tree_, shares_.separation, group, column, target)) continue;
      constexpr std::int64_t kUneven = std::int64_t{1} << 56;
      std::int64_t score = excess(group[column]);
      if (!is_even(tree_, shares_, group, column, target)) score -= kUneven;
      if (best != nullptr && score <= best_score) continue;
      best = &group[column];
      best_score = score;
    }
  }
  if (best == nullptr) return false;
  replace(*best, target);
  return true;
}

}  // namespace cenote::cluster
