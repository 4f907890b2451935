// Data moves to where a pool's map wants it: nothing is lost on the way, nothing that was deleted comes back, and what
// left an engine is not needed from there any more.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "cenote/cluster/pool_map_store.h"
#include "cenote/protocol/object_class.h"
#include "cenote/protocol/pool_changes.h"
#include "client_node.h"
#include "faults.h"
#include "replica_check.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPatience = 60s;
constexpr std::uint32_t kDkeys = 70;

/// A few objects of some classes with many dkeys, and what is in them.
class Dataset {
 public:
  Dataset(ClientNode& client, const std::vector<std::string_view>& classes, std::uint32_t redundancy)
      : client_(client), redundancy_(redundancy) {
    for (std::size_t i = 0; i < classes.size(); ++i)
      objects_[ObjectId::make(*parse_class(classes[i]), KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 7000 + i)] = {};
  }

  Task<Result<>> set_up() {
    CO_CHECK_OK(co_await client_.connect(soon()));
    CO_TRY(container_, co_await open_test_container(client_, "", soon(), redundancy_));
    co_return Result<>();
  }
  /// Under each dkey from `first` to before `last`, of each object.
  Task<Result<>> put(std::uint32_t first, std::uint32_t last, std::uint8_t value) {
    for (auto& [object, values] : objects_) {
      for (std::uint32_t number = first; number < last; ++number) {
        const Bytes bytes(1 + number * 97 % 6000, std::byte{value});
        UpdateRequest request{.container = {}, .object = object, .dkey = dkey(number), .akeys = {}, .id = {}};
        AkeyUpdate& akey = request.akeys.emplace_back();
        akey.akey = to_bytes(as_bytes("a"));
        akey.bytes = bytes.size();
        CO_CHECK_OK(co_await container_->update(std::move(request), {ByteView(bytes)}, soon()));
        values[number] = value;
      }
    }
    co_return Result<>();
  }
  Task<Result<>> remove(std::uint32_t first, std::uint32_t last) {
    for (auto& [object, values] : objects_) {
      for (std::uint32_t number = first; number < last; ++number) {
        PunchRequest request;
        request.object = object;
        request.dkey = dkey(number);
        request.level = PunchLevel::kDkey;
        CO_CHECK_OK(co_await container_->punch(std::move(request), soon()));
        values.erase(number);
      }
    }
    co_return Result<>();
  }
  Task<Result<>> remove_objects() {
    for (auto& [object, values] : objects_) {
      PunchRequest request;
      request.object = object;
      request.level = PunchLevel::kObject;
      CO_CHECK_OK(co_await container_->punch(std::move(request), soon()));
      values.clear();
    }
    co_return Result<>();
  }
  /// Whether all of it is there, in listings too, and nothing else.
  Task<Result<>> check() {
    for (const auto& [object, values] : objects_) {
      for (std::uint32_t number = 0; number < kDkeys; ++number) CO_CHECK_OK(co_await check_one(object, number));
      CO_CHECK_OK(co_await check_list(object));
    }
    std::uint64_t filled = 0;
    for (const auto& [object, values] : objects_) filled += values.empty() ? 0 : 1;
    CO_TRY(const ListReply listed, co_await container_->list({.level = ListLevel::kObjects}, soon()));
    if (listed.keys.size() == filled) co_return Result<>();
    co_return fail(Code::kCorrupt, fmt::format("{} objects are listed, {} are there", listed.keys.size(), filled));
  }
  /// From now on it is a clone of what it was, whose source nobody has any more.
  Task<Result<>> become_a_clone() {
    CO_CHECK_OK(co_await client_.client().clone_container(
        {.pool = "pool", .source = "data", .snapshot = {}, .label = "copy"}, soon()));
    CO_CHECK_OK(co_await client_.client().destroy_container("pool", "data", soon()));
    CO_TRY(container_, co_await client_.client().open_container("pool", "copy", soon()));
    co_return Result<>();
  }
  /// The same at each target that answers for it.
  Task<Result<>> compare_replicas(ReplicaCheck& replicas) {
    const Until until = Until::at(replicas.node().now() + kPatience);
    CO_CHECK_OK(co_await replicas.open(container_->info(), until));
    for (const auto& [object, values] : objects_)
      for (std::uint32_t number = 0; number < kDkeys; ++number)
        CO_CHECK_OK(co_await replicas.compare(fetch_of(object, number), 6000, until));
    co_return Result<>();
  }

