#include "replacements.h"

#include <algorithm>

#include "loss_shares.h"
#include "placement_hash.h"

namespace cenote::cluster {
namespace {

constexpr std::uint64_t kSeed = 0x6c6f7374;  // "lost"
/// Draws that must meet all wishes, then those that may repeat a target in its round, then those that need only be
/// apart.
constexpr std::uint32_t kChoosyDraws = 16;
constexpr std::uint32_t kCappedDraws = 32;
constexpr std::uint32_t kDraws = 48;
constexpr std::uint32_t kDomainDraws = 16;
/// More than a group has members.
constexpr std::uint64_t kMaxColumns = 32;
/// A target takes over no more than its share and this part of it, and a few.
constexpr std::uint64_t kSlackPart = 12;
constexpr std::uint64_t kSlackEntries = 2;

class Replacer {
 public:
  Replacer(const FaultTree& tree, const SlotTable& base, std::span<const std::uint32_t> members);
  SlotTable run() &&;

 private:
  void note_shares(std::span<const std::uint32_t> members);
  std::vector<std::uint32_t> joined() const;
  bool is_welcome(std::uint32_t lost, std::uint32_t target, std::uint64_t bits) const;
  std::uint32_t domain_of(std::uint32_t target) const { return tree_.domain_of(shares_.separation, target); }
  void replace_in_round(std::uint32_t round);
  std::uint32_t find(std::uint32_t round, std::uint32_t row, std::size_t column);
  std::uint32_t find_in_domains(std::span<const std::uint32_t> group, std::size_t column, Random& random) const;
  std::uint32_t draw(std::uint64_t bits) const;
  bool is_far(std::uint32_t target, std::uint32_t row) const;
  bool has_room(std::uint32_t target) const { return counts_[target] < bounds_[target]; }

