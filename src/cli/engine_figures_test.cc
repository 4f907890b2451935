#include "engine_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::DoubleNear;
using ::testing::Optional;

struct Counted {
  int updates = 0, fetches = 0, entries = 0, received = 0, misses = 0;
};

/// As an engine of two reactors prints it.
EngineScrape scrape(const Counted& counted, Instant at) {
  std::string text;
  for (const char* reactor : {"0", "1"}) {
    const auto requests = [&](const char* op, int count) {
      const std::string labels = fmt::format("op=\"{}\",reactor=\"{}\"", op, reactor);
      text += fmt::format("cenote_engine_request_seconds_bucket{{{},le=\"0.001\"}} {}\n", labels, count / 2);
      text += fmt::format("cenote_engine_request_seconds_bucket{{{},le=\"0.002\"}} {}\n", labels, count);
      text += fmt::format("cenote_engine_request_seconds_bucket{{{},le=\"+Inf\"}} {}\n", labels, count);
      text += fmt::format("cenote_engine_request_seconds_count{{{}}} {}\n", labels, count);
      text += fmt::format("cenote_engine_received_bytes_total{{{}}} {}\n", labels, counted.received);
    };
    requests("update", counted.updates);
    requests("fetch", counted.fetches);
    requests("entries", counted.entries);
    text += fmt::format("cenote_target_free_bytes{{target=\"{}\"}} 100\n", reactor);
    text += fmt::format("cenote_target_page_misses_total{{target=\"{}\"}} {}\n", reactor, counted.misses);
    text += fmt::format("cenote_replication_moving_pools{{target=\"{}\"}} 1\n", reactor);
  }
  return *read_scrape(text, at);
}

constexpr Instant kBegin(1h);

TEST(EngineFigures, AreDifferencesOverTheTimeBetween) {
  const EngineScrape before = scrape({.updates = 100, .fetches = 10, .entries = 5, .received = 1000}, kBegin);
  const EngineScrape now =
      scrape({.updates = 300, .fetches = 20, .entries = 25, .received = 3000, .misses = 4}, kBegin + 2s);
  const EngineFigures figures = figures_of(&before, now);
  EXPECT_EQ(figures.elapsed_s, 2);
  EXPECT_EQ(figures.writes_per_s(), 200) << "of both reactors";
  EXPECT_EQ(figures.reads_per_s(), 10);
  EXPECT_EQ(figures.requests_per_s.at("entries"), 20) << "what engines ask each other is neither";
  EXPECT_EQ(figures.received_bytes_per_s, 4000) << "nor are its bytes those of clients";
  EXPECT_EQ(figures.page_misses_per_s, 4);
  EXPECT_EQ(figures.updates.count(), 400);
  EXPECT_THAT(figures.updates.quantile(0.5), Optional(DoubleNear(0.001, 1e-9)));
  EXPECT_EQ(figures.now.free_bytes, 200);
  EXPECT_EQ(figures.now.moving_pools, 1);
}

TEST(EngineFigures, OneScrapeTellsNoRates) {
  const EngineScrape now = scrape({.updates = 300}, kBegin);
  const EngineFigures figures = figures_of(nullptr, now);
  EXPECT_EQ(figures.elapsed_s, std::nullopt);
  EXPECT_EQ(figures.writes_per_s(), 0);
  const Json json = figures_json(figures);
  EXPECT_EQ(json["free_bytes"], 200);
  EXPECT_FALSE(json.contains("writes_per_s"));
  // Two of the same moment neither.
  EXPECT_EQ(figures_of(&now, now).elapsed_s, std::nullopt);
}

TEST(EngineFigures, AnEngineThatWasStartedAgainCountsFromZero) {
  const EngineScrape before = scrape({.updates = 1000, .fetches = 10, .received = 9000}, kBegin);
  // Some counters are beyond where they were already.
  const EngineScrape now = scrape({.updates = 40, .fetches = 20, .received = 9500}, kBegin + 2s);
  const EngineFigures figures = figures_of(&before, now);
  EXPECT_EQ(figures.writes_per_s(), 40);
  EXPECT_EQ(figures.reads_per_s(), 20);
  EXPECT_EQ(figures.received_bytes_per_s, 19000);
  EXPECT_EQ(figures.updates.count(), 80);
}

TEST(EngineFigures, AddUp) {
  const EngineScrape before = scrape({}, kBegin);
  const EngineFigures one = figures_of(&before, scrape({.updates = 100}, kBegin + 2s));
  const EngineFigures other = figures_of(&before, scrape({.updates = 10, .fetches = 30}, kBegin + 1s));
  EngineFigures sum;
  add_figures(sum, one);
  add_figures(sum, other);
  add_figures(sum, figures_of(nullptr, before));
  EXPECT_EQ(sum.writes_per_s(), 100 + 20);
  EXPECT_EQ(sum.reads_per_s(), 60);
  EXPECT_EQ(sum.updates.count(), 220);
  EXPECT_EQ(sum.now.free_bytes, 600);
  EXPECT_EQ(sum.elapsed_s, 2);
  const Json json = figures_json(sum);
  EXPECT_EQ(json["writes_per_s"], 120);
  EXPECT_TRUE(json["update_s"].contains("p99"));
  EXPECT_FALSE(json.contains("device_read_s")) << "nothing was counted";
}

TEST(EngineFigures, WhatIsNoEngineIsRefused) {
  EXPECT_EQ(read_scrape("", kBegin).error(), Code::kProtocolError);
  EXPECT_EQ(read_scrape("<html>it works</html>", kBegin).error(), Code::kProtocolError);
  EXPECT_EQ(read_scrape("go_goroutines 7\n", kBegin).error(), Code::kProtocolError);
}

TEST(EngineFigures, CountsAreWholeAndWithinBounds) {
  EXPECT_EQ(as_count(1.6), 2u);
  EXPECT_EQ(as_count(-5), 0u);
  EXPECT_EQ(as_count(std::numeric_limits<double>::quiet_NaN()), 0u);
  EXPECT_EQ(as_count(1e300), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(as_count(18446744073709549568.0), std::numeric_limits<std::uint64_t>::max());
}

}  // namespace
}  // namespace cenote::cli
