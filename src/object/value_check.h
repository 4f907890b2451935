#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cenote/object/examine.h"
#include "values.h"

namespace cenote::object {

/// What reading the data of one entry came to.
struct ValueOutcome {
  std::uint64_t verified_bytes = 0;
  std::uint64_t unprotected_bytes = 0;
  std::uint64_t skipped_bytes = 0;
  /// The first damage: bytes [bad_from, bad_to) of the value, and the block they lie in.
  std::optional<std::string> flaw;
  std::uint64_t bad_from = 0, bad_to = 0;
  std::optional<std::uint64_t> bad_block;
};

/// Where data is read from, and what is known of it. A value takes at most 1 MiB of `buffers` at a time.
struct ValueReading {
  media::BlockDevice& device;
  media::BufferPool& buffers;
  /// What lies there may be somebody else's by now, so that a difference proves nothing.
  std::function<bool(const store::Extent&)> maybe_newer = [](const store::Extent&) { return false; };
  std::function<void(std::uint64_t)> progressed = [](std::uint64_t) {};  ///< bytes that were read
};
ValueReading reading_of(store::Examination& examination, media::BufferPool& buffers);

/// Whether `stored`, the blocks of `entry` in the order of its data, is what was written, as far as there are
/// checksums.
bool matches_checksums(const Entry& entry, ByteView stored);

/// Reads all data of `entry` (whose bytes the caller keeps) and compares every chunk with its checksum.
Task<ValueOutcome> check_value(ValueReading reading, const Entry& entry);

/// Names in `finding` the data of `entry` that has the flaw of `outcome`.
void describe_flaw(const EntryDescription& entry, const ValueOutcome& outcome, TargetFinding& finding);

}  // namespace cenote::object
