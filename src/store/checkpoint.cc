#include "checkpoint.h"

#include <cstring>
#include <utility>

#include "cenote/base/codec.h"
#include "page_seal.h"
#include "parallel.h"

namespace cenote::store {
namespace {

/// Device writes of a checkpoint at the same time: enough to use the device, few enough that the log's writes beside
/// them do not queue for long.
constexpr std::uint64_t kWritesAtOnce = 8;
/// Pages that a turn of the reactor begins to write: stamping and handing over one takes some microseconds, which
/// requests wait for, and a device that answers at once would let a checkpoint go on to its end without a pause.
constexpr unsigned kPagesPerTurn = 4;

}  // namespace

Checkpoint::Checkpoint(StoreState& state, const Geometry& larger)
    : state_(state),
      larger_(larger),
      grown_(std::in_place, *state.devices.meta, larger, std::vector<LiveSlot>(larger.table.blocks)) {}

void Checkpoint::freeze() {
  lsn_ = state_.applied;
  catalog_root_ = *state_.trees.root(kCatalogTree);
  next_tree_ = state_.catalog.next_id();
  const std::vector<Frame*> frames = state_.cache.freeze();
  std::vector<PageId> ids;
  ids.reserve(frames.size());
  for (const Frame* frame : frames) ids.push_back(frame->id);
  obsolete_slots_ = state_.map.freeze(ids);
  pages_.reserve(frames.size());
  for (Frame* frame : frames) {
    const auto slot = state_.allocator.take_slot();
    ASSERT(slot);  // the allocator lets no more pages become dirty than there are slots
    pages_.push_back({frame, static_cast<std::uint32_t>(*slot)});
    if (const std::uint32_t before = state_.map.find(frame->id).slot) obsolete_slots_.push_back(before);
  }
  for (std::uint32_t slot : obsolete_slots_) state_.allocator.retire_slot(slot);
  const std::uint64_t base = chunks().first_bitmap_chunk();
  const auto take = [&](std::uint64_t chunk, const Bytes& bits) { chunks_.push_back({base + chunk, bits}); };
  if (larger_) {
    state_.allocator.take_all_chunks(*larger_, take);
  } else {
    state_.allocator.take_dirty_chunks(take);
  }
}

// Bounded, since time that does not pass between turns (in a simulation) shows no new turn.
Task<> Checkpoint::pace() {
  for (std::uint64_t waits = 0; waits < kWritesAtOnce; ++waits) {
    if (const Instant turn = state_.reactor.now(); turn != turn_) {
      turn_ = turn;
      begun_in_turn_ = 0;
    }
    if (begun_in_turn_ < kPagesPerTurn) break;
    co_await state_.reactor.yield();
  }
  ++begun_in_turn_;
}

AlignedBuffer Checkpoint::take_image() {
  if (images_.empty()) return AlignedBuffer(kPageBytes);
  AlignedBuffer image = std::move(images_.back());
  images_.pop_back();
  return image;
}

Task<Result<>> Checkpoint::write_page(PageWrite page, const std::function<void()>* progress) {
  co_await pace();
  const PageId id = page.frame->id;
  AlignedBuffer sealed;
  ByteView image(page.frame->data, kPageBytes);
  Page(page.frame->data).stamp();
  if (state_.seal) {
    // Aside, since the page may be read while it is on its way.
    sealed = take_image();
    CO_CHECK_OK(seal_page(page.frame->data, sealed.span(), state_.seal->sealer()));
    image = sealed.span();
  }
  const auto crc = load_le<std::uint32_t>(image.data());
  const media::BlockNo block(std::uint64_t{page.slot} * kPageBlocks);
  CO_CHECK_OK(co_await state_.devices.meta->write(block, image, media::Durability::kCached));
  if (state_.seal) images_.push_back(std::move(sealed));
  ++state_.page_writes;
  // From here on the page can be evicted and is read from its new place.
  state_.map.place(id, {page.slot, crc});
  state_.cache.written(*page.frame);
  (*progress)();
  co_return Result<>{};
}

Task<Result<>> Checkpoint::write_chunk(const ChunkWrite* chunk) {
  AlignedBuffer buffer(media::kBlockBytes);
  std::memcpy(buffer.data(), chunk->contents.data(), media::kBlockBytes);
  co_return co_await chunks().write(chunk->chunk, buffer.span());
}

Task<Result<>> Checkpoint::write(std::function<void()> progress) {
  const auto page = [&](std::uint64_t i) { return write_page(pages_[i], &progress); };
  CO_CHECK_OK(co_await in_parallel(state_.reactor, pages_.size(), kWritesAtOnce, page));
  // Only checkpoints change entries of the page map: now it is the one of the image.
  const auto take = [&](std::uint64_t chunk) { chunks_.push_back({chunk, state_.map.chunk_bytes(chunk)}); };
  if (larger_) {
    state_.map.take_all_chunks(take);
  } else {
    state_.map.take_dirty_chunks(take);
  }
  const auto chunk = [&](std::uint64_t i) { return write_chunk(&chunks_[i]); };
  CO_CHECK_OK(co_await in_parallel(state_.reactor, chunks_.size(), kWritesAtOnce, chunk));
  CO_CHECK_OK(co_await chunks().write_tables());
  co_return co_await state_.devices.meta->flush();
}

void Checkpoint::describe(Superblock& superblock) const {
  superblock.checkpoint = lsn_;
  superblock.catalog_root = catalog_root_;
  superblock.next_tree = next_tree_;
  superblock.table = grown_ ? grown_->roots() : state_.chunks.roots();
  if (!larger_) return;
  superblock.geometry = *larger_;
  superblock.incompatible |= kMovedMaps;
}

void Checkpoint::finish() {
  if (grown_) state_.grow(*std::exchange(grown_, std::nullopt));
  state_.map.thaw();
  for (std::uint32_t slot : obsolete_slots_) state_.allocator.make_slot_available(slot);
}

}  // namespace cenote::store
