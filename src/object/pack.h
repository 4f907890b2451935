#pragma once

#include <memory>
#include <span>

#include "values.h"

namespace cenote::object {

/// Packs and unpacks units of data. Not for use by two threads; holds the memory of the codecs, made at first use, so
/// that a unit costs no allocation.
class Packer {
 public:
  Packer();
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  /// Compresses `plain`, of at most kUnitBytes, into `out`. 0: the result is longer than `most` bytes, or than `out`.
  std::size_t compress(Compression compression, ByteView plain, std::size_t most, MutableBytes out);
  /// kCorrupt unless `stored` holds exactly `plain.size()` bytes; one of that length is taken as it is.
  Result<> unpack(Compression compression, ByteView stored, MutableBytes plain);

 private:
  struct Codecs;
  std::unique_ptr<Codecs> codecs_;
};

}  // namespace cenote::object
