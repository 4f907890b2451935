#include "live_terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

using Look = TopLine::Look;

constexpr std::size_t kUsualColumns = 80, kUsualRows = 24;

struct Size {
  std::size_t columns = kUsualColumns, rows = kUsualRows;
};

/// As it is now: windows change.
Size size_now() {
  winsize told{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &told) != 0 || told.ws_col == 0 || told.ws_row == 0) return {};
  return {.columns = told.ws_col, .rows = told.ws_row};
}

bool write_out(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string_view begin_of(Look look) {
  switch (look) {
    case Look::kHeader:
      return "\x1b[1m";
    case Look::kTrouble:
      return "\x1b[31m";
    case Look::kPlain:
      break;
  }
  return "";
}

}  // namespace

std::size_t terminal_width() { return size_now().columns; }

LiveTerminal::LiveTerminal() {
  termios now{};
  if (::isatty(STDIN_FILENO) != 0 && ::tcgetattr(STDIN_FILENO, &now) == 0) {
    input_ = STDIN_FILENO;
    before_ = now;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    // Stopped halfway, it would leave the shell a screen that is not its own.
    now.c_cc[VSUSP] = _POSIX_VDISABLE;
    static_cast<void>(::tcsetattr(STDIN_FILENO, TCSANOW, &now));
  }
  // Another screen, without a cursor.
  static_cast<void>(write_out("\x1b[?1049h\x1b[?25l"));
}

LiveTerminal::~LiveTerminal() {
  static_cast<void>(write_out("\x1b[?25h\x1b[?1049l"));
  // Keys that were meant for this go with it.
  if (before_) static_cast<void>(::tcsetattr(STDIN_FILENO, TCSAFLUSH, &*before_));
}

Result<> LiveTerminal::draw(const std::vector<TopLine>& lines) {
  const Size size = size_now();
  std::string text = "\x1b[H";
  const bool all = lines.size() <= size.rows;
  const std::size_t shown = all ? lines.size() : size.rows - 1;
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string_view line = std::string_view(lines[i].text).substr(0, size.columns);
    text += fmt::format("{}{}{}\x1b[K", i == 0 ? "" : "\n", begin_of(lines[i].look), line);
    if (lines[i].look != Look::kPlain) text += "\x1b[0m";
  }
  if (!all) {
    const std::string more =
        fmt::format("... {} more lines: make the window higher, or ask for --json", lines.size() - shown);
    text += fmt::format("{}{}\x1b[K", shown == 0 ? "" : "\n", std::string_view(more).substr(0, size.columns));
  }
  text += "\x1b[J";
  if (write_out(text)) return {};
  return failf(Code::kIoError, "cannot write to the terminal: {}", std::generic_category().message(errno));
}

bool LiveTerminal::wants_end() {
  std::array<char, 64> keys{};
  const ssize_t got = ::read(input_, keys.data(), keys.size());
  if (got <= 0) {
    // Nobody types there any more.
    input_ = -1;
    return false;
  }
  return std::ranges::any_of(keys.begin(), keys.begin() + got, [](char key) { return key == 'q' || key == 'Q'; });
}

}  // namespace cenote::cli
