#include "caller.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <string_view>

#include "cenote/base/format.h"

namespace cenote::fuse {
namespace {

/// The set of signals of a line like "SigPnd:\t0000000000000100".
std::uint64_t signals_of(std::string_view status, std::string_view key) {
  const std::size_t found = status.find(key);
  if (found == std::string_view::npos) return 0;
  status.remove_prefix(found + key.size());
  std::uint64_t signals = 0;
  std::from_chars(status.data(), status.data() + status.size(), signals, 16);
  return signals;
}

}  // namespace

bool is_ending(pid_t thread) {
  if (thread <= 0) return false;  // of another namespace
  const int file = ::open(fmt::format("/proc/{}/status", thread).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;  // it has gone
  std::array<char, 4096> text{};
  const ssize_t got = ::read(file, text.data(), text.size());
  ::close(file);
  const std::string_view status(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  // Whatever ends a process reaches its threads as this one.
  constexpr std::uint64_t kKill = std::uint64_t{1} << (SIGKILL - 1);
  return ((signals_of(status, "SigPnd:\t") | signals_of(status, "ShdPnd:\t")) & kKill) != 0;
}

}  // namespace cenote::fuse
