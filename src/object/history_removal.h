#pragma once

#include <vector>

#include "core.h"
#include "object_count.h"

namespace cenote::object {

/// What one batch takes out of a container's tree for good, whoever could see it: blocks, usage and number of objects
/// go with it. Of what nobody reads here, so that watches need not hear of it.
///
/// Invariant: between `begin` and `apply` the core's batch is its own.
class HistoryRemoval {
 public:
  explicit HistoryRemoval(Core& core) : core_(core) {}

  void begin();
  void erase(const Container& container, const ParsedKey& at, ByteView key, const Entry& entry);
  /// Puts one that holds no data.
  void put(const Container& container, const ParsedKey& at, ByteView key, ByteView value);
  bool full() const { return entries_ >= kEntries || extents_ >= kExtents; }
  bool empty() const { return entries_ == 0; }
  Result<> apply(Container& container, store::View& view);

 private:
  static constexpr std::uint32_t kEntries = 128, kExtents = 1024;
  static_assert(kEntries + Core::kStampEntries <= store::kMaxBatchEntries);

  void note(const ParsedKey& at, ByteView key);

  Core& core_;
  std::uint32_t entries_ = 0, extents_ = 0;
  std::uint64_t bytes_ = 0;
  bool punches_ = false;
  Emptied emptied_;
  std::vector<PathBytes> akeys_;
};

}  // namespace cenote::object
