#include "admin_api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cenote/runtime/sim_reactor.h"
#include "control_service.h"
#include "memory_coordinator.h"
#include "memory_targets.h"

namespace cenote::engine {
namespace {

class FakeSystem final : public SystemView {
 public:
  Task<SystemInfo> describe() override {
    SystemInfo info;
    info.name = "test";
    info.targets.resize(2);
    co_return info;
  }
  Task<Result<>> grow(GrowTargets request) override {
    if (request.target.value_or(0) > 1) co_return fail(Code::kNotFound, "no such target");
    grown.push_back(request);
    co_return Result<>();
  }
  Task<SystemScrub> describe_scrub() override {
    SystemScrub scrub;
    scrub.targets.resize(2);
    co_return scrub;
  }
  Task<Result<>> control_scrub(ControlScrub request) override {
    if (request.target.value_or(0) > 1) co_return fail(Code::kNotFound, "no such target");
    scrubbed.push_back(request.action);
    co_return Result<>();
  }
  Task<Result<CoordinatorInfo>> describe_coordinator(bool share) override {
    if (share && !shared) co_return fail(Code::kNotReady, "it is being moved");
    co_return CoordinatorInfo{.name = "test", .endpoints = {"http://a:1"}, .root = "cenote/", .managed = true};
  }
  Task<Result<>> follow_stop() override {
    ++stops_followed;
    co_return Result<>();
  }
  Task<bool> is_quiet() override { co_return quiet; }
  bool shared = false;
  bool quiet = false;
  int stops_followed = 0;
  std::vector<GrowTargets> grown;
  std::vector<ScrubAction> scrubbed;
};

class AdminApiTest : public testing::Test {
 protected:
  Result<std::string> call(AdminMethod method, std::string path, std::string body = "") {
    const AdminRequest request{method, std::move(path), std::move(body), Uuid::from_random(1, ++ids_)};
    return world_.block_on(node_, api_.handle(request, Until::forever()));
  }
  Code refusal(AdminMethod method, std::string path, std::string body = "") {
    const auto answer = call(method, std::move(path), std::move(body));
    return answer ? Code::kOk : answer.error().code();
  }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("control");
  CoordinatorState state_;
  MemoryCoordinator coordinator_{state_};
  MemoryTargets targets_{2};
  ControlService control_{node_, coordinator_, targets_};
  FakeSystem system_;
  AdminApi api_{control_, system_};
  std::uint64_t ids_ = 0;
};

constexpr AdminMethod kGet = AdminMethod::kGet;
constexpr AdminMethod kPost = AdminMethod::kPost;
constexpr AdminMethod kPatch = AdminMethod::kPatch;
constexpr AdminMethod kDelete = AdminMethod::kDelete;

TEST(AdminPaths, TheEngineAnswersForItselfAndTheLeaderForTheRest) {
  for (const char* path : {"/v1/system", "/v1/system?x", "/v1/system/grow", "/v1/system/"})
    EXPECT_TRUE(is_about_engine(path)) << path;
  for (const char* path : {"", "/v1", "/v1/systems", "/v1/pools", "/v1/pools/system", "/v1/system/stop",
                           "/v1/system/stop?x", "/v1/system/start"})
    EXPECT_FALSE(is_about_engine(path)) << path;
}

TEST_F(AdminApiTest, NothingIsChangedInAStoppedSystem) {
  ASSERT_TRUE(call(kPost, "/v1/pools", R"({"label":"p","size_bytes":500})").has_value());
  EXPECT_EQ(system_stop_from_json(*call(kGet, "/v1/system/stop"))->stopped_since_s, 0U);
  const auto idle = system_stop_from_json(*call(kPost, "/v1/system/start"));
  EXPECT_FALSE(idle->changed) << "it is not stopped";
  const auto stopped = call(kPost, "/v1/system/stop");
  ASSERT_TRUE(stopped.has_value()) << stopped.error().to_string();
  const auto info = system_stop_from_json(*stopped);
  EXPECT_TRUE(info->changed);
  EXPECT_GT(info->stopped_since_s, 0U);
  EXPECT_EQ(info->busy(), std::vector<std::uint32_t>{0});
  EXPECT_EQ(system_.stops_followed, 2);
  system_.quiet = true;
  const auto again = system_stop_from_json(*call(kPost, "/v1/system/stop"));
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(again->stopped_since_s, info->stopped_since_s) << "since the first time";
  EXPECT_TRUE(again->busy().empty());

  EXPECT_TRUE(call(kGet, "/v1/pools/p").has_value());
  const auto refused = call(kPost, "/v1/pools/p/containers", R"({"label":"c","type":"kv"})");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kNotReady);
  EXPECT_NE(refused.error().message().find("cenote system start"), std::string::npos) << refused.error().message();
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p"), Code::kNotReady);
  EXPECT_EQ(refusal(kPatch, "/v1/pools/p", R"({"properties":{"quota-objects":"5"}})"), Code::kNotReady);

