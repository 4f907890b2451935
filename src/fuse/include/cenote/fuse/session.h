#pragma once

#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

#include <memory>
#include <string>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/log.h"
#include "cenote/runtime/sync.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::fuse {

/// The largest read and write, and what directories are listed in.
inline constexpr std::size_t kTransferBytesMax = std::size_t{1} << 20;

struct SessionOptions {
  std::string mount_point;
  /// What `mount` and `df` show as the source: "POOL/CONTAINER".
  std::string source;
  /// Everybody may go in, and the kernel checks permissions by mode, owner and group; otherwise only who mounted it
  /// may, and may do everything.
  bool multi_user = false;
  bool read_only = false;
  /// Nobody else changes anything: the kernel keeps names, attributes and data, and collects writes.
  bool single_client = false;
  /// A helper of libfuse takes the mount away when this process is gone, however it ended.
  bool auto_unmount = false;
  /// More options for the kernel, such as "noexec".
  std::vector<std::string> kernel_options = {};
  /// Requests that are read from the kernel and not answered yet; when there are so many, the rest waits in the kernel.
  std::uint32_t requests_max = 512;
};

/// Sets what the kernel may do by itself, in an `init` of whoever implements the operations.
void configure_connection(fuse_conn_info& connection, const SessionOptions& options);

/// A mounted FUSE file system, whose requests are read, handled and answered on one reactor, without a thread of its
/// own (docs/adr/0023-fuse-on-the-reactor.md). Everything but `unmount` is for the reactor's thread.
///
/// Invariants: while `serve` runs, a poll of the device is in flight. A buffer is in the pool, in a `Memory`, or the
/// one that is read into next. `requests` never exceeds `requests_max`.
class Session {
 public:
  /// Mounts. What a user can get wrong is an error that says what to do: kNotFound (no such directory), kNotADirectory,
  /// kNotEmpty, kExists (something is mounted there already), kPermissionDenied, kUnsupported (no FUSE on this
  /// machine). `operations` are called with `user_data`, and may answer at once or later; both outlive the session.
  static Result<std::unique_ptr<Session>> mount(UringReactor& reactor, const fuse_lowlevel_ops& operations,
                                                void* user_data, SessionOptions options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Unmounts, if it still is mounted. Every request must have been answered, and `serve` have returned.
  ~Session();

  /// Handles requests until the file system is unmounted, by whomever, or `stop` is called.
  Task<> serve();
  /// Ends `serve`; what the kernel still wants after the destruction of the session fails there.
  void stop();
  /// Any thread's: takes the mount away as umount(8) does, which may ask for data to be written first, so `serve` has
  /// to run. One that is in use goes when it is not any more, and is not to be seen from now on. kPermissionDenied,
  /// kIoError.
  Result<> unmount();

  /// Memory of the session, for as long as this lives, which must not be longer than the session does.
  class Memory {
   public:
    Memory() = default;
    Memory(Memory&& other) noexcept;
    Memory& operator=(Memory&& other) noexcept;
    ~Memory();
    /// kTransferBytesMax, from the beginning of a page on: where a write request has its data.
    MutableBytes data() const;

   private:
    friend class Session;
    Memory(Session* session, std::byte* buffer) : session_(session), buffer_(buffer) {}
    Session* session_ = nullptr;
    std::byte* buffer_ = nullptr;
  };
  /// For an operation, before it returns: what it was given by pointer stays valid as long as the answer lives.
  Memory keep_request();
  /// For what is read.
  Memory spare_memory() { return {this, take_buffer()}; }

  /// A request that is answered later; counts against `requests_max`.
  void request_begun() { ++requests_; }
  void request_ended();
  std::uint32_t requests() const { return requests_; }

  fuse_session* handle() { return session_; }
  const SessionOptions& options() const { return options_; }

 private:
  /// Says when the device can be read. Edges only, so whoever reads has to go on until nothing is left.
  class DevicePoll final : public UringOperation {
   public:
    explicit DevicePoll(Session& session) : session_(session) {}
    void arm();
    void cancel();
    bool in_flight() const { return in_flight_; }
    void complete(std::int32_t result, std::uint32_t flags) override;

   private:
    Session& session_;
    bool in_flight_ = false;
    bool multishot_ = true;
  };
  enum class Received : std::uint8_t { kRequest, kNothing, kUnmounted };

  Session(UringReactor& reactor, SessionOptions options);
  Result<> open(const fuse_lowlevel_ops& operations, void* user_data);
  Received receive();
  std::byte* take_buffer();
  void give_back(std::byte* memory);

  UringReactor& reactor_;
  SessionOptions options_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
  int device_ = -1;
  DevicePoll poll_{*this};
  Condition changed_;  // readable, room for requests, stopping, the end of the poll
  bool readable_ = false;
  bool stopping_ = false;
  std::uint32_t requests_ = 0;
  std::byte* current_ = nullptr;  // what `receive` reads into
  std::vector<std::byte*> pool_;
};

}  // namespace cenote::fuse
