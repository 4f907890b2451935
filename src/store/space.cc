#include "space.h"

#include <algorithm>
#include <bit>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::uint32_t kGroupsPerChunk = kBitsPerChunk / kGroupBlocks;

struct Place {
  std::uint64_t group;
  std::uint32_t first;
};
Place place_of(Extent extent) {
  const std::uint64_t first = extent.first.value();
  return {first / kGroupBlocks, static_cast<std::uint32_t>(first % kGroupBlocks)};
}
Place place_of_slot(std::uint64_t slot) {
  return {slot / kSlotsPerGroup, static_cast<std::uint32_t>(slot % kSlotsPerGroup) * kPageBlocks};
}

/// Free slots of a meta group, whose bits are set four by four.
std::uint32_t free_slots_of(const GroupBits& unavailable) { return (kGroupBlocks - unavailable.taken()) / kPageBlocks; }

/// Groups of a class of several lengths that are looked at for one that is long enough.
constexpr std::uint32_t kLooks = 16;

}  // namespace

Space::Space(std::uint64_t device_blocks, const std::vector<Region>& fixed)
    : persistent_(device_blocks / kGroupBlocks),
      unavailable_(device_blocks / kGroupBlocks),
      kinds_(device_blocks / kGroupBlocks, Kind::kFree),
      free_(kinds_.size()),
      meta_with_room_(kinds_.size()),
      dirty_chunks_((device_blocks + kBitsPerChunk - 1) / kBitsPerChunk),
      closed_(kinds_.size()) {
  for (IndexSet& set : data_by_run_) set = IndexSet(kinds_.size());
  for (const Region& region : fixed) {
    for (std::uint64_t block = region.first; block < region.first + region.blocks; block += kGroupBlocks) {
      kinds_[block / kGroupBlocks] = Kind::kFixed;
    }
  }
}

void Space::load_chunk(std::uint64_t chunk, ByteView bits) {
  for (std::uint32_t i = 0; i < kGroupsPerChunk; ++i) {
    const std::uint64_t group = chunk * kGroupsPerChunk + i;
    if (group >= kinds_.size()) return;
    for (std::size_t word = 0; word < persistent_[group].words.size(); ++word) {
      persistent_[group].words[word] = load_le<std::uint64_t>(bits.data() + i * (kGroupBlocks / 8) + word * 8);
    }
  }
}

void Space::load_slot(std::uint64_t slot) {
  // Only notes the group: `finish_loading` decides by these marks and the bits.
  ASSERT(slot / kSlotsPerGroup < kinds_.size());
  if (kinds_[place_of_slot(slot).group] == Kind::kFree) kinds_[place_of_slot(slot).group] = Kind::kMeta;
  ++loaded_slots_;
}

Result<> Space::finish_loading() {
  std::uint64_t meta_blocks = 0;
  for (std::uint64_t group = 0; group < kinds_.size(); ++group) {
    const bool empty = persistent_[group].taken() == 0;
    const Kind kind = kinds_[group];
    if (kind == Kind::kMeta) meta_blocks += persistent_[group].taken();
    if ((kind == Kind::kFixed && !empty) || (kind == Kind::kMeta && empty)) {
      return failf(Code::kCorrupt, "bitmap: group {} of blocks contradicts what lies there", group);
    }
    unavailable_[group] = persistent_[group];
    if (kind == Kind::kFixed) continue;
    remember(group, empty ? Kind::kFree : kind == Kind::kMeta ? Kind::kMeta : Kind::kData);
  }
  if (meta_blocks != loaded_slots_ * kPageBlocks) {
    return failf(Code::kCorrupt, "the page map names {} pages, the bitmap has {} blocks for them", loaded_slots_,
                 meta_blocks);
  }
  return {};
}

void Space::forget(std::uint64_t group) {
  switch (kinds_[group]) {
    case Kind::kFree:
      free_.remove(group);
      break;
    case Kind::kMeta:
      --meta_groups_;
      free_slots_ -= free_slots_of(unavailable_[group]);
      meta_with_room_.remove(group);
      break;
    case Kind::kData: {
      --data_groups_;
      data_available_ -= kGroupBlocks - unavailable_[group].taken();
      if (const std::uint32_t run = unavailable_[group].longest_free_run()) data_by_run_[run_class(run)].remove(group);
      break;
    }
    case Kind::kFixed:
      ASSERT(false);
  }
}

