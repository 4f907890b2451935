#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/runtime/sync.h"
#include "cenote/store/types.h"

namespace cenote::store {

/// Logical number of a page: stable for the page's life, while every checkpoint moves the page to new blocks. The page
/// map translates it, so a parent names its children by PageId and does not change when they move. 0 is no page.
using PageId = Strong<struct PageIdTag>;

inline constexpr std::uint32_t kPageBytes = 16384;
inline constexpr std::uint32_t kPageBlocks = kPageBytes / media::kBlockBytes;

/// Where page images come from: the page map plus the meta device in a store, a plain map in the trees' own tests.
class PageSource {
 public:
  /// Reads and verifies (checksum, own id) the checkpointed image of `id`; kCorrupt names the page.
  virtual Task<Result<>> read_page(PageId id, MutableBytes into) = 0;
  /// A number no live page has. Pages made by replay may get other numbers than they had before the crash.
  virtual PageId allocate_page() = 0;
  /// The page is gone from its tree; its number and blocks are reusable after the next checkpoint.
  virtual void free_page(PageId id) = 0;

 protected:
  ~PageSource() = default;
};

/// A page in memory. `data` is kPageBytes, block-aligned.
struct Frame {
  PageId id{};
  std::byte* data = nullptr;
  Lsn modified{};            ///< Lsn of the last batch that changed it; a reply that shows it waits for that.
  std::uint32_t pins = 0;
  bool dirty = false;        ///< differs from the last image handed to a checkpoint
  bool frozen = false;       ///< belongs to the running checkpoint; the next change copies it first
  bool referenced = false;   ///< clock bit
};

/// The page cache of one store: a fixed number of frames, CLOCK eviction of clean unpinned pages. Lookups are plain
/// function calls; a miss is reported, not waited for. One reactor.
///
/// Invariants: at most one frame is current for a PageId; a dirty, frozen or pinned frame is never evicted; frames in use,
/// checkpoint copies included, never exceed the budget.
class PageCache {
 public:
  PageCache(Reactor& reactor, PageSource& source, std::uint64_t budget_bytes);
  ~PageCache();

  /// The current frame, or null on a miss. Marks it referenced.
  Frame* find(PageId id);
  /// Reads a page in; concurrent fetches of one page share one read. The frame is pinned once for the caller on success.
  Task<Result<Frame*>> fetch(PageId id);
  void pin(Frame& frame) { ++frame.pins; }
  void unpin(Frame& frame);

  /// How many frames could be made dirty or created right now without waiting. A batch checks this against the most it
  /// can touch before it changes anything.
  std::uint64_t writable_frames() const;
  /// Readies `frame` for a change by the batch at `lsn`: marks it dirty; if it is frozen, gives its PageId a fresh copy
  /// (the returned frame) and leaves the old one to the checkpoint. The caller must use the returned frame.
  Frame& modify(Frame& frame, Lsn lsn);
  /// A new zeroed dirty page.
  Frame& create(PageId id, Lsn lsn);
  /// Drops the page from the cache; its contents are no longer wanted.
  void discard(PageId id);

  /// Freezes all dirty pages for a checkpoint and returns them, in PageId order. Each must later be given to `written`.
  std::vector<Frame*> freeze();
  /// The image of a frozen frame is on its way home no longer: it becomes clean and evictable if it is still current, or is
  /// freed if it was replaced or discarded meanwhile.
  void written(Frame& frame);
  /// Waits until frames become free (an eviction, an unpin, a checkpoint's progress).
  Task<Result<>> wait_for_room(Until until);

  std::uint64_t frames_total() const;
  std::uint64_t frames_used() const;
  std::uint64_t frames_dirty() const;   ///< dirty, not frozen
  std::uint64_t frames_frozen() const;
  std::uint64_t hits() const;
  std::uint64_t misses() const;
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::store
