#include "metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "cenote/base/metrics.h"

namespace cenote::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;
using ::testing::Pair;

using Filter = MetricsText::Filter;

TEST(MetricsText, ReadsWhatTheRegistryPrints) {
  MetricRegistry registry;
  registry.counter("cenote_x_bytes_total", "some", {{"op", "update"}, {"reactor", "0"}}).add(7);
  registry.counter("cenote_x_bytes_total", "some", {{"op", "update"}, {"reactor", "1"}}).add(5);
  registry.counter("cenote_x_bytes_total", "some", {{"op", "fetch"}, {"reactor", "1"}}).add(100);
  registry.gauge("cenote_x_objects", "with a \\ and a\nnew line").set(-3);
  registry.histogram("cenote_x_seconds", "some", {{"op", "update"}}).record(std::chrono::microseconds(300));
  const MetricsText metrics = MetricsText::parse(registry.prometheus_text());
  EXPECT_EQ(metrics.malformed_lines(), 0u);
  EXPECT_EQ(metrics.sum("cenote_x_bytes_total"), 112);
  const Filter update[] = {{"op", "update"}};
  EXPECT_EQ(metrics.sum("cenote_x_bytes_total", update), 12);
  const Filter one[] = {{"op", "update"}, {"reactor", "1"}};
  EXPECT_EQ(metrics.sum("cenote_x_bytes_total", one), 5);
  EXPECT_EQ(metrics.sum("cenote_x_objects"), -3);
  EXPECT_EQ(metrics.sum("cenote_y"), std::nullopt);
  const LatencyBuckets buckets = metrics.buckets("cenote_x_seconds", update);
  EXPECT_EQ(buckets.count(), 1);
  EXPECT_THAT(buckets.quantile(1), Optional(0.0005)) << "the bucket of 200 to 500 us";
  const Filter fetch[] = {{"op", "fetch"}};
  EXPECT_EQ(metrics.buckets("cenote_x_seconds", fetch).quantile(0.5), std::nullopt);
}

TEST(MetricsText, TakesEveryFormThatTheFormatAllows) {
  const MetricsText metrics = MetricsText::parse(
      "# HELP a words {not=\"labels\"} 3\n"
      "#\n"
      "\n"
      "a 1\n"
      "  a{}\t2 1700000000000\r\n"
      "a { x = \"\\\"q\\\\ \\n}\" , y=\"\", } +3.5e0\n"
      "a:b_1 -0.0\n"
      "last 4");
  EXPECT_EQ(metrics.malformed_lines(), 0u);
  EXPECT_EQ(metrics.sum("a"), 6.5);
  EXPECT_EQ(metrics.sum("a:b_1"), 0);
  EXPECT_EQ(metrics.sum("last"), 4) << "without an end of line";
  EXPECT_THAT(metrics.samples()[2].labels, ElementsAre(Pair("x", "\"q\\ \n}"), Pair("y", "")));
  EXPECT_EQ(metrics.samples()[2].label("z"), nullptr);
}

TEST(MetricsText, WhatIsNoNumberCountsForNothing) {
  const MetricsText metrics = MetricsText::parse("a NaN\na +Inf\na -Inf\nb nan\na 5\nc 1.7976931348623157e308\n");
  EXPECT_EQ(metrics.malformed_lines(), 0u);
  EXPECT_TRUE(std::isnan(metrics.samples()[0].value));
  EXPECT_EQ(metrics.samples()[1].value, std::numeric_limits<double>::infinity());
  EXPECT_EQ(metrics.sum("a"), 5);
  EXPECT_EQ(metrics.max("a"), 5);
  EXPECT_EQ(metrics.sum("b"), std::nullopt);
  EXPECT_EQ(metrics.max("b"), std::nullopt);
  EXPECT_EQ(metrics.sum("c"), std::numeric_limits<double>::max());
}

TEST(MetricsText, CountsLinesThatAreNone) {
  for (const char* line : {"a",
                           "a ",
                           "a x",
                           "a 1 x",
                           "a 1 2 3",
                           "1a 1",
                           "{x=\"y\"} 1",
                           "a{x} 1",
                           "a{x=y} 1",
                           "a{x=\"y} 1",
                           "a{x=\"y\\",
                           "a{x=\"y\" 1",
                           "a{x=\"y\"z=\"\"} 1",
                           "a{,} 1",
                           "a 1e999",
                           "a 0x",
                           "a 1,5",
                           "a++1",
                           "<html>",
                           "\x80\xff 1"}) {
    const MetricsText metrics = MetricsText::parse(line);
    EXPECT_EQ(metrics.malformed_lines(), 1u) << line;
    EXPECT_TRUE(metrics.samples().empty()) << line;
  }
  // The good ones beside them are read.
  const MetricsText metrics = MetricsText::parse("a 1\nnonsense\nb 2\n");
  EXPECT_EQ(metrics.malformed_lines(), 1u);
  EXPECT_EQ(metrics.samples().size(), 2u);
}

TEST(MetricsText, HasABoundForLabels) {
  const auto with = [](std::size_t count) {
    std::string line = "a{";
    for (std::size_t i = 0; i < count; ++i) line += "x=\"\",";
    return MetricsText::parse(line + "} 1").samples().size();
  };
  EXPECT_EQ(with(MetricsText::kMaxLabels), 1u);
  EXPECT_EQ(with(MetricsText::kMaxLabels + 1), 0u);
}

TEST(MetricsText, TakesBucketsWithOddBoundsAndCounts) {
  const MetricsText metrics = MetricsText::parse(
      "h_bucket{le=\"0.001\"} 10\nh_bucket{le=\"x\"} 99\nh_bucket{le=\"NaN\"} 99\nh_bucket{le=\"-1\"} 99\n"
      "h_bucket{le=\"0.002\"} NaN\nh_bucket{le=\"0.004\"} -4\nh_bucket 99\nh_bucket{le=\"+Inf\"} 10\n");
  const LatencyBuckets buckets = metrics.buckets("h", {});
  EXPECT_EQ(buckets.count(), 10);
  EXPECT_THAT(buckets.quantile(0.5), Optional(0.0005));
}

TEST(MetricsText, ReadsAnythingAtAll) {
  const std::string whole = "cenote_engine_request_seconds_bucket{op=\"up\\\"date\",le=\"+Inf\"} 1.5e+07 123\n# x\n";
  for (std::size_t length = 0; length < whole.size(); ++length)
    static_cast<void>(MetricsText::parse(std::string_view(whole).substr(0, length)));
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string text = whole;
    for (int change = 0; change < 4; ++change) text[random() % text.size()] = static_cast<char>(random());
    const MetricsText metrics = MetricsText::parse(text);
    static_cast<void>(metrics.buckets("cenote_engine_request_seconds", {}).quantile(0.99));
  }
}

}  // namespace
}  // namespace cenote::cli