 private:
  Until soon() { return Until::at(client_.node().now() + kPatience); }
  static Bytes dkey(std::uint32_t number) { return to_bytes(as_bytes(fmt::format("d{:04}", number))); }
  static FetchRequest fetch_of(const ObjectId& object, std::uint32_t number) {
    FetchRequest request{.container = {}, .object = object, .dkey = dkey(number), .akeys = {}};
    request.akeys.push_back({.akey = to_bytes(as_bytes("a")), .ranges = {}, .max_bytes = 6000});
    return request;
  }
  Task<Result<>> check_one(ObjectId object, std::uint32_t number) {
    Bytes memory(6000, std::byte{0xee});
    CO_TRY(const FetchReply reply,
           co_await container_->fetch(fetch_of(object, number), {MutableBytes(memory)}, soon()));
    const AkeyFetched& found = reply.akeys.front();
    const auto& values = objects_.at(object);
    const auto expected = values.find(number);
    if (!found.exists && expected == values.end()) co_return Result<>();
    if (found.exists && expected != values.end() && memory.front() == std::byte{expected->second} &&
        found.bytes == 1 + number * 97 % 6000)
      co_return Result<>();
    co_return fail(Code::kCorrupt, fmt::format("dkey {} of object {}: {}, expected {}", number, object.to_string(),
                                               found.exists ? static_cast<int>(memory.front()) : -1,
                                               expected == values.end() ? -1 : expected->second));
  }
  Task<Result<>> check_list(ObjectId object) {
    std::size_t listed = 0;
    Bytes anchor;
    do {
      ListRequest request{.level = ListLevel::kDkeys, .object = object};
      request.anchor = KeyBytes(anchor);
      CO_TRY(const ListReply page, co_await container_->list(std::move(request), soon()));
      listed += page.keys.size();
      anchor = to_bytes(page.anchor.view());
    } while (!anchor.empty());
    if (listed == objects_.at(object).size()) co_return Result<>();
    co_return fail(Code::kCorrupt, fmt::format("{} dkeys of object {} are listed, {} are there", listed,
                                               object.to_string(), objects_.at(object).size()));
  }

  ClientNode& client_;
  std::uint32_t redundancy_;
  std::optional<async::Container> container_;
  std::map<ObjectId, std::map<std::uint32_t, std::uint8_t>> objects_;
};

/// A system, an operator of its only pool, and a client. What goes wrong ends the run with a failure.
class Scene {
 public:
  Scene(std::uint64_t seed, std::uint32_t engines, const std::vector<std::string_view>& classes,
        std::uint32_t redundancy)
      : run_(seed, {}, shape(seed), engines),
        client_(run_, "client"),
        replicas_(run_),
        data_(client_, classes, redundancy) {}

  /// Runs a member, and returns what went wrong.
  std::string play(Task<> (Scene::*part)()) { return run_.drive((this->*part)(), 1h).failure; }

  Task<> empty_one_and_bring_it_back();
  Task<> lose_two_and_bring_them_back();
  Task<> lose_one_of_a_clone();
  Task<> bring_one_back_while_another_is_away();

