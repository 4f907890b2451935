#include "cenote/engine/sim_engine.h"

#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/scope.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);

Bytes value_of(std::uint64_t number, std::size_t bytes) {
  Bytes value(bytes);
  for (std::size_t at = 0; at < bytes; ++at) value[at] = static_cast<std::byte>(number * 31 + at * 7 + (at >> 8));
  return value;
}

/// With all on one node, and with data reactors and control on nodes of their own.
class SimEngineTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  SimEngineTest() { options_.reactors = GetParam(); }

  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(client_node_, std::move(task));
  }
  void start() {
    if (engine_ == nullptr) engine_ = std::make_unique<SimEngine>(world_, network_, options_);
    const auto started = world_.block_on(engine_->control(), engine_->start());
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
    if (client_ == nullptr) {
      client_ = std::make_unique<TestClient>(client_node_, network_.transport(client_node_), engine_->address());
    }
  }
  void stop() {
    const auto stopped = world_.block_on(engine_->control(), engine_->stop());
    EXPECT_TRUE(stopped.has_value()) << stopped.error().to_string();
  }
  void crash() {
    engine_->crash();
    world_.block_on(engine_->control(), engine_->clear());
  }
  void TearDown() override {
    if (client_ != nullptr) wait(client_->stop());
    if (engine_ != nullptr && engine_->running()) stop();
  }
  Uuid set_up() {
    start();
    const auto container = wait(client_->set_up());
    EXPECT_TRUE(container.has_value()) << container.error().to_string();
    return *container;
  }

  SimWorld world_{2024};
  rpc::SimNetwork network_{world_};
  SimReactor& client_node_ = world_.add_node("client");
  SimEngineOptions options_;
  std::unique_ptr<SimEngine> engine_;
  std::unique_ptr<TestClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, SimEngineTest, testing::Values(0, 2));

TEST_P(SimEngineTest, StoresAndFetchesValuesOfEverySize) {
  const Uuid container = set_up();
  for (const std::size_t bytes : {0, 1, 100, 4096, 5000, 65536, 1 << 20}) {
    const std::string dkey = fmt::format("k{}", bytes);
    const auto put = wait(client_->put(container, kObject, dkey, value_of(bytes, bytes)));
    ASSERT_TRUE(put.has_value()) << put.error().to_string();
    EXPECT_EQ(wait(client_->get(container, kObject, dkey)), value_of(bytes, bytes)) << bytes;
  }
  EXPECT_EQ(wait(client_->get(container, kObject, "none")).error(), Code::kNotFound);
}

TEST_P(SimEngineTest, AnEncryptedEngineShowsNothingOfSmallValuesOnItsMedia) {
  options_.core.encryption_key = SecretKey(std::array<std::byte, SecretKey::kBytes>{std::byte{5}});
  const Uuid container = set_up();
  const auto keep = [&](int from, int to) {
    for (int number = from; number < to; ++number) {
      const std::string dkey = fmt::format("telling-{}", number);
      const auto put = wait(client_->put(container, kObject, dkey, to_bytes(as_bytes(dkey))));
      ASSERT_TRUE(put.has_value()) << put.error().to_string();
    }
  };
  keep(0, 50);
  crash();
  start();
  keep(50, 60);
  stop();
  start();
  for (int number = 0; number < 60; ++number) {
    const std::string dkey = fmt::format("telling-{}", number);
    EXPECT_EQ(wait(client_->get(container, kObject, dkey)), to_bytes(as_bytes(dkey)));
  }
  const auto system = world_.block_on(
      engine_->control(), engine_->core().admin(AdminMethod::kGet, "/v1/system", "", Uuid(), Until::forever()));
  ASSERT_TRUE(system.has_value());
  const auto info = system_info_from_json(*system);
  ASSERT_TRUE(info.has_value());
  EXPECT_TRUE(info->encrypted);
  for (const TargetInfo& target : info->targets) EXPECT_TRUE(target.encrypted);
  for (std::uint32_t target = 0; target < options_.targets; ++target) {
    const media::SimMedium& medium = engine_->medium(target);
    Bytes block(media::kBlockBytes);
    const media::BlockNo end(medium.block_count());
    for (media::BlockNo at = medium.next_written(media::BlockNo(0), end); at < end;
         at = medium.next_written(media::BlockNo(at.value() + 1), end)) {
      medium.read_block(at, block);
      EXPECT_EQ(as_text(block).find("telling-"), std::string_view::npos) << "block " << at.value();
    }
  }
}

