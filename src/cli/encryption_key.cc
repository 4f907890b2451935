#include "encryption_key.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "cenote/base/format.h"
#include "local_file.h"

namespace cenote::cli {
namespace {

/// 64 digits and what an editor or a shell puts behind them.
constexpr std::size_t kTextBytesMax = 72;

/// What is read of a key on its way; wiped.
struct Text {
  ~Text() { wipe(bytes); }
  std::array<std::byte, kTextBytesMax + 1> bytes{};
  std::size_t size = 0;

  bool too_long() const { return size > kTextBytesMax; }
  MutableBytes rest() { return MutableBytes(bytes).subspan(size); }
  Result<SecretKey> key() const {
    if (too_long()) return fail(Code::kInvalidArgument, "is longer than a key: 32 bytes, or 64 hexadecimal digits");
    return SecretKey::parse(ByteView(bytes).first(size));
  }
};

Error of_file(const std::string& path, const Error& error) {
  return error.with_context(fmt::format("key file '{}'", path));
}
Error of_command(const Error& error) { return error.with_context("the command that prints the key"); }

Result<> check_access(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return fail(Code::kInvalidArgument, "is no regular file");
  constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
  if ((info.st_mode & kOthers) == 0) return {};
  return failf(Code::kPermissionDenied,
               "others may read or write it (mode {:04o}): chmod 600 it, and think of a new key", info.st_mode & 07777);
}

using Deadline = std::chrono::steady_clock::time_point;

/// Whether there is something to read from `fd` before the deadline.
bool readable_within(int fd, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd waiting{fd, POLLIN, 0};
    const int ready = left <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

Error too_late() { return Error(Code::kDeadlineExceeded, "printed no key in time"); }

/// A child that runs a shell, in a process group of its own; ended with all it started when this goes.
class Shell {
 public:
  Shell() = default;
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;
  ~Shell() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    reap();
  }

  Result<> start(const std::string& command, int output);
  /// Whether it has ended well; kDeadlineExceeded when it has not ended.
  Result<> finish(Deadline deadline);

 private:
  int reap() {
    int status = -1;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }
  pid_t pid_ = -1;
};

Result<> Shell::start(const std::string& command, int output) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  // Signals that this program has blocked to wait for them are nothing to the command.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  std::array<const char*, 4> arguments = {"sh", "-c", command.c_str(), nullptr};
  const int failed =
      ::posix_spawn(&pid_, "/bin/sh", &files, &attributes, const_cast<char* const*>(arguments.data()), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed == 0) return {};
  pid_ = -1;
  return failf(Code::kIoError, "cannot be started: {}", std::strerror(failed));
}

Result<> Shell::finish(Deadline deadline) {
  // What it prints may end before it does.
  const FileDescriptor ended(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (ended.get() < 0 || !readable_within(ended.get(), deadline)) return fail(too_late());
  const int status = reap();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Code::kIoError, "failed: its own messages stand above");
}

/// Reads until the end, the deadline, or more than a key.
Result<> read_within(int fd, Deadline deadline, Text& text) {
  while (!text.too_long()) {
    if (!readable_within(fd, deadline)) return fail(too_late());
    const MutableBytes rest = text.rest();
    const ssize_t got = ::read(fd, rest.data(), rest.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failf(Code::kIoError, "cannot be read: {}", std::strerror(errno));
    if (got == 0) return {};
    text.size += static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace

Result<SecretKey> key_from_file(const std::string& path) {
  // Not blocking: a pipe that nobody writes to would be waited for before it can be refused.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(system_error("open key file", path));
  if (const auto allowed = check_access(file.get()); !allowed) return fail(of_file(path, allowed.error()));
  Text text;
  while (!text.too_long()) {
    const MutableBytes rest = text.rest();
    const ssize_t got = ::read(file.get(), rest.data(), rest.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error("read key file", path));
    if (got == 0) break;
    text.size += static_cast<std::size_t>(got);
  }
  auto key = text.key();
  if (!key) return fail(of_file(path, key.error()));
  return key;
}

Result<SecretKey> key_from_command(const std::string& command, Duration patience) {
  const Deadline deadline = std::chrono::steady_clock::now() + patience;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(system_error("make a pipe for", "the key's command"));
  const FileDescriptor output(ends[0]);
  Shell shell;
  {
    const FileDescriptor input(ends[1]);
    if (const auto started = shell.start(command, ends[1]); !started) return fail(of_command(started.error()));
  }
  Text text;
  if (const auto read = read_within(output.get(), deadline, text); !read) return fail(of_command(read.error()));
  if (!text.too_long()) {
    if (const auto ended = shell.finish(deadline); !ended) return fail(of_command(ended.error()));
  }
  auto key = text.key();
  if (!key) return fail(of_command(key.error()));
  return key;
}

Result<std::optional<SecretKey>> encryption_key(const Settings& settings) {
  const std::string file = settings.text(kKeyFileSetting);
  const std::string command = settings.text(kKeyCommandSetting);
  if (file.empty() && command.empty()) return std::nullopt;
  if (!file.empty() && !command.empty()) {
    return fail(settings.wrong(kKeyCommandSetting, "a key file is given, too: leave one of them out"));
  }
  auto key = file.empty() ? key_from_command(command) : key_from_file(file);
  if (key) return *key;
  const std::string_view setting = file.empty() ? kKeyCommandSetting : kKeyFileSetting;
  return fail(Error(key.error().code(), settings.wrong(setting, key.error().message()).message()));
}

void add_key_flags(CLI::App& verb, SettingFlags& flags) {
  flags.add(verb, kKeyFileSetting);
  flags.add(verb, kKeyCommandSetting);
}

}  // namespace cenote::cli
