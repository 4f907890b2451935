#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "settings.h"

namespace cenote::cli {
namespace {

constexpr std::uint64_t kRedrawNs = 100'000'000;

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Progress::Progress(std::string title, std::uint64_t total_bytes, bool enabled, std::string items)
    : title_(std::move(title)),
      items_(std::move(items)),
      total_bytes_(total_bytes),
      enabled_(enabled && isatty(STDERR_FILENO) != 0),
      started_ns_(monotonic_ns()) {}

Progress::~Progress() { finish(); }

std::string progress_line(const std::string& title, std::uint64_t done_bytes, std::uint64_t total_bytes,
                          std::uint64_t done_items, Duration elapsed, const std::string& items,
                          std::uint64_t before_bytes) {
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-9);
  const double rate = static_cast<double>(done_bytes - std::min(before_bytes, done_bytes)) / seconds;
  const std::string counted = items.empty() ? "" : fmt::format("{} {}, ", done_items, items);
  std::string line = fmt::format("{}: {}{}", title, counted, human_bytes(done_bytes));
  if (total_bytes > 0) {
    const double share = std::min(1.0, static_cast<double>(done_bytes) / static_cast<double>(total_bytes));
    line += fmt::format(" of {} ({:.0f} %)", human_bytes(total_bytes), share * 100);
  }
  line += fmt::format(", {}/s", human_bytes(static_cast<std::uint64_t>(rate)));
  if (total_bytes > done_bytes && rate > 0) {
    line += fmt::format(", {:.0f} s left", static_cast<double>(total_bytes - done_bytes) / rate);
  }
  return line;
}

void Progress::update(std::uint64_t done_bytes, std::uint64_t done_items) {
  if (!enabled_) return;
  const std::uint64_t now = monotonic_ns();
  if (now - drawn_ns_ < kRedrawNs) return;
  drawn_ns_ = now;
  drawn_ = true;
  const Duration elapsed(static_cast<std::int64_t>(now - started_ns_));
  fmt::print(stderr, "\r\x1b[K{}",
             progress_line(title_, done_bytes, total_bytes_, done_items, elapsed, items_, before_bytes_));
  std::fflush(stderr);
}

void Progress::finish() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace cenote::cli
