#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "store_state.h"

namespace cenote::store {

/// The image of the whole store at one log position, written beside the live one (docs/formats/store.md).
///
///   freeze     at once: fixes what belongs to the image
///   write      over time, while batches go on, but only when the log is durable up to the position: pages, chunks and
///              tables go to places that nothing durable refers to
///   describe   fills in what a superblock says of the image; the caller writes it
///   finish     when that superblock is durable: what only the image before needed can be reused
///
/// One checkpoint at a time. One that was not finished is fatal for the store in memory and harmless on the media.
class Checkpoint {
 public:
  explicit Checkpoint(StoreState& state) : state_(state) {}
  /// One that also makes the store larger: table, map and bitmap go whole to where `larger` puts them, which nothing
  /// refers to yet. The new space counts from `finish` on.
  Checkpoint(StoreState& state, const Geometry& larger);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  void freeze();
  /// `progress` is called whenever frames of the cache have become clean.
  Task<Result<>> write(std::function<void()> progress);
  void describe(Superblock& superblock) const;
  void finish();

  /// The last batch in the image.
  Lsn lsn() const { return lsn_; }
  std::size_t pages() const { return pages_.size(); }

 private:
  struct PageWrite {
    Frame* frame;
    std::uint32_t slot;
  };
  struct ChunkWrite {
    std::uint64_t chunk;
    Bytes contents;
  };

  Task<> pace();
  AlignedBuffer take_image();
  Task<Result<>> write_page(PageWrite page, const std::function<void()>* progress);
  Task<Result<>> write_chunk(const ChunkWrite* chunk);

  ChunkStore& chunks() { return grown_ ? *grown_ : state_.chunks; }

  StoreState& state_;
  std::optional<Geometry> larger_;
  std::optional<ChunkStore> grown_;
  Lsn lsn_{};
  PageId catalog_root_{};
  TreeId next_tree_{};
  Instant turn_{};  // of the reactor, and the pages begun in it
  unsigned begun_in_turn_ = 0;
  std::vector<PageWrite> pages_;
  std::vector<ChunkWrite> chunks_;             // of the bitmap, copied by freeze; then of the page map
  std::vector<AlignedBuffer> images_;          // of sealed pages, ready for use again
  std::vector<std::uint32_t> obsolete_slots_;  // page images that only the checkpoint before this one needs
};

}  // namespace cenote::store
