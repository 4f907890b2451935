#include "cenote/base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

namespace cenote {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// What a scraper sees: samples by "name{labels}", in the order of the text.
struct Exposition {
  std::map<std::string, std::string> type_of;
  std::map<std::string, double> samples;
  std::vector<std::string> order;
};

// Strict reader of the text format: every line is HELP, TYPE (once per family, before its samples) or a sample.
Exposition parse(const std::string& text) {
  static const std::regex help(R"(# HELP ([a-z_][a-z0-9_]*) [^\n]*)");
  static const std::regex type(R"(# TYPE ([a-z_][a-z0-9_]*) (counter|gauge|histogram))");
  static const std::regex sample(R"(([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\]|\\["\\n])*",?)+\})? (-?[0-9.e+-]+))");
  Exposition seen;
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  std::istringstream lines(text);
  std::smatch match;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, match, help)) {
      family = match[1];
      EXPECT_FALSE(seen.type_of.contains(family)) << line;
    } else if (std::regex_match(line, match, type)) {
      EXPECT_EQ(match[1], family);
      seen.type_of[family] = match[2];
    } else if (std::regex_match(line, match, sample)) {
      EXPECT_TRUE(match[1].str().starts_with(family)) << line;
      const std::string key = match[1].str() + match[2].str();
      EXPECT_TRUE(seen.samples.emplace(key, std::stod(match[3])).second) << "twice: " << line;
      seen.order.push_back(key);
    } else {
      ADD_FAILURE() << "not of the format: " << line;
    }
  }
  return seen;
}

TEST(Metrics, CountersAndGauges) {
  MetricRegistry registry;
  Counter& writes = registry.counter("cenote_store_writes_total", "Batches written.", {{"target", "3"}});
  SharedCounter& scrapes = registry.shared_counter("cenote_http_scrapes_total", "Scrapes.");
  Gauge& dirty = registry.gauge("cenote_store_dirty_bytes", "Bytes of dirty pages.");
  writes.add();
  writes.add(41);
  scrapes.add(2);
  dirty.set(4096);
  dirty.add(-5000);
  const Exposition seen = parse(registry.prometheus_text());
  EXPECT_EQ(seen.samples.at("cenote_store_writes_total{target=\"3\"}"), 42);
  EXPECT_EQ(seen.samples.at("cenote_http_scrapes_total"), 2);
  EXPECT_EQ(seen.samples.at("cenote_store_dirty_bytes"), -904);
  EXPECT_EQ(seen.type_of.at("cenote_store_writes_total"), "counter");
  EXPECT_EQ(seen.type_of.at("cenote_store_dirty_bytes"), "gauge");
  registry.check_invariants();
}

TEST(Metrics, SecondsAreHeldInNanoseconds) {
  MetricRegistry registry;
  registry.counter("cenote_reactor_busy_seconds_total", "Time spent working.").add(1500ms);
  registry.gauge("cenote_store_log_age_seconds", "Age.").set(250us);
  const Exposition seen = parse(registry.prometheus_text());
  EXPECT_DOUBLE_EQ(seen.samples.at("cenote_reactor_busy_seconds_total"), 1.5);
  EXPECT_DOUBLE_EQ(seen.samples.at("cenote_store_log_age_seconds"), 0.00025);
}

TEST(Metrics, LargeCountersKeepEveryDigit) {
  MetricRegistry registry;
  registry.counter("cenote_media_write_bytes_total", "Bytes.").add(18446744073709551557u);
  EXPECT_THAT(registry.prometheus_text(), HasSubstr("cenote_media_write_bytes_total 18446744073709551557\n"));
}

TEST(Metrics, HistogramLinesAreCumulative) {
  MetricRegistry registry;
  LatencyHistogram& latency = registry.histogram("cenote_rpc_request_seconds", "Time.", {{"op", "fetch"}});
  for (int i = 0; i < 10; ++i) latency.record(3us);
  for (int i = 0; i < 5; ++i) latency.record(700us);
  latency.record(200s);
  const Exposition seen = parse(registry.prometheus_text());
  const auto bucket = [&](const std::string& le) {
    return seen.samples.at("cenote_rpc_request_seconds_bucket{op=\"fetch\",le=\"" + le + "\"}");
  };
  EXPECT_EQ(bucket("2e-06"), 0);
  EXPECT_EQ(bucket("5e-06"), 10);
  EXPECT_EQ(bucket("0.0005"), 10);
  EXPECT_EQ(bucket("0.001"), 15);
  EXPECT_EQ(bucket("100"), 15);
  EXPECT_THAT(registry.prometheus_text(), HasSubstr("le=\"+Inf\"} 16\n"));
  EXPECT_EQ(seen.samples.at("cenote_rpc_request_seconds_count{op=\"fetch\"}"), 16);
  EXPECT_NEAR(seen.samples.at("cenote_rpc_request_seconds_sum{op=\"fetch\"}"), 200.00353, 1e-9);
  EXPECT_EQ(seen.type_of.at("cenote_rpc_request_seconds"), "histogram");
  double previous = 0;
  for (const std::string& key : seen.order) {
    if (key.find("_bucket") == std::string::npos) continue;
    EXPECT_GE(seen.samples.at(key), previous) << key;
    previous = seen.samples.at(key);
  }
}

