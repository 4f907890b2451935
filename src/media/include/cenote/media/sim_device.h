#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cenote/media/block_device.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::media {

/// What the medium holds, apart from any process: survives the crash of the node that wrote it. Sparse.
class SimMedium {
 public:
  explicit SimMedium(std::uint64_t blocks);
  std::uint64_t block_count() const;
  /// Contents of one block; a block never written reads as seeded noise, so that nobody relies on zeroes.
  void read_block(BlockNo block, MutableBytes into) const;
  void write_block(BlockNo block, ByteView from);
  /// Whether the block was ever written.
  bool written(BlockNo block) const;
  /// Independent copy of the present state.
  std::unique_ptr<SimMedium> clone() const;
  /// Makes the medium larger.
  void grow(std::uint64_t blocks);

 private:
  std::uint64_t blocks_;
  // Shared, copy-on-write blocks keep `clone` cheap: a crash test takes one per device write.
  struct Impl;
  std::shared_ptr<Impl> impl_;
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
  std::uint32_t write_error_ppm = 0;
  /// Acknowledged, never reaches the medium.
  std::uint32_t lost_write_ppm = 0;
  /// Lands at another block of the device.
  std::uint32_t misdirected_write_ppm = 0;
  /// A bit of one block flips on the way to the medium.
  std::uint32_t corrupt_write_ppm = 0;
};

/// How a crash treats each write that was not yet durable.
struct CrashOptions {
  /// Each such write independently: kept whole, lost, or torn at a random 512-byte sector boundary inside a block and at
  /// block boundaries across it. Writes to the same block keep their submission order among those that survive.
  bool keep_random = true;   ///< false: none survives
  bool tear = true;
};

/// A simulated device over a medium. Unsynced writes live in a volatile cache that reads see and a crash loses.
class SimDevice final : public BlockDevice {
 public:
  SimDevice(SimReactor& reactor, std::string name, SimMedium& medium, SimDeviceOptions options = {});
  ~SimDevice() override;

  std::uint64_t block_count() const override;
  const std::string& name() const override;
  bool prefers_durable_writes() const override;
  void submit(IoRequest& request) override;
  DeviceCounters counters() const override;
  Task<> close() override;

  /// Cuts the device off: the volatile cache is resolved onto the medium as `options` say, and every operation that is
  /// pending or comes later completes with kDeviceDead, without effect. The medium may then serve a new SimDevice.
  void crash(CrashOptions options);
  /// Called before each write or flush takes effect, with its number (from 1); lets a test crash at every one of them.
  void set_write_hook(std::function<void(std::uint64_t number, const IoRequest&)> hook);
  /// Every write from now on fails with kDeviceFull (file grown on a full disk).
  void set_full(bool full);
  /// Multiplies latencies.
  void set_slowdown(double factor);
  SimDeviceOptions& options();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::media
