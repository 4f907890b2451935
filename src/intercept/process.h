#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "file_set.h"
#include "library.h"
#include "mount_table.h"
#include "spin_lock.h"

namespace cenote::intercept {

/// What is known of a descriptor's number. Never more than a hint: `kForeign` sends a call to the kernel, which is
/// always right, and the others have it looked at again in every call.
enum class Hint : std::uint8_t {
  kUnknown,
  kForeign,
  kFile,
  kWrittenFile,  ///< the kernel has written to it by this descriptor
  kDirectory,
};

/// How many calls went which way, for the report.
struct Counts {
  std::atomic<std::uint64_t> reads{0}, writes{0}, stats{0}, kernel_reads{0}, kernel_writes{0}, kernel_stats{0};

  bool is_nothing() const;
  void clear();
  /// A line of JSON.
  std::string text(pid_t pid) const;
};

/// A file or directory of a mount that a descriptor leads to now.
struct Opened {
  Target target;
  bool is_file = false;  ///< or else a directory
  int flags = 0;         ///< of open(2)
};

/// All that this library knows in a process. There is one, and it is usable before any constructor has run and after
/// all destructors, as programs call then, too.
///
/// Invariants: `library` is used by threads that are counted in `users`, and by none while `is_off` is being set. What
/// others than the process `pid` do (a child between vfork and exec, which has the parent's memory) goes to the kernel
/// and changes nothing but hints.
class Process {
 public:
  static constexpr int kHintsMax = 1 << 16;

  // Descriptors.
  Hint hint(int descriptor) const {
    if (descriptor < 0 || descriptor >= kHintsMax) return Hint::kForeign;
    return hints_[static_cast<std::size_t>(descriptor)].load(std::memory_order_relaxed);
  }
  void set_hint(int descriptor, Hint hint) {
    if (descriptor >= 0 && descriptor < kHintsMax)
      hints_[static_cast<std::size_t>(descriptor)].store(hint, std::memory_order_relaxed);
  }
  /// A short way to no. What says yes goes on under a Guard.
  bool may_be_ours(int descriptor) const {
    return !is_inside && hint(descriptor) != Hint::kForeign && !is_off_.load(std::memory_order_relaxed);
  }
  /// What it leads to at this moment, if that is a file or directory of a mount.
  std::optional<Opened> look(int descriptor);
  /// It was closed, or is another file's.
  void forget(int descriptor) { set_hint(descriptor, Hint::kUnknown); }
  bool is_this_process() const;

  // Paths.
  /// Where a path leads; `opener` leads to something in the same mount, and to a directory that the route starts from.
  struct Path {
    Route route;
    int opener_directory = -1;
    std::string opener;
  };
  /// A short way to no, as with descriptors.
  bool may_be_ours(int directory, const char* path) const;
  std::optional<Path> resolve(int directory, const char* path);
  /// The working directory has changed.
  void moved() { directory_.store(Hint::kUnknown); }

  // Going past the kernel.
  /// The library, when it pays: a process that does little never starts it. Whoever gets it calls `leave` afterwards.
  Library* enter();
  /// The same, if it runs already.
  Library* enter_running();
  void leave() { users_.fetch_sub(1); }
  /// Asks the mount, on something open in it, what the library lacks. False: it does not say.
  bool provide(Library& library, const Guard& guard, Answer::Kind needed, Target target, int descriptor);
  /// Ends the library and never starts it again.
  void switch_off();

  // A fork.
  void before_fork();
  void after_fork_in_parent();
  void after_fork_in_child();

  void begin();
  /// Before the process ends: makes times known, and writes the report.
  void end();

  FileSet mapped;             ///< have been mapped into memory: theirs is the kernel
  FileSet written_by_kernel;  ///< by calls of this process, and not closed since: only the mount knows their times
  Counts counts;

 private:
  /// Those of this moment.
  const std::vector<MountPoint>& mounts();
  bool is_mount(dev_t device);
  bool is_announced(const char* path) const;
  std::optional<Path> resolve_absolute(const char* path);
  std::optional<Path> resolve_relative(int directory, const char* path);
  Walker walker();
  bool may_search_all();

  enum class Rights : std::uint8_t { kUnknown, kAll, kByMode };
  std::array<std::atomic<Hint>, kHintsMax> hints_{};
  std::atomic<bool> is_off_{false};
  std::atomic<pid_t> pid_{0};
  std::atomic<int> users_{0};
  std::atomic<std::uint32_t> calls_{0};
  std::atomic<Library*> library_{nullptr};
  SpinLock library_lock_;
  std::atomic<bool> is_refused_{false};  // no library in this process
  SpinLock mounts_lock_;
  std::atomic<const std::vector<MountPoint>*> mounts_{nullptr};
  std::atomic<int> mountinfo_{-1};
  std::array<std::atomic<dev_t>, 16> silent_mounts_{};  // do not say who they are
  std::atomic<Hint> directory_{Hint::kUnknown};         // of the working directory
  std::atomic<Rights> rights_{Rights::kUnknown};
  uid_t user_ = 0;  // at the start
  sigset_t mask_before_fork_{};
  std::uint32_t calls_before_ = 32;
  const char* announced_ = nullptr;
  const char* report_ = nullptr;
  std::atomic<bool> has_reported_{false};
};

extern constinit Process process;

}  // namespace cenote::intercept