  const FaultTree& tree_;
  const SlotTable& base_;
  SlotTable table_;
  Shares shares_;
  LossShares loss_shares_;
  bool is_short_ = false;  // fewer members than a group needs
  std::vector<bool> is_member_;
  std::vector<std::uint64_t> counts_;
  std::vector<std::uint64_t> bounds_;
  std::vector<std::vector<std::uint32_t>> members_of_domain_;  // of the level of separation
  std::vector<std::uint32_t> row_in_round_;                    // of each target, plus one; 0: none
};

Replacer::Replacer(const FaultTree& tree, const SlotTable& base, std::span<const std::uint32_t> members)
    : tree_(tree),
      base_(base),
      table_(base),
      is_member_(tree.target_count()),
      counts_(tree.target_count()),
      bounds_(tree.target_count()),
      row_in_round_(tree.target_count()) {
  for (const std::uint32_t target : members) is_member_[target] = true;
  for (const std::uint32_t target : base.entries) ++counts_[target];
  note_shares(members);
}

void Replacer::note_shares(std::span<const std::uint32_t> members) {
  is_short_ = members.size() < base_.group_size;
  if (is_short_) {
    // Whoever is left is in every group.
    shares_.separation = tree_.target_level();
    for (const std::uint32_t target : members) bounds_[target] = base_.all_rows();
  } else {
    shares_ = compute_shares(tree_, members, base_.group_size);
    loss_shares_ = compute_loss_shares(tree_, compute_shares(tree_, joined(), base_.group_size), shares_, is_member_);
    for (const std::uint32_t target : members) {
      const std::uint64_t share = scale(base_.all_rows() << kPointBits, shares_.of_target[target]);
      bounds_[target] = share + share / kSlackPart + kSlackEntries;
    }
  }
  members_of_domain_.resize(tree_.domain_bound(shares_.separation));
  for (const std::uint32_t target : members)
    members_of_domain_[tree_.domain_of(shares_.separation, target)].push_back(target);
  std::erase_if(members_of_domain_, [](const auto& domain) { return domain.empty(); });
}

/// The targets of the base table.
std::vector<std::uint32_t> Replacer::joined() const {
  std::vector<std::uint32_t> targets;
  for (std::uint32_t target = 0; target < counts_.size(); ++target) {
    if (counts_[target] > 0) targets.push_back(target);
  }
  return targets;
}

SlotTable Replacer::run() && {
  for (std::uint32_t round = 0; round < table_.rounds; ++round) replace_in_round(round);
  return std::move(table_);
}

bool Replacer::is_welcome(std::uint32_t lost, std::uint32_t target, std::uint64_t bits) const {
  if (is_short_) return true;
  const std::uint32_t domain = domain_of(lost);
  const std::uint64_t part =
      domain == domain_of(target) ? loss_shares_.own_part[domain] : loss_shares_.other_part[domain];
  return part == kOne || mix(bits) >> kPointBits < part;
}

void Replacer::replace_in_round(std::uint32_t round) {
  const std::span<const std::uint32_t> entries(
      base_.entries.data() + std::size_t{round} * base_.rows * base_.group_size,
      std::size_t{base_.rows} * base_.group_size);
  if (std::ranges::all_of(entries, [this](std::uint32_t target) { return is_member_[target]; })) return;
  std::ranges::fill(row_in_round_, 0u);
  for (std::size_t i = 0; i < entries.size(); ++i)
    row_in_round_[entries[i]] = static_cast<std::uint32_t>(i / base_.group_size) + 1;
  for (std::uint32_t row = 0; row < table_.rows; ++row) {
    const std::span<std::uint32_t> group = table_.row(round, row);
    // Taken out first: what is lost keeps nobody from its domain.
    for (std::uint32_t& entry : group) {
      if (!is_member_[entry]) entry = kNoEntry;
    }
    for (std::size_t column = 0; column < group.size(); ++column) {
      if (group[column] != kNoEntry) continue;
      const std::uint32_t found = find(round, row, column);
      if (found == kNoEntry) continue;
      group[column] = found;
      ++counts_[found];
      if (row_in_round_[found] == 0) row_in_round_[found] = row + 1;
    }
  }
}

std::uint32_t Replacer::find(std::uint32_t round, std::uint32_t row, std::size_t column) {
  // The same draws in all copies of a round, so that nothing moves where their number doubles.
  const std::uint64_t place = (std::uint64_t{round % table_.first_rounds} << 32 | row) * kMaxColumns + column;
  Random random(mix(kSeed + place));
  const std::span<const std::uint32_t> group = table_.row(round, row);
  const std::uint32_t lost = base_.row(round, row)[column];
  for (std::uint32_t k = 0; k < kDraws; ++k) {
    const std::uint64_t bits = random.next();
    const std::uint32_t target = draw(bits);
    if (!is_member_[target] || !is_apart(tree_, shares_.separation, group, column, target)) continue;
    if (k < kCappedDraws &&
        (!is_welcome(lost, target, bits) || !has_room(target) || !is_even(tree_, shares_, group, column, target)))
      continue;
    if (k < kChoosyDraws && !is_far(target, row)) continue;
    return target;
  }
  return find_in_domains(group, column, random);
}

// Where few targets are possible, draws from all of them do not meet one.
std::uint32_t Replacer::find_in_domains(std::span<const std::uint32_t> group, std::size_t column,
                                        Random& random) const {
  if (members_of_domain_.empty()) return kNoEntry;
  const auto domains = static_cast<std::uint32_t>(members_of_domain_.size());
  const std::uint32_t first = random.below(domains);
  std::uint32_t found = kNoEntry;
  for (std::uint32_t i = 0; i < domains; ++i) {
    const std::vector<std::uint32_t>& members = members_of_domain_[(first + i) % domains];
    if (!is_apart(tree_, shares_.separation, group, column, members.front())) continue;
    for (std::uint32_t k = 0; k < kDomainDraws; ++k) {
      found = members[random.below(static_cast<std::uint32_t>(members.size()))];
      if (has_room(found)) return found;
    }
  }
  return found;
}

// An entry of the table at random is a target by its share. The bits that choose the round are the lowest ones, so that
// a doubled number of rounds draws the same.
std::uint32_t Replacer::draw(std::uint64_t bits) const {
  const auto round = static_cast<std::uint32_t>(bits & (base_.rounds - 1));
  const auto entry = static_cast<std::size_t>(scale(bits, std::uint64_t{base_.rows} * base_.group_size));
  return base_.row(round, static_cast<std::uint32_t>(entry / base_.group_size))[entry % base_.group_size];
}

bool Replacer::is_far(std::uint32_t target, std::uint32_t row) const {
  if (row_in_round_[target] == 0) return true;
  const std::uint32_t other = row_in_round_[target] - 1;
  const std::uint32_t distance = other > row ? other - row : row - other;
  return std::min(distance, table_.rows - distance) > table_.rows / 4;
}

}  // namespace

SlotTable replace_lost(const FaultTree& tree, const SlotTable& base, std::span<const std::uint32_t> members) {
  return Replacer(tree, base, members).run();
}

std::uint32_t rows_without_repetition(const SlotTable& table, std::size_t target_count) {
  struct Seen {
    std::uint32_t round = UINT32_MAX;
    std::uint32_t first = 0;
    std::uint32_t last = 0;
  };
  std::vector<Seen> seen(target_count);
  std::uint32_t rows = table.rows;
  for (std::uint32_t round = 0; round < table.rounds; ++round) {
    for (std::uint32_t row = 0; row < table.rows; ++row) {
      for (const std::uint32_t target : table.row(round, row)) {
        if (target == kNoEntry) continue;
        Seen& before = seen[target];
        if (before.round != round) {
          before = {round, row, row};
          continue;
        }
        // Also the other way round: an object's rows go on from the last to the first.
        rows = std::min({rows, row - before.last, before.first + table.rows - row});
        before.last = row;
      }
    }
  }
  return std::max(rows, 1u);
}

}  // namespace cenote::cluster
