#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/base/time.h"
#include "cenote/base/uuid.h"

namespace cenote {

/// Most urgent first. error: somebody must act. warn: it works, but not as it should. info: what an operator wants to
/// read afterwards. debug: for developers, the only level that may log per request or per I/O.
enum class LogLevel : std::uint8_t { kError, kWarn, kInfo, kDebug };

std::string_view log_level_name(LogLevel level);
/// kInvalidArgument for anything but "error", "warn", "info" or "debug".
Result<LogLevel> parse_log_level(std::string_view name);

/// One request of a client, in the one form that all logs and traces show: "<session>/<sequence>".
struct RequestName {
  const Uuid& session;
  std::uint64_t sequence = 0;
};
/// The id that ties the lines of one operation together across machines: 16 hexadecimal digits.
using TraceId = Strong<struct TraceIdTag>;

/// `key=value` of a log line. Views what it is given and formats nothing before the line is known to be wanted, so it
/// costs a few stores; valid until the end of the full expression that made it. Keys are snake_case with the unit last.
class LogField {
 public:
  using Value = std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view, ByteView, Duration, Code,
                             TraceId, const Uuid*, const Error*, const RequestName*>;

  template <std::integral T>
  LogField(std::string_view key, T value) : key_(key), value_(widened(value)) {}
  LogField(std::string_view key, double value) : key_(key), value_(value) {}
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, const std::string& value) : key_(key), value_(std::string_view(value)) {}
  /// Bytes of a key or a header; printed as `printable` does.
  LogField(std::string_view key, ByteView value) : key_(key), value_(value) {}
  /// Printed in seconds.
  template <typename Rep, typename Period>
  LogField(std::string_view key, std::chrono::duration<Rep, Period> value)
      : key_(key), value_(std::chrono::duration_cast<Duration>(value)) {}
  LogField(std::string_view key, Code value) : key_(key), value_(value) {}
  LogField(std::string_view key, TraceId value) : key_(key), value_(value) {}
  LogField(std::string_view key, const Uuid& value) : key_(key), value_(&value) {}
  LogField(std::string_view key, const Error& value) : key_(key), value_(&value) {}
  LogField(std::string_view key, const RequestName& value) : key_(key), value_(&value) {}
  template <typename Tag, typename Rep>
  LogField(std::string_view key, Strong<Tag, Rep> value) : LogField(key, value.value()) {}

  std::string_view key() const { return key_; }
  const Value& value() const { return value_; }

 private:
  template <std::integral T>
  static Value widened(T value) {
    if constexpr (std::same_as<T, bool>)
      return value;
    else if constexpr (std::signed_integral<T>)
      return static_cast<std::int64_t>(value);
    else
      return static_cast<std::uint64_t>(value);
  }

  std::string_view key_;
  Value value_;
};

/// The fixed words of a line: a string literal, since the rate limit counts per text and the number of texts must be
/// bounded by the program. What varies goes into fields.
class LogMessage {
 public:
  template <std::size_t N>
  consteval LogMessage(const char (&text)[N]) : text_(text, N - 1) {}
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool to_stderr = true;
  /// Appended to, and rotated (engine.log, engine.1.log, ...) when it reaches `file_bytes_max`. Empty: no file.
  std::string file = {};
  std::uint64_t file_bytes_max = std::uint64_t{64} << 20;
  std::uint32_t files_kept = 5;
  /// Per component and message; what is over it is counted and reported as `suppressed=K`. 0: no limit.
  std::uint32_t lines_per_second = 20;
  /// Lines are written by a thread of their own, so that a slow terminal or disk never holds up a reactor; when 8192
  /// lines wait, the oldest are dropped and counted.
  bool background = false;
  /// Time of the lines and of the rate limit. Empty: the system's clock; a simulation passes its own.
  std::function<WallTime()> clock = {};
  /// Receives every line, without its end: for tests and for the simulator. Called under a lock.
  std::function<void(std::string_view)> capture = {};
};

/// Where lines go: standard error, a file, a capture; one per process or per simulated node. Thread-safe. It must
/// outlive its Loggers. Lines look like
///   ts=2026-01-31T12:00:00.000123Z level=warn component=store msg="log is filling" target=3 used=0.93
class LogOutput {
 public:
  /// kIoError when the file cannot be opened.
  static Result<std::unique_ptr<LogOutput>> open(LogOptions options);
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;
  /// Flushes, and waits for the background thread.
  ~LogOutput();

  bool enabled(LogLevel level) const { return level <= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  /// Reports what the rate limit holds back, and hands every line so far to the operating system; in the background, if
  /// that is where lines are written. For a timer of the owner: a message that stopped shows its last count by this
  /// only.
  void flush();
  /// Lines lost since opening: dropped because too many waited, or refused by the file.
  std::uint64_t lost() const;

 private:
  friend class Logger;
  struct Impl;

  LogOutput(LogLevel level, std::unique_ptr<Impl> impl);
  void write(LogLevel level, std::string_view component, std::string_view context, LogMessage message,
             std::initializer_list<LogField> fields);

  std::atomic<LogLevel> level_;
  std::unique_ptr<Impl> impl_;
};

/// What a component logs with; passed to its constructor and copied freely. The default one discards everything.
///   log_.warn("log is filling", {{"used", 0.93}, {"took", elapsed}});
/// Thread-safe, as far as the copies are.
class Logger {
 public:
  Logger() = default;
  Logger(LogOutput& output, std::string_view component) : output_(&output), component_(component) {}

  /// The same component, with a field put before the fields of every line ("target").
  Logger with(const LogField& field) const;
  /// The same fields under another component's name.
  Logger named(std::string_view component) const;

  bool enabled(LogLevel level) const { return output_ != nullptr && output_->enabled(level); }
  using Fields = std::initializer_list<LogField>;
  void error(LogMessage message, Fields fields = {}) const { write(LogLevel::kError, message, fields); }
  void warn(LogMessage message, Fields fields = {}) const { write(LogLevel::kWarn, message, fields); }
  void info(LogMessage message, Fields fields = {}) const { write(LogLevel::kInfo, message, fields); }
  void debug(LogMessage message, Fields fields = {}) const { write(LogLevel::kDebug, message, fields); }

 private:
  void write(LogLevel level, LogMessage message, Fields fields) const {
    if (enabled(level)) [[unlikely]]
      output_->write(level, component_, context_, message, fields);
  }

  LogOutput* output_ = nullptr;
  std::string component_;
  std::string context_;  // " key=value" of every field given to `with`
};

}  // namespace cenote
