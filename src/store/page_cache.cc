#include "page_cache.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <unordered_map>

#include "cenote/base/assert.h"
#include "page_table.h"

#ifdef CENOTE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace cenote::store {
namespace {

/// Memory of all frames. In a cache of some size it is made of huge pages, where the system has them, which saves most
/// of a lookup's TLB misses.
struct FreeMemory {
  std::align_val_t alignment{media::kHugePageBytes};
  void operator()(std::byte* memory) const { ::operator delete(memory, alignment); }
};
using Memory = std::unique_ptr<std::byte, FreeMemory>;

Memory allocate_memory(std::uint64_t bytes) {
  const std::align_val_t alignment{bytes < media::kHugePageBytes ? media::kBlockBytes : media::kHugePageBytes};
  Memory memory{static_cast<std::byte*>(::operator new(bytes, alignment)), FreeMemory{alignment}};
  media::prefer_huge_pages({memory.get(), bytes});
  return memory;
}

// Memory of frames that hold no page is out of bounds for everybody: a stale pointer to an evicted page shows at once.
void forbid([[maybe_unused]] const Frame& frame) {
#ifdef CENOTE_ASAN
  ASAN_POISON_MEMORY_REGION(frame.data, kPageBytes);
#endif
}
void allow([[maybe_unused]] const Frame& frame) {
#ifdef CENOTE_ASAN
  ASAN_UNPOISON_MEMORY_REGION(frame.data, kPageBytes);
#endif
}

bool is_evictable(const Frame& frame) { return frame.current && !frame.dirty && !frame.frozen && frame.pins == 0; }

}  // namespace

struct PageCache::Impl {
  /// A read under way, kept by all who wait for it.
  struct Read {
    explicit Read(Reactor& reactor) : done(reactor) {}
    Event done;
    Frame* frame = nullptr;
    std::uint32_t joined = 0;
    bool discarded = false;
    Result<> result;
  };

  /// A fetch that waits for a frame.
  struct Waiting : ListNode<> {
    explicit Waiting(PageId page) : id(page) {}
    PageId id;
    bool discarded = false;
  };

  Impl(Reactor& the_reactor, PageSource& the_source, std::uint64_t frame_count)
      : reactor(the_reactor),
        source(the_source),
        memory(allocate_memory(frame_count * kPageBytes)),
        frames(frame_count),
        table(frame_count),
        room(the_reactor) {
    for (std::uint64_t i = frame_count; i > 0; --i) {
      frames[i - 1].data = memory.get() + (i - 1) * kPageBytes;
      forbid(frames[i - 1]);
      free.push_back(&frames[i - 1]);
    }
  }

  Task<Result<Frame*>> read(PageId id, Frame& frame);
  Task<Result<Frame*>> join(std::shared_ptr<Read> read);

  /// Makes `mutate`'s change of a frame's state, keeping the count of evictable frames and waking who waits for one.
  template <typename Mutate>
  void change(Frame& frame, Mutate mutate) {
    evictable -= is_evictable(frame) ? 1 : 0;
    mutate();
    if (!is_evictable(frame)) return;
    ++evictable;
    room.notify_all();
  }
  /// A frame without a page, evicting if need be; null: there is none.
  Frame* take(bool respect_holds);
  bool evict(bool respect_holds);
  void release(Frame& frame);
  void release_if_unused(Frame& frame) {
    if (!frame.current && !frame.frozen && frame.pins == 0) release(frame);
  }
  void make_current(Frame& frame) {
    frame.current = true;
    frame.referenced = true;
    table.set(frame.id, frame);
  }
  void forget(Frame& frame);

  Reactor& reactor;
  PageSource& source;
  Memory memory;
  std::vector<Frame> frames;
  std::vector<Frame*> free;
  PageTable table;
  std::unordered_map<PageId, std::shared_ptr<Read>> reads;  // those whose page is still wanted
  IntrusiveList<Waiting> waiting;
  Condition room;
  std::size_t hand = 0;
  std::uint64_t batch = 1;
  std::uint64_t reading = 0;  // frames being read into, discarded reads included
  std::uint64_t evictable = 0, dirty = 0, frozen = 0;
  std::uint64_t hits = 0, misses = 0;
};

Frame* PageCache::Impl::take(bool respect_holds) {
  if (free.empty() && !evict(respect_holds)) return nullptr;
  Frame* frame = free.back();
  free.pop_back();
  allow(*frame);
  return frame;
}

