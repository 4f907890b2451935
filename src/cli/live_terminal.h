#pragma once

#include <termios.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "cenote/base/error.h"
#include "top_view.h"

namespace cenote::cli {

/// Columns of the terminal that is standard output; what most have when it cannot be told.
std::size_t terminal_width();

/// The terminal while a view is drawn on it in place: keys arrive at once and are not shown. The screen of before, and
/// what keys do, are back when this ends.
class LiveTerminal {
 public:
  LiveTerminal();
  LiveTerminal(const LiveTerminal&) = delete;
  LiveTerminal& operator=(const LiveTerminal&) = delete;
  ~LiveTerminal();

  /// As many lines as there is room for; what is cut off is said. kIoError: nobody sees it.
  Result<> draw(const std::vector<TopLine>& lines);
  /// Where keys come from; -1: from nowhere.
  int input() const { return input_; }
  /// Takes the keys that were pressed: whether one of them means the end.
  bool wants_end();

 private:
  int input_ = -1;
  std::optional<termios> before_;
};

}  // namespace cenote::cli
