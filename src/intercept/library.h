#pragma once

#include <sys/stat.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cenote/posix/file_system.h"
#include "cenote/posix/mount_identity.h"
#include "cenote/rpc/tcp.h"
#include "file_set.h"
#include "handover.h"

namespace cenote::intercept {

/// What a call came to.
struct Answer {
  enum class Kind : std::uint8_t {
    kKernel,      ///< nothing was done, or nothing that the kernel could not do again
    kDone,        ///<
    kFailed,      ///< and so would the kernel's
    kNeedsMount,  ///< `attach` first
    kNeedsNode,   ///< `introduce` first
  };
  Kind kind = Kind::kKernel;
  int error = 0;  ///< of kFailed, an error number
  std::uint64_t bytes = 0;
  struct stat status{};  ///< all but the device

  static Answer failed(int error) { return {.kind = Kind::kFailed, .error = error}; }
  static Answer done(std::uint64_t bytes = 0) { return {.kind = Kind::kDone, .bytes = bytes}; }
};

/// Who wants to go through directories, where modes decide.
struct Walker {
  bool may_all = true;
  uid_t user = 0;
  std::vector<gid_t> groups;

  bool may_search(const posix::Attributes& directory) const;
};

/// Names to follow from a directory.
struct Route {
  Target from;
  std::vector<std::string> names;
  bool follow = true;  ///< a link at the end is not the answer
  Walker walker;
};

/// The client library in a process: a reactor on one thread, with the containers of the mounts that were used so far.
/// What it is asked comes from any thread, with its signals held back.
///
/// Invariants: everything below `Inside` belongs to the reactor. A node in use has a positive `in_use` and stays.
class Library {
 public:
  /// nullptr: this machine refuses what it takes.
  static std::unique_ptr<Library> start();
  /// Tells the times that are not told yet, and ends the thread. Nobody may be in a call.
  ~Library();

  Answer attach(const Guard& guard, dev_t device, posix::MountIdentity identity);
  Answer introduce(const Guard& guard, Target target, Bytes identity);
  Answer read(const Guard& guard, Target target, std::uint64_t offset, MutableBytes into);
  Answer write(const Guard& guard, Target target, std::uint64_t offset, ByteView from);
  Answer status(const Guard& guard, Target target);
  Answer look_up(const Guard& guard, Route route);
  /// Makes known when it was written and read; the latter later.
  Answer tell_times(const Guard& guard, Target target);
  Answer tell_all_times(const Guard& guard);
  /// The same, and says goodbye to the servers.
  void say_goodbye(const Guard& guard);
  bool has_untold_times() const { return untold_.load(std::memory_order_relaxed) > 0; }
  /// Some mount has its permissions checked by mode, owner and group.
  bool checks_modes() const { return mode_checkers_.load(std::memory_order_relaxed) > 0; }

  /// Holds the reactor where it has no lock, until `resume`: for a fork.
  void park();
  void resume();

 private:
  struct Known {
    posix::Node node;
    std::optional<posix::File> file;  // of a regular file
    bool is_written = false, is_read = false;
    std::uint32_t in_use = 0;
  };
  struct Mounted {
    enum class State : std::uint8_t { kAttaching, kReady, kRefused };
    State state = State::kAttaching;
    Instant refused_until{};
    posix::MountIdentity identity;
    std::unique_ptr<async::Client> client;
    std::unique_ptr<posix::FileSystem> files;
    std::unordered_map<ino_t, std::unique_ptr<Known>> known;
    Duration timeout() const { return std::chrono::milliseconds(identity.timeout_ms); }
  };
  class InUse;
  /// The reactor stands still in `deliver` until it is released.
  struct Parking final : Mail {
    std::atomic<std::uint32_t> parked{0}, released{0};
    void deliver() override;
  };

  explicit Library(std::unique_ptr<UringReactor> reactor);

  template <typename MakeTask>
  Answer run(const Guard& guard, MakeTask make_task);

  static Task<Answer> attach_task(Library* self, dev_t device, posix::MountIdentity identity);
  static Task<Result<>> connect(Library* self, Mounted* mounted);
  static Task<Answer> introduce_task(Library* self, Target target, Bytes identity);
  static Task<Answer> read_task(Library* self, Target target, std::uint64_t offset, MutableBytes into);
  static Task<Answer> write_task(Library* self, Target target, std::uint64_t offset, ByteView from);
  static Task<Answer> status_task(Library* self, Target target);
  static Task<Answer> look_up_task(Library* self, Route route);
  static Task<Answer> tell_task(Library* self, Target target);
  static Task<Answer> tell_all_task(Library* self, Duration most);
  static Task<Answer> goodbye_task(Library* self);
  static Task<> keep_telling(Library* self);
  static Task<> sync_later(Library* self, posix::File file, Duration timeout);
  static Task<> close_later(Library* self, posix::File file, Duration timeout);
  static Task<> stop_task(Library* self);

  /// `kind` says what is missing when it is nullptr.
  Mounted* ready(dev_t device, Answer::Kind& kind);
  Known* find(Target target, Answer::Kind& kind);
  void remember(Mounted& mounted, posix::Node node);
  void sweep(Mounted& mounted);
  void note_written(Known& known);
  Until until(const Mounted& mounted) const;

  std::unique_ptr<UringReactor> reactor_;
  rpc::TcpTransport transport_;
  Scope scope_;
  std::map<dev_t, Mounted> mounts_;
  bool tells_ = false;
  std::atomic<std::uint32_t> untold_{0};
  std::atomic<std::uint32_t> mode_checkers_{0};
  Parking parking_;
  int polls_;
  std::thread thread_;
};

}  // namespace cenote::intercept
