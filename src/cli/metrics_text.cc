#include "metrics_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cenote::cli {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// nullopt: no number, or one that no double holds. "+Inf" and "NaN" are numbers here.
std::optional<double> number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const char* const begin = text.empty() ? nullptr : &text.front();
  const char* const end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

/// Goes through one line.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  std::optional<MetricSample> sample() {
    MetricSample sample;
    sample.name = word();
    if (sample.name.empty()) return std::nullopt;
    skip_blanks();
    if (take('{') && !labels(sample.labels)) return std::nullopt;
    skip_blanks();
    const auto value = number_of(until_blank());
    if (!value) return std::nullopt;
    sample.value = *value;
    // A time may follow, in milliseconds.
    skip_blanks();
    const std::string_view time = until_blank();
    if (!time.empty() && !number_of(time)) return std::nullopt;
    skip_blanks();
    return rest_.empty() ? std::optional(std::move(sample)) : std::nullopt;
  }

  void skip_blanks() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
  }
  /// Nothing that is of use here.
  bool is_remark() const { return rest_.empty() || rest_.front() == '#'; }

 private:
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string word() {
    std::size_t length = 0;
    while (length < rest_.size() && (is_letter(rest_[length]) || (length > 0 && is_digit(rest_[length])))) ++length;
    std::string name(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return name;
  }

  std::string_view until_blank() {
    const auto* const end = std::ranges::find_if(rest_, is_blank);
    const std::string_view text = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(text.size());
    return text;
  }

  /// From behind the brace on. False: malformed.
  bool labels(std::vector<std::pair<std::string, std::string>>& into) {
    for (;;) {
      skip_blanks();
      if (take('}')) return true;
      if (into.size() == MetricsText::kMaxLabels) return false;
      std::string key = word();
      skip_blanks();
      if (key.empty() || !take('=')) return false;
      skip_blanks();
      std::string value;
      if (!take('"') || !quoted(value)) return false;
      into.emplace_back(std::move(key), std::move(value));
      skip_blanks();
      if (!take(',') && !rest_.starts_with('}')) return false;
    }
  }

  bool quoted(std::string& into) {
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c == '\\') {
        if (rest_.empty()) return false;
        c = rest_.front() == 'n' ? '\n' : rest_.front();
        rest_.remove_prefix(1);
      }
      into += c;
    }
    return false;
  }

  std::string_view rest_;
};

bool matches(const MetricSample& sample, std::string_view name, std::span<const MetricsText::Filter> filters) {
  if (sample.name != name) return false;
  return std::ranges::all_of(filters, [&](const MetricsText::Filter& filter) {
    const std::string* const value = sample.label(filter.first);
    return value != nullptr && *value == filter.second;
  });
}

}  // namespace

const std::string* MetricSample::label(std::string_view key) const {
  const auto found = std::ranges::find(labels, key, [](const auto& each) { return std::string_view(each.first); });
  return found == labels.end() ? nullptr : &found->second;
}

MetricsText MetricsText::parse(std::string_view text) {
  MetricsText metrics;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Line line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    line.skip_blanks();
    if (line.is_remark()) continue;
    if (auto sample = line.sample()) {
      metrics.samples_.push_back(*std::move(sample));
    } else {
      ++metrics.malformed_;
    }
  }
  return metrics;
}

std::optional<double> MetricsText::sum(std::string_view name, std::span<const Filter> filters) const {
  std::optional<double> sum;
  for (const MetricSample& sample : samples_)
    if (matches(sample, name, filters) && std::isfinite(sample.value)) sum = sum.value_or(0) + sample.value;
  return sum;
}

std::optional<double> MetricsText::max(std::string_view name) const {
  std::optional<double> max;
  for (const MetricSample& sample : samples_)
    if (matches(sample, name, {}) && std::isfinite(sample.value))
      max = std::max(max.value_or(sample.value), sample.value);
  return max;
}

LatencyBuckets MetricsText::buckets(std::string_view histogram, std::span<const Filter> filters) const {
  const std::string name = std::string(histogram) + "_bucket";
  LatencyBuckets buckets;
  for (const MetricSample& sample : samples_) {
    if (!matches(sample, name, filters)) continue;
    const std::string* const bound = sample.label("le");
    const auto seconds = bound == nullptr ? std::nullopt : number_of(*bound);
    if (seconds) buckets.add(*seconds, sample.value);
  }
  return buckets;
}

}  // namespace cenote::cli
