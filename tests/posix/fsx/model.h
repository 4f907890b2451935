#pragma once

#include <string>

#include "fsx/operation.h"

namespace cenote::posix_tests {

/// What the file must be: its bytes, in memory.
class Model {
 public:
  const std::string& bytes() const { return bytes_; }
  std::uint64_t size() const { return bytes_.size(); }
  /// The part of [offset, offset + length) that lies in the file.
  std::string_view part(std::uint64_t offset, std::uint64_t length) const;

  void apply(const Operation& operation);

 private:
  void put(std::uint64_t offset, std::string_view data);

  std::string bytes_;
};

}  // namespace cenote::posix_tests
