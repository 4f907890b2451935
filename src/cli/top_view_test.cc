#include "top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace cenote::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

EngineFigures busy() {
  EngineFigures figures{.elapsed_s = 2};
  figures.requests_per_s = {{"update", 12345.6}, {"fetch", 7}, {"list", 0.5}, {"entries", 999}};
  figures.received_bytes_per_s = 50.57e6;
  figures.updates.add(0.001, 90);
  figures.updates.add(0.002, 100);
  figures.updates.add(kInfinity, 100);
  figures.now.free_bytes = 3.5 * 1024 * 1024 * 1024;
  figures.now.total_bytes = 4.0 * 1024 * 1024 * 1024;
  figures.now.connections = 12;
  return figures;
}

TopEngine engine(std::uint32_t rank, Reached reached) {
  TopEngine made{.info = {.rank = rank, .id = {}, .state = kEngineUp, .leader = rank == 1}, .reached = reached};
  if (reached == Reached::kYes) made.figures = busy();
  if (reached == Reached::kNoAnswer) made.reason = "cannot connect to 127.0.0.1:7778: Connection refused";
  if (reached == Reached::kNotAsked) made.info.state = kEngineGone;
  return made;
}

TopView view() {
  TopView view{.at_s = 1'769'860'800, .interval = 2s, .system = "home", .id = {}, .trouble = {}};
  view.engines = {engine(0, Reached::kYes), engine(1, Reached::kYes), engine(2, Reached::kNoAnswer),
                  engine(3, Reached::kNoPort), engine(4, Reached::kNotAsked)};
  return view;
}

std::vector<std::string> texts(const TopView& view, std::size_t width) {
  std::vector<std::string> texts;
  for (const TopLine& line : top_lines(view, width)) texts.push_back(line.text);
  return texts;
}

TEST(TopView, NumbersAreShort) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(0.5), "0.5");
  EXPECT_EQ(short_count(9.96), "10");
  EXPECT_EQ(short_count(9999), "9999");
  EXPECT_EQ(short_count(12345), "12.3k");
  EXPECT_EQ(short_count(1.5e6), "1.50M");
  EXPECT_EQ(short_bytes(0), "0");
  EXPECT_EQ(short_bytes(999), "999");
  EXPECT_EQ(short_bytes(1023), "1.00K");
  EXPECT_EQ(short_bytes(96.2 * 1024 * 1024), "96.2M");
  EXPECT_EQ(short_bytes(1000.0 * 1024 * 1024), "0.98G");
  EXPECT_EQ(short_time(0), "0.0us");
  EXPECT_EQ(short_time(350e-6), "350us");
  EXPECT_EQ(short_time(999.7e-6), "1.0ms");
  EXPECT_EQ(short_time(0.0123), "12ms");
  EXPECT_EQ(short_time(1.25), "1.2s");
  for (const auto& text : {short_count, short_bytes, short_time}) {
    EXPECT_EQ(text(-1), "-");
    EXPECT_EQ(text(std::numeric_limits<double>::quiet_NaN()), "-");
    EXPECT_EQ(text(kInfinity), "-");
    for (int power = -30; power < 18; ++power) EXPECT_LE(text(std::pow(1.7, power)).size(), 6u) << power;
  }
  for (int power = 0; power < 87; ++power) {
    EXPECT_LE(short_count(std::pow(1.7, power)).size(), 6u) << power;
    EXPECT_LE(short_bytes(std::pow(1.7, power)).size(), 6u) << power;
  }
}

TEST(TopView, FitsIntoEightyColumns) {
  const auto lines = texts(view(), 80);
  EXPECT_THAT(lines, Each(SizeIs(testing::Le(80u))));
  EXPECT_THAT(lines[0], HasSubstr("home: 4 of 5 engines up, engine 1 leads"));
  EXPECT_THAT(lines[0], HasSubstr("every 2 s"));
  EXPECT_EQ(lines[2], "                              READS                       WRITES");
  EXPECT_EQ(lines[3], "ENGINE  STATE          /s    B/s    p50    p99      /s    B/s    p50    p99");
  EXPECT_EQ(lines[4], "0       up            7.5      0      -      -   12.3k  48.2M  556us  1.9ms");
  EXPECT_EQ(lines[6], "2       no answer       -      -      -      -       -      -      -      -");
  EXPECT_EQ(lines[7], "3       no port         -      -      -      -       -      -      -      -");
  EXPECT_EQ(lines[8], "4       gone            -      -      -      -       -      -      -      -");
  EXPECT_EQ(lines[9], "all                    15      0      -      -   24.7k  96.5M  556us  1.9ms");
}

TEST(TopView, IsOneTableWhereThereIsRoom) {
  EXPECT_LT(texts(view(), 150).size(), texts(view(), 80).size());
  EXPECT_THAT(texts(view(), 150), Each(SizeIs(testing::Le(150u))));
  EXPECT_THAT(texts(view(), 150)[3], HasSubstr("p99    FREE"));
}