void Space::remember(std::uint64_t group, Kind kind) {
  kinds_[group] = kind;
  switch (kind) {
    case Kind::kFree:
      free_.add(group);
      closed_.remove(group);
      break;
    case Kind::kMeta: {
      ++meta_groups_;
      const std::uint32_t slots = free_slots_of(unavailable_[group]);
      free_slots_ += slots;
      meta_with_room_.set(group, slots > 0);
      break;
    }
    case Kind::kData: {
      ++data_groups_;
      data_available_ += kGroupBlocks - unavailable_[group].taken();
      const std::uint32_t run = unavailable_[group].longest_free_run();
      if (run > 0 && !closed_.contains(group)) data_by_run_[run_class(run)].add(group);
      break;
    }
    case Kind::kFixed:
      ASSERT(false);
  }
}

/// After bits of a used group changed: it is free again when nothing is left in it.
void Space::remember_by_bits(std::uint64_t group) {
  remember(group, unavailable_[group].taken() == 0 ? Kind::kFree : kinds_[group]);
}

void Space::touch(std::uint64_t group) { dirty_chunks_.add(group / kGroupsPerChunk); }

std::uint32_t Space::run_class(std::uint32_t blocks) {
  constexpr std::uint32_t kExact = 8;
  static_assert(kRunClasses == kExact + std::bit_width(kGroupBlocks) - std::bit_width(kExact) + 1);
  if (blocks <= kExact) return blocks - 1;
  return kExact + static_cast<std::uint32_t>(std::bit_width(blocks) - std::bit_width(kExact));
}

/// A data group with a free run of at least `blocks`, the tightest class first.
std::optional<std::uint64_t> Space::find_data_group(std::uint32_t blocks) const {
  const std::uint32_t least = run_class(blocks);
  // In the class of `blocks` itself runs may be too short; some looks are cheap and keep such groups in use.
  auto same = data_by_run_[least].first();
  for (std::uint32_t look = 0; same && look < kLooks; ++look) {
    if (unavailable_[*same].longest_free_run() >= blocks) return same;
    same = data_by_run_[least].first_from(*same + 1);
  }
  for (std::uint32_t size = least + 1; size < kRunClasses; ++size) {
    if (const auto group = data_by_run_[size].first()) return group;
  }
  return std::nullopt;
}

Extent Space::take_run(std::uint64_t group, GroupBits::Run run) {
  forget(group);
  ASSERT(unavailable_[group].none_in(run.first, run.blocks));
  unavailable_[group].set_run(run.first, run.blocks);
  reserved_[group].set_run(run.first, run.blocks);
  remember(group, Kind::kData);
  const std::uint64_t first = group * kGroupBlocks + run.first;
  sequence_ = first + run.blocks;
  return {media::BlockNo(first), run.blocks};
}

std::optional<Extent> Space::continue_sequence(std::uint32_t blocks) {
  const std::uint64_t group = sequence_ / kGroupBlocks;
  const auto first = static_cast<std::uint32_t>(sequence_ % kGroupBlocks);
  if (first == 0 || first + blocks > kGroupBlocks || kinds_[group] != Kind::kData) return std::nullopt;
  if (closed_.contains(group)) return std::nullopt;
  if (!unavailable_[group].none_in(first, blocks)) return std::nullopt;
  return take_run(group, {first, blocks});
}

std::optional<Extent> Space::reserve(std::uint32_t blocks, bool may_convert) {
  ASSERT(blocks >= 1 && blocks <= kGroupBlocks);
  if (auto next = continue_sequence(blocks)) return next;
  if (const auto group = find_data_group(blocks)) {
    GroupBits::Run run = unavailable_[*group].tightest_run(blocks);
    run.blocks = blocks;
    return take_run(*group, run);
  }
  if (!may_convert) return std::nullopt;
  auto group = free_.first_from(sequence_ / kGroupBlocks);
  if (!group) group = free_.first();
  if (!group) return std::nullopt;
  return take_run(*group, {0, blocks});
}

