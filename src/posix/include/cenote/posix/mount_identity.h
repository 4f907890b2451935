#pragma once

#include <sys/ioctl.h>

#include <cstdint>
#include <string>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

namespace cenote::posix {

/// What a mount tells a program of the same machine that asks on anything open in it, so that the program can reach the
/// container by itself.
struct MountIdentity {
  std::string servers;  ///< as `rpc::parse_addresses` takes them
  std::string pool, container, snapshot;
  std::uint64_t timeout_ms = 0;
  bool multi_user = false;  ///< the kernel checks permissions by mode, owner and group
};

Bytes encode_mount_identity(const MountIdentity& identity);
Result<MountIdentity> decode_mount_identity(ByteView bytes);

/// The two questions, as ioctl(2) numbers: both are answered with a u32 of how many bytes follow, and these. What is
/// answered to the second one is for `FileSystem::introduce`. ENOTTY: not such a mount, or none that lets anybody past
/// its kernel.
inline constexpr std::size_t kMountIdentityRoom = 4096;
inline constexpr std::size_t kNodeIdentityRoom = 512;
inline constexpr unsigned kMountIdentityQuestion = _IOC(_IOC_READ, 0xCE, 1, kMountIdentityRoom);
inline constexpr unsigned kNodeIdentityQuestion = _IOC(_IOC_READ, 0xCE, 2, kNodeIdentityRoom);

/// What is answered to a question with so much room; kOutOfRange: it does not fit.
Result<Bytes> framed_answer(ByteView answer, std::size_t room);
Result<Bytes> unframed_answer(ByteView frame);

}  // namespace cenote::posix
