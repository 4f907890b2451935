#pragma once

#include <optional>
#include <string>

#include "cenote/store/examine.h"
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

/// Reads all data of `entry` (whose bytes the caller keeps) and compares every chunk with its checksum.
Task<ValueOutcome> check_value(store::Examination& examination, media::BufferPool& buffers, const Entry& entry);

}  // namespace cenote::object
