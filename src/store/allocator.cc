#include "allocator.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::store {
namespace {

/// Data blocks kept for aggregation and rebuild: one part in this many of the data device ...
constexpr std::uint64_t kDataReserveShare = 64;
/// ... but no more than this.
constexpr std::uint64_t kMaxDataReserveBlocks = (256ull << 20) / media::kBlockBytes;
/// Freed extents that may wait for their discard; beyond, the oldest are handed out as they are.
constexpr std::size_t kMaxFreed = 1u << 16;
/// Whole groups are scarce below one in so many of the device, and below a few.
constexpr std::uint64_t kScarceShare = 64;
constexpr std::uint64_t kScarceGroups = 4;
/// Somebody was refused: as many as the largest batch may need.
constexpr std::uint64_t kRefusedGroups = 16;
/// An extent is rather cut into so many pieces than that it breaks one of the last whole groups.
constexpr std::uint32_t kMostPieces = 4;
/// Blocks that become free before vacating is tried again after it gained nothing.
constexpr std::uint64_t kBarrenBlocks = kGroupBlocks / 4;

std::uint64_t data_reserve_of(const Space& data) {
  return std::min(data.groups() * kGroupBlocks / kDataReserveShare, kMaxDataReserveBlocks);
}

std::vector<Space> make_spaces(const Geometry& geometry) {
  std::vector<Space> spaces;
  spaces.emplace_back(geometry.device_blocks[0], geometry.fixed_regions(0));
  if (geometry.separate_data()) {
    spaces.emplace_back(geometry.device_blocks[geometry.data_device], geometry.fixed_regions(geometry.data_device));
  }
  return spaces;
}

}  // namespace

Allocator::Allocator(const Geometry& geometry, std::uint64_t page_reserve)
    : spaces_(make_spaces(geometry)), page_reserve_(page_reserve), data_reserve_(data_reserve_of(data())) {}

void Allocator::load_chunk(std::uint64_t chunk, ByteView bits) {
  const std::uint64_t meta_chunks = meta().chunk_count();
  if (chunk < meta_chunks) return meta_space().load_chunk(chunk, bits);
  data_space().load_chunk(chunk - meta_chunks, bits);
}

Result<> Allocator::load_page_slot(std::uint64_t slot) {
  if (slot / kSlotsPerGroup >= meta().groups())
    return failf(Code::kCorrupt, "page map: slot {} is not on the device", slot);
  meta_space().load_slot(slot);
  return {};
}

Result<> Allocator::finish_loading() {
  for (Space& space : spaces_) CHECK_OK(space.finish_loading());
  return {};
}

Result<> Allocator::replay_claim(Extent extent) {
  if (!data().claimable(extent)) {
    return failf(Code::kCorrupt, "the log claims blocks {}+{}, which are taken", extent.first.value(), extent.blocks);
  }
  data_space().replay_claim(extent);
  return {};
}

Result<> Allocator::replay_release(Extent extent) {
  if (!data().is_owned(extent)) {
    return failf(Code::kCorrupt, "the log releases blocks {}+{}, which nobody owns", extent.first.value(),
                 extent.blocks);
  }
  data_space().replay_release(extent);
  return {};
}

std::uint64_t Allocator::reserve_of(SpaceClass space_class) const {
  switch (space_class) {
    case SpaceClass::kForeground:
      return page_reserve_;
    case SpaceClass::kCompaction:
      return page_reserve_ - page_reserve_ / 4;
    case SpaceClass::kReclaim:
      return page_reserve_ / 2;
  }
  return page_reserve_;
}

/// How many free groups may become data groups without breaking either rule for pages.
std::uint64_t Allocator::convertible_groups(SpaceClass space_class) const {
  const std::uint64_t free_groups = data().free_groups();
  if (!shared()) return free_groups;
  const std::uint64_t needed = live_pages_ + reserve_of(space_class);
  const std::uint64_t capacity = meta().slots_capacity();
  const std::uint64_t available = meta().slots_available();
  if (capacity <= needed || available <= dirty_pages_) return 0;
  return std::min({free_groups, (capacity - needed) / kSlotsPerGroup, (available - dirty_pages_) / kSlotsPerGroup});
}

