#include <gtest/gtest.h>

#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/pool_changes.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/protocol/system_stop.h"

namespace cenote {
namespace {

const Uuid kId = Uuid::from_random(1, 2);

TEST(ControlJson, SystemInfoSurvivesTheRoundTrip) {
  SystemInfo info{.system = kId,
                  .name = "lab",
                  .version = "0.1",
                  .map_version = 7,
                  .targets = {},
                  .data_address = "a:1",
                  .control_address = "b:2"};
  info.targets.push_back(
      {.index = 3, .id = kId, .total_bytes = 1u << 30, .free_bytes = 5, .state = "up", .encrypted = true});
  info.engines.push_back({.rank = 1,
                          .id = kId,
                          .addresses = {"a:1", "b:1"},
                          .control_address = "a:2",
                          .fault_domain = "rack1/node7",
                          .state = kEngineUp,
                          .first_target = 4,
                          .targets = 2,
                          .leader = true});
  info.degraded_pools.push_back({.id = kId, .label = "p", .state = "degraded: engine 1 is excluded"});
  info.stopped_since_s = 1'790'000'000;
  const auto read = system_info_from_json(to_json(info));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->stopped_since_s, info.stopped_since_s);
  EXPECT_EQ(read->degraded_pools, info.degraded_pools);
  EXPECT_EQ(read->system, kId);
  EXPECT_EQ(read->map_version, 7u);
  ASSERT_EQ(read->targets.size(), 1u);
  EXPECT_EQ(read->targets[0].index, 3u);
  EXPECT_EQ(read->targets[0].free_bytes, 5u);
  EXPECT_TRUE(read->targets[0].encrypted);
  EXPECT_FALSE(read->encrypted);
  EXPECT_EQ(read->control_address, "b:2");
  EXPECT_EQ(read->engines, info.engines);
}

TEST(ControlJson, AnEngineThatKnowsOfNoOthersIsUnderstood) {
  const auto read = system_info_from_json(
      R"({"system":"11111111-1111-4111-8111-111111111111","name":"lab","version":"0.2","map_version":1,"targets":[],)"
      R"("data_address":"a:1","control_address":"b:2"})");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_TRUE(read->engines.empty());
}

TEST(ControlJson, AStoppedSystemSurvivesTheRoundTrip) {
  const SystemStopInfo info{.stopped_since_s = 1'790'000'000,
                            .changed = true,
                            .engines = {{.rank = 0, .state = kEngineUp, .needed = true, .quiet = true},
                                        {.rank = 1, .state = kEngineUp, .needed = true},
                                        {.rank = 2, .state = kEngineGone, .needed = true},
                                        {.rank = 3, .state = kEngineGone}}};
  const auto read = system_stop_from_json(to_json(info));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, info);
  EXPECT_EQ(read->busy(), std::vector<std::uint32_t>{1});
  EXPECT_EQ(read->missing(), std::vector<std::uint32_t>{2});
  EXPECT_TRUE(start_system_from_json(to_json(StartSystem{.now = true}))->now);
  EXPECT_FALSE(start_system_from_json("{}")->now);
  EXPECT_EQ(start_system_from_json(R"({"now":3})").error(), Code::kMalformed);
}

TEST(ControlJson, PoolInfoSurvivesTheRoundTrip) {
  PoolInfo info{.id = kId, .label = "p", .size_bytes = 7, .properties = {{"quota-objects", "5"}}, .redundancy = 2};
  info.state = "degraded: engine 1 is excluded";
  info.map_version = 9;
  info.engines = {{.rank = 0, .state = "up-in", .since = 1}, {.rank = 1, .state = "down", .since = 9}};
  const auto read = pool_info_from_json(to_json(info));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->redundancy, 2u);
  EXPECT_EQ(read->state, info.state);
  EXPECT_EQ(read->map_version, 9u);
  EXPECT_EQ(read->engines, info.engines);
  const auto request = create_pool_from_json(to_json(CreatePool{.label = "p", .redundancy = 5}));
  ASSERT_TRUE(request) << request.error().to_string();
  EXPECT_EQ(request->redundancy, 5u);
}

TEST(ControlJson, APoolOfAnEarlierServerIsUnderstood) {
  const auto read = pool_info_from_json(
      R"({"id":"11111111-1111-4111-8111-111111111111","label":"p","size_bytes":1,"used_bytes":0,"containers":0})");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->redundancy, 0u);
  EXPECT_EQ(read->state, "up");
  EXPECT_TRUE(read->engines.empty());
  EXPECT_EQ(create_pool_from_json(R"({"label":"p"})")->redundancy, 0u);
}

TEST(ControlJson, ContainerPropertiesSurviveTheRoundTrip) {
  const ContainerInfo info{
      .id = kId, .pool = kId, .label = "c", .type = "posix", .properties = {{"user.x", "\"ü\n"}}, .used_bytes = 9};
  const auto read = containers_from_json(to_json(std::vector<ContainerInfo>{info}));
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ(read->front().properties, info.properties);
  EXPECT_EQ(read->front().type, "posix");
}

