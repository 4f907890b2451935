#pragma once

#include <memory>

#include "cenote/store/finding.h"
#include "cenote/store/store.h"

namespace cenote::store {

/// What a scrub went through.
struct ScrubTotals {
  std::uint64_t leaves = 0;
  std::uint64_t images = 0;      ///< page images read from the device
  std::uint64_t read_bytes = 0;  ///< of them
  std::uint64_t repaired = 0;    ///< damaged images of pages that were whole in memory
};

/// Walks one tree of an open store, a leaf at a time, while others change it, and proves its pages as the *device* has
/// them: each image is read past the cache and checked (checksum, own number, order and bounds of keys, its place in
/// the tree). Images that the next checkpoint replaces anyway are left alone. What cannot be read is reported and left
/// out, and the walk goes on behind it.
///
/// A page whose image is damaged and which the cache has whole is made dirty, so that the next checkpoint, which is
/// asked for, writes it to another place. Until then a crash leaves the damaged image.
///
/// Never a false alarm: an image is reported only if it was read twice, was damaged both times, and was before and
/// after each read what the page map names for a page that no change has overtaken.
///
/// Reads nothing into the page cache, and takes nothing out of it. Memory: one page for each level of the tree. Lives
/// shorter than its store; `next` is awaited to its end before the walk is destroyed.
class TreeScrub {
 public:
  /// `from`: the first key of interest; see `position`.
  TreeScrub(Store& store, TreeId tree, FindingSink found, ByteView from = {});
  TreeScrub(const TreeScrub&) = delete;
  TreeScrub& operator=(const TreeScrub&) = delete;
  ~TreeScrub();

  /// To the next leaf, or behind something that had to be left out: then `count` is 0. False: there is no more, or the
  /// tree is gone. kStopped, kFenced. Between two calls anything may be changed.
  Task<Result<bool>> next();

  // A copy of the leaf as it was when `next` returned, from `from` on. Keys are valid until the next call of `key`.
  std::uint32_t count() const;
  ByteView key(std::uint32_t index);
  ByteView value(std::uint32_t index) const;
  std::uint64_t page() const;

  /// Where another walk goes on behind what `next` gave; meaningless once it returned false.
  ByteView position() const;
  const ScrubTotals& totals() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::store
