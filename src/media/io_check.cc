#include "io_check.h"

#include "cenote/base/format.h"

namespace cenote::media {
namespace {

const char* verb(IoKind kind) {
  switch (kind) {
    case IoKind::kRead:
      return "read";
    case IoKind::kWrite:
      return "write";
    case IoKind::kFlush:
      return "flush";
    case IoKind::kDiscard:
      return "discard";
  }
  return "operation";
}

bool aligned(const IoRequest& request) {
  if (request.bytes % kBlockBytes != 0) return false;
  if (request.kind == IoKind::kDiscard) return true;
  return request.data != nullptr && reinterpret_cast<std::uintptr_t>(request.data) % kBlockBytes == 0;
}

}  // namespace

std::string describe(const IoRequest& request, const std::string& device) {
  if (request.kind == IoKind::kFlush) return fmt::format("{}: flush", device);
  const std::uint64_t first = request.first.value();
  const std::uint64_t blocks = blocks_of(request);
  if (blocks <= 1) return fmt::format("{}: {} of block {}", device, verb(request.kind), first);
  return fmt::format("{}: {} of blocks {}-{}", device, verb(request.kind), first, first + blocks - 1);
}

Result<> check_request(const IoRequest& request, const std::string& device, std::uint64_t block_count) {
  if (request.kind == IoKind::kFlush) return {};
  if (!aligned(request)) {
    return failf(Code::kMisaligned, "{}: {} bytes at {} are not whole {}-byte blocks in block-aligned memory",
                 describe(request, device), request.bytes, fmt::ptr(request.data), kBlockBytes);
  }
  const std::uint64_t blocks = blocks_of(request);
  if (blocks == 0) return failf(Code::kOutOfRange, "{}: no blocks named", describe(request, device));
  if (request.first.value() >= block_count || blocks > block_count - request.first.value()) {
    return failf(Code::kOutOfRange, "{}: the device has {} blocks", describe(request, device), block_count);
  }
  return {};
}

}  // namespace cenote::media