bool PageCache::Impl::evict(bool respect_holds) {
  if (evictable == 0) return false;
  // The first turn may find every candidate referenced, and clears that; the second then takes one, if any is not held.
  for (std::size_t steps = 2 * frames.size() + 1; steps > 0; --steps) {
    Frame& frame = frames[hand];
    hand = hand + 1 == frames.size() ? 0 : hand + 1;
    if (!is_evictable(frame) || (respect_holds && frame.batch == batch)) continue;
    if (std::exchange(frame.referenced, false)) continue;
    forget(frame);
    release(frame);
    return true;
  }
  return false;
}

/// The page of this frame is no longer found.
void PageCache::Impl::forget(Frame& frame) {
  table.erase(frame.id);
  change(frame, [&] { frame.current = false; });
  if (std::exchange(frame.dirty, false)) --dirty;
}

void PageCache::Impl::release(Frame& frame) {
  std::byte* data = frame.data;
  frame = Frame{};
  frame.data = data;
  forbid(frame);
  free.push_back(&frame);
  room.notify_all();
}

Task<Result<Frame*>> PageCache::Impl::read(PageId id, Frame& frame) {
  const auto read = std::make_shared<Read>(reactor);
  read->frame = &frame;
  frame.id = id;
  reads.emplace(id, read);
  ++reading;
  Result<> result = co_await source.read_page(id, {frame.data, kPageBytes});
  --reading;
  if (!read->discarded) reads.erase(id);
  if (!result && !read->discarded) {
    release(frame);
    read->result = result;
    read->done.set();
    co_return fail(std::move(result).error());
  }
  // Pinned for the others now, since they run later and the page could be gone by then.
  frame.pins = 1 + read->joined;
  if (!read->discarded) make_current(frame);
  read->done.set();
  co_return &frame;
}

Task<Result<Frame*>> PageCache::Impl::join(std::shared_ptr<Read> read) {
  ++read->joined;
  CO_CHECK_OK(co_await read->done.wait(Until::forever()));
  CO_CHECK_OK(read->result);
  co_return read->frame;
}

PageCache::PageCache(Reactor& reactor, PageSource& source, std::uint64_t budget_bytes)
    : impl_(std::make_unique<Impl>(reactor, source, budget_bytes / kPageBytes)) {
  ASSERT(budget_bytes >= kPageBytes);
}

PageCache::~PageCache() {
  ASSERT(impl_->reading == 0);
  for (const Frame& frame : impl_->frames) ASSERT(frame.pins == 0);
}

Frame* PageCache::peek(PageId id) { return impl_->table.find(id); }

Frame* PageCache::find(PageId id) {
  Frame* frame = impl_->table.find(id);
  if (frame == nullptr) {
    ++impl_->misses;
    return nullptr;
  }
  ++impl_->hits;
  frame->referenced = true;
  return frame;
}

Task<Result<Frame*>> PageCache::fetch(PageId id, Until until) {
  Impl& impl = *impl_;
  ASSERT(id != kNoPage);
  Impl::Waiting waiting(id);
  while (true) {
    if (Frame* frame = impl.table.find(id)) {
      pin(*frame);
      co_return frame;
    }
    if (const auto read = impl.reads.find(id); read != impl.reads.end()) co_return co_await impl.join(read->second);
    if (Frame* frame = impl.take(false)) {
      if (!waiting.discarded) co_return co_await impl.read(id, *frame);
      frame->id = id;
      frame->pins = 1;
      co_return frame;
    }
    if (!waiting.linked()) impl.waiting.push_back(waiting);
    CO_CHECK_OK(co_await impl.room.wait(until));
  }
}

void PageCache::pin(Frame& frame) {
  impl_->change(frame, [&] { ++frame.pins; });
}

void PageCache::unpin(Frame& frame) {
  ASSERT(frame.pins > 0);
  impl_->change(frame, [&] { --frame.pins; });
  impl_->release_if_unused(frame);
}

std::uint64_t PageCache::writable_frames() const { return impl_->free.size() + impl_->evictable; }

void PageCache::begin_batch() { ++impl_->batch; }

bool PageCache::hold(Frame& frame) {
  ASSERT(frame.current);
  if (frame.batch == impl_->batch) return false;
  frame.batch = impl_->batch;
  frame.pending_bytes = 0;
  frame.overflows = 0;
  return true;
}

std::uint64_t PageCache::frames_to_modify(const Frame& frame) const {
  return frame.frozen || is_evictable(frame) ? 1 : 0;
}

