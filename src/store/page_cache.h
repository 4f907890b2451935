#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/runtime/sync.h"
#include "cenote/store/types.h"
#include "page_id.h"

namespace cenote::store {

/// Where page images come from: the page map plus the meta device in a store, a plain map in the trees' own tests.
class PageSource {
 public:
  /// Reads and verifies (checksum, own id) the checkpointed image of `id`; kCorrupt names the page.
  virtual Task<Result<>> read_page(PageId id, MutableBytes into) = 0;
  /// A number no live page has. Pages made by replay may get other numbers than they had before the crash.
  virtual PageId allocate_page() = 0;
  /// The page is gone from its tree; its number and blocks are reusable after the next checkpoint. Damaged trees that
  /// share a page can free it twice: the second time means nothing.
  virtual void free_page(PageId id) = 0;

 protected:
  ~PageSource() = default;
};

/// A page in memory. `data` is kPageBytes, block-aligned. A Frame* stays valid as long as it is pinned, or until the
/// next call that can take frames (`fetch`, `modify`, `create`) or drop pages (`discard`, `written`).
struct Frame {
  PageId id{};
  std::byte* data = nullptr;
  Lsn modified{};  ///< Lsn of the last batch that changed it; a reply that shows it waits for that.
  std::uint32_t pins = 0;
  bool dirty = false;       ///< differs from the last image handed to a checkpoint
  bool frozen = false;      ///< belongs to the running checkpoint; the next change copies it first
  bool referenced = false;  ///< clock bit
  bool current = false;  ///< what a lookup of its id finds; false: replaced or discarded, kept for pins or a checkpoint

  // Of the batch being prepared (PageCache::hold, Trees::prepare_put).
  std::uint32_t pending_bytes = 0;  ///< most that the batch adds to this page
  std::uint32_t overflows = 0;      ///< how many entries of these may not fit
  std::uint64_t batch = 0;          ///< the batch that holds it
};

/// The page cache of one store: a fixed number of frames, CLOCK eviction of clean unpinned pages. Lookups are plain
/// function calls; a miss is reported, not waited for. One reactor.
///
/// A page is *clean* (as the last checkpoint has it, or as it was read), *dirty*, or *frozen* (dirty when the running
/// checkpoint began, unchanged since). A frozen page that is changed or discarded leaves its frame to the checkpoint
/// until `written`; one that is pinned and discarded leaves it to the pins. The checksum in the header of a clean page
/// is that of the page as it is in memory: `PageSource::read_page` and whoever calls `written` see to that.
///
/// Invariants: at most one frame is current for a PageId, and the table finds exactly the current frames; a dirty,
/// frozen or pinned frame is never evicted; frames in use, those being read and those left to a checkpoint or to pins
/// included, never exceed the budget; a frame that is not current is frozen or pinned; a page being read has no current
/// frame.
class PageCache {
 public:
  PageCache(Reactor& reactor, PageSource& source, std::uint64_t budget_bytes);
  /// No fetch may be running and nothing pinned. Dirty and frozen pages are lost.
  ~PageCache();

  /// The current frame, or null on a miss. Marks it referenced.
  Frame* find(PageId id);
  /// The same without a trace: for a page that is only of use if it happens to be here.
  Frame* peek(PageId id);
  /// Reads a page in; concurrent fetches of one page share one read. The frame is pinned once for the caller on
  /// success. Waits for a frame as long as `until` allows, for the read as long as it takes. An error of the read goes
  /// to all who wait for it, and nothing is cached. A page that is discarded while it is read comes as a frame that is
  /// not current: the caller looks again from the beginning, as after every wait.
  Task<Result<Frame*>> fetch(PageId id, Until until = Until::forever());
  /// A pinned frame keeps its memory and its page; a change of the page may still go to a copy, if it is frozen.
  void pin(Frame& frame);
  void unpin(Frame& frame);

  /// How many frames could be made dirty or created right now without waiting. A batch checks this against the most it
  /// can touch before it changes anything.
  std::uint64_t writable_frames() const;
  /// Begins a batch: no page is held any more.
  void begin_batch();
  /// Keeps a current page from being evicted by `modify` and `create` until the next batch begins; a `fetch` may still
  /// evict it. True: the batch did not hold it yet.
  bool hold(Frame& frame);
  /// What a change of `frame` may take from `writable_frames`.
  std::uint64_t frames_to_modify(const Frame& frame) const;

  /// Readies a current frame for a change by the batch at `lsn`: marks it dirty; if it is frozen, gives its PageId a
  /// fresh copy (the returned frame) and leaves the old one to the checkpoint. The caller must use the returned frame.
  /// Pins stay with the old frame: whoever has them looks up again. A frame must be available (`writable_frames`).
  Frame& modify(Frame& frame, Lsn lsn);
  /// A new zeroed dirty page; no page of this id is current. A frame must be available.
  Frame& create(PageId id, Lsn lsn);
  /// Drops the page from the cache; its contents are no longer wanted. A read of it under way caches nothing.
  void discard(PageId id);

  /// Freezes all dirty pages for a checkpoint and returns them, in PageId order. Each must later be given to `written`
  /// or `thaw`; until then there is no other freeze.
  std::vector<Frame*> freeze();
  /// The image of a frozen frame is on its way home no longer: it becomes clean and evictable if it is still current,
  /// or is freed if it was replaced or discarded meanwhile.
  void written(Frame& frame);
  /// The checkpoint was given up before the frozen frame was home: it is dirty again if it is still current.
  void thaw(Frame& frame);
  /// Waits until frames become free (a discard, an unpin, a checkpoint's progress) since the call; check again then.
  Task<Result<>> wait_for_room(Until until);

  std::uint64_t frames_total() const;
  std::uint64_t frames_used() const;
  std::uint64_t frames_dirty() const;  ///< dirty, not frozen
  std::uint64_t frames_frozen() const;
  std::uint64_t hits() const;
  std::uint64_t misses() const;
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::store