TEST_P(SimEngineTest, AControlStateThatCannotBeWrittenIsTold) {
  const Uuid container = set_up();
  const auto control_state = [this] {
    const auto system = wait(client_->admin(AdminMethod::kGet, "/v1/system"));
    EXPECT_TRUE(system) << system.error().to_string();
    return system_info_from_json(*system)->control_state;
  };
  EXPECT_EQ(control_state(), "up");
  engine_->control_device()->options().write_error_ppm = 1'000'000;
  const std::string path = "/v1/pools/p/containers/c";
  EXPECT_FALSE(wait(client_->admin(AdminMethod::kPatch, path, R"({"properties":{"user.a":"b"}})")));
  EXPECT_TRUE(control_state().starts_with("read-only: ")) << control_state();
  crash();
  start();
  EXPECT_EQ(control_state(), "up");
  EXPECT_TRUE(wait(client_->put(container, kObject, "again", value_of(1, 3000))).has_value());
}

TEST_P(SimEngineTest, ATargetThatCannotBeWrittenIsReadAndTheOthersGoOn) {
  const Uuid container = set_up();
  for (std::uint64_t number = 0; number < 20; ++number)
    ASSERT_TRUE(wait(client_->put(container, kObject, std::to_string(number), value_of(number, 3000))).has_value());
  engine_->device(0)->options().write_error_ppm = 1'000'000;
  std::uint64_t refused = 0, taken = 0;
  for (std::uint64_t number = 100; number < 140; ++number) {
    const auto put = wait(client_->put(container, kObject, std::to_string(number), value_of(number, 3000)));
    (put ? taken : refused) += 1;
    if (put) continue;
    EXPECT_TRUE(put.error() == Code::kIoError || put.error() == Code::kFenced) << put.error().to_string();
  }
  EXPECT_GT(refused, 0u);
  if (options_.targets > 1) EXPECT_GT(taken, 0u);
  for (std::uint64_t number = 0; number < 20; ++number)
    EXPECT_EQ(wait(client_->get(container, kObject, std::to_string(number))), value_of(number, 3000)) << number;
  const auto system = wait(client_->admin(AdminMethod::kGet, "/v1/system"));
  ASSERT_TRUE(system) << system.error().to_string();
  const auto info = system_info_from_json(*system);
  ASSERT_TRUE(info);
  for (const TargetInfo& target : info->targets) {
    EXPECT_EQ(target.state.starts_with("read-only: "), target.index == 0) << target.state;
    EXPECT_EQ(target.state == "up", target.index != 0);
  }
  // On a device that works again, after a restart, everything goes on.
  crash();
  start();
  for (std::uint64_t number = 0; number < 20; ++number)
    EXPECT_EQ(wait(client_->get(container, kObject, std::to_string(number))), value_of(number, 3000)) << number;
  EXPECT_TRUE(wait(client_->put(container, kObject, "again", value_of(1, 3000))).has_value());
  EXPECT_TRUE(wait(client_->put(container, kObject, "once more", value_of(2, 3000))).has_value());
}

