#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cenote/media/block_device.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::media {

struct BlockContents;

/// What the medium holds, apart from any process: survives the crash of the node that wrote it. Sparse: only written
/// blocks take memory. Not thread-safe.
class SimMedium {
 public:
  explicit SimMedium(std::uint64_t blocks);
  ~SimMedium();
  std::uint64_t block_count() const;
  /// Contents of one block; a block never written reads as noise, the same in every run, so that nobody relies on
  /// zeroes.
  void read_block(BlockNo block, MutableBytes into) const;
  void write_block(BlockNo block, ByteView from);
  /// Makes the block one that was never written.
  void erase_block(BlockNo block);
  /// Whether the block was ever written.
  bool written(BlockNo block) const;
  /// The first written block in [from, end), or `end`.
  BlockNo next_written(BlockNo from, BlockNo end) const;
  /// Independent copy of the present state. Costs O(1): the contents are shared until one of the two changes them.
  std::unique_ptr<SimMedium> clone() const;
  /// Makes the medium larger.
  void grow(std::uint64_t blocks);
  /// The noise that a block never written reads as.
  static void unwritten_contents(BlockNo block, MutableBytes into);

 private:
  friend class SimWriteCache;
  void store_shared(BlockNo block, std::shared_ptr<const BlockContents> contents);

  struct Impl;
  std::uint64_t blocks_;
  std::unique_ptr<Impl> impl_;
};

/// Odds are parts per million per operation (or per block, where said), drawn from the world's seed.
struct SimDeviceOptions {
  Duration read_latency = std::chrono::microseconds(80);
  Duration write_latency = std::chrono::microseconds(20);
  Duration flush_latency = std::chrono::microseconds(200);
  /// Latency is uniform in [latency, latency * (1 + jitter)], so completions are reordered.
  double latency_jitter = 1.0;
  std::uint64_t bytes_per_second = 2'000'000'000;
  bool prefers_durable_writes = true;
  std::uint32_t read_error_ppm = 0;
  /// The write fails; half of these leave the new contents behind, the others the old.
  std::uint32_t write_error_ppm = 0;
  std::uint32_t flush_error_ppm = 0;
  /// Acknowledged, never reaches the medium; reads find the old contents at once.
  std::uint32_t lost_write_ppm = 0;
  /// Lands at another block of the device.
  std::uint32_t misdirected_write_ppm = 0;
  /// A bit of one block flips on the way to the medium.
  std::uint32_t corrupt_write_ppm = 0;
};

/// How a crash treats each write that was not yet durable.
struct CrashOptions {
  /// Each such write independently: kept whole, lost, or torn at a random 512-byte sector boundary inside a block and
  /// at block boundaries across it. Writes to the same block keep their submission order among those that survive.
  bool keep_random = true;  ///< false: none survives
  bool tear = true;
};

/// A simulated device over a medium. Unsynced writes live in a volatile cache that reads see and a crash loses.
///  - A write takes its data when it is submitted; it is seen by reads when it completes. A read that overlaps a write
///    in flight finds, block by block, the old or the new contents. Writes to one block take effect in submission
///    order.
///  - A durable write is on the medium when it completes, and not before; a flush puts there what had completed when
///    the flush was submitted.
///  - A discard is ignored or turns the blocks into blocks never written, at random, and is no more durable than a
///    plain write.
/// Everything random is drawn from the world. To simulate a loss of power call `crash`; destroying or closing the
/// device is the orderly end of a process, after which the medium holds the whole cache. One device per medium at a
/// time.
class SimDevice final : public BlockDevice {
 public:
  SimDevice(SimReactor& reactor, std::string name, SimMedium& medium, SimDeviceOptions options = {});
  /// Nothing may be in flight.
  ~SimDevice() override;

  std::uint64_t block_count() const override;
  Result<std::uint64_t> measure() override { return block_count(); }
  const std::string& name() const override;
  bool prefers_durable_writes() const override;
  void submit(IoRequest& request) override;
  DeviceCounters counters() const override;
  DeviceHealth& health() override;
  Task<> close() override;

  /// Cuts the device off: the volatile cache is resolved onto the medium as `options` say, and every operation that is
  /// pending or comes later completes with kDeviceDead, without effect. The medium may then serve a new SimDevice.
  void crash(CrashOptions options);
  bool dead() const;
  /// What the medium would hold after a crash at this moment; the device goes on. Lets one run be cut at every write.
  std::unique_ptr<SimMedium> crash_image(CrashOptions options) const;
  /// Called before each write or flush that succeeds takes effect, with its number (from 1); lets a test crash at every
  /// one of them. The hook may call `crash` (the operation then fails, its write is resolved as one in flight).
  void set_write_hook(std::function<void(std::uint64_t number, const IoRequest&)> hook);
  /// Every write from now on fails with kDeviceFull (file grown on a full disk).
  void set_full(bool full);
  /// Multiplies latencies and transfer times of operations submitted from now on.
  void set_slowdown(double factor);
  SimDeviceOptions& options();
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::media
