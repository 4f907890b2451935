#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "cenote/store/finding.h"
#include "cenote/store/inspect.h"
#include "cenote/store/store.h"

namespace cenote::store {

struct ExaminationState;
class LeafWalk;

struct ExamineOptions {
  Uuid system;  ///< Whose it has to be; null: anyone's.
  Uuid target;
  /// Pages in memory: at least kMinCacheBytes, and as many as the log changes since the checkpoint.
  std::uint64_t cache_bytes = 256ull << 20;
  std::optional<SecretKey> key = std::nullopt;  ///< of an encrypted store
  FindingSink found = [](const Finding&) {};
  std::function<void(std::uint64_t bytes)> progress = [](std::uint64_t) {};  ///< so much more was looked at
};

struct ExamineTotals {
  std::uint64_t trees = 0;
  std::uint64_t pages = 0;   ///< reached from a root
  std::uint64_t images = 0;  ///< page images read from the media and verified
  std::uint64_t extents = 0;
  std::uint64_t extent_blocks = 0;
  std::uint64_t lost_blocks = 0;
  std::uint64_t disputed_blocks = 0;  ///< used more than once, or used and free in the bitmap
};

/// What the bitmap says of one device.
struct SpaceReport {
  std::string device;
  std::uint64_t blocks = 0;        ///< of whole groups
  std::uint64_t fixed_blocks = 0;  ///< superblocks, maps and, if it lies here, the log, in whole groups
  std::uint64_t log_blocks = 0;    ///< among them
  std::uint64_t page_blocks = 0;   ///< page images of the checkpoint
  std::uint64_t extent_blocks = 0;
  std::uint64_t free_blocks = 0;
  std::uint64_t free_groups = 0;  ///< with nothing in them: they may hold pages or extents
  std::uint64_t largest_run = 0;  ///< free blocks in a row, over groups
  /// Free runs inside one group, which is what an extent can have, by length: 1, 2-3, 4-7 .. 128-255, 256 blocks.
  std::array<std::uint64_t, 9> runs{};
};

/// Looks through a store that nobody has open and that may be damaged: what damage keeps from being read is reported
/// and left out, and the rest goes on. Writes nothing. Memory: the page cache, eight bytes for each page, and six bits
/// for each block.
///
/// A check goes in this order: walk the trees whose contents are known (TreeWalk) and `refer` to every extent they
/// name; `check_rest`; `settle_space`; and if that finds disputes, walk the same trees again and ask `dispute` about
/// each extent, so that everyone who uses such a block is named.
class Examination {
 public:
  /// Opens the store as it would be recovered, or, when it does not open, its newest checkpoint as far as that can be
  /// read. Errors when there is nothing to look at: kNotFound, kForeign, kNewerFormat, kCorrupt without any
  /// superblock, kResourceExhausted when the log needs a larger cache.
  static Task<Result<std::unique_ptr<Examination>>> open(Reactor& reactor, Devices devices, ExamineOptions options);
  ~Examination();
  /// Must be awaited before destruction, when no walk is left.
  Task<> close();

  /// False: this is the newest checkpoint; what the log says after it is not in it.
  bool recovered() const;
  StoreStatus status() const;
  /// Every tree whose name could be read, by id. The catalog (tree 0) is not among them.
  const std::vector<TreeReport>& trees() const;
  std::optional<TreeId> find_tree(std::string_view name) const;
  Reactor& reactor();
  /// As of Store.
  bool sealed() const;
  SecretKey derive_key(std::string_view label) const;
  media::BlockDevice& data_device();
  void report(Finding finding);
  void progressed(std::uint64_t bytes);
  /// What a whole check looks at: page images, and the blocks of extents if it reads data.
  std::uint64_t bytes_to_check(bool data) const;

  /// Of the meta device, and of the data device if it is another.
  std::vector<SpaceReport> space() const;

  /// An extent that an entry names. False, with the reason in `why`: it cannot be one.
  bool refer(Extent extent, std::string* why);
  /// What is wrong with the use of the extent's blocks, after `settle_space`; empty: nothing.
  std::string dispute(Extent extent) const;
  /// A write after the checkpoint may have changed these blocks, which is not part of what is looked at.
  bool maybe_newer(Extent extent) const;

  /// Walks all trees that were not walked, those being given back included, and verifies the images no tree led to.
  Task<> check_rest();
  /// Compares what is used with what the bitmap says. `all_known`: every extent that is owned was referred to, as far
  /// as entries could be read. True: some extents are in dispute.
  bool settle_space(bool all_known);
  const ExamineTotals& totals() const;

 private:
  friend class TreeWalk;
  explicit Examination(std::unique_ptr<ExaminationState> state);
  std::unique_ptr<ExaminationState> state_;
};

/// The entries of a tree in the order of their keys, a leaf at a time. Lives shorter than its examination is open.
class TreeWalk {
 public:
  enum class Purpose : std::uint8_t {
    kCheck,  ///< Part of a check: each tree once. Reports damage.
    kShow,   ///< Reports damage.
    kAgain,  ///< Damage has been reported.
    /// Reports damage, and finds leaves without the pages above them where those are lost: a page knows its tree and
    /// the keys that it is for. Then all live pages are read, once for each walk.
    kSalvage,
  };
  TreeWalk(Examination& examination, TreeId tree, Purpose purpose, ByteView from = {});
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;
  ~TreeWalk();

  /// To the next leaf that has entries from `from` on. False: there is none.
  Task<bool> next();
  std::uint32_t count() const;
  /// Valid until the next call of `key` or `next`.
  ByteView key(std::uint32_t index);
  /// Valid until the next call of `next`.
  ByteView value(std::uint32_t index) const;
  std::uint64_t page() const;

 private:
  std::unique_ptr<LeafWalk> walk_;
};

}  // namespace cenote::store