Result<Extent> Allocator::reserve(std::uint32_t blocks, SpaceClass space_class) {
  if (blocks == 0 || blocks > kGroupBlocks) {
    return failf(Code::kOutOfRange, "an extent has 1 to {} blocks, not {}", kGroupBlocks, blocks);
  }
  const std::uint64_t convertible = convertible_groups(space_class);
  const std::uint64_t usable = data().data_blocks_available() + convertible * kGroupBlocks;
  const std::uint64_t kept = space_class == SpaceClass::kForeground ? data_reserve_ : 0;
  if (usable > kept) {
    const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, usable - kept));
    if (const auto extent = place(wanted, convertible)) return *extent;
    // All that is left lies in groups that are being vacated.
    if (data_space().reopen_one()) return reserve(blocks, space_class);
  }
  if (give_up_freed()) return reserve(blocks, space_class);
  return failf(Code::kNoSpace, "no space for {} blocks of data: delete something or add media", blocks);
}

/// Holes first; the last whole groups are for pages, unless an extent would come in many pieces.
std::optional<Extent> Allocator::place(std::uint32_t blocks, std::uint64_t convertible) {
  const bool scarce = shared() && spare_groups() < groups_wanted(CompactionNeed::kAhead);
  if (auto extent = data_space().reserve(blocks, convertible > 0 && !scarce)) return extent;
  if (scarce && convertible > 0 && std::uint64_t{data().longest_hole()} * kMostPieces < blocks)
    if (auto extent = data_space().reserve(blocks, true)) return extent;
  if (auto extent = data_space().reserve_shorter(blocks)) return extent;
  return convertible > 0 ? data_space().reserve(blocks, true) : std::nullopt;
}

std::uint64_t Allocator::groups_wanted(CompactionNeed need) const {
  const std::uint64_t scarce = std::max(kScarceGroups, data().groups() / kScarceShare);
  return need == CompactionNeed::kAhead ? scarce : std::max(2 * scarce, kRefusedGroups);
}

std::uint64_t Allocator::spare_groups() const {
  const std::uint64_t needed = live_pages_ + page_reserve_;
  const std::uint64_t capacity = meta().slots_capacity();
  return capacity <= needed ? 0 : (capacity - needed) / kSlotsPerGroup;
}

/// Nothing is to be gained now. What is worth nothing ahead of need may be worth it when somebody is refused.
void Allocator::note_barren(CompactionNeed need) {
  const std::uint64_t until = data().freed_blocks() + kBarrenBlocks;
  barren_until_[static_cast<std::size_t>(CompactionNeed::kAhead)] = until;
  if (need == CompactionNeed::kRefused) barren_until_[static_cast<std::size_t>(need)] = until;
}

bool Allocator::may_vacate(CompactionNeed need) const {
  if (!shared()) return false;  // pages have a device of their own
  if (need == CompactionNeed::kAll) return true;
  return spare_groups() < groups_wanted(need) && data().freed_blocks() >= barren_until_[static_cast<std::size_t>(need)];
}

std::uint64_t Allocator::begin_vacating(CompactionNeed need) {
  if (!may_vacate(need)) return 0;
  const bool all = need == CompactionNeed::kAll;
  const std::uint64_t most = all ? data().groups() : 2 * groups_wanted(need) - spare_groups();
  const std::uint32_t least_free = all ? 1 : kGroupBlocks / (need == CompactionNeed::kAhead ? 4 : 16);
  const std::uint64_t chosen = data_space().begin_vacating(most, least_free);
  if (chosen == 0) note_barren(need);
  return chosen;
}

Result<Extent> Allocator::reserve_hole(std::uint32_t blocks) {
  ASSERT(blocks >= 1 && blocks <= kGroupBlocks);
  if (const auto extent = data_space().reserve_hole(blocks)) return *extent;
  return fail(Code::kNoSpace, "no hole is left to move data into");
}

std::uint64_t Allocator::end_vacating(bool tried_all) {
  const std::uint64_t vacated = data_space().end_vacating(tried_all);
  if (vacated == 0 && !tried_all) note_barren(CompactionNeed::kRefused);
  return vacated;
}

void Allocator::release(Extent extent, Lsn lsn) {
  data_space().release(extent);
  pending_.push_back({extent, lsn, first_guard_ + guards_.size()});
}

void Allocator::reclaim(Lsn durable) {
  while (!pending_.empty() && pending_.front().lsn <= durable &&
         (guards_.empty() || first_guard_ >= pending_.front().guards)) {
    const Extent extent = pending_.front().extent;
    pending_.pop_front();
    if (keeps_freed_) {
      freed_.push_back(extent);
      freed_blocks_ += extent.blocks;
    } else {
      data_space().make_available(extent);
    }
  }
  while (freed_.size() > kMaxFreed) data_space().make_available(pop_freed());
}