std::optional<Extent> Space::reserve_shorter(std::uint32_t blocks) {
  for (std::uint32_t size = kRunClasses; size-- > 0;) {
    if (const auto group = data_by_run_[size].first()) {
      GroupBits::Run run = unavailable_[*group].free_run(blocks);
      run.blocks = std::min(run.blocks, blocks);
      return take_run(*group, run);
    }
  }
  return std::nullopt;
}

std::uint32_t Space::longest_hole() const {
  for (std::uint32_t size = kRunClasses; size-- > 0;)
    if (const auto group = data_by_run_[size].first()) return unavailable_[*group].longest_free_run();
  return 0;
}

std::optional<Extent> Space::reserve_hole(std::uint32_t blocks) {
  const std::uint64_t sequence = sequence_;
  std::optional<Extent> extent;
  if (const auto group = find_data_group(blocks)) {
    GroupBits::Run run = unavailable_[*group].tightest_run(blocks);
    run.blocks = blocks;
    extent = take_run(*group, run);
  } else {
    extent = reserve_shorter(blocks);
  }
  sequence_ = sequence;
  return extent;
}

bool Space::is_reserved(Extent extent) const {
  const auto [group, first] = place_of(extent);
  const auto found = reserved_.find(group);
  return found != reserved_.end() && found->second.all_in(first, extent.blocks);
}

void Space::cancel(Extent extent) {
  ASSERT(is_reserved(extent));
  const auto [group, first] = place_of(extent);
  GroupBits& reserved = reserved_[group];
  reserved.clear_run(first, extent.blocks);
  if (reserved.taken() == 0) reserved_.erase(group);
  make_available(extent);
}

void Space::claim(Extent extent) {
  ASSERT(is_reserved(extent));
  const auto [group, first] = place_of(extent);
  GroupBits& reserved = reserved_[group];
  reserved.clear_run(first, extent.blocks);
  if (reserved.taken() == 0) reserved_.erase(group);
  ASSERT(kinds_[group] == Kind::kData && persistent_[group].none_in(first, extent.blocks));
  persistent_[group].set_run(first, extent.blocks);
  touch(group);
}

bool Space::is_owned(Extent extent) const {
  const auto [group, first] = place_of(extent);
  if (group >= kinds_.size() || first + extent.blocks > kGroupBlocks || extent.blocks == 0) return false;
  return kinds_[group] == Kind::kData && persistent_[group].all_in(first, extent.blocks);
}

void Space::release(Extent extent) {
  ASSERT(is_owned(extent));
  const auto [group, first] = place_of(extent);
  persistent_[group].clear_run(first, extent.blocks);
  touch(group);
  // What a pass itself moves is nothing new.
  if (vacating_.empty()) immovable_.erase(group);
}

void Space::make_available(Extent extent) {
  const auto [group, first] = place_of(extent);
  ASSERT(unavailable_[group].all_in(first, extent.blocks) && persistent_[group].none_in(first, extent.blocks));
  if (kinds_[group] == Kind::kData) freed_blocks_ += extent.blocks;
  forget(group);
  unavailable_[group].clear_run(first, extent.blocks);
  remember_by_bits(group);
}

void Space::forbid(Extent extent) {
  const auto [group, first] = place_of(extent);
  if (group >= kinds_.size() || kinds_[group] == Kind::kFixed || kinds_[group] == Kind::kMeta) return;
  forget(group);
  unavailable_[group].set_run(first, extent.blocks);
  remember(group, Kind::kData);
}

bool Space::claimable(Extent extent) const {
  const auto [group, first] = place_of(extent);
  if (group >= kinds_.size() || first + extent.blocks > kGroupBlocks || extent.blocks == 0) return false;
  return (kinds_[group] == Kind::kFree || kinds_[group] == Kind::kData) &&
         persistent_[group].none_in(first, extent.blocks);
}

void Space::replay_claim(Extent extent) {
  ASSERT(claimable(extent));
  const auto [group, first] = place_of(extent);
  forget(group);
  unavailable_[group].set_run(first, extent.blocks);
  persistent_[group].set_run(first, extent.blocks);
  remember(group, Kind::kData);
  touch(group);
}

void Space::replay_release(Extent extent) { release(extent); }