TEST(ControlJson, TheRedundancyOfAContainerIsNoneUnlessItIsThere) {
  ContainerInfo info{.id = kId, .pool = kId, .label = "c", .type = "", .properties = {}};
  EXPECT_EQ(to_json(info).find("redundancy"), std::string::npos);
  EXPECT_EQ(container_info_from_json(to_json(info))->redundancy, 0u);
  info.redundancy = 5;
  EXPECT_EQ(container_info_from_json(to_json(info))->redundancy, 5u);
  info.redundancy = 6;
  EXPECT_EQ(container_info_from_json(to_json(info)).error().code(), Code::kMalformed) << "no class keeps so much";
}

TEST(ControlJson, ClonesSurviveTheRoundTrip) {
  const ContainerInfo info{.id = kId,
                           .pool = kId,
                           .label = "c",
                           .type = "",
                           .properties = {},
                           .clone_of = CloneOf{kId, Epoch(UINT64_MAX - 1)},
                           .flattening = FlattenInfo{1, 2, 3, 4, 5, "no space"}};
  const auto read = container_info_from_json(to_json(info));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->clone_of, info.clone_of);
  EXPECT_EQ(read->flattening, info.flattening);
  EXPECT_FALSE(
      container_info_from_json(
          R"({"id":"x","pool":"x","label":"c","type":"","properties":{},"used_bytes":0,"clone_of":{"epoch":"1"}})")
          .has_value());
  const auto request = clone_container_from_json(to_json(CloneContainer{.snapshot = "s", .label = "k"}));
  ASSERT_TRUE(request) << request.error().to_string();
  EXPECT_EQ(request->label, "k");
  EXPECT_EQ(request->snapshot, "s");
  EXPECT_EQ(clone_container_from_json(R"({"label":"k"})")->snapshot, "");
}

TEST(ControlJson, WhatIsMissingOrMistypedIsNamed) {
  EXPECT_EQ(create_pool_from_json("{").error().code(), Code::kMalformed);
  EXPECT_EQ(create_pool_from_json("[]").error().code(), Code::kMalformed);
  EXPECT_NE(create_pool_from_json("{}").error().message().find("'label'"), std::string::npos);
  EXPECT_NE(create_pool_from_json(R"({"label":"p","size_bytes":-1})").error().message().find("size_bytes"),
            std::string::npos);
  EXPECT_NE(create_container_from_json(R"({"label":"c","properties":{"a":1}})").error().message().find("'a'"),
            std::string::npos);
  EXPECT_EQ(pools_from_json(R"({"pools":{}})").error().code(), Code::kMalformed);
  EXPECT_TRUE(create_pool_from_json(R"({"label":"p","later":true})"));
}

TEST(ControlJson, LabelsAreChecked) {
  EXPECT_TRUE(validate_label("pool", "a.B-9_:"));
  EXPECT_FALSE(validate_label("pool", ""));
  EXPECT_FALSE(validate_label("pool", "a/b"));
  for (const char* label : {".", "..", "-", "--json", "-a"}) EXPECT_FALSE(validate_label("pool", label)) << label;
  for (const char* label : {".a", "...", "_-"}) EXPECT_TRUE(validate_label("pool", label)) << label;
  EXPECT_FALSE(validate_label("pool", std::string(kMaxLabelBytes + 1, 'x')));
  EXPECT_FALSE(validate_label("pool", kId.to_string()));
}

TEST(ControlJson, SnapshotsSurviveTheirText) {
  // Near the greatest, which a reader of floating-point numbers would round.
  const SnapshotInfo info{.name = "s:1", .epoch = Epoch(UINT64_MAX - 1)};
  const auto read = snapshots_from_json(to_json(std::vector<SnapshotInfo>{info, info}));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ(read->back().name, info.name);
  EXPECT_EQ(read->back().epoch, info.epoch);
  EXPECT_EQ(snapshot_request_from_json(snapshot_request_to_json("s")), "s");
  EXPECT_FALSE(snapshot_info_from_json(R"({"name":"s","epoch":-1})"));
  EXPECT_FALSE(snapshot_request_from_json(R"({"label":"s"})"));
}

TEST(ControlJson, ACheckSurvivesItsText) {
  ContainerCheck check{.id = kId, .container = kId, .state = kCheckDamaged, .bytes_per_second = 5, .elapsed_ms = 6};
  check.total_bytes = 7;
  check.findings_omitted = 8;
  check.targets.push_back({.index = 2,
                           .state = kCheckFailed,
                           .leaves = 1,
                           .pages = 2,
                           .entries = 3,
                           .read_bytes = 4,
                           .verified_bytes = 5,
                           .unprotected_bytes = 6,
                           .damages = 7,
                           .error = "gone"});
  DamageInfo& damage = check.findings.emplace_back();
  damage.target = 2;
  damage.kind = "data";
  damage.message = "\"it\" is\xff bad";
  damage.block = 0;
  damage.container = kId;
  damage.dkey = "";
  damage.records = UINT64_MAX;
  const std::string text = to_json(check);
  const auto read = container_check_from_json(text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->proved_bytes(), 11u);
  EXPECT_EQ(read->targets.at(0).error, "gone");
  EXPECT_EQ(read->findings.at(0).block, 0u);
  EXPECT_EQ(read->findings.at(0).dkey, "");
  EXPECT_EQ(read->findings.at(0).akey, std::nullopt);
  EXPECT_EQ(read->findings.at(0).records, UINT64_MAX);
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(begin_check_from_json(to_json(BeginCheck{.bytes_per_second = 9}))->bytes_per_second, 9u);
  EXPECT_EQ(begin_check_from_json("{}")->bytes_per_second, 0u);
  EXPECT_FALSE(begin_check_from_json(R"({"bytes_per_second":-1})"));
}