 private:
  static engine::SimEngineOptions shape(std::uint64_t seed) {
    engine::SimEngineOptions engine = shape_engine(seed);
    // What was deleted leaves no trace soon.
    engine.core.retention = 1s;
    engine.core.scarce_space = seed % 2 == 0 ? 1 : 0;
    return engine;
  }
  template <typename... Taken>
  Task<> step(std::string_view what, Task<Result<>> (Dataset::*part)(Taken...), std::type_identity_t<Taken>... given) {
    if (run_.failed()) co_return;
    run_.note(what);
    const auto done = co_await on_node(run_, client_.node(), [&] { return (data_.*part)(given...); });
    if (!done) run_.fail(fmt::format("{}: {}", what, done.error().to_string()));
  }
  Task<> lose(std::uint32_t index) {
    engine::SimEngine& engine = run_.engine(index);
    crash(run_, index);
    co_await on_node(run_, engine.control(), [&engine] { return engine.clear(); });
  }
  Task<> operate(PoolOperation operation, std::uint32_t rank) {
    if (run_.failed()) co_return;
    const Until until = Until::at(client_.node().now() + kPatience);
    const auto done = co_await on_node(run_, client_.node(), [&] {
      return client_.client().change_engines("pool", {.operation = operation, .engines = {rank}}, until);
    });
    if (!done) run_.fail(fmt::format("an operation of engine {}: {}", rank, done.error().to_string()));
  }
  static Task<cluster::StoredMap> load(engine::SimCoordinator& shared) {
    const auto pools = co_await cluster::list_stored_maps(shared.coordinator());
    auto stored = co_await cluster::load_stored_map(shared.coordinator(), pools->front());
    co_return **std::move(stored);
  }
  Task<cluster::StoredMap> stored() {
    engine::SimCoordinator& shared = run_.coordinator();
    co_return co_await on_node(run_, shared.node(), [&shared] { return load(shared); });
  }
  /// From now on `wait_until_moved` waits for a later version of the map.
  Task<> mark() { marked_ = (co_await stored()).map.version(); }
  Task<> wait_until_moved();
  Task<> compare_replicas();
  Task<> end();

  Run run_;
  ClientNode client_;
  ReplicaCheck replicas_;
  Dataset data_;
  cluster::MapVersion marked_;
};

Task<> Scene::wait_until_moved() {
  for (const Instant begun = run_.director().now(); !run_.failed();) {
    const auto now = co_await stored();
    if (now.map.version() > marked_ && now.active == now.map.version() && !now.map.is_moving()) co_return;
    co_await run_.director().sleep_for(100ms);
    if (run_.director().now() - begun > 120s) run_.fail("the data of the pool still moves after two minutes");
  }
}

Task<> Scene::compare_replicas() {
  if (run_.failed()) co_return;
  const auto same = co_await on_node(run_, replicas_.node(), [this] { return data_.compare_replicas(replicas_); });
  if (!same) run_.fail("replicas: " + same.error().to_string());
  co_await on_node(run_, replicas_.node(), [this] { return replicas_.close(); });
}

Task<> Scene::end() {
  co_await on_node(run_, client_.node(), [this] { return client_.close(); });
  co_await stop_engines(run_);
}

Task<> Scene::empty_one_and_bring_it_back() {
  if (!co_await start_engines(run_)) co_return;
  co_await step("set up", &Dataset::set_up);
  co_await step("put", &Dataset::put, 0, 40, 1);
  co_await mark();
  co_await operate(PoolOperation::kDrain, 1);
  // What is written and deleted while it moves, moves too.
  co_await step("put while it moves", &Dataset::put, 30, 60, 2);
  co_await step("remove while it moves", &Dataset::remove, 5, 10);
  co_await wait_until_moved();
  co_await step("with all engines", &Dataset::check);
  co_await stop_engine(run_, 1);
  co_await step("without the engine", &Dataset::check);
  co_await step("put without the engine", &Dataset::put, 50, 70, 3);
  co_await step("remove all", &Dataset::remove_objects);
  co_await step("put again", &Dataset::put, 20, 30, 4);
  co_await run_.director().sleep_for(10s);
  // It comes back, with what it had.
  static_cast<void>(co_await start_engine(run_, 1));
  co_await mark();
  co_await operate(PoolOperation::kReintegrate, 1);
  co_await step("put while it comes back", &Dataset::put, 25, 35, 5);
  co_await wait_until_moved();
  co_await step("after its return", &Dataset::check);
  co_await end();
}