  EXPECT_TRUE(system_stop_from_json(*call(kPost, "/v1/system/start", "{}"))->changed);
  EXPECT_TRUE(call(kPost, "/v1/pools/p/containers", R"({"label":"c","type":"kv"})").has_value());
  EXPECT_EQ(refusal(kDelete, "/v1/system/stop"), Code::kUnsupported);
  EXPECT_EQ(refusal(kGet, "/v1/system/start"), Code::kUnsupported);
  EXPECT_EQ(refusal(kPost, "/v1/system/start", R"({"now":7})"), Code::kMalformed);
}

TEST_F(AdminApiTest, LifeOfAPoolAndAContainer) {
  const auto pool = call(kPost, "/v1/pools", R"({"label":"p","size_bytes":500})");
  ASSERT_TRUE(pool.has_value()) << pool.error().to_string();
  EXPECT_EQ(pool_info_from_json(*pool)->size_bytes, 500U);
  const auto container =
      call(kPost, "/v1/pools/p/containers", R"({"label":"c","type":"kv","properties":{"user.a":"b"}})");
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  EXPECT_EQ(container_info_from_json(*container)->type, "kv");
  EXPECT_EQ(pools_from_json(*call(kGet, "/v1/pools"))->size(), 1U);
  EXPECT_EQ(pool_info_from_json(*call(kGet, "/v1/pools/p"))->containers, 1U);
  EXPECT_EQ(containers_from_json(*call(kGet, "/v1/pools/p/containers"))->size(), 1U);
  const auto limited = call(kPatch, "/v1/pools/p", R"({"properties":{"quota-objects":"7"}})");
  ASSERT_TRUE(limited.has_value());
  EXPECT_EQ(pool_info_from_json(*limited)->properties.at("quota-objects"), "7");
  EXPECT_EQ(refusal(kPatch, "/v1/pools/p", R"({"properties":{"user.x":"7"}})"), Code::kInvalidArgument);
  const auto changed = call(kPatch, "/v1/pools/p/containers/c", R"({"properties":{"user.a":"z"}})");
  EXPECT_EQ(container_info_from_json(*changed)->properties.at("user.a"), "z");
  EXPECT_EQ(container_info_from_json(*call(kGet, "/v1/pools/p/containers/c"))->properties.at("user.a"), "z");
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p"), Code::kNotEmpty);
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p?force=false"), Code::kNotEmpty);
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p/containers/c"), Code::kOk);
  EXPECT_EQ(refusal(kGet, "/v1/pools/p/containers/c"), Code::kContainerNotFound);
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p?force=true"), Code::kOk);
  EXPECT_EQ(refusal(kGet, "/v1/pools/p"), Code::kPoolNotFound);
}

TEST_F(AdminApiTest, LifeOfASnapshot) {
  ASSERT_TRUE(call(kPost, "/v1/pools", R"({"label":"p"})"));
  ASSERT_TRUE(call(kPost, "/v1/pools/p/containers", R"({"label":"c"})"));
  const std::string all = "/v1/pools/p/containers/c/snapshots";
  const auto made = call(kPost, all, R"({"name":"s","later":"ignored"})");
  ASSERT_TRUE(made) << made.error().to_string();
  const auto snapshot = snapshot_info_from_json(*made);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->name, "s");
  EXPECT_EQ(snapshot_info_from_json(*call(kGet, all + "/s"))->epoch, snapshot->epoch);
  EXPECT_EQ(snapshots_from_json(*call(kGet, all))->size(), 1u);
  EXPECT_EQ(refusal(kPost, all, R"({"name":"s"})"), Code::kExists);
  EXPECT_EQ(refusal(kPost, all, R"({"label":"s"})"), Code::kMalformed);
  EXPECT_EQ(refusal(kPost, all, R"({"name":"a b"})"), Code::kInvalidArgument);
  EXPECT_EQ(refusal(kGet, all + "/t"), Code::kNotFound);
  EXPECT_EQ(refusal(kPatch, all + "/s"), Code::kUnsupported);
  EXPECT_EQ(refusal(kDelete, all), Code::kUnsupported);
  EXPECT_EQ(refusal(kGet, all + "/s/x"), Code::kNotFound);
  EXPECT_EQ(refusal(kGet, "/v1/pools/p/containers/d/snapshots"), Code::kContainerNotFound);
  EXPECT_EQ(refusal(kDelete, all + "/s"), Code::kOk);
  EXPECT_EQ(refusal(kDelete, all + "/s"), Code::kNotFound);
  EXPECT_EQ(snapshots_from_json(*call(kGet, all))->size(), 0u);
}

