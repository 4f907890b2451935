#include "placement_view.h"

#include <algorithm>
#include <bit>

#include "cenote/base/assert.h"
#include "placement_hash.h"
#include "replacements.h"

namespace cenote::cluster {
namespace {

constexpr std::uint64_t kWalkSeed = 0x77616c6b;  // "walk"
constexpr std::uint32_t kWalkDraws = 32;

}  // namespace

/// Groups of one object, one after the other, no target twice. An entry whose target the object has is replaced: by
/// draws from the table, then by whoever is left, from the domain that has most left.
class PlacementView::Walk {
 public:
  Walk(const PlacementView& view, std::uint64_t point)
      : view_(view), point_(point), is_used_((view.tree_->target_count() + 63) / 64) {}

  void next(std::span<std::uint32_t> group) {
    const std::span<const std::uint32_t> row = view_.row_of(point_, index_);
    std::ranges::copy(row, group.begin());
    for (std::uint32_t& entry : group) {
      if (entry != kNoEntry && is_used(entry)) entry = kNoEntry;
    }
    // The others first, so that no replacement takes what the group has itself.
    for (const std::uint32_t entry : group) {
      if (entry != kNoEntry) use(entry);
    }
    for (std::size_t column = 0; column < group.size(); ++column) {
      if (group[column] != kNoEntry || row[column] == kNoEntry) continue;
      group[column] = replacement(group, column);
      if (group[column] != kNoEntry) use(group[column]);
    }
    ++index_;
  }

 private:
  bool is_used(std::uint32_t target) const { return (is_used_[target / 64] >> target % 64 & 1) != 0; }
  void use(std::uint32_t target) { is_used_[target / 64] |= std::uint64_t{1} << target % 64; }

  std::uint32_t replacement(std::span<const std::uint32_t> group, std::size_t column) const {
    const SlotTable& table = *view_.table_;
    Random random(mix(kWalkSeed ^ point_) + (std::uint64_t{index_} << 8 | column));
    for (std::uint32_t k = 0; k < kWalkDraws; ++k) {
      const std::uint64_t bits = random.next();
      const auto round = static_cast<std::uint32_t>(bits & (table.rounds - 1));
      const auto entry = static_cast<std::size_t>(scale(bits, std::uint64_t{table.rows} * table.group_size));
      const std::uint32_t target =
          table.row(round, static_cast<std::uint32_t>(entry / table.group_size))[entry % table.group_size];
      if (target != kNoEntry && is_free(group, column, target)) return target;
    }
    const std::uint32_t unused = last_resort(group, column, random, false);
    // Nobody is left who lies apart from the others: better a target twice in the object than two members together.
    return unused != kNoEntry ? unused : last_resort(group, column, random, true);
  }

  std::uint32_t last_resort(std::span<const std::uint32_t> group, std::size_t column, Random& random,
                            bool may_repeat) const {
    std::vector<std::uint32_t> left(view_.tree_->domain_bound(view_.separation_));
    for (const std::uint32_t target : view_.members_) {
      if (!is_used(target)) ++left[domain_of(target)];
    }
    const auto count = static_cast<std::uint32_t>(view_.members_.size());
    const std::uint32_t first = random.below(count);
    std::uint32_t best = kNoEntry;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t target = view_.members_[(first + i) % count];
      if (best != kNoEntry && left[domain_of(target)] <= left[domain_of(best)]) continue;
      if (may_repeat ? is_apart(*view_.tree_, view_.separation_, group, column, target)
                     : is_free(group, column, target))
        best = target;
    }
    return best;
  }

  bool is_free(std::span<const std::uint32_t> group, std::size_t column, std::uint32_t target) const {
    return !is_used(target) && is_apart(*view_.tree_, view_.separation_, group, column, target);
  }
  std::uint32_t domain_of(std::uint32_t target) const { return view_.tree_->domain_of(view_.separation_, target); }

  const PlacementView& view_;
  std::uint64_t point_;
  std::vector<std::uint64_t> is_used_;
  std::uint32_t index_ = 0;
};

PlacementView::PlacementView(std::shared_ptr<const FaultTree> tree, std::shared_ptr<const SlotTable> history,
                             std::vector<std::uint32_t> members)
    : tree_(std::move(tree)), history_(std::move(history)), table_(history_), members_(std::move(members)) {
  if (table_->empty()) return;
  std::vector<bool> is_member(tree_->target_count());
  for (const std::uint32_t target : members_) is_member[target] = true;
  const bool is_whole =
      std::ranges::all_of(history_->entries, [&is_member](std::uint32_t target) { return is_member[target]; });
  if (!is_whole) table_ = std::make_shared<const SlotTable>(replace_lost(*tree_, *history_, members_));
  separation_ = members_.size() < table_->group_size ? tree_->target_level()
                                                     : compute_shares(*tree_, members_, table_->group_size).separation;
  free_rows_ = rows_without_repetition(*table_, tree_->target_count());
}

bool PlacementView::is_walked(std::uint32_t groups) const {
  return groups > free_rows_ && std::uint64_t{groups} * table_->group_size <= members_.size();
}

void PlacementView::find(std::uint64_t point, std::uint32_t groups, std::uint32_t index,
                         std::span<std::uint32_t> group) const {
  if (table_->empty()) {
    std::ranges::fill(group, kNoEntry);
  } else if (!is_walked(groups)) {
    std::ranges::copy(row_of(point, index), group.begin());
  } else {
    Walk walk(*this, point);
    for (std::uint32_t i = 0; i <= index; ++i) walk.next(group);
  }
}

void PlacementView::find_all(std::uint64_t point, std::uint32_t groups, std::vector<std::uint32_t>& all) const {
  const std::size_t group_size = table_->group_size;
  all.assign(groups * group_size, kNoEntry);
  if (table_->empty()) return;
  Walk walk(*this, point);
  const bool walked = is_walked(groups);
  for (std::uint32_t i = 0; i < groups; ++i) {
    const std::span group(all.data() + i * group_size, group_size);
    if (walked) {
      walk.next(group);
    } else {
      std::ranges::copy(row_of(point, i), group.begin());
    }
  }
}

// The highest bits of the point choose one of the first rounds, those behind them the row that the object begins with,
// and what is left one of the copies that were made since: so none of them changes when rounds are added. Points at
// equal distances, as those of consecutive ids are, come to all rounds, rows and copies evenly.
std::span<const std::uint32_t> PlacementView::row_of(std::uint64_t point, std::uint32_t index) const {
  const SlotTable& table = *table_;
  const std::uint32_t first_rounds = table.first_rounds;
  const std::uint64_t first_round = reverse_bits(point) & (first_rounds - 1);
  const Wide scaled = Wide{point << std::countr_zero(first_rounds)} * table.rows;
  const auto first_row = static_cast<std::uint32_t>(scaled >> 64);
  const std::uint64_t copy = reverse_bits(static_cast<std::uint64_t>(scaled));
  const std::uint64_t round = first_round + index / table.rows;
  const std::uint32_t row = first_row + index % table.rows;
  const std::uint64_t copies = table.rounds / first_rounds;
  const std::uint64_t whole =
      (round & (first_rounds - 1)) + first_rounds * ((copy + round / first_rounds) & (copies - 1));
  return table.row(static_cast<std::uint32_t>(whole), row < table.rows ? row : row - table.rows);
}

}  // namespace cenote::cluster