TEST(Metrics, TextIsEscaped) {
  MetricRegistry registry;
  registry.counter("cenote_x_total", "a \\ b\nc \"d\"", {{"name", "q\"b\\n\nz"}}).add();
  const std::string text = registry.prometheus_text();
  EXPECT_THAT(text, HasSubstr("# HELP cenote_x_total a \\\\ b\\nc \"d\"\n"));
  EXPECT_THAT(text, HasSubstr("cenote_x_total{name=\"q\\\"b\\\\n\\nz\"} 1\n"));
  parse(text);
}

TEST(Metrics, SameNameAndLabelsAreOneMetric) {
  MetricRegistry registry;
  Counter& first = registry.counter("cenote_x_total", "X.", {{"a", "1"}, {"b", "2"}});
  Counter& again = registry.counter("cenote_x_total", "X.", {{"b", "2"}, {"a", "1"}});
  Counter& other = registry.counter("cenote_x_total", "X.", {{"a", "1"}, {"b", "3"}});
  EXPECT_EQ(&first, &again);
  EXPECT_NE(&first, &other);
  EXPECT_EQ(parse(registry.prometheus_text()).type_of.size(), 1u);
}

TEST(Metrics, ReferencesStayValid) {
  MetricRegistry registry;
  Counter& first = registry.counter("cenote_m_total", "M.");
  for (int i = 0; i < 500; ++i) registry.counter("cenote_m" + std::to_string(i) + "_total", "M.").add();
  first.add(9);
  EXPECT_EQ(parse(registry.prometheus_text()).samples.at("cenote_m_total"), 9);
}

TEST(Metrics, LabelExplosionIsBounded) {
  MetricRegistry registry;
  for (int i = 0; i < 1500; ++i) registry.counter("cenote_x_total", "X.", {{"key", std::to_string(i)}}).add();
  const Exposition seen = parse(registry.prometheus_text());
  EXPECT_EQ(seen.samples.size(), MetricRegistry::kMaxSeries);
  EXPECT_EQ(seen.samples.at("cenote_x_total{overflow=\"true\"}"), 1500 - (MetricRegistry::kMaxSeries - 1));
  registry.check_invariants();
}

TEST(MetricsDeathTest, BrokenNamesAreRefused) {
  MetricRegistry registry;
  registry.gauge("cenote_x_bytes", "X.");
  EXPECT_DEATH(registry.counter("cenote_writes", "No unit."), "assertion failed");
  EXPECT_DEATH(registry.gauge("cenote_writes_total", "Not a counter."), "assertion failed");
  EXPECT_DEATH(registry.histogram("cenote_latency", "No unit."), "assertion failed");
  EXPECT_DEATH(registry.gauge("Cenote-x", "Characters."), "assertion failed");
  EXPECT_DEATH(registry.gauge("cenote_y_bytes", "Label.", {{"le", "1"}}), "assertion failed");
  EXPECT_DEATH(registry.gauge("cenote_y_bytes", "Twice.", {{"a", "1"}, {"a", "2"}}), "assertion failed");
  EXPECT_DEATH(registry.histogram("cenote_x_seconds", "X.", {{"a b", "1"}}), "assertion failed");
}

// Under TSan this is the proof that an exporter may read what an owner writes.
TEST(Metrics, ExportWhileCounting) {
  MetricRegistry registry;
  Counter& counter = registry.counter("cenote_x_total", "X.");
  LatencyHistogram& latency = registry.histogram("cenote_x_seconds", "X.");
  std::thread owner([&] {
    for (int i = 0; i < 20000; ++i) {
      counter.add();
      latency.record(Duration(i));
    }
  });
  for (int i = 0; i < 5; ++i) {
    const Exposition seen = parse(registry.prometheus_text());
    EXPECT_EQ(seen.samples.at("cenote_x_seconds_count"), seen.samples.at("cenote_x_seconds_bucket{le=\"100\"}"));
  }
  owner.join();
  EXPECT_EQ(counter.value(), 20000u);
  EXPECT_EQ(latency.count(), 20000u);
}

}  // namespace
}  // namespace cenote
