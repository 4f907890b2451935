#pragma once

#include <memory>
#include <string>

#include "cenote/media/block_device.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::media {

struct UringDeviceOptions {
  /// Creates a regular file of this size when the path does not exist; 0: it must exist.
  std::uint64_t create_bytes = 0;
  /// Refuses a second opener of the same file (flock).
  bool exclusive = true;
  /// Bypass the page cache; falls back to buffered I/O on file systems without O_DIRECT (tmpfs) and says so in the log.
  bool direct = true;
};

/// A file or a raw block device through io_uring.
class UringDevice final : public BlockDevice {
 public:
  /// kNotFound, kLocked, kPermissionDenied, kDeviceFull or kIoError with the path and what to do.
  static Result<std::unique_ptr<UringDevice>> open(UringReactor& reactor, std::string path, UringDeviceOptions options);
  ~UringDevice() override;

  std::uint64_t block_count() const override;
  const std::string& name() const override;
  bool prefers_durable_writes() const override;
  void submit(IoRequest& request) override;
  DeviceCounters counters() const override;
  Task<> close() override;
  /// Registers the pool's slabs with the ring, so that I/O on its buffers skips page pinning. Optional.
  Result<> register_buffers(BufferPool& pool);

 private:
  struct Impl;
  explicit UringDevice(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::media