Task<> Scene::lose_two_and_bring_them_back() {
  if (!co_await start_engines(run_)) co_return;
  co_await step("set up", &Dataset::set_up);
  co_await step("put", &Dataset::put, 0, 40, 1);
  co_await mark();
  co_await lose(0);
  co_await wait_until_moved();
  co_await step("after the first loss", &Dataset::check);
  co_await step("remove", &Dataset::remove, 0, 20);
  co_await step("put", &Dataset::put, 30, 50, 2);
  co_await run_.director().sleep_for(10s);
  co_await mark();
  co_await lose(1);
  co_await wait_until_moved();
  co_await step("after the second loss", &Dataset::check);
  // They come back with what they had, of which a part was deleted long ago.
  static_cast<void>(co_await start_engine(run_, 0));
  static_cast<void>(co_await start_engine(run_, 1));
  co_await mark();
  co_await operate(PoolOperation::kReintegrate, 0);
  co_await operate(PoolOperation::kReintegrate, 1);
  co_await step("remove while they come back", &Dataset::remove, 35, 38);
  co_await wait_until_moved();
  co_await step("after their return", &Dataset::check);
  co_await compare_replicas();
  co_await end();
}

Task<> Scene::lose_one_of_a_clone() {
  if (!co_await start_engines(run_)) co_return;
  co_await step("set up", &Dataset::set_up);
  co_await step("put", &Dataset::put, 0, 40, 1);
  co_await step("clone", &Dataset::become_a_clone);
  co_await step("put into the clone", &Dataset::put, 30, 50, 2);
  co_await step("remove from the clone", &Dataset::remove, 5, 15);
  co_await mark();
  co_await lose(1);
  co_await wait_until_moved();
  co_await step("after the loss", &Dataset::check);
  co_await compare_replicas();
  co_await end();
}

Task<> Scene::bring_one_back_while_another_is_away() {
  if (!co_await start_engines(run_)) co_return;
  co_await step("set up", &Dataset::set_up);
  co_await mark();
  co_await operate(PoolOperation::kDrain, 1);
  co_await wait_until_moved();
  // The last of it at one engine, and nothing anywhere later than that.
  co_await step("put", &Dataset::put, 0, 5, 1);
  co_await lose(2);
  co_await mark();
  co_await operate(PoolOperation::kReintegrate, 1);
  co_await run_.director().sleep_for(12s);
  static_cast<void>(co_await start_engine(run_, 2));
  co_await wait_until_moved();
  co_await step("after the return of both", &Dataset::check);
  co_await end();
}

TEST(Move, WhatOnlyAnEngineHasThatIsAwayMovesWhenItIsBack) {
  for (const std::uint64_t seed : {4, 5, 8}) {
    Scene scene(seed, 3, {"S1", "S1", "S1", "S1"}, 0);
    EXPECT_EQ(scene.play(&Scene::bring_one_back_while_another_is_away), "") << "seed " << seed;
  }
}

TEST(Move, AClonesSourcesAreMadeAnewToo) {
  Scene scene(4, 3, {"RP_2G1", "RP_2GX"}, 1);
  EXPECT_EQ(scene.play(&Scene::lose_one_of_a_clone), "");
}

TEST(Move, WhatWasEmptiedIsNeededNoMore) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Scene scene(seed, 3, {"S1", "SX"}, 0);
    EXPECT_EQ(scene.play(&Scene::empty_one_and_bring_it_back), "") << "seed " << seed;
  }
}

TEST(Move, WhatIsLostIsMadeAnewAndWhatWasDeletedStaysSo) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Scene scene(seed, 4, {"RP_2G1", "RP_2GX", "RP_3G1", "RP_2G4"}, 1);
    EXPECT_EQ(scene.play(&Scene::lose_two_and_bring_them_back), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace cenote::sim
