#pragma once

#include <memory>
#include <string>

#include "cenote/media/block_device.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::media {

struct UringDeviceOptions {
  /// Creates a regular file of this size, its space reserved where the file system can, when the path does not exist or
  /// names an empty file; multiple of kBlockBytes. 0: it must exist. An existing file keeps its size.
  std::uint64_t create_bytes = 0;
  /// Refuses a second opener of the same file (flock), and a block device that is mounted or otherwise in use (O_EXCL).
  bool exclusive = true;
  /// Bypass the page cache. Falls back to buffered I/O on file systems without O_DIRECT; see UringDevice::direct.
  bool direct = true;
};

/// A regular file or a raw block device through the io_uring of its reactor, which must outlive it. The number of whole
/// blocks is fixed when it is opened. Operations are continued after short reads and writes and repeated after EINTR
/// and EAGAIN, and allocate nothing once as many have been in flight before. On tmpfs and ramfs transfers of up to 64
/// KiB are system calls inside `submit` (they complete later like any other), and a flush does nothing. An error of a
/// flush means that earlier writes may be lost for good, even if a later flush succeeds: fence what relied on them.
///
/// A discard frees the blocks (a hole in a file, which gives the space back and drops the reservation; unmapped blocks
/// of a device); where that is not supported it does nothing.
class UringDevice final : public BlockDevice {
 public:
  /// kNotFound, kLocked, kPermissionDenied, kDeviceFull, kInvalidArgument (a directory, a file without a single block,
  /// ...), kUnsupported (blocks larger than ours) or kIoError, with the path and what to do. A created file and its
  /// name are durable when this returns. Blocks the thread: for start-up.
  static Result<std::unique_ptr<UringDevice>> open(UringReactor& reactor, std::string path,
                                                   UringDeviceOptions options = {});
  /// Nothing may be in flight; `close` first, unless no operation was ever submitted.
  ~UringDevice() override;

  std::uint64_t block_count() const override;
  Result<std::uint64_t> measure() override;
  const std::string& name() const override;
  bool prefers_durable_writes() const override;
  void submit(IoRequest& request) override;
  DeviceCounters counters() const override;
  DeviceHealth& health() override;
  Task<> close() override;
  /// Registers the pool's slabs, now and as they are made, with the ring of the reactor, so that I/O on its buffers by
  /// any device of that ring skips page pinning. Optional: what the kernel refuses (RLIMIT_MEMLOCK) does ordinary I/O.
  /// The pool must be destroyed before the reactor. A ring has room for one pool: kExists for a second, while the same
  /// pool again is fine; kUnsupported when the kernel has no such table (before Linux 5.19).
  Result<> register_buffers(BufferPool& pool);
  /// Whether I/O bypasses the page cache. When it was asked for and is not so, whoever opened the device says so in the
  /// log.
  bool direct() const;

 private:
  struct Impl;
  explicit UringDevice(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::media
