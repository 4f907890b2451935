#include "pack.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "cenote/base/format.h"

namespace cenote::object {
namespace {

/// Higher levels gain little on units of this size and cost several times as much.
constexpr int kZstdLevel = 3;

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

struct Packer::Codecs {
  std::unique_ptr<std::byte[]> lz4;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd_in;
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd_out;
};

Packer::Packer() : codecs_(std::make_unique<Codecs>()) {}
Packer::~Packer() = default;

std::size_t Packer::compress(Compression compression, ByteView plain, std::size_t most, MutableBytes out) {
  ASSERT(plain.size() <= kUnitBytes);
  const std::size_t room = std::min(most, out.size());
  if (compression == Compression::kLz4) {
    if (!codecs_->lz4) codecs_->lz4 = std::make_unique<std::byte[]>(static_cast<std::size_t>(LZ4_sizeofState()));
    const int bytes = LZ4_compress_fast_extState(codecs_->lz4.get(), reinterpret_cast<const char*>(plain.data()),
                                                 reinterpret_cast<char*>(out.data()), static_cast<int>(plain.size()),
                                                 static_cast<int>(room), 1);
    return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
  }
  ASSERT(compression == Compression::kZstd);
  if (!codecs_->zstd_in) codecs_->zstd_in.reset(ZSTD_createCCtx());
  const std::size_t bytes =
      ZSTD_compressCCtx(codecs_->zstd_in.get(), out.data(), room, plain.data(), plain.size(), kZstdLevel);
  return ZSTD_isError(bytes) != 0 ? 0 : bytes;
}

Result<> Packer::unpack(Compression compression, ByteView stored, MutableBytes plain) {
  if (stored.size() == plain.size()) {
    std::memcpy(plain.data(), stored.data(), plain.size());
    return {};
  }
  std::size_t bytes = SIZE_MAX;
  if (compression == Compression::kLz4) {
    const int got =
        LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()), reinterpret_cast<char*>(plain.data()),
                            static_cast<int>(stored.size()), static_cast<int>(plain.size()));
    if (got >= 0) bytes = static_cast<std::size_t>(got);
  } else {
    if (!codecs_->zstd_out) codecs_->zstd_out.reset(ZSTD_createDCtx());
    bytes = ZSTD_decompressDCtx(codecs_->zstd_out.get(), plain.data(), plain.size(), stored.data(), stored.size());
  }
  if (bytes == plain.size()) return {};
  return failf(Code::kCorrupt, "{} bytes that should unpack to {} do not", stored.size(), plain.size());
}

}  // namespace cenote::object
