#include "cenote/base/metrics.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <variant>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;

// 1-2-5 steps over all that a storage system waits for; changing one breaks the users' queries.
constexpr std::array<Duration, 25> kBounds = {1us, 2us, 5us, 10us, 20us, 50us, 100us, 200us, 500us,
                                              1ms, 2ms, 5ms, 10ms, 20ms, 50ms, 100ms, 200ms, 500ms,
                                              1s,  2s,  5s,  10s,  20s,  50s,  100s};

bool is_lower_name(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' && std::ranges::all_of(name, allowed);
}

bool in_seconds(std::string_view name) { return name.ends_with("_seconds") || name.ends_with("_seconds_total"); }

double to_seconds(double nanoseconds) { return nanoseconds / 1e9; }

// HELP texts escape backslash and newline, label values the quote too.
std::string escaped(std::string_view text, bool quote) {
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (c == '"' && quote)) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

// `target="3",op="update"`: the form of the exposition, and what tells series of one family apart.
std::string label_text(Labels labels) {
  std::ranges::sort(labels);
  ASSERT(std::ranges::adjacent_find(labels, {}, &Labels::value_type::first) == labels.end());
  std::string text;
  for (const auto& [name, value] : labels) {
    ASSERT(is_lower_name(name) && name != "le");
    if (!text.empty()) text += ',';
    fmt::format_to(std::back_inserter(text), "{}=\"{}\"", name, escaped(value, true));
  }
  return text;
}

std::string braced(std::string_view labels) { return labels.empty() ? std::string() : fmt::format("{{{}}}", labels); }

template <typename Number>
void print_number(std::string& out, std::string_view name, std::string_view labels, Number value) {
  if (in_seconds(name)) {
    fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braced(labels), to_seconds(static_cast<double>(value)));
  } else {
    fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braced(labels), value);
  }
}

void print_histogram(std::string& out, std::string_view name, std::string_view labels, const LatencyHistogram& live) {
  // One snapshot, so that the lines agree with each other.
  const LatencyHistogram histogram(live);  // NOLINT(performance-unnecessary-copy-initialization): `live` is recorded to
  const std::string_view comma = labels.empty() ? "" : ",";
  const auto bucket = [&](std::string_view bound, std::uint64_t count) {
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma, bound, count);
  };
  for (Duration bound : kBounds) {
    const double seconds = to_seconds(static_cast<double>(bound.count()));
    bucket(fmt::format("{}", seconds), histogram.count_at_most(bound));
  }
  const std::uint64_t count = histogram.count();
  bucket("+Inf", count);
  const double sum = to_seconds(static_cast<double>(histogram.sum().count()));
  fmt::format_to(std::back_inserter(out), "{}_sum{} {}\n", name, braced(labels), sum);
  fmt::format_to(std::back_inserter(out), "{}_count{} {}\n", name, braced(labels), count);
}

}  // namespace

struct MetricRegistry::Series {
  std::variant<Counter, SharedCounter, Gauge, LatencyHistogram> metric;
};

struct MetricRegistry::Family {
  Kind kind;
  std::string help;
  std::map<std::string, std::unique_ptr<Series>, std::less<>> by_labels;
};

MetricRegistry::MetricRegistry() = default;
MetricRegistry::~MetricRegistry() = default;

MetricRegistry::Series& MetricRegistry::series(Kind kind, std::string_view name, std::string_view help, Labels labels) {
  const bool counts = kind == Kind::kCounter || kind == Kind::kSharedCounter;
  ASSERT(is_lower_name(name) && name.ends_with("_total") == counts);
  ASSERT(kind != Kind::kHistogram || name.ends_with("_seconds"));

  const std::scoped_lock lock(mutex_);
  auto [family, added] = families_.try_emplace(std::string(name));
  if (added) family->second = std::make_unique<Family>(Family{kind, std::string(help), {}});
  ASSERT(family->second->kind == kind);

  auto& by_labels = family->second->by_labels;
  std::string key = label_text(std::move(labels));
  if (!by_labels.contains(key) && by_labels.size() + 1 >= kMaxSeries) key = label_text({{"overflow", "true"}});
  auto& slot = by_labels[key];
  if (slot != nullptr) return *slot;
  slot = std::make_unique<Series>();
  switch (kind) {
    case Kind::kCounter:
      slot->metric.emplace<Counter>();
      break;
    case Kind::kSharedCounter:
      slot->metric.emplace<SharedCounter>();
      break;
    case Kind::kGauge:
      slot->metric.emplace<Gauge>();
      break;
    case Kind::kHistogram:
      slot->metric.emplace<LatencyHistogram>();
      break;
  }
  return *slot;
}

Counter& MetricRegistry::counter(std::string_view name, std::string_view help, Labels labels) {
  return std::get<Counter>(series(Kind::kCounter, name, help, std::move(labels)).metric);
}

SharedCounter& MetricRegistry::shared_counter(std::string_view name, std::string_view help, Labels labels) {
  return std::get<SharedCounter>(series(Kind::kSharedCounter, name, help, std::move(labels)).metric);
}

Gauge& MetricRegistry::gauge(std::string_view name, std::string_view help, Labels labels) {
  return std::get<Gauge>(series(Kind::kGauge, name, help, std::move(labels)).metric);
}

LatencyHistogram& MetricRegistry::histogram(std::string_view name, std::string_view help, Labels labels) {
  return std::get<LatencyHistogram>(series(Kind::kHistogram, name, help, std::move(labels)).metric);
}

void MetricRegistry::print(std::string& out, std::string_view name, const Family& family) {
  constexpr std::array<std::string_view, 4> kTypes = {"counter", "counter", "gauge", "histogram"};
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, escaped(family.help, false), name,
                 kTypes[static_cast<std::size_t>(family.kind)]);
  for (const auto& [labels, series] : family.by_labels) {
    std::visit(
        [&](const auto& metric) {
          if constexpr (std::is_same_v<std::decay_t<decltype(metric)>, LatencyHistogram>) {
            print_histogram(out, name, labels, metric);
          } else {
            print_number(out, name, labels, metric.value());
          }
        },
        series->metric);
  }
}

std::string MetricRegistry::prometheus_text() const {
  const std::scoped_lock lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) print(out, name, *family);
  return out;
}

void MetricRegistry::check_invariants() const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [name, family] : families_) {
    ASSERT(family != nullptr && !family->by_labels.empty());
    ASSERT(family->by_labels.size() <= kMaxSeries);
    for (const auto& [labels, series] : family->by_labels) {
      ASSERT(series != nullptr && series->metric.index() == static_cast<std::size_t>(family->kind));
    }
  }
}

}  // namespace cenote