TEST(ControlJson, TheScrubSurvivesItsText) {
  SystemScrub scrub;
  scrub.targets.push_back({.index = 1, .state = kScrubPaused, .bytes_per_second = 2, .container = kId, .left_s = 3});
  scrub.targets.push_back({.index = 2, .state = kScrubOff});
  DamageInfo& damage = scrub.findings.emplace_back();
  damage.repaired = true;
  damage.found_s = 4;
  damage.seen_s = 5;
  scrub.findings_omitted = 6;
  const std::string text = to_json(scrub);
  const auto read = system_scrub_from_json(text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(read->targets[0].container, kId);
  EXPECT_EQ(read->targets[0].left_s, 3u);
  EXPECT_EQ(read->targets[1].left_s, std::nullopt);
  EXPECT_TRUE(read->findings[0].repaired);
  EXPECT_EQ(read->findings[0].seen_s, 5u);
  for (const ScrubAction action : {ScrubAction::kStart, ScrubAction::kPause, ScrubAction::kResume})
    EXPECT_EQ(control_scrub_from_json(to_json(ControlScrub{action, 7}))->action, action);
  EXPECT_EQ(control_scrub_from_json(R"({"action":"start"})")->target, std::nullopt);
  EXPECT_FALSE(control_scrub_from_json("{}"));
  EXPECT_FALSE(control_scrub_from_json(R"({"action":"stop"})"));
}

TEST(ControlJson, AnAnswerNamesOnlySoMuchDamage) {
  std::vector<DamageInfo> told;
  EXPECT_EQ(append_damages(told, std::vector<DamageInfo>(kMaxDamagesTold + 3)), 3u);
  EXPECT_EQ(told.size(), kMaxDamagesTold);
  DamageInfo long_one;
  long_one.message.assign(kMaxDamageBytesTold / 8, '\x01');
  std::vector<DamageInfo> long_ones;
  EXPECT_GT(append_damages(long_ones, std::vector<DamageInfo>(10, long_one)), 5u);
  ContainerCheck check;
  check.findings = long_ones;
  EXPECT_LT(to_json(check).size(), 1u << 20) << "an answer has to fit into a message";
}

TEST(ControlJson, ChangesAndMovesOfPoolsSurviveTheirText) {
  for (const auto operation :
       {PoolOperation::kExclude, PoolOperation::kDrain, PoolOperation::kReintegrate, PoolOperation::kExtend})
    EXPECT_EQ(parse_operation(operation_name(operation)), operation);
  EXPECT_EQ(parse_operation("explode"), std::nullopt);
  EXPECT_EQ(change_engines_from_json(to_json(ChangeEngines{.engines = {2, 7}}))->engines, (std::vector{2u, 7u}));
  for (const char* text : {"{}", R"({"engines":2})", R"({"engines":["2"]})", R"({"engines":[4294967296]})"})
    EXPECT_EQ(change_engines_from_json(text).error(), Code::kMalformed) << text;
  const PoolChanged changed{.pool = kId,
                            .label = "p",
                            .map_version = 4,
                            .engines = {{2, kChangeBegun, "draining"}, {3, kChangeDone, "up-in"}}};
  EXPECT_EQ(pool_changed_from_json(to_json(changed)), changed);
  PoolMoves moves{.pool = kId, .label = "p", .map_version = 5, .active_version = 4, .moving = true, .paused = true};
  moves.state = "moving: engine 2 is drained";
  moves.moved_bytes = 30;
  moves.moved_objects = 3;
  moves.total_bytes = 40;
  moves.engines = {{.rank = 2, .state = "draining", .since = 4}};
  moves.targets = {{.rank = 1, .target = 1, .bytes = 30, .objects = 3, .done = true, .obstacle = "none"}};
  moves.silent = {3};
  EXPECT_EQ(pool_moves_from_json(to_json(moves)), moves);
  EXPECT_EQ(moves.percent(), 75u);
  moves.moved_bytes = 50;
  EXPECT_EQ(moves.percent(), 99u) << "the estimate was too low";
  EXPECT_FALSE(moves.at_rest());
  EXPECT_TRUE(pause_request_from_json(pause_request_to_json(true)).value());
  EXPECT_FALSE(pause_request_from_json(pause_request_to_json(false)).value());
  EXPECT_FALSE(pause_request_from_json("{}"));
}

}  // namespace
}  // namespace cenote
