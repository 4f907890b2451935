#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "store/workload.h"

namespace cenote::bench {

/// A fixed set of records for comparisons of reads: numbers as 16-byte keys in the order of the numbers, 100-byte
/// values that tell which record they belong to.
class Record {
 public:
  explicit Record(std::uint64_t number) {
    for (std::size_t i = 0; i < 8; ++i) key_[8 + i] = static_cast<char>(number >> (8 * (7 - i)));
    value_.fill('v');
    std::memcpy(value_.data(), &number, sizeof number);
  }
  std::string_view key() const { return {key_.data(), key_.size()}; }
  std::string_view value() const { return {value_.data(), value_.size()}; }
  /// Whether `value` is what was stored, by its first bytes: checking all would be part of what is measured.
  bool is_value(std::string_view value) const {
    return value.size() == kValueBytes && std::memcmp(value.data(), value_.data(), 8) == 0;
  }

 private:
  std::array<char, kKeyBytes> key_{};
  std::array<char, kValueBytes> value_{};
};

/// The record that a stream of puts comes to next, uniformly random; its own keys are too few.
inline std::uint64_t next_record(PutStream& stream, std::uint64_t count) {
  stream.next();
  std::uint64_t random = 0;
  std::memcpy(&random, stream.value().data(), sizeof random);
  return (random >> 20) % count;
}

/// What is read and with how much memory.
struct ReadShape {
  std::uint64_t records = 0;      ///< A power of two.
  std::uint64_t cache_bytes = 0;  ///< Of each engine.
  unsigned concurrent = 1;        ///< Lookups at a time.
  bool sealed = false;            ///< The store is encrypted; Cenote's only.
};

}  // namespace cenote::bench
