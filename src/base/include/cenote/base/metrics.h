#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cenote/base/histogram.h"
#include "cenote/base/time.h"

namespace cenote {

/// A number that only grows. One thread adds (no locked instruction), any thread reads.
class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  /// For counters named `..._seconds_total`, which hold nanoseconds. Negative durations count as none.
  void add(Duration duration) { add(duration.count() < 0 ? 0 : static_cast<std::uint64_t>(duration.count())); }
  /// For what is counted elsewhere, and may begin anew there.
  void raise_to(std::uint64_t amount) {
    if (amount > value()) add(amount - value());
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A number that only grows, for what several threads count together; a locked instruction per add.
class SharedCounter {
 public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A number that goes up and down. One thread writes, any thread reads.
class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  /// For gauges named `..._seconds`, which hold nanoseconds.
  void set(Duration duration) { set(duration.count()); }
  void add(std::int64_t change) { set(value() + change); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// Names and values of the labels of one series: `{{"target", "3"}, {"op", "update"}}`. Values come from small sets
/// that the configuration or the code fixes (target, opcode, service class), never from keys, object ids or clients.
using Labels = std::vector<std::pair<std::string, std::string>>;

/// The metrics of one process (or of one simulated node): modules register at their start and keep the reference, an
/// exporter prints all of them.
///
/// Names are `cenote_<module>_<what>_<unit>` in lower case: counters end in `_total`, histograms in `_seconds`, units
/// are `seconds` or `bytes`. Numbers of a `seconds` metric are held in nanoseconds and exported in seconds. A name that
/// breaks these rules, or that is registered as two kinds, is a programmer's error.
///
/// Invariants: a reference stays valid as long as the registry; (name, labels) names one series; a family holds at most
/// kMaxSeries series, what comes later shares the one labelled `overflow="true"` (its counts are then approximate).
///
/// Registration and export are thread-safe and may block; reading and adding never do.
class MetricRegistry {
 public:
  static constexpr std::size_t kMaxSeries = 1000;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;
  ~MetricRegistry();

  /// The same name and labels give the same metric again, so a target that is closed and reopened goes on counting; it
  /// is still only for one thread at a time, SharedCounter excepted.
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  SharedCounter& shared_counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  LatencyHistogram& histogram(std::string_view name, std::string_view help, Labels labels = {});

  /// All metrics in Prometheus' text format 0.0.4, families by name, series by labels.
  std::string prometheus_text() const;

  void check_invariants() const;

 private:
  enum class Kind : std::uint8_t { kCounter, kSharedCounter, kGauge, kHistogram };
  struct Series;
  struct Family;

  Series& series(Kind kind, std::string_view name, std::string_view help, Labels labels);
  static void print(std::string& out, std::string_view name, const Family& family);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;
};

}  // namespace cenote
