#pragma once

#include <cstdint>
#include <string>

#include "cenote/base/time.h"

namespace cenote::cli {

/// A progress line with rate and time left, redrawn in place on standard error; silent when that is no terminal.
class Progress {
 public:
  /// `total_bytes` 0: unknown.
  Progress(std::string title, std::uint64_t total_bytes, bool enabled);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t done_bytes, std::uint64_t done_items);
  void finish();

 private:
  std::string title_;
  std::uint64_t total_bytes_;
  bool enabled_;
  bool drawn_ = false;
  std::uint64_t started_ns_;
  std::uint64_t drawn_ns_ = 0;
};

/// The line itself, for the test.
std::string progress_line(const std::string& title, std::uint64_t done_bytes, std::uint64_t total_bytes,
                          std::uint64_t done_items, Duration elapsed);

}  // namespace cenote::cli