TEST_F(AdminApiTest, LifeOfACheck) {
  ASSERT_TRUE(call(kPost, "/v1/pools", R"({"label":"p"})"));
  ASSERT_TRUE(call(kPost, "/v1/pools/p/containers", R"({"label":"c"})"));
  const std::string path = "/v1/pools/p/containers/c/check";
  EXPECT_EQ(refusal(kGet, path), Code::kNotFound);
  EXPECT_EQ(refusal(kDelete, path), Code::kNotFound);
  EXPECT_EQ(refusal(kPost, path, R"({"bytes_per_second":"fast"})"), Code::kMalformed);
  const auto begun = call(kPost, path);
  ASSERT_TRUE(begun) << begun.error().to_string();
  const auto check = container_check_from_json(*begun);
  ASSERT_TRUE(check) << check.error().to_string();
  EXPECT_EQ(check->targets.size(), 2u);
  EXPECT_EQ(container_check_from_json(*call(kDelete, path))->state, kCheckWhole);
  EXPECT_EQ(container_check_from_json(*call(kGet, path))->id, check->id);
  EXPECT_EQ(container_check_from_json(*call(kPost, path, R"({"bytes_per_second":7})"))->bytes_per_second, 7u);
  EXPECT_EQ(refusal(kPatch, path), Code::kUnsupported);
  EXPECT_EQ(refusal(kGet, path + "/x"), Code::kNotFound);
  EXPECT_EQ(refusal(kPost, "/v1/pools/p/containers/d/check"), Code::kContainerNotFound);
  world_.block_on(node_, control_.stop());
}

TEST_F(AdminApiTest, DescribesTheSystem) {
  EXPECT_EQ(system_info_from_json(*call(kGet, "/v1/system"))->targets.size(), 2U);
  EXPECT_EQ(refusal(kPost, "/v1/system"), Code::kUnsupported);
}

TEST_F(AdminApiTest, ShowsAndControlsTheScrub) {
  const std::string path = "/v1/system/scrub";
  EXPECT_EQ(system_scrub_from_json(*call(kGet, path))->targets.size(), 2U);
  EXPECT_EQ(system_scrub_from_json(*call(kPost, path, R"({"action":"pause"})"))->targets.size(), 2U);
  EXPECT_EQ(refusal(kPost, path, R"({"action":"resume","target":1})"), Code::kOk);
  EXPECT_EQ(system_.scrubbed, (std::vector{ScrubAction::kPause, ScrubAction::kResume}));
  EXPECT_EQ(refusal(kPost, path, R"({"action":"start","target":2})"), Code::kNotFound);
  EXPECT_EQ(refusal(kPost, path), Code::kMalformed);
  EXPECT_EQ(refusal(kDelete, path), Code::kUnsupported);
}