void Space::finish_replay() {
  for (std::uint64_t group = 0; group < kinds_.size(); ++group) {
    if (kinds_[group] != Kind::kData) continue;
    forget(group);
    unavailable_[group] = persistent_[group];
    remember_by_bits(group);
  }
}

std::optional<std::uint64_t> Space::take_slot() {
  auto group = meta_with_room_.first();
  if (!group) group = free_.first();
  if (!group) return std::nullopt;
  forget(*group);
  const std::uint32_t first = unavailable_[*group].next_free(0);
  ASSERT(first % kPageBlocks == 0 && unavailable_[*group].none_in(first, kPageBlocks));
  unavailable_[*group].set_run(first, kPageBlocks);
  persistent_[*group].set_run(first, kPageBlocks);
  remember(*group, Kind::kMeta);
  touch(*group);
  return *group * kSlotsPerGroup + first / kPageBlocks;
}

void Space::retire_slot(std::uint64_t slot) {
  const auto [group, first] = place_of_slot(slot);
  ASSERT(kinds_[group] == Kind::kMeta && persistent_[group].all_in(first, kPageBlocks));
  persistent_[group].clear_run(first, kPageBlocks);
  touch(group);
}

void Space::make_slot_available(std::uint64_t slot) {
  const auto [group, first] = place_of_slot(slot);
  make_available({media::BlockNo(group * kGroupBlocks + first), kPageBlocks});
}

std::uint64_t Space::begin_vacating(std::uint64_t most, std::uint32_t least_free) {
  struct Candidate {
    std::uint32_t owned, free;
    std::uint64_t group;
  };
  std::vector<Candidate> candidates;
  std::uint64_t holes = 0;
  for (std::uint64_t group = 0; group < kinds_.size(); ++group) {
    if (kinds_[group] != Kind::kData || closed_.contains(group)) continue;
    const std::uint32_t free = kGroupBlocks - unavailable_[group].taken();
    const std::uint32_t owned = persistent_[group].taken();
    holes += free;
    // Where nothing is owned any more, or somebody is at work, there is nothing to be gained.
    const bool busy = reserved_.contains(group) || group == sequence_ / kGroupBlocks;
    if (free >= least_free && owned > 0 && !busy && !immovable_.contains(group))
      candidates.push_back({owned, free, group});
  }
  std::ranges::sort(candidates, {}, [](const Candidate& c) { return std::pair(c.owned, c.group); });
  vacating_.clear();
  std::uint64_t moving = 0;
  for (const Candidate& candidate : candidates) {
    moving += candidate.owned;
    if (vacating_.size() == most || moving + candidate.free > holes) break;
    holes -= candidate.free;
    vacating_.push_back(candidate.group);
    forget(candidate.group);
    closed_.add(candidate.group);
    remember(candidate.group, Kind::kData);
  }
  return vacating_.size();
}

bool Space::is_closed(Extent extent) const { return closed_.contains(place_of(extent).group); }

std::uint64_t Space::vacating_left() const {
  std::uint64_t left = 0;
  for (const std::uint64_t group : vacating_)
    if (closed_.contains(group)) left += persistent_[group].taken();
  return left;
}

void Space::reopen(std::uint64_t group) {
  forget(group);
  closed_.remove(group);
  remember(group, Kind::kData);
}

std::uint64_t Space::end_vacating(bool tried_all) {
  std::uint64_t vacated = 0;
  for (const std::uint64_t group : vacating_) {
    if (kinds_[group] == Kind::kFree || (closed_.contains(group) && persistent_[group].taken() == 0)) {
      ++vacated;
    } else if (closed_.contains(group)) {
      reopen(group);
      if (tried_all) immovable_.insert(group);
    }
  }
  vacating_.clear();
  return vacated;
}

bool Space::reopen_one() {
  const auto group = closed_.first();
  if (group) reopen(*group);
  return group.has_value();
}

std::optional<std::uint64_t> Space::free_run_of_groups(std::uint64_t groups) const {
  std::uint64_t length = 0;
  for (std::uint64_t group = 0; group < kinds_.size(); ++group) {
    length = kinds_[group] == Kind::kFree ? length + 1 : 0;
    if (length == groups) return group + 1 - groups;
  }
  return std::nullopt;
}

