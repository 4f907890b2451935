#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>

#include "cenote/runtime/scope.h"
#include "check_read.h"

namespace cenote::posix {

/// A directory on the way; those above it are kept as long as something below is to be visited.
struct Walked {
  std::shared_ptr<const Walked> above;  ///< nullptr: where the walk began
  std::string name;
  ObjectId object;
  std::uint32_t depth = 0;
};
using WalkedPointer = std::shared_ptr<const Walked>;
std::string path_of(const Walked& directory);
std::string path_of(const Walked& directory, std::string_view name);

/// Deeper ones are not looked at: no path leads there by far.
inline constexpr std::uint32_t kMostDepth = 10'000;

/// Goes through everything below a directory, many directories at a time, each once, and tells of what it finds. Goes
/// on where something is damaged.
class Walk {
 public:
  /// `parallel`: directories at a time.
  Walk(async::Container container, std::uint32_t redundancy, std::uint32_t parallel)
      : container_(std::move(container)), redundancy_(redundancy), parallel_(parallel) {}
  virtual ~Walk() = default;
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  /// May be called again, for another root; what was visited before is not visited again.
  Task<Result<>> run(ObjectId root, std::string shown, Until until);
  bool has_visited(const ObjectId& directory) const { return visited_.contains(directory.low()); }

 protected:
  /// What is beside an inode in its companion.
  struct Beside {
    bool has_inode = false;
    std::optional<Bytes> where;
  };

  /// A directory that is visited; its own record as it is stored.
  virtual void on_directory(const WalkedPointer&, const ReadEntry&) {}
  /// After all of it was listed, whether anything at all was there.
  virtual void on_directory_end(const WalkedPointer&, const ReadEntry&, bool) {}
  virtual void on_parent(const WalkedPointer&, const ObjectId&) {}  ///< it says that it is in this one
  /// A name that leads to a directory which another one led to before.
  virtual void on_second_name(const WalkedPointer&, const ReadEntry&) {}
  virtual void on_name(const WalkedPointer&, const std::string&, const ReadEntry&, const Beside&) {}
  virtual Task<Result<>> on_removed(WalkedPointer, std::string, ReadEntry, Until) { co_return Result<>(); }
  /// It cannot be listed.
  virtual void on_unlisted(const WalkedPointer&, const Error&) {}
  /// Whether companions are to be looked at.
  virtual bool wants_companions() const { return false; }

  async::Container& container() { return container_; }
  std::uint32_t redundancy() const { return redundancy_; }

 private:
  struct Pending {
    WalkedPointer directory;
    bool is_late = false;  // it was put off
  };
  static Task<> visit(Walk* self, Pending pending, Until until, Semaphore* ended);
  Task<Result<>> look_at(Pending pending, Until until);
  Task<Result<bool>> look_at_names(WalkedPointer directory, Until until);
  Task<Result<>> look_at_page(WalkedPointer directory, std::vector<std::string> dkeys, Until until);
  Task<Result<std::map<std::size_t, Beside>>> companions(const std::vector<ReadEntry>& entries, Until until);

  async::Container container_;
  std::uint32_t redundancy_;
  std::uint32_t parallel_;
  std::unordered_set<std::uint64_t> visited_;
  std::vector<WalkedPointer> pending_;
  /// Directories that say that they are elsewhere: visited when nothing else leads to them.
  std::vector<WalkedPointer> put_off_;
  Result<> outcome_;
};

}  // namespace cenote::posix