TEST_F(AdminApiTest, GrowsTargets) {
  EXPECT_EQ(refusal(kPost, "/v1/system/grow"), Code::kOk);
  const auto answer = call(kPost, "/v1/system/grow", R"({"target":1,"size_bytes":4096})");
  EXPECT_EQ(system_info_from_json(*answer)->targets.size(), 2U);
  ASSERT_EQ(system_.grown.size(), 2U);
  EXPECT_EQ(system_.grown[0].target, std::nullopt);
  EXPECT_EQ(system_.grown[1].target, 1U);
  EXPECT_EQ(system_.grown[1].size_bytes, 4096U);
  EXPECT_EQ(refusal(kPost, "/v1/system/grow", R"({"target":2})"), Code::kNotFound);
  EXPECT_EQ(refusal(kPost, "/v1/system/grow", R"({"target":"all"})"), Code::kMalformed);
  EXPECT_EQ(refusal(kPost, "/v1/system/grow", "[1]"), Code::kMalformed);
  EXPECT_EQ(refusal(kGet, "/v1/system/grow"), Code::kUnsupported);
}

TEST_F(AdminApiTest, UnknownPathsAndMethodsAreRefused) {
  for (const char* path : {"", "/", "/v1", "/v1/", "/v2/system", "/v1/pool", "/v1/pools/p/c",
                           "/v1/pools/p/containers/c/d", "/v1/system/x", "v1/system", "/v1//pools"}) {
    EXPECT_EQ(refusal(kGet, path), Code::kNotFound) << path;
  }
  EXPECT_EQ(refusal(kDelete, "/v1/pools"), Code::kUnsupported);
  EXPECT_EQ(refusal(kPost, "/v1/pools/p"), Code::kUnsupported);
  EXPECT_EQ(refusal(kPatch, "/v1/pools/p/containers"), Code::kUnsupported);
  EXPECT_EQ(refusal(kPost, "/v1/pools/p/containers/c"), Code::kUnsupported);
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p?force=yes"), Code::kInvalidArgument);
  EXPECT_EQ(refusal(kDelete, "/v1/pools/p?x"), Code::kInvalidArgument);
}

TEST_F(AdminApiTest, BadBodiesAreRefused) {
  for (const char* body : {"", "{", "[]", "null", R"({"label":1})", R"({"size_bytes":1})", "\xff\xfe",
                           R"({"label":"p","size_bytes":-1})", R"({"label":"p","size_bytes":1.5})"}) {
    EXPECT_EQ(refusal(kPost, "/v1/pools", body), Code::kMalformed) << body;
  }
  EXPECT_EQ(refusal(kPost, "/v1/pools", R"({"label":"a b"})"), Code::kInvalidArgument);
  EXPECT_EQ(refusal(kPost, "/v1/pools", std::string(kMaxAdminBodyBytes + 1, ' ')), Code::kOutOfRange);
  EXPECT_EQ(refusal(kGet, "/v1/" + std::string(kMaxAdminPathBytes, 'x')), Code::kOutOfRange);
  EXPECT_EQ(refusal(kPost, "/v1/pools", std::string(1000, '[')), Code::kMalformed);
  EXPECT_TRUE(state_.entries.empty());
}

TEST_F(AdminApiTest, ErrorsHaveAStatusAndAForm) {
  EXPECT_EQ(http_status(Error(Code::kPoolNotFound)), 404);
  EXPECT_EQ(http_status(Error(Code::kExists)), 409);
  EXPECT_EQ(http_status(Error(Code::kMalformed)), 400);
  EXPECT_EQ(http_status(Error(Code::kNotReady)), 503);
  EXPECT_EQ(http_status(Error(Code::kNoSpace)), 507);
  EXPECT_EQ(http_status(Error(Code::kCorrupt)), 500);
  const auto json = nlohmann::json::parse(error_json(Error(Code::kNotFound, "no \"x\" \xff")));
  EXPECT_EQ(json["error"]["code"], "not_found");
  EXPECT_EQ(json["error"]["number"], 2);
  EXPECT_TRUE(json["error"]["message"].get<std::string>().starts_with("no \"x\""));
}

}  // namespace
}  // namespace cenote::engine