void Space::fix(std::uint64_t first_group, std::uint64_t groups) {
  for (std::uint64_t group = first_group; group < first_group + groups; ++group) {
    ASSERT(kinds_[group] == Kind::kFree);
    forget(group);
    kinds_[group] = Kind::kFixed;
  }
}

void Space::grow(std::uint64_t device_blocks, const std::vector<Region>& fixed) {
  const std::uint64_t groups = device_blocks / kGroupBlocks;
  const std::uint64_t before = kinds_.size();
  ASSERT(groups >= before);
  persistent_.resize(groups);
  unavailable_.resize(groups);
  kinds_.resize(groups, Kind::kFixed);
  free_.grow(groups);
  meta_with_room_.grow(groups);
  for (IndexSet& set : data_by_run_) set.grow(groups);
  closed_.grow(groups);
  dirty_chunks_.grow((device_blocks + kBitsPerChunk - 1) / kBitsPerChunk);
  const auto is_fixed = [&](std::uint64_t group) {
    return std::ranges::any_of(fixed, [&](const Region& region) {
      const std::uint64_t block = group * kGroupBlocks;
      return block >= region.first && block < region.first + region.blocks;
    });
  };
  for (std::uint64_t group = 0; group < groups; ++group) {
    if (kinds_[group] != Kind::kFixed) {
      ASSERT(!is_fixed(group));
    } else if (!is_fixed(group)) {
      ASSERT(persistent_[group].taken() == 0 && unavailable_[group].taken() == 0);
      remember(group, Kind::kFree);
    }
  }
}

Bytes Space::chunk_bits(std::uint64_t chunk) const {
  Bytes bits(media::kBlockBytes);
  for (std::uint32_t i = 0; i < kGroupsPerChunk; ++i) {
    const std::uint64_t group = chunk * kGroupsPerChunk + i;
    if (group >= kinds_.size()) break;
    for (std::size_t word = 0; word < persistent_[group].words.size(); ++word) {
      store_le(bits.data() + i * (kGroupBlocks / 8) + word * 8, persistent_[group].words[word]);
    }
  }
  return bits;
}

std::uint64_t Space::persistent_blocks() const {
  std::uint64_t blocks = 0;
  for (const GroupBits& bits : persistent_) blocks += bits.taken();
  return blocks;
}

std::uint64_t Space::reserved_blocks() const {
  std::uint64_t blocks = 0;
  for (const auto& [group, bits] : reserved_) blocks += bits.taken();
  return blocks;
}

void Space::check_invariants() const {
  std::uint64_t meta = 0, data = 0, slots = 0, available = 0;
  for (std::uint64_t group = 0; group < kinds_.size(); ++group) {
    const GroupBits& taken = unavailable_[group];
    for (std::size_t word = 0; word < taken.words.size(); ++word) {
      ASSERT((persistent_[group].words[word] & ~taken.words[word]) == 0);
    }
    const Kind kind = kinds_[group];
    ASSERT(free_.contains(group) == (kind == Kind::kFree));
    if (kind != Kind::kFixed) ASSERT((taken.taken() == 0) == (kind == Kind::kFree));
    const std::uint32_t run = taken.longest_free_run();
    for (std::uint32_t size = 0; size < kRunClasses; ++size) {
      const bool expected = kind == Kind::kData && run > 0 && run_class(run) == size && !closed_.contains(group);
      ASSERT(data_by_run_[size].contains(group) == expected);
    }
    ASSERT(!closed_.contains(group) || (kind == Kind::kData && !reserved_.contains(group)));
    if (kind == Kind::kMeta) ++meta, slots += free_slots_of(taken);
    if (kind == Kind::kData) ++data, available += kGroupBlocks - taken.taken();
  }
  ASSERT(meta == meta_groups_ && data == data_groups_ && slots == free_slots_ && available == data_available_);
  for (const auto& [group, bits] : reserved_) {
    ASSERT(bits.taken() > 0 && kinds_[group] == Kind::kData);
    for (std::size_t word = 0; word < bits.words.size(); ++word) {
      ASSERT((bits.words[word] & ~unavailable_[group].words[word]) == 0);
      ASSERT((bits.words[word] & persistent_[group].words[word]) == 0);
    }
  }
}

}  // namespace cenote::store
