#pragma once

#include <array>
#include <vector>

#include "cenote/media/block_device.h"

// Helpers of the tests of every BlockDevice.
namespace cenote::media {

struct alignas(kBlockBytes) AlignedBlock {
  std::array<std::byte, kBlockBytes> bytes{};
};

/// Block-aligned memory, every byte of block i being `mark + i`.
class Blocks {
 public:
  explicit Blocks(std::size_t count, unsigned mark = 0) : blocks_(count) {
    for (std::size_t i = 0; i < count; ++i) blocks_[i].bytes.fill(static_cast<std::byte>(mark + i));
  }
  MutableBytes span() { return {blocks_[0].bytes.data(), blocks_.size() * kBlockBytes}; }
  std::byte mark(std::size_t i) const { return blocks_[i].bytes[0]; }

 private:
  std::vector<AlignedBlock> blocks_;
};

inline Code code_of(const Result<>& result) { return result ? Code::kOk : result.error().code(); }

inline Task<Result<>> write(BlockDevice& device, std::uint64_t first, MutableBytes data, Durability durability) {
  co_return co_await device.write(BlockNo(first), data, durability);
}
inline Task<Result<>> read(BlockDevice& device, std::uint64_t first, MutableBytes data) {
  co_return co_await device.read(BlockNo(first), data);
}
inline Task<Result<>> flush(BlockDevice& device) { co_return co_await device.flush(); }
inline Task<Result<>> discard(BlockDevice& device, std::uint64_t first, std::uint64_t count) {
  co_return co_await device.discard(BlockNo(first), count);
}
inline Task<> note(Task<Result<>> operation, std::vector<Code>& log) {
  const Result<> result = co_await std::move(operation);
  log.push_back(code_of(result));
}

}  // namespace cenote::media
