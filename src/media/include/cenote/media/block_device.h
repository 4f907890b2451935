#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/media/device_health.h"
#include "cenote/runtime/task.h"

namespace cenote::media {

/// Number of a 4 KiB block on one device, from 0.
using BlockNo = Strong<struct BlockNoTag>;

enum class Durability : std::uint8_t {
  kCached,   ///< Durable after a later flush that was submitted when this write had completed.
  kDurable,  ///< Durable when it completes (FUA or RWF_DSYNC).
};

/// One device operation, embedded in the frame of whoever waits. `complete` runs on the device's reactor.
class IoRequest {
 public:
  IoKind kind = IoKind::kRead;
  Durability durability = Durability::kCached;
  BlockNo first{};
  std::byte* data = nullptr;  ///< block-aligned; whole blocks; null for flush and discard
  std::uint64_t bytes = 0;    ///< multiple of kBlockBytes
  int registered_index = -1;
  Instant begun{};  ///< set by the device

  /// kIoError, kDeviceDead, kDeviceFull, kMisaligned or kOutOfRange, with device and range in the message.
  virtual void complete(Result<> result) = 0;

 protected:
  ~IoRequest() = default;
};

/// What a device has seen; monotonic counters.
struct DeviceCounters {
  std::uint64_t reads = 0, writes = 0, flushes = 0, discards = 0;
  std::uint64_t read_bytes = 0, written_bytes = 0;
  std::uint64_t errors = 0;

  DeviceCounters& operator+=(const DeviceCounters& other) {
    reads += other.reads;
    writes += other.writes;
    flushes += other.flushes;
    discards += other.discards;
    read_bytes += other.read_bytes;
    written_bytes += other.written_bytes;
    errors += other.errors;
    return *this;
  }
};

/// An array of 4 KiB blocks that is read and written asynchronously. Used by one reactor only. Writes in flight at the
/// same time are unordered, and a crash may keep, lose or tear (at block granularity or below) any write that no flush
/// or durable completion covers. A read of blocks never written since creation returns arbitrary bytes.
class BlockDevice {
 public:
  BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;
  virtual ~BlockDevice() = default;

  virtual std::uint64_t block_count() const = 0;
  /// Asks how large the medium is now. One that has become larger is used to its new end from here on; of one that has
  /// become smaller `block_count` stays, and what lies beyond fails. Returns the blocks found. Does not make the size
  /// durable: a flush does.
  virtual Result<std::uint64_t> measure() = 0;
  /// For messages: the path, or the simulated name.
  virtual const std::string& name() const = 0;
  /// True where a durable write costs little more than a plain one (write-through or FUA cache); otherwise one flush
  /// per group of plain writes is the better choice.
  virtual bool prefers_durable_writes() const = 0;
  /// Starts the operation; `request` must live until its `complete`. Never completes inside this call.
  virtual void submit(IoRequest& request) = 0;
  virtual DeviceCounters counters() const = 0;
  virtual DeviceHealth& health() = 0;
  /// Waits for what is in flight, then releases the device. Later operations fail with kDeviceDead.
  virtual Task<> close() = 0;

  class Awaiter final : public IoRequest {
   public:
    explicit Awaiter(BlockDevice& device) : device_(device) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      waiter_ = handle;
      device_.submit(*this);
    }
    Result<> await_resume() { return std::move(result_); }

   private:
    void complete(Result<> result) override {
      result_ = std::move(result);
      waiter_.resume();
    }
    BlockDevice& device_;
    std::coroutine_handle<> waiter_;
    Result<> result_;
  };

  /// Reads whole blocks into block-aligned memory that stays valid until the operation ends.
  Awaiter read(BlockNo first, MutableBytes into, int registered_index = -1) {
    return make(IoKind::kRead, first, into.data(), into.size(), Durability::kCached, registered_index);
  }
  Awaiter write(BlockNo first, ByteView from, Durability durability, int registered_index = -1) {
    return make(IoKind::kWrite, first, const_cast<std::byte*>(from.data()), from.size(), durability, registered_index);
  }
  /// When it completes, every write that had completed before it was submitted is durable.
  Awaiter flush() { return make(IoKind::kFlush, BlockNo{}, nullptr, 0, Durability::kCached, -1); }
  /// A hint that the contents are no longer needed.
  Awaiter discard(BlockNo first, std::uint64_t blocks) {
    return make(IoKind::kDiscard, first, nullptr, blocks * kBlockBytes, Durability::kCached, -1);
  }

 private:
  Awaiter make(IoKind kind, BlockNo first, std::byte* data, std::uint64_t bytes, Durability durability,
               int registered) {
    Awaiter awaiter(*this);
    awaiter.kind = kind;
    awaiter.first = first;
    awaiter.data = data;
    awaiter.bytes = bytes;
    awaiter.durability = durability;
    awaiter.registered_index = registered;
    return awaiter;
  }
};

}  // namespace cenote::media
