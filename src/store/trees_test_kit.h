#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "cenote/base/format.h"
#include "cenote/runtime/random.h"
#include "cenote/runtime/sim_reactor.h"
#include "page.h"
#include "page_cache.h"
#include "trees.h"

/// What a store is to its trees, without log and media: page images in a map, checkpoints that go forward one page at a
/// time when told to, and the loop that fetches a missing page and tries again.
namespace cenote::store {

class MapSource final : public PageSource {
 public:
  explicit MapSource(Reactor& reactor, std::uint64_t seed) : reactor_(reactor), random_(seed) {}

  Task<Result<>> read_page(PageId id, MutableBytes into) override {
    if (random_.chance(1, 2)) co_await reactor_.yield();
    const auto image = images.find(id);
    if (image == images.end()) co_return failf(Code::kCorrupt, "page {}: no image", id.value());
    copy_bytes(image->second, into);
    co_return verify(into, id);
  }
  PageId allocate_page() override {
    PageId id{next_++};
    if (!reusable_.empty() && random_.chance(1, 2)) {
      id = *reusable_.begin();
      reusable_.erase(reusable_.begin());
    }
    EXPECT_TRUE(live.insert(id).second);
    return id;
  }
  void free_page(PageId id) override {
    if (live.erase(id) == 1) return freed_.push_back(id);
    EXPECT_TRUE(damaged) << "page " << id.value() << " freed twice";
  }

  /// The first checkpoint after the pages were freed is complete: their numbers may be used again.
  std::size_t pages_freed() const { return freed_.size(); }
  void recycle(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      images.erase(freed_[i]);
      reusable_.insert(freed_[i]);
    }
    freed_.erase(freed_.begin(), freed_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  std::map<PageId, Bytes> images;
  std::set<PageId> live;
  bool damaged = false;  ///< the images contradict each other

 private:
  Reactor& reactor_;
  Random random_;
  std::uint64_t next_ = 1;
  std::vector<PageId> freed_;
  std::set<PageId> reusable_;
};

class TreesKit {
 public:
  TreesKit(Reactor& reactor, std::uint64_t frames, std::uint64_t seed)
      : reactor_(reactor),
        source(reactor, seed),
        cache(std::make_unique<PageCache>(reactor, source, frames * kPageBytes)),
        trees(std::make_unique<Trees>(*cache, source)) {}

  /// Runs `attempt`, a function returning a Result, until it meets no missing page; the pages fetched for it stay
  /// pinned meanwhile.
  template <typename Attempt>
  auto run(Attempt& attempt) -> Task<std::invoke_result_t<Attempt&>> {
    std::vector<Frame*> pinned;
    while (true) {
      auto result = attempt();
      const bool fault = !result && result.error() == Code::kPageFault;
      if (!fault && !(!result && result.error() == Code::kMustWait)) {
        for (Frame* frame : pinned) cache->unpin(*frame);
        co_return result;
      }
      make_room(1);
      if (!fault) continue;
      auto frame = co_await cache->fetch(trees->fault());
      if (!frame) {
        for (Frame* held : pinned) cache->unpin(*held);
        co_return fail(std::move(frame).error());
      }
      pinned.push_back(*frame);
    }
  }

  // A checkpoint, one step at a time.
  bool checkpoint_running() const { return checkpointing_; }
  void begin_checkpoint() {
    checkpointing_ = true;
    durable_lsn = lsn;
    freed_before_ = source.pages_freed();
    frozen_ = cache->freeze();
  }
  void advance_checkpoint() {
    if (!frozen_.empty()) {
      Frame* frame = frozen_.back();
      frozen_.pop_back();
      Page(frame->data).stamp();
      const ByteView image{frame->data, kPageBytes};
      const Result<> valid = verify(image, frame->id);
      EXPECT_TRUE(valid) << valid.error().message();
      source.images[frame->id] = to_bytes(image);
      cache->written(*frame);
      return;
    }
    source.recycle(freed_before_);
    checkpointing_ = false;
  }
  void checkpoint() {
    while (checkpointing_) advance_checkpoint();
    begin_checkpoint();
    while (checkpointing_) advance_checkpoint();
  }
  /// Takes checkpoints forward until so many frames are writable.
  void make_room(std::uint64_t frames) {
    for (int rounds = 0; cache->writable_frames() < frames; ++rounds) {
      ASSERT_LT(rounds, 10000) << "no room for " << frames << " frames";
      checkpointing_ ? advance_checkpoint() : begin_checkpoint();
    }
  }
  /// For a prepared batch. kMustWait after making just enough room, so that a change that takes more than was counted
  /// does not find it; what was counted is stale then.
  Result<> need_room(std::uint64_t frames) {
    if (cache->writable_frames() >= frames) return {};
    make_room(frames);
    return fail(Code::kMustWait);
  }
  /// Everything in memory is gone, and a new instance starts on the images of the last checkpoint.
  void restart(std::uint64_t frames, const std::map<TreeId, PageId>& roots) {
    trees.reset();
    cache = std::make_unique<PageCache>(reactor_, source, frames * kPageBytes);
    trees = std::make_unique<Trees>(*cache, source);
    for (const auto& [tree, root] : roots) trees->attach(tree, root);
  }

 private:
  Reactor& reactor_;

 public:
  MapSource source;
  std::unique_ptr<PageCache> cache;
  std::unique_ptr<Trees> trees;
  Lsn lsn{};
  /// The log is durable up to here: where the newest checkpoint began. A page that was changed later is still in
  /// memory.
  Lsn durable_lsn{};

 private:
  bool checkpointing_ = false;
  std::size_t freed_before_ = 0;
  std::vector<Frame*> frozen_;
};

}  // namespace cenote::store