Extent Allocator::pop_freed() {
  const Extent extent = freed_.front();
  freed_.pop_front();
  freed_blocks_ -= extent.blocks;
  return extent;
}

std::vector<Extent> Allocator::take_freed_run(std::uint64_t most_blocks) {
  if (freed_.empty()) return {};
  std::vector<Extent> run = {pop_freed()};
  std::uint64_t first = run[0].first.value();
  std::uint64_t end = first + run[0].blocks;
  while (!freed_.empty() && end - first + freed_.front().blocks <= most_blocks) {
    const std::uint64_t next = freed_.front().first.value();
    const std::uint64_t next_end = next + freed_.front().blocks;
    if (next != end && next_end != first) break;
    first = std::min(first, next);
    end = std::max(end, next_end);
    run.push_back(pop_freed());
  }
  return run;
}

void Allocator::give_back(const std::vector<Extent>& extents) {
  for (const Extent& extent : extents) data_space().make_available(extent);
}

bool Allocator::give_up_freed() {
  if (freed_.empty()) return false;
  while (!freed_.empty()) data_space().make_available(pop_freed());
  return true;
}

std::uint64_t Allocator::open_guard() {
  guards_.push_back(true);
  return first_guard_ + guards_.size() - 1;
}

void Allocator::close_guard(std::uint64_t ticket) {
  ASSERT(ticket >= first_guard_ && guards_[ticket - first_guard_]);
  guards_[ticket - first_guard_] = false;
  while (!guards_.empty() && !guards_.front()) {
    guards_.pop_front();
    ++first_guard_;
  }
}

Allocator::PageRoom Allocator::page_room(std::uint64_t created, std::uint64_t touched, std::uint64_t dirty,
                                         SpaceClass space_class) const {
  if (live_pages_ + created + reserve_of(space_class) > meta().slots_capacity()) return PageRoom::kFull;
  return dirty + touched <= meta().slots_available() ? PageRoom::kYes : PageRoom::kAfterCheckpoint;
}

std::uint64_t Allocator::data_blocks_total() const {
  const std::uint64_t groups = data().free_groups() + data().data_groups();
  return groups * kGroupBlocks;
}

std::uint64_t Allocator::data_blocks_free() const {
  return data().data_blocks_available() + freed_blocks_ + convertible_groups(SpaceClass::kForeground) * kGroupBlocks;
}

Result<std::uint64_t> Allocator::take_map_groups(std::uint64_t groups, std::uint64_t beyond) {
  if (groups <= beyond) return meta().groups() * kGroupBlocks;
  const std::uint64_t needed = live_pages_ + page_reserve_ + groups * kSlotsPerGroup;
  const bool room =
      needed <= meta().slots_capacity() && dirty_pages_ + groups * kSlotsPerGroup <= meta().slots_available();
  const auto first = room ? meta().free_run_of_groups(groups) : std::nullopt;
  if (!first) {
    return failf(
        Code::kNoSpace,
        "the meta device has no {} MiB in a row for the larger maps: grow it too, by as much at least, or delete "
        "something",
        groups);
  }
  meta_space().fix(*first, groups);
  return *first * kGroupBlocks;
}

void Allocator::grow(const Geometry& geometry, std::uint64_t page_reserve) {
  meta_space().grow(geometry.device_blocks[0], geometry.fixed_regions(0));
  if (!shared()) {
    data_space().grow(geometry.device_blocks[geometry.data_device], geometry.fixed_regions(geometry.data_device));
  }
  page_reserve_ = page_reserve;
  data_reserve_ = data_reserve_of(data());
}

void Allocator::check_invariants() const {
  for (const Space& space : spaces_) space.check_invariants();
  for (const Extent& extent : freed_) ASSERT(!data().is_owned(extent) && !data().is_reserved(extent));
  ASSERT(meta().slots_available() >= dirty_pages_);
  ASSERT(guards_.empty() || guards_.front());
  for (std::size_t i = 1; i < pending_.size(); ++i) {
    ASSERT(pending_[i - 1].lsn <= pending_[i].lsn && pending_[i - 1].guards <= pending_[i].guards);
  }
}

}  // namespace cenote::store