TEST(TopView, SaysWhatIsWrong) {
  TopView with = view();
  with.engines[0].figures->now.fenced_targets = 1;
  with.engines[1].figures->now.device_silence_s = 12;
  with.trouble = "no\x1b[2Jlease";
  with.degraded = {{.id = {}, .label = "p", .state = "degraded: engine 4 is gone"}};
  const std::string all = testing::PrintToString(texts(with, 200));
  EXPECT_THAT(all, HasSubstr("engine 2: cannot connect"));
  EXPECT_THAT(all, HasSubstr("engine 3 has no control port"));
  EXPECT_THAT(all, HasSubstr("engine 0: 1 of its targets can only be read"));
  EXPECT_THAT(all, HasSubstr("engine 1: a disk has not answered for 12 s"));
  EXPECT_THAT(all, HasSubstr("no?[2Jlease"));
  EXPECT_THAT(all, HasSubstr("pool 'p': degraded: engine 4 is gone"));
  EXPECT_THAT(all, Not(HasSubstr("is stopped")));
  with.stopped_since_s = 1'790'000'000;
  EXPECT_THAT(testing::PrintToString(texts(with, 200)), HasSubstr("the system is stopped since 2026"));
  EXPECT_THAT(texts(with, 80), Each(SizeIs(testing::Le(80u))));
  // A word that is longer than any line, and a terminal as narrow as none.
  with.trouble = std::string(500, 'x');
  EXPECT_THAT(texts(with, 80), Each(SizeIs(testing::Le(80u))));
  static_cast<void>(texts(with, 3));
}

TEST(TopView, ShowsHowDataMoves) {
  TopView with = view();
  PoolMoves moves{.label = "p", .moving = true, .state = "moving: engine 2 is drained"};
  moves.moved_bytes = 25u << 20;
  moves.total_bytes = 100u << 20;
  for (const std::uint32_t rank : {0u, 1u, 2u}) moves.targets.push_back({.rank = rank, .obstacle = "it is full"});
  with.moving = {{.moves = moves, .rate = {}}};
  // Not said twice.
  with.degraded = {{.id = {}, .label = "p", .state = "degraded"}};
  const std::string all = testing::PrintToString(texts(with, 200));
  EXPECT_THAT(all, HasSubstr("pool 'p': moving: engine 2 is drained: 25 %, 25.00 MiB of about 100.00 MiB"));
  EXPECT_THAT(all, Not(HasSubstr("'p': degraded")));
  EXPECT_THAT(all, HasSubstr("waiting: engine 1: it is full"));
  EXPECT_THAT(all, HasSubstr("and 1 more: 'cenote pool rebuild status p'"));
  with.moving[0].moves.targets[0].obstacle = std::string(100, 'x');
  EXPECT_THAT(texts(with, 80), testing::Contains(testing::EndsWith("xxx...")));
  EXPECT_THAT(texts(with, 80), Each(SizeIs(testing::Le(80u))));
  EXPECT_THAT(testing::PrintToString(texts(view(), 80)), HasSubstr("none is degraded"));
  const Json json = top_json(with);
  EXPECT_EQ(json["moving_pools"][0]["percent"], 25);
  EXPECT_EQ(json["degraded_pools"][0]["label"], "p");
}

TEST(TopView, IsADocument) {
  const Json json = top_json(view());
  EXPECT_EQ(json["name"], "home");
  EXPECT_EQ(json["at_s"], 1'769'860'800);
  EXPECT_EQ(json["interval_s"], 2);
  ASSERT_EQ(json["engines"].size(), 5u);
  EXPECT_EQ(json["engines"][0]["engine"], 0);
  EXPECT_EQ(json["engines"][0]["answers"], "yes");
  EXPECT_EQ(json["engines"][0]["writes_per_s"], 12345.6);
  EXPECT_EQ(json["engines"][0]["requests_per_s"]["entries"], 999);
  EXPECT_EQ(json["engines"][1]["leader"], true);
  EXPECT_EQ(json["engines"][2]["answers"], "no answer");
  EXPECT_FALSE(json["engines"][2].contains("writes_per_s"));
  EXPECT_EQ(json["engines"][3]["answers"], "no control port");
  EXPECT_EQ(json["engines"][4]["state"], "gone");
  EXPECT_EQ(json["engines"][4]["answers"], "not asked");
  EXPECT_EQ(json["total"]["writes_per_s"], 2 * 12345.6);
  EXPECT_FALSE(json.contains("trouble"));
}

TEST(TopView, AnEngineAloneHasNoSum) {
  TopView alone = view();
  alone.engines.resize(1);
  EXPECT_THAT(testing::PrintToString(texts(alone, 80)), Not(HasSubstr("all  ")));
  EXPECT_THAT(texts(alone, 80)[0], HasSubstr("home: 1 of 1 engine up"));
}

}  // namespace
}  // namespace cenote::cli
