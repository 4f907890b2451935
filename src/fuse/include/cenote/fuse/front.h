#pragma once

#include <memory>
#include <optional>

#include "cenote/base/log.h"
#include "cenote/fuse/session.h"
#include "cenote/posix/file_system.h"
#include "cenote/posix/mount_identity.h"

namespace cenote::fuse {

struct FrontOptions {
  SessionOptions session;
  /// How long a request may take, the wait for servers that do not answer included.
  Duration timeout = std::chrono::seconds(30);
  /// What programs are told that ask how to reach the container by themselves; none: they are not told. Never where the
  /// kernel keeps what it has read and written.
  std::optional<posix::MountIdentity> identity = std::nullopt;
};

/// A container as a directory of the machine: what the kernel asks is answered by the file layer. Belongs to the
/// reactor, but for `unmount`.
class Front {
 public:
  /// Mounts; the errors are those of `Session::mount`. `files` outlives it.
  static Result<std::unique_ptr<Front>> mount(UringReactor& reactor, posix::FileSystem& files, FrontOptions options,
                                              Logger logger);
  ~Front();

  /// Answers until the file system is unmounted or `stop` is called; then cancels what still waits and closes what is
  /// open. Awaited once, before the destruction.
  Task<> serve();
  void stop();
  /// Any thread's, while `serve` runs: see `Session::unmount`.
  Result<> unmount();

  struct Impl;

 private:
  explicit Front(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::fuse
