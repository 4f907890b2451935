#pragma once

#include <vector>

#include "cenote/base/assert.h"
#include "page_cache.h"

namespace cenote::store {

/// Pages fetched for one operation that runs again and again until it meets no missing page: each stays pinned until
/// the operation ends, so every turn gets further than the one before.
class PagePins {
 public:
  explicit PagePins(PageCache& cache) : cache_(cache) {}
  PagePins(const PagePins&) = delete;
  PagePins& operator=(const PagePins&) = delete;
  ~PagePins() { release(); }

  std::size_t count() const { return frames_.size(); }

  /// Fetches and pins the page. A page that was dropped meanwhile is no error: the operation looks again.
  Task<Result<>> fetch(PageId id, Until until = Until::forever()) {
    auto frame = co_await cache_.fetch(id, until);
    if (frame) {
      frames_.push_back(*frame);
      missing_ = kNoPage;
      co_return Result<>{};
    }
    if (frame.error() != Code::kPageFault) co_return fail(std::move(frame).error());
    // Twice in a row without a trace: the trees name a page that does not exist.
    if (missing_ == id) co_return fail(Error(Code::kCorrupt, frame.error().message()));
    missing_ = id;
    co_return Result<>{};
  }

  void release() {
    for (Frame* frame : frames_) cache_.unpin(*frame);
    frames_.clear();
  }

 private:
  PageCache& cache_;
  std::vector<Frame*> frames_;
  PageId missing_ = kNoPage;
};

}  // namespace cenote::store
