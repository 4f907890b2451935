#pragma once

#include <cstdint>
#include <string>

#include "cenote/base/time.h"

namespace cenote::cli {

/// A progress line with rate and time left, redrawn in place on standard error; silent when that is no terminal.
class Progress {
 public:
  /// `total_bytes` 0: unknown. `items`: what is counted beside bytes; empty: nothing.
  Progress(std::string title, std::uint64_t total_bytes, bool enabled, std::string items = "files");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// So much was done before: it does not count for the rate.
  void begin_at(std::uint64_t done_bytes) { before_bytes_ = done_bytes; }
  /// The total became known, or another one.
  void expect(std::uint64_t total_bytes) { total_bytes_ = total_bytes; }
  void update(std::uint64_t done_bytes, std::uint64_t done_items);
  void finish();

 private:
  std::string title_;
  std::string items_;
  std::uint64_t total_bytes_;
  std::uint64_t before_bytes_ = 0;
  bool enabled_;
  bool drawn_ = false;
  std::uint64_t started_ns_;
  std::uint64_t drawn_ns_ = 0;
};

/// The line itself, for the test.
std::string progress_line(const std::string& title, std::uint64_t done_bytes, std::uint64_t total_bytes,
                          std::uint64_t done_items, Duration elapsed, const std::string& items = "files",
                          std::uint64_t before_bytes = 0);

}  // namespace cenote::cli
