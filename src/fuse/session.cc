#include "cenote/fuse/session.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "cenote/base/format.h"
#include "mount_point.h"

extern "C" char** environ;  // NOLINT(readability-redundant-declaration): POSIX has it in no header

namespace cenote::fuse {
namespace {

constexpr std::size_t kPage = 4096;
// In front of the data of a write stand two headers; so placed, its data begins at a page.
constexpr std::size_t kWriteHeaderBytes = 80;
constexpr std::size_t kBufferBytes = kPage + kTransferBytesMax + kPage;
constexpr std::size_t kBufferOffset = kPage - kWriteHeaderBytes;
constexpr std::size_t kReadBytes = kTransferBytesMax + kPage;
// A burst of requests that are answered at once gives way to others after so many.
constexpr unsigned kRequestsPerTurn = 64;
// Buffers that wait for a next use; beyond, their memory goes back.
constexpr std::size_t kPooledMax = 16;
// What the kernel may have on the way for nobody who waits: write-back and read-ahead.
constexpr unsigned kBackgroundMax = 128;

std::string reason(int error) { return std::generic_category().message(error); }

/// "a,b" is two options to the parser unless the comma is escaped.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == ',' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string mount_options(const SessionOptions& options) {
  std::string text = "subtype=cenote,fsname=" + escaped(options.source);
  if (options.multi_user) text += ",allow_other,default_permissions";
  if (options.read_only) text += ",ro";
  if (options.auto_unmount) text += ",auto_unmount";
  for (const std::string& option : options.kernel_options) text += "," + option;
  return text;
}

void set_wanted(fuse_conn_info& connection, unsigned capability, bool wanted) {
  if ((connection.capable & capability) == 0) return;
  if (wanted) {
    connection.want |= capability;
  } else {
    connection.want &= ~capability;
  }
}

/// Runs the helper that may unmount for users who are not root.
Result<> run_fusermount(const std::string& mount_point, bool lazy) {
  std::vector<std::string> words{"fusermount3", "-u", "-q"};
  if (lazy) words.emplace_back("-z");
  words.insert(words.end(), {"--", mount_point});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = -1;
  if (const int error = ::posix_spawnp(&child, "fusermount3", nullptr, nullptr, arguments.data(), environ); error != 0)
    return failf(Code::kNotFound, "cannot run fusermount3: {}; install the package fuse3", reason(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return failf(Code::kBusy, "fusermount3 could not unmount '{}'", mount_point);
}

}  // namespace

void configure_connection(fuse_conn_info& connection, const SessionOptions& options) {
  connection.max_write = kTransferBytesMax;
  connection.max_background = kBackgroundMax;
  connection.congestion_threshold = kBackgroundMax * 3 / 4;
  connection.time_gran = 1;
  // Data has to be in memory, since it is checksummed: a pipe in between would cost two more system calls and no copy
  // less.
  set_wanted(connection, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
  set_wanted(connection, FUSE_CAP_WRITEBACK_CACHE, options.single_client);
  // What it tells in advance is of use as long as it stays valid.
  set_wanted(connection, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, options.single_client);
  // So it is a setattr that empties a file, and the kernel takes its set-id bits away with it where it must.
  set_wanted(connection, FUSE_CAP_ATOMIC_O_TRUNC, false);
  set_wanted(connection, FUSE_CAP_PARALLEL_DIROPS, true);
  set_wanted(connection, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO, true);
  set_wanted(connection, FUSE_CAP_AUTO_INVAL_DATA, true);
  // The kernel takes set-id bits away itself, with a setattr, when files are written or change their owner.
  set_wanted(connection, FUSE_CAP_HANDLE_KILLPRIV, false);
  // Where a directory has a default access control list the umask does not count, so who knows of lists applies it.
  set_wanted(connection, FUSE_CAP_DONT_MASK, true);
  // It checks permissions by such lists, too.
  set_wanted(connection, FUSE_CAP_POSIX_ACL, options.multi_user);
}

Result<std::unique_ptr<Session>> Session::mount(UringReactor& reactor, const fuse_lowlevel_ops& operations,
                                                void* user_data, SessionOptions options) {
  CHECK_OK(check_mount_point(options.mount_point));
  CHECK_OK(check_fuse_device());
  std::unique_ptr<Session> session(new Session(reactor, std::move(options)));
  CHECK_OK(session->open(operations, user_data));
  return session;
}

Session::Session(UringReactor& reactor, SessionOptions options)
    : reactor_(reactor), options_(std::move(options)), changed_(reactor) {}

Session::~Session() {
  ASSERT(!poll_.in_flight() && requests_ == 0);
  // Of one that is unmounted already it frees only what it has.
  if (mounted_) ::fuse_session_unmount(session_);
  if (session_ != nullptr) ::fuse_session_destroy(session_);
  if (current_ != nullptr) give_back(current_);
  for (std::byte* memory : pool_) ::operator delete(memory, std::align_val_t{kPage});
}

Result<> Session::open(const fuse_lowlevel_ops& operations, void* user_data) {
  std::string text = mount_options(options_);
  std::string program = "cenote-fuse", flag = "-o";
  std::array<char*, 4> words{program.data(), flag.data(), text.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words.data());
  const CapturedErrors messages;
  session_ = ::fuse_session_new(&arguments, &operations, sizeof operations, user_data);
  ::fuse_opt_free_args(&arguments);
  if (session_ == nullptr) return failf(Code::kInternal, "libfuse refuses the options: {}", messages.text());
  errno = 0;
  if (::fuse_session_mount(session_, options_.mount_point.c_str()) != 0)
    return fail(mount_failure(options_.mount_point, errno, messages.text()));
  mounted_ = true;
  device_ = ::fuse_session_fd(session_);
  const int flags = ::fcntl(device_, F_GETFL);
  if (flags < 0 || ::fcntl(device_, F_SETFL, flags | O_NONBLOCK) < 0)
    return failf(Code::kIoError, "cannot set up the FUSE device: {}", reason(errno));
  return {};
}

Task<> Session::serve() {
  poll_.arm();
  readable_ = true;  // the kernel's first request may be older than the poll
  unsigned received = 0;
  while (!stopping_) {
    if (!readable_ || requests_ >= options_.requests_max) {
      received = 0;
      static_cast<void>(co_await changed_.wait(Until::forever()));
      continue;
    }
    switch (receive()) {
      case Received::kRequest:
        if (++received % kRequestsPerTurn == 0) co_await reactor_.yield();
        break;
      case Received::kNothing:
        readable_ = false;
        break;
      case Received::kUnmounted:
        stopping_ = true;
        break;
    }
  }
  poll_.cancel();
  while (poll_.in_flight()) static_cast<void>(co_await changed_.wait(Until::forever()));
}

void Session::stop() {
  stopping_ = true;
  changed_.notify_all();
}

Result<> Session::unmount() {
  const std::string& place = options_.mount_point;
  if (::geteuid() != 0) {
    if (run_fusermount(place, false)) return {};
    return run_fusermount(place, true);
  }
  if (::umount2(place.c_str(), UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EBUSY && ::umount2(place.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return {};
  // Somebody else was faster.
  if (errno == EINVAL || errno == ENOENT) return {};
  return failf(errno == EPERM ? Code::kPermissionDenied : Code::kIoError, "cannot unmount '{}': {}", place,
               reason(errno));
}

/// Reads one request and has it handled.
Session::Received Session::receive() {
  if (current_ == nullptr) current_ = take_buffer();
  std::byte* const memory = current_ + kBufferOffset;
  const ssize_t bytes = ::read(device_, memory, kReadBytes);
  if (bytes < 0) {
    // One that its caller has given up, or a signal: the next.
    if (errno == ENOENT || errno == EINTR) return Received::kRequest;
    return errno == EAGAIN ? Received::kNothing : Received::kUnmounted;
  }
  fuse_buf buffer{};
  buffer.mem = memory;
  buffer.size = static_cast<std::size_t>(bytes);
  ::fuse_session_process_buf(session_, &buffer);
  return ::fuse_session_exited(session_) != 0 ? Received::kUnmounted : Received::kRequest;
}

Session::Memory Session::keep_request() {
  ASSERT(current_ != nullptr);
  return {this, std::exchange(current_, nullptr)};
}

void Session::request_ended() {
  ASSERT(requests_ > 0);
  if (requests_-- >= options_.requests_max) changed_.notify_all();
}

std::byte* Session::take_buffer() {
  if (pool_.empty()) return static_cast<std::byte*>(::operator new(kBufferBytes, std::align_val_t{kPage}));
  std::byte* memory = pool_.back();
  pool_.pop_back();
  return memory;
}

void Session::give_back(std::byte* memory) {
  if (pool_.size() < kPooledMax) {
    pool_.push_back(memory);
  } else {
    ::operator delete(memory, std::align_val_t{kPage});
  }
}

Session::Memory::Memory(Memory&& other) noexcept
    : session_(std::exchange(other.session_, nullptr)), buffer_(std::exchange(other.buffer_, nullptr)) {}
Session::Memory& Session::Memory::operator=(Memory&& other) noexcept {
  std::swap(session_, other.session_);
  std::swap(buffer_, other.buffer_);
  return *this;
}
Session::Memory::~Memory() {
  if (buffer_ != nullptr) session_->give_back(buffer_);
}
MutableBytes Session::Memory::data() const { return {buffer_ + kPage, kTransferBytesMax}; }

void Session::DevicePoll::arm() {
  io_uring_sqe& entry = session_.reactor_.prepare(*this);
  if (multishot_) {
    ::io_uring_prep_poll_multishot(&entry, session_.device_, POLLIN);
  } else {
    ::io_uring_prep_poll_add(&entry, session_.device_, POLLIN);
  }
  // Both fill in the whole entry.
  ::io_uring_sqe_set_data(&entry, static_cast<UringOperation*>(this));
  in_flight_ = true;
}

void Session::DevicePoll::cancel() {
  class Removal final : public UringOperation {
   public:
    void complete(std::int32_t, std::uint32_t) override { delete this; }
  };
  if (!in_flight_) return;
  auto* removal = new Removal;  // frees itself when the kernel has answered
  ::io_uring_prep_cancel(&session_.reactor_.prepare(*removal), static_cast<UringOperation*>(this), 0);
}

void Session::DevicePoll::complete(std::int32_t result, std::uint32_t flags) {
  in_flight_ = (flags & IORING_CQE_F_MORE) != 0;
  // A kernel that knows one answer per poll only.
  if (result == -EINVAL) multishot_ = false;
  session_.readable_ = true;
  if (!in_flight_ && !session_.stopping_) arm();
  session_.changed_.notify_all();
}

}  // namespace cenote::fuse
