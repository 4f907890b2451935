#pragma once

#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "cenote/media/block_device.h"
#include "cenote/runtime/reactor.h"

namespace cenote::bench {

/// A device without latency: copies to and from memory and completes in the next turn of the loop, all operations of a
/// turn together. What runs on it shows the cost of the software alone.
class MemoryDevice final : public media::BlockDevice, private Timer {
 public:
  MemoryDevice(Reactor& reactor, std::uint64_t blocks) : reactor_(reactor), blocks_(blocks) {
    memory_ = static_cast<std::byte*>(
        mmap(nullptr, blocks * media::kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT(memory_ != MAP_FAILED);
    // All memory is there before the first operation: the first touch of a page costs more than most operations, and a
    // virtual machine pays a second time on its host.
    madvise(memory_, blocks * media::kBlockBytes, MADV_HUGEPAGE);
    madvise(memory_, blocks * media::kBlockBytes, MADV_POPULATE_WRITE);
  }
  ~MemoryDevice() override { munmap(memory_, blocks_ * media::kBlockBytes); }

  Result<std::uint64_t> measure() override { return block_count(); }
  std::uint64_t block_count() const override { return blocks_; }
  const std::string& name() const override { return name_; }
  bool prefers_durable_writes() const override { return true; }
  media::DeviceCounters counters() const override { return counters_; }
  media::DeviceHealth& health() override { return health_; }
  Task<> close() override { co_return; }

  void submit(media::IoRequest& request) override {
    std::byte* at = memory_ + request.first.value() * media::kBlockBytes;
    if (request.kind == media::IoKind::kRead) {
      ++counters_.reads;
      std::memcpy(request.data, at, request.bytes);
    } else if (request.kind == media::IoKind::kWrite) {
      ++counters_.writes;
      counters_.written_bytes += request.bytes;
      std::memcpy(at, request.data, request.bytes);
    } else {
      ++counters_.flushes;
    }
    pending_.push_back(&request);
    if (!armed()) reactor_.arm(*this, reactor_.now());
  }

 private:
  void fire() override {
    completing_.swap(pending_);
    for (media::IoRequest* request : completing_) request->complete({});
    completing_.clear();
  }

  Reactor& reactor_;
  std::uint64_t blocks_;
  std::string name_ = "memory";
  std::byte* memory_ = nullptr;
  media::DeviceCounters counters_;
  media::DeviceHealth health_;  // told of nothing: this one is always well
  std::vector<media::IoRequest*> pending_, completing_;
};

}  // namespace cenote::bench