TEST_P(SimEngineTest, ASlowDeviceIsTold) {
  const Uuid container = set_up();
  const auto state_of = [&](std::uint32_t target) {
    const auto system = wait(client_->admin(AdminMethod::kGet, "/v1/system"));
    EXPECT_TRUE(system.has_value());
    return system_info_from_json(*system)->targets[target].state;
  };
  ASSERT_TRUE(wait(client_->put(container, kObject, "a", value_of(1, 3000))).has_value());
  EXPECT_EQ(state_of(0), "up");
  engine_->device(0)->set_slowdown(30'000);
  for (std::uint64_t number = 0; number < 12; ++number)
    static_cast<void>(wait(client_->put(container, kObject, std::to_string(number), value_of(number, 3000))));
  EXPECT_TRUE(state_of(0).starts_with("slow: ")) << state_of(0);
  engine_->device(0)->set_slowdown(1);
  world_.run_until([] { return false; }, std::chrono::minutes(2));
  EXPECT_EQ(state_of(0), "up");
}

TEST_P(SimEngineTest, WhatIsAcknowledgedSurvivesAStopAndACrash) {
  const Uuid container = set_up();
  for (std::uint64_t number = 0; number < 20; ++number) {
    ASSERT_TRUE(wait(client_->put(container, kObject, std::to_string(number), value_of(number, 3000))).has_value());
    if (number == 7) {
      stop();
      start();
    }
    if (number == 14) {
      crash();
      start();
    }
  }
  crash();
  start();
  for (std::uint64_t number = 0; number < 20; ++number) {
    EXPECT_EQ(wait(client_->get(container, kObject, std::to_string(number))), value_of(number, 3000)) << number;
  }
}

TEST_P(SimEngineTest, ARequestSentAgainAfterARestartTakesEffectOnce) {
  const Uuid container = set_up();
  rpc::RequestTicket ticket(client_->session(), std::chrono::minutes(2));
  const auto first = wait(client_->put(container, kObject, "k", value_of(1, 100), Precondition::kAbsent, &ticket));
  ASSERT_TRUE(first.has_value()) << first.error().to_string();
  crash();
  start();
  const auto again = wait(client_->put(container, kObject, "k", value_of(1, 100), Precondition::kAbsent, &ticket));
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_EQ(again->epoch, first->epoch);
  const auto other = wait(client_->put(container, kObject, "k", value_of(1, 100), Precondition::kAbsent));
  EXPECT_EQ(other.error(), Code::kConditionFailed);
}

TEST_P(SimEngineTest, ADestroyedContainerIsGoneForEveryRequest) {
  const Uuid container = set_up();
  ASSERT_TRUE(wait(client_->put(container, kObject, "k", value_of(1, 100))).has_value());
  ASSERT_TRUE(wait(client_->admin(AdminMethod::kDelete, "/v1/pools/p/containers/c")).has_value());
  EXPECT_EQ(wait(client_->get(container, kObject, "k")).error(), Code::kContainerNotFound);
  EXPECT_EQ(wait(client_->put(container, kObject, "k", value_of(1, 100))).error(), Code::kContainerNotFound);
  crash();
  start();
  EXPECT_EQ(wait(client_->get(container, kObject, "k")).error(), Code::kContainerNotFound);
}

TEST_P(SimEngineTest, DescribesItself) {
  set_up();
  const auto json = wait(client_->admin(AdminMethod::kGet, "/v1/system"));
  ASSERT_TRUE(json.has_value());
  const auto info = system_info_from_json(*json);
  ASSERT_TRUE(info.has_value()) << info.error().to_string();
  EXPECT_EQ(info->system, engine_->identity().system);
  ASSERT_EQ(info->targets.size(), options_.targets);
  EXPECT_EQ(info->targets[1].state, "up");
  EXPECT_GT(info->targets[1].free_bytes, 0U);
  EXPECT_EQ(info->data_address, engine_->address().to_string());
}

TEST_P(SimEngineTest, UsageIsCounted) {
  const Uuid container = set_up();
  ASSERT_TRUE(wait(client_->put(container, kObject, "k", value_of(1, 50000))).has_value());
  const auto json = wait(client_->admin(AdminMethod::kGet, "/v1/pools/p"));
  EXPECT_GE(pool_info_from_json(*json)->used_bytes, 50000U);
  EXPECT_EQ(pool_info_from_json(*json)->containers, 1U);
}

TEST_P(SimEngineTest, ObjectNumbersAreNeverLeasedTwice) {
  const Uuid container = set_up();
  std::uint64_t end = 0;
  for (int count = 0; count < 4; ++count) {
    const auto reply = wait(client_->raw(Opcode::kOidRange, to_bytes(container.bytes()), {}, 0));
    ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
    Decoder decoder(reply->body);
    const auto first = decoder.integer<std::uint64_t>();
    EXPECT_GE(first, std::max<std::uint64_t>(end, 1));
    end = first + decoder.integer<std::uint64_t>();
    if (count == 1) {
      crash();
      start();
    }
  }
}

TEST_P(SimEngineTest, BadRequestsGetAnAnswerAndHarmNobody) {
  const Uuid container = set_up();
  const auto refused = [&](Opcode opcode, Bytes body, std::uint16_t target) {
    const auto reply = wait(client_->raw(opcode, std::move(body), Bytes(100), target));
    return reply ? Code::kOk : reply.error().code();
  };
  for (const Opcode opcode : {Opcode::kUpdate, Opcode::kFetch, Opcode::kPunch, Opcode::kList, Opcode::kQuery,
                              Opcode::kAdmin, Opcode::kOidRange}) {
    EXPECT_EQ(refused(opcode, to_bytes(as_bytes("garbage")), 0), Code::kMalformed) << static_cast<int>(opcode);
    EXPECT_NE(refused(opcode, {}, 0), Code::kOk) << static_cast<int>(opcode);
  }
  EXPECT_EQ(refused(Opcode::kUpdate, {}, 99), Code::kInvalidArgument);
  EXPECT_EQ(refused(static_cast<Opcode>(999), {}, 0), Code::kUnknownOpcode);
  // A request for the wrong target would store what nobody finds.
  FetchRequest fetch;
  fetch.container = container;
  fetch.object = kObject;
  fetch.dkey = as_bytes("k");
  fetch.akeys.emplace_back().akey = as_bytes("v");
  Bytes body;
  encode(fetch, body);
  const std::uint16_t home = *wait(client_->home(container, kObject, "k"));
  EXPECT_EQ(refused(Opcode::kFetch, body, static_cast<std::uint16_t>(1 - home)), Code::kInvalidArgument);
  EXPECT_EQ(wait(client_->admin(AdminMethod::kGet, "/nowhere")).error(), Code::kNotFound);
  EXPECT_TRUE(wait(client_->put(container, kObject, "k", value_of(1, 100))).has_value());
}

TEST_P(SimEngineTest, AnUnknownContainerIsRefused) {
  set_up();
  const auto put = wait(client_->put(Uuid::from_random(1, 1), kObject, "k", value_of(1, 10)));
  ASSERT_FALSE(put.has_value());
  EXPECT_EQ(put.error(), Code::kContainerNotFound);
  EXPECT_FALSE(put.error().message().empty());
}

TEST_P(SimEngineTest, MetricsTellWhatHappened) {
  const Uuid container = set_up();
  ASSERT_TRUE(wait(client_->put(container, kObject, "k", value_of(1, 10000))).has_value());
  world_.block_on(engine_->control(), engine_->core().refresh_metrics());
  const std::string text = engine_->metrics().prometheus_text();
  EXPECT_NE(text.find("cenote_engine_request_seconds_count{op=\"update\",reactor=\"0\"} 1"), std::string::npos) << text;
  EXPECT_NE(text.find("cenote_engine_received_bytes_total{op=\"update\",reactor=\"0\"} 10000"), std::string::npos);
  EXPECT_NE(text.find("cenote_target_fenced{target=\"1\"} 0"), std::string::npos);
  EXPECT_NE(text.find("cenote_target_background_failures_total{target=\"1\"} 0"), std::string::npos);
  EXPECT_NE(text.find("cenote_target_compacted_bytes_total{target=\"1\"} 0"), std::string::npos);
  EXPECT_NE(text.find("cenote_target_scrub_damages_total{kind=\"data\",target=\"1\"} 0"), std::string::npos) << text;
  EXPECT_NE(text.find("cenote_target_scrub_running{target=\"1\"} 0"), std::string::npos);
  EXPECT_NE(text.find("cenote_replication_undecided_entries{target=\"1\"} 0"), std::string::npos);
  EXPECT_NE(text.find("cenote_replication_copied_bytes_total{target=\"1\"} 0"), std::string::npos);
  EXPECT_NE(text.find("cenote_rpc_connections{reactor=\"0\"} 1"), std::string::npos);
  // The payload and what goes with it.
  const std::string_view received = "cenote_rpc_received_bytes_total{reactor=\"0\"} ";
  const std::size_t at = text.find(received);
  ASSERT_NE(at, std::string::npos);
  EXPECT_GT(std::stoull(text.substr(at + received.size())), 10000u);
}

TEST_P(SimEngineTest, ACrashInTheMiddleOfTheFirstStartIsRepeatable) {
  // At many moments of the creation the power fails; the next start ends it.
  for (int microseconds = 100; microseconds < 8000; microseconds += 400) {
    SCOPED_TRACE(microseconds);
    options_.name = fmt::format("engine{}", microseconds);
    SimEngine engine(world_, network_, options_);
    world_.after(std::chrono::microseconds(microseconds), [&engine] { engine.crash(); });
    static_cast<void>(world_.block_on(engine.control(), engine.start()));
    world_.run_until([&] { return false; }, std::chrono::milliseconds(20));
    world_.block_on(engine.control(), engine.clear());
    const auto started = world_.block_on(engine.control(), engine.start());
    EXPECT_TRUE(started.has_value()) << started.error().to_string();
    if (started) EXPECT_TRUE(world_.block_on(engine.control(), engine.stop()).has_value());
  }
}

TEST_P(SimEngineTest, AFailedTargetIsNamed) {
  start();
  stop();
  // Somebody overwrote both superblocks of one target: they lie 16 MiB apart.
  for (const std::uint64_t block : {0, 1, 2, 3, 4096, 4097, 4098, 4099}) {
    engine_->medium(1).write_block(media::BlockNo(block), Bytes(media::kBlockBytes));
  }
  const auto started = world_.block_on(engine_->control(), engine_->start());
  ASSERT_FALSE(started.has_value());
  EXPECT_NE(started.error().message().find("target 1"), std::string::npos) << started.error().to_string();
}

/// Puts values one after the other until it is told to stop; what was acknowledged goes into `done`.
Task<> put_on(TestClient* client, Uuid container, std::uint64_t first, const bool* stop,
              std::vector<std::uint64_t>* done) {
  for (std::uint64_t number = first; !*stop; ++number) {
    const auto put = co_await client->put(container, kObject, std::to_string(number), value_of(number, 20000));
    if (!put) co_return;
    done->push_back(number);
  }
}

TEST_P(SimEngineTest, GrowsWhileRequestsRunAndThroughACrash) {
  const Uuid container = set_up();
  const auto sizes = [&] {
    std::vector<std::uint64_t> bytes;
    const auto info = system_info_from_json(*wait(client_->admin(AdminMethod::kGet, "/v1/system")));
    for (const TargetInfo& target : info->targets) bytes.push_back(target.total_bytes);
    return bytes;
  };
  const auto before = sizes();
  bool enough = false;
  std::vector<std::uint64_t> done;
  Scope load(client_node_);
  for (std::uint64_t writer = 0; writer < 8; ++writer) {
    load.spawn(put_on(client_.get(), container, writer * 1'000'000, &enough, &done));
  }
  world_.run_until([] { return false; }, std::chrono::milliseconds(3));
  const std::size_t put_before = done.size();
  constexpr std::uint64_t kLarger = 128ull << 20;
  const auto grown =
      wait(client_->admin(AdminMethod::kPost, "/v1/system/grow", fmt::format(R"({{"size_bytes":{}}})", kLarger)));
  ASSERT_TRUE(grown.has_value()) << grown.error().to_string();
  EXPECT_GT(done.size(), put_before) << "requests waited for the growth to end";
  const auto after = sizes();
  for (std::size_t target = 0; target < before.size(); ++target) {
    EXPECT_GE(after[target], before[target] + (60ull << 20));
  }
  world_.run_until([] { return false; }, std::chrono::milliseconds(3));
  enough = true;
  crash();  // in the middle of the load
  start();
  wait(load.drain());
  EXPECT_EQ(sizes(), after);
  EXPECT_GT(done.size(), put_before);
  for (const std::uint64_t number : done) {
    EXPECT_EQ(wait(client_->get(container, kObject, std::to_string(number))), value_of(number, 20000)) << number;
  }
}

/// The block of one of the targets that holds these bytes, from its beginning on.
std::pair<std::uint32_t, media::BlockNo> block_of(SimEngine& engine, std::uint32_t targets, ByteView bytes) {
  Bytes block(media::kBlockBytes);
  for (std::uint32_t target = 0; target < targets; ++target) {
    media::SimMedium& medium = engine.medium(target);
    for (std::uint64_t number = 0; number < medium.block_count(); ++number) {
      medium.read_block(media::BlockNo(number), block);
      if (equal(block, bytes.first(media::kBlockBytes))) return {target, media::BlockNo(number)};
    }
  }
  ADD_FAILURE() << "no block holds these bytes";
  return {};
}

constexpr std::string_view kCheckPath = "/v1/pools/p/containers/c/check";

TEST_P(SimEngineTest, ACheckProvesAContainerOrNamesItsDamage) {
  const Uuid container = set_up();
  for (std::uint64_t i = 0; i < 20; ++i)
    ASSERT_TRUE(wait(client_->put(container, kObject, std::to_string(i), value_of(i, 20000))));
  const auto check = [&] {
    EXPECT_TRUE(wait(client_->admin(AdminMethod::kPost, std::string(kCheckPath))));
    for (;;) {
      const auto told = wait(client_->admin(AdminMethod::kGet, std::string(kCheckPath)));
      EXPECT_TRUE(told) << told.error().to_string();
      auto now = container_check_from_json(told.value_or("{}")).value_or(ContainerCheck());
      if (now.state != kCheckRunning) return now;
    }
  };
  const ContainerCheck whole = check();
  EXPECT_EQ(whole.state, kCheckWhole);
  EXPECT_EQ(whole.container, container);
  EXPECT_EQ(whole.proved_bytes(), 20u * 20000);
  EXPECT_EQ(whole.total_bytes, 20u * 20000);
  ASSERT_EQ(whole.targets.size(), 2u);
  EXPECT_EQ(whole.targets[0].entries + whole.targets[1].entries, 20u);

  const auto [target, block] = block_of(*engine_, options_.targets, value_of(7, 20000));
  engine_->medium(target).write_block(block, Bytes(media::kBlockBytes));
  const ContainerCheck damaged = check();
  EXPECT_EQ(damaged.state, kCheckDamaged);
  EXPECT_EQ(damaged.targets[target].state, kCheckDamaged);
  EXPECT_EQ(damaged.targets[1 - target].state, kCheckWhole);
  ASSERT_EQ(damaged.findings.size(), 1u);
  EXPECT_EQ(damaged.findings[0].target, target);
  EXPECT_EQ(damaged.findings[0].kind, "data");
  EXPECT_EQ(damaged.findings[0].block, block.value());
  EXPECT_EQ(damaged.findings[0].object, kObject.to_string());
  EXPECT_EQ(damaged.findings[0].dkey, "7");
  EXPECT_NE(damaged.findings[0].advice, "");
}

TEST_P(SimEngineTest, ACheckThatTakesLongIsEndedByItsUserAndByTheStop) {
  const Uuid container = set_up();
  for (std::uint64_t i = 0; i < 20; ++i)
    ASSERT_TRUE(wait(client_->put(container, kObject, std::to_string(i), value_of(i, 20000))));
  const std::string slow = R"({"bytes_per_second":100})";
  ASSERT_TRUE(wait(client_->admin(AdminMethod::kPost, std::string(kCheckPath), slow)));
  EXPECT_EQ(wait(client_->admin(AdminMethod::kPost, std::string(kCheckPath), slow)).error(), Code::kExists);
  const auto ended = wait(client_->admin(AdminMethod::kDelete, std::string(kCheckPath)));
  ASSERT_TRUE(ended) << ended.error().to_string();
  EXPECT_EQ(container_check_from_json(*ended)->state, kCheckCancelled);
  EXPECT_LT(container_check_from_json(*ended)->proved_bytes(), 20u * 20000);
  ASSERT_TRUE(wait(client_->admin(AdminMethod::kPost, std::string(kCheckPath), slow)));
  const Instant before = world_.now();
  stop();
  EXPECT_LT(world_.now() - before, std::chrono::seconds(5));
}

TEST_P(SimEngineTest, TheScrubIsStartedPausedAndKnowsDamageThroughACrash) {
  const Uuid container = set_up();
  for (std::uint64_t i = 0; i < 20; ++i)
    ASSERT_TRUE(wait(client_->put(container, kObject, std::to_string(i), value_of(i, 20000))));
  const auto [target, block] = block_of(*engine_, options_.targets, value_of(3, 20000));
  engine_->medium(target).write_block(block, Bytes(media::kBlockBytes));
  const auto ask = [&](AdminMethod method, std::string body = "") {
    const auto told = wait(client_->admin(method, "/v1/system/scrub", std::move(body)));
    EXPECT_TRUE(told) << told.error().to_string();
    return system_scrub_from_json(told.value_or("")).value_or(SystemScrub());
  };
  EXPECT_EQ(ask(AdminMethod::kGet).targets.at(0).state, kScrubWaiting);
  EXPECT_EQ(ask(AdminMethod::kPost, R"({"action":"pause","target":0})").targets[0].state, kScrubPaused);
  EXPECT_EQ(ask(AdminMethod::kGet).targets[1].state, kScrubWaiting);
  SystemScrub scrub = ask(AdminMethod::kPost, R"({"action":"start"})");
  const auto busy = [&] {
    return std::ranges::any_of(scrub.targets, [](const TargetScrub& one) { return one.ended_s == 0; });
  };
  for (int turn = 0; turn < 100'000 && busy(); ++turn) scrub = ask(AdminMethod::kGet);
  ASSERT_FALSE(busy());
  EXPECT_EQ(scrub.targets[target].damages, 1u);
  EXPECT_EQ(scrub.targets[1 - target].damages, 0u);
  ASSERT_EQ(scrub.findings.size(), 1u);
  EXPECT_EQ(scrub.findings[0].block, block.value());
  EXPECT_EQ(scrub.findings[0].container, container);
  ASSERT_TRUE(scrub.findings[0].found_s);
  crash();
  start();
  const SystemScrub after = ask(AdminMethod::kGet);
  ASSERT_EQ(after.findings.size(), 1u);
  EXPECT_EQ(after.findings[0].message, scrub.findings[0].message);
  EXPECT_EQ(after.findings[0].found_s, scrub.findings[0].found_s);
  EXPECT_EQ(after.targets[0].ended_s, scrub.targets[0].ended_s);
}

TEST_P(SimEngineTest, OneGrowthAtATime) {
  start();
  Scope calls(client_node_);
  std::vector<Code> outcomes;
  const auto grow = [](TestClient* client, std::uint64_t bytes, std::vector<Code>* codes) -> Task<> {
    const auto grown =
        co_await client->admin(AdminMethod::kPost, "/v1/system/grow", fmt::format(R"({{"size_bytes":{}}})", bytes));
    codes->push_back(grown ? Code::kOk : grown.error().code());
  };
  calls.spawn(grow(client_.get(), 128ull << 20, &outcomes));
  calls.spawn(grow(client_.get(), 96ull << 20, &outcomes));
  wait(calls.drain());
  EXPECT_EQ(outcomes, (std::vector<Code>{Code::kBusy, Code::kOk}));
  EXPECT_EQ(wait(client_->admin(AdminMethod::kPost, "/v1/system/grow", R"({"size_bytes":1048576})")).error(),
            Code::kOutOfRange);
}

}  // namespace
}  // namespace cenote::engine
