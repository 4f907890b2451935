#include "cenote/base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>

#include "cenote/base/format.h"
#include "log_limiter.h"

namespace cenote {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"error", "warn", "info", "debug"};
constexpr std::size_t kWaitingLinesMax = 8192;

bool is_plain(char c) { return c > ' ' && c < 0x7f && c != '=' && c != '"' && c != '\\'; }

// Quoted only when it must be; control bytes and everything outside ASCII become \xNN, so that no stored name can
// forge a line or drive a terminal.
void append_text(std::string& line, std::string_view text) {
  if (!text.empty() && std::ranges::all_of(text, is_plain)) {
    line += text;
    return;
  }
  line += '"';
  for (char c : text) {
    if (is_plain(c) || c == ' ' || c == '=') {
      line += c;
    } else if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  line += '"';
}

struct ValuePrinter {
  std::string& line;

  void operator()(bool value) const { line += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { fmt::format_to(std::back_inserter(line), "{}", value); }
  void operator()(std::uint64_t value) const { fmt::format_to(std::back_inserter(line), "{}", value); }
  void operator()(double value) const { fmt::format_to(std::back_inserter(line), "{:.6g}", value); }
  void operator()(std::string_view value) const { append_text(line, value); }
  void operator()(ByteView value) const { append_text(line, as_text(value)); }
  void operator()(Duration value) const {
    fmt::format_to(std::back_inserter(line), "{:.9g}s", static_cast<double>(value.count()) / 1e9);
  }
  void operator()(Code value) const { line += code_name(value); }
  void operator()(TraceId value) const { fmt::format_to(std::back_inserter(line), "{:016x}", value.value()); }
  void operator()(const Uuid* value) const { line += value->to_string(); }
  void operator()(const Error* value) const { append_text(line, value->to_string()); }
  void operator()(const RequestName* value) const {
    fmt::format_to(std::back_inserter(line), "{}/{}", value->session.to_string(), value->sequence);
  }
};

void append_field(std::string& line, const LogField& field) {
  line += ' ';
  line += field.key();
  line += '=';
  std::visit(ValuePrinter{line}, field.value());
}

std::string line_head(WallTime now, LogLevel level, std::string_view component, std::string_view message) {
  const auto since_epoch = now.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch - seconds);
  std::string line =
      fmt::format("ts={:%Y-%m-%dT%H:%M:%S}.{:06}Z level={} component=", fmt::gmtime(std::time_t{seconds.count()}),
                  micros.count(), log_level_name(level));
  append_text(line, component);
  line += " msg=";
  append_text(line, message);
  return line;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  constexpr std::array kLevels = {spdlog::level::err, spdlog::level::warn, spdlog::level::info, spdlog::level::debug};
  return kLevels[static_cast<std::size_t>(level)];
}

WallTime system_clock_now() {
  return WallTime(std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

class CaptureSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CaptureSink(std::function<void(std::string_view)> capture) : capture_(std::move(capture)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    capture_({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

  std::function<void(std::string_view)> capture_;
};

// Throws spdlog_ex when the file cannot be opened.
std::vector<spdlog::sink_ptr> make_sinks(const LogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks;
  if (options.to_stderr) sinks.push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (!options.file.empty()) {
    sinks.push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.file, options.file_bytes_max,
                                                                           options.files_kept));
  }
  if (options.capture) sinks.push_back(std::make_shared<CaptureSink>(options.capture));
  return sinks;
}

}  // namespace

std::string_view log_level_name(LogLevel level) { return kLevelNames[static_cast<std::size_t>(level)]; }

Result<LogLevel> parse_log_level(std::string_view name) {
  const auto* const found = std::ranges::find(kLevelNames, name);
  if (found == kLevelNames.end()) {
    return failf(Code::kInvalidArgument, "'{}' is no log level (want error, warn, info or debug)",
                 printable(as_bytes(name)));
  }
  return static_cast<LogLevel>(found - kLevelNames.begin());
}

struct LogOutput::Impl {
  std::function<WallTime()> clock;
  std::mutex limiter_mutex;
  LogLimiter limiter;
  std::atomic<std::uint64_t> refused{0};
  std::shared_ptr<spdlog::details::thread_pool> pool;  // null: lines are written by the thread that logs
  std::shared_ptr<spdlog::logger> logger;

  explicit Impl(const LogOptions& options)
      : clock(options.clock ? options.clock : system_clock_now), limiter(options.lines_per_second) {
    auto sinks = make_sinks(options);
    if (options.background) {
      pool = std::make_shared<spdlog::details::thread_pool>(kWaitingLinesMax, 1);
      logger = std::make_shared<spdlog::async_logger>("", sinks.begin(), sinks.end(), pool,
                                                      spdlog::async_overflow_policy::overrun_oldest);
    } else {
      logger = std::make_shared<spdlog::logger>("", sinks.begin(), sinks.end());
    }
    logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc));
    logger->set_level(spdlog::level::trace);
    // A line that explains a crash must not sit in a buffer when the process dies.
    logger->flush_on(spdlog::level::trace);
    logger->set_error_handler([this](const std::string&) { refused.fetch_add(1, std::memory_order_relaxed); });
  }

  void put(LogLevel level, const std::string& line) { logger->log(spdlog_level(level), spdlog::string_view_t(line)); }
};

LogOutput::LogOutput(LogLevel level, std::unique_ptr<Impl> impl) : level_(level), impl_(std::move(impl)) {}

LogOutput::~LogOutput() { flush(); }

Result<std::unique_ptr<LogOutput>> LogOutput::open(LogOptions options) {
  try {
    auto impl = std::make_unique<Impl>(options);
    return std::unique_ptr<LogOutput>(new LogOutput(options.level, std::move(impl)));
  } catch (const spdlog::spdlog_ex& error) {
    return failf(Code::kIoError, "cannot write the log file '{}': {}", options.file, error.what());
  }
}

void LogOutput::write(LogLevel level, std::string_view component, std::string_view context, LogMessage message,
                      std::initializer_list<LogField> fields) {
  const WallTime now = impl_->clock();
  LogLimiter::Verdict verdict;
  {
    const std::scoped_lock lock(impl_->limiter_mutex);
    verdict = impl_->limiter.admit(level, component, message, now);
  }
  if (!verdict.pass) return;
  std::string line = line_head(now, level, component, message.text());
  line += context;
  for (const LogField& field : fields) append_field(line, field);
  if (verdict.suppressed != 0) append_field(line, {"suppressed", verdict.suppressed});
  impl_->put(level, line);
}

void LogOutput::flush() {
  std::vector<LogLimiter::HeldBack> held_back;
  {
    const std::scoped_lock lock(impl_->limiter_mutex);
    impl_->limiter.drain([&](const LogLimiter::HeldBack& held) { held_back.push_back(held); });
  }
  for (const LogLimiter::HeldBack& held : held_back) {
    std::string line = line_head(impl_->clock(), held.level, held.component, held.message);
    append_field(line, {"suppressed", held.suppressed});
    impl_->put(held.level, line);
  }
  impl_->logger->flush();
}

std::uint64_t LogOutput::lost() const {
  const std::uint64_t dropped = impl_->pool == nullptr ? 0 : impl_->pool->overrun_counter();
  return dropped + impl_->refused.load(std::memory_order_relaxed);
}

Logger Logger::with(const LogField& field) const {
  Logger logger(*this);
  append_field(logger.context_, field);
  return logger;
}

Logger Logger::named(std::string_view component) const {
  Logger logger(*this);
  logger.component_ = component;
  return logger;
}

}  // namespace cenote