Frame& PageCache::modify(Frame& frame, Lsn lsn) {
  ASSERT(frame.current);
  if (!frame.frozen) {
    frame.modified = std::max(frame.modified, lsn);
    if (frame.dirty) return frame;
    impl_->change(frame, [&] { frame.dirty = true; });
    ++impl_->dirty;
    return frame;
  }
  Frame* copy = impl_->take(true);
  ASSERT(copy != nullptr);
  std::memcpy(copy->data, frame.data, kPageBytes);
  copy->id = frame.id;
  copy->modified = std::max(frame.modified, lsn);
  copy->dirty = true;
  copy->batch = frame.batch;
  copy->pending_bytes = frame.pending_bytes;
  frame.current = false;
  impl_->make_current(*copy);
  ++impl_->dirty;
  return *copy;
}

Frame& PageCache::create(PageId id, Lsn lsn) {
  ASSERT(id != kNoPage && impl_->table.find(id) == nullptr && !impl_->reads.contains(id));
  Frame* frame = impl_->take(true);
  ASSERT(frame != nullptr);
  std::memset(frame->data, 0, kPageBytes);
  frame->id = id;
  frame->modified = lsn;
  frame->dirty = true;
  impl_->make_current(*frame);
  ++impl_->dirty;
  return *frame;
}

void PageCache::discard(PageId id) {
  for (Impl::Waiting* fetch = impl_->waiting.front(); fetch != nullptr; fetch = impl_->waiting.next(*fetch)) {
    if (fetch->id == id) fetch->discarded = true;
  }
  if (const auto read = impl_->reads.find(id); read != impl_->reads.end()) {
    read->second->discarded = true;
    impl_->reads.erase(read);
  }
  Frame* frame = impl_->table.find(id);
  if (frame == nullptr) return;
  impl_->forget(*frame);
  impl_->release_if_unused(*frame);
}

std::vector<Frame*> PageCache::freeze() {
  ASSERT(impl_->frozen == 0);
  std::vector<Frame*> frozen;
  frozen.reserve(impl_->dirty);
  for (Frame& frame : impl_->frames) {
    if (!frame.dirty) continue;
    frame.dirty = false;
    frame.frozen = true;
    frozen.push_back(&frame);
  }
  impl_->frozen = frozen.size();
  impl_->dirty = 0;
  std::ranges::sort(frozen, {}, &Frame::id);
  return frozen;
}

void PageCache::written(Frame& frame) {
  ASSERT(frame.frozen);
  impl_->change(frame, [&] { frame.frozen = false; });
  --impl_->frozen;
  impl_->release_if_unused(frame);
}

void PageCache::thaw(Frame& frame) {
  ASSERT(frame.frozen);
  frame.frozen = false;
  --impl_->frozen;
  frame.dirty = frame.current;
  if (frame.dirty) ++impl_->dirty;
  impl_->release_if_unused(frame);
}

Task<Result<>> PageCache::wait_for_room(Until until) { co_return co_await impl_->room.wait(until); }

std::uint64_t PageCache::frames_total() const { return impl_->frames.size(); }
std::uint64_t PageCache::frames_used() const { return impl_->frames.size() - impl_->free.size(); }
std::uint64_t PageCache::frames_dirty() const { return impl_->dirty; }
std::uint64_t PageCache::frames_frozen() const { return impl_->frozen; }
std::uint64_t PageCache::hits() const { return impl_->hits; }
std::uint64_t PageCache::misses() const { return impl_->misses; }

void PageCache::check_invariants() const {
  std::uint64_t current = 0, evictable = 0, dirty = 0, frozen = 0, left = 0;
  for (const Frame& frame : impl_->frames) {
    ASSERT(!frame.dirty || (frame.current && !frame.frozen));
    ASSERT(frame.current == (frame.id != kNoPage && impl_->table.find(frame.id) == &frame));
    current += frame.current ? 1 : 0;
    left += !frame.current && (frame.frozen || frame.pins > 0) ? 1 : 0;
    evictable += is_evictable(frame) ? 1 : 0;
    dirty += frame.dirty ? 1 : 0;
    frozen += frame.frozen ? 1 : 0;
  }
  ASSERT(impl_->table.size() == current && impl_->evictable == evictable);
  ASSERT(impl_->dirty == dirty && impl_->frozen == frozen);
  // Every frame is free, current, being read into, or left to a checkpoint or to pins.
  ASSERT(impl_->free.size() + current + impl_->reading + left == impl_->frames.size());
  for (const auto& [id, read] : impl_->reads) ASSERT(impl_->table.find(id) == nullptr && read->frame->id == id);
}

}  // namespace cenote::store
