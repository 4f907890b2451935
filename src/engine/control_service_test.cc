#include "control_service.h"

#include <gtest/gtest.h>

#include <set>

#include "cenote/base/format.h"
#include "cenote/runtime/sim_reactor.h"
#include "memory_coordinator.h"
#include "memory_targets.h"

namespace cenote::engine {
namespace {

class ControlServiceTest : public testing::Test {
 protected:
  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  Uuid id(std::uint64_t number) { return Uuid::from_random(7, number); }

  Result<PoolInfo> create_pool(const std::string& label, std::uint64_t bytes, std::uint64_t number) {
    return wait(control_.create_pool({label, bytes}, id(number), Until::forever()));
  }
  Result<ContainerInfo> create_container(const std::string& pool, const std::string& label, std::uint64_t number) {
    CreateContainer request;
    request.pool = pool;
    request.label = label;
    return wait(control_.create_container(request, id(number), Until::forever()));
  }
  void expect_consistent() {
    const auto checked = wait(control_.check());
    EXPECT_TRUE(checked.has_value()) << checked.error().to_string();
  }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("control");
  CoordinatorState state_;
  MemoryCoordinator coordinator_{state_};
  MemoryTargets targets_{2};
  ControlService control_{node_, coordinator_, targets_};
};

TEST_F(ControlServiceTest, PoolsSharePromisedSpace) {
  EXPECT_EQ(create_pool("a", 600, 1)->size_bytes, 600);
  const auto refused = create_pool("b", 401, 2);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kNoSpace);
  EXPECT_EQ(create_pool("b", 0, 3)->size_bytes, 400) << "0 takes all that is left";
  const auto none = create_pool("c", 0, 4);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error(), Code::kNoSpace);
  EXPECT_NE(none.error().message().find("nothing is left"), std::string::npos) << none.error().message();
  EXPECT_TRUE(wait(control_.destroy_pool("a", false, Until::forever())).has_value());
  EXPECT_EQ(create_pool("c", 0, 5)->size_bytes, 600);
  expect_consistent();
}

TEST_F(ControlServiceTest, APoolNeedsAsManyFaultDomainsAsItIsToSurvive) {
  targets_.nodes = 2;
  const auto create = [&](std::uint32_t redundancy, std::uint64_t number) {
    return wait(
        control_.create_pool({.label = "p" + std::to_string(redundancy), .size_bytes = 10, .redundancy = redundancy},
                             id(number), Until::forever()));
  };
  const auto refused = create(3, 1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("2 missing"), std::string::npos) << refused.error().message();
  EXPECT_EQ(create(6, 2).error(), Code::kOutOfRange);
  EXPECT_EQ(create(0, 3)->redundancy, 0u);
  const auto made = create(1, 4);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(made->redundancy, 1u);
  EXPECT_EQ(made->state, "up");
  EXPECT_EQ(made->map_version, 1u);
  ASSERT_EQ(made->engines.size(), 2u);
  EXPECT_EQ(made->engines[1], (MappedEngineInfo{.rank = 1, .state = "up-in", .since = 1}));
  EXPECT_EQ(wait(control_.query_pool("p1"))->redundancy, 1u);
  expect_consistent();
}

TEST_F(ControlServiceTest, LabelsAreUniqueAndRepeatedRequestsAreNotExecutedAgain) {
  const auto first = create_pool("a", 100, 1);
  const auto again = create_pool("a", 100, 1);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->id, again->id);
  EXPECT_EQ(create_pool("a", 100, 2).error(), Code::kExists);
  EXPECT_EQ(wait(control_.list_pools())->size(), 1U);
  const auto container = create_container("a", "c", 3);
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  EXPECT_EQ(create_container("a", "c", 3)->id, container->id);
  EXPECT_EQ(create_container("a", "c", 4).error(), Code::kExists);
  EXPECT_EQ(wait(control_.query_pool("a"))->containers, 1U);
  expect_consistent();
}

TEST_F(ControlServiceTest, NamesMayBeLabelsOrIds) {
  const auto pool = create_pool("a", 100, 1);
  const auto container = create_container(pool->id.to_string(), "c", 2);
  ASSERT_TRUE(container.has_value());
  EXPECT_EQ(wait(control_.query_container("a", container->id.to_string()))->label, "c");
  EXPECT_EQ(wait(control_.query_pool("b")).error(), Code::kPoolNotFound);
  EXPECT_EQ(wait(control_.query_pool(id(99).to_string())).error(), Code::kPoolNotFound);
  EXPECT_EQ(wait(control_.query_container("a", "d")).error(), Code::kContainerNotFound);
  EXPECT_TRUE(create_pool("b", 100, 3).has_value());
  EXPECT_EQ(wait(control_.query_container("b", container->id.to_string())).error(), Code::kContainerNotFound)
      << "a container of another pool";
}

TEST_F(ControlServiceTest, ContainersReachEveryTargetAndLeaveEveryTarget) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  const auto container = create_container("a", "c", 2);
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.at(container->id).checksums);
  EXPECT_TRUE(wait(control_.open_container(container->id)).has_value());
  EXPECT_TRUE(wait(control_.destroy_container("a", "c", Until::forever())).has_value());
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.empty());
  EXPECT_EQ(wait(control_.open_container(container->id)).error(), Code::kContainerNotFound);
  EXPECT_EQ(wait(control_.destroy_container("a", "c", Until::forever())).error(), Code::kContainerNotFound);
  EXPECT_TRUE(create_container("a", "c", 3).has_value()) << "the label is free again";
  expect_consistent();
}

TEST_F(ControlServiceTest, APoolWithContainersNeedsForce) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  for (std::uint64_t number = 2; number < 6; ++number)
    EXPECT_TRUE(create_container("a", fmt::format("c{}", number), number).has_value());
  EXPECT_EQ(wait(control_.destroy_pool("a", false, Until::forever())).error(), Code::kNotEmpty);
  EXPECT_TRUE(wait(control_.destroy_pool("a", true, Until::forever())).has_value());
  EXPECT_EQ(wait(control_.list_pools())->size(), 0U);
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.empty());
  expect_consistent();
  // Nothing but the counter of promises is left of it.
  EXPECT_EQ(state_.entries.size(), 1U);
}

TEST_F(ControlServiceTest, PropertiesAreCheckedAndKept) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  CreateContainer request{"a", "c", "posix", {{"checksum", "off"}, {"compression", "zstd"}, {"user.owner", "me"}}};
  const auto container = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  EXPECT_EQ(container->properties, request.properties);
  EXPECT_FALSE(targets_.containers[0].at(container->id).checksums);
  EXPECT_EQ(targets_.containers[0].at(container->id).compression, object::Compression::kZstd);
  const auto changed =
      wait(control_.set_properties("a", "c", {{"user.owner", "you"}, {"user.x", ""}}, Until::forever()));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->properties.at("user.owner"), "you");
  EXPECT_EQ(changed->properties.size(), 4U);
  const auto refused = [&](const std::string& name, const std::string& value) {
    return wait(control_.set_properties("a", "c", {{name, value}}, Until::forever())).error().code();
  };
  EXPECT_EQ(refused("checksum", "crc32c"), Code::kInvalidArgument) << "fixed at creation";
  EXPECT_EQ(refused("compression", "lz4"), Code::kInvalidArgument) << "fixed at creation";
  EXPECT_EQ(wait(control_.create_container({"a", "d", "", {{"compression", "best"}}}, id(9), Until::forever())).error(),
            Code::kInvalidArgument);
  EXPECT_EQ(refused("color", "red"), Code::kInvalidArgument);
  EXPECT_EQ(refused("user.", "x"), Code::kInvalidArgument);
  EXPECT_EQ(refused("user.a b", "x"), Code::kInvalidArgument);
  EXPECT_EQ(refused("user.x", std::string(kMaxPropertyBytes + 1, 'x')), Code::kOutOfRange);
  EXPECT_EQ(refused("user." + std::string(200, 'x'), "x"), Code::kOutOfRange);
}

TEST_F(ControlServiceTest, ContainersAreEncryptedWhereTheStoresAre) {
  EXPECT_TRUE(create_pool("a", 100, 1));
  CreateContainer request{"a", "c", "", {{"encryption", "aes-256-gcm"}}};
  const auto refused = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("--encryption-key-file"), std::string::npos);
  targets_.are_encrypted = true;
  const auto made = wait(control_.create_container({"a", "d", "", {}}, id(3), Until::forever()));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->properties.at("encryption"), "aes-256-gcm");
  EXPECT_TRUE(targets_.containers[0].at(made->id).encrypted);
  const auto plain = wait(control_.create_container({"a", "e", "", {{"encryption", "off"}}}, id(4), Until::forever()));
  ASSERT_TRUE(plain);
  EXPECT_FALSE(targets_.containers[0].at(plain->id).encrypted);
  EXPECT_EQ(wait(control_.create_container({"a", "f", "", {{"encryption", "rot13"}}}, id(5), Until::forever())).error(),
            Code::kInvalidArgument);
  EXPECT_EQ(wait(control_.set_properties("a", "e", {{"encryption", "aes-256-gcm"}}, Until::forever())).error(),
            Code::kInvalidArgument);
  expect_consistent();
}

TEST_F(ControlServiceTest, QuotasReachTheAccounts) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  CreateContainer request{"a", "c", "", {{"quota", "60"}, {"quota-soft", "40"}}};
  const auto container = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  const auto other = create_container("a", "d", 3);
  ASSERT_TRUE(other.has_value());
  const auto account = targets_.accounts.at(container->id);
  const auto neighbour = targets_.accounts.at(other->id);
  EXPECT_EQ(account->charge({61, 0}).error(), Code::kQuotaExceeded);
  EXPECT_TRUE(account->charge({50, 0}).has_value());
  EXPECT_TRUE(account->over_soft_limit());
  EXPECT_EQ(neighbour->charge({51, 0}).error(), Code::kQuotaExceeded) << "both share the pool's size";
  EXPECT_TRUE(neighbour->charge({50, 0}).has_value());
  neighbour->refund({50, 0});
  const auto set = [&](const std::string& name, const std::string& value) {
    return wait(control_.set_properties("a", "c", {{name, value}}, Until::forever()));
  };
  EXPECT_TRUE(set("quota", "none").has_value());
  EXPECT_TRUE(account->charge({50, 0}).has_value());
  EXPECT_TRUE(set("quota", "70").has_value());
  EXPECT_EQ(account->check_room({1, 0}).error(), Code::kQuotaExceeded) << "more is stored than is allowed now";
  for (const char* value : {"", "-1", "1.5", "10GiB", "x", "18446744073709551615", "99999999999999999999"})
    EXPECT_EQ(set("quota", value).error(), Code::kInvalidArgument) << value;
  EXPECT_EQ(set("quota-soft", "x").error(), Code::kInvalidArgument);
}

TEST_F(ControlServiceTest, QuotasOfObjectsReachTheAccounts) {
  CreatePool pool{"a", 100, {{"quota-objects", "9"}}};
  ASSERT_TRUE(wait(control_.create_pool(pool, id(1), Until::forever())));
  CreateContainer request{"a", "c", "", {{"quota-objects", "5"}, {"quota-objects-soft", "4"}}};
  const auto container = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(container) << container.error().to_string();
  const auto other = create_container("a", "d", 3);
  ASSERT_TRUE(other);
  const auto account = targets_.accounts.at(container->id);
  const auto neighbour = targets_.accounts.at(other->id);
  EXPECT_EQ(account->charge({0, 6}).error(), Code::kQuotaExceeded);
  EXPECT_TRUE(account->charge({0, 5}));
  EXPECT_TRUE(account->over_soft_limit());
  EXPECT_EQ(neighbour->charge({0, 5}).error(), Code::kQuotaExceeded) << "both share the pool's limit";
  const auto set = [&](const std::string& name, const std::string& value) {
    return wait(control_.set_pool_properties("a", {{name, value}}, Until::forever()));
  };
  const auto raised = set("quota-objects", "10");
  ASSERT_TRUE(raised) << raised.error().to_string();
  EXPECT_EQ(raised->properties, (std::map<std::string, std::string>{{"quota-objects", "10"}}));
  EXPECT_TRUE(neighbour->charge({0, 5}));
  EXPECT_TRUE(set("quota-objects-soft", "3"));
  EXPECT_EQ(wait(control_.query_pool("a"))->properties.size(), 2u);
  EXPECT_TRUE(set("quota-soft", "none"));
  EXPECT_EQ(set("quota", "50").error(), Code::kInvalidArgument) << "its size is its quota";
  EXPECT_EQ(set("checksum", "off").error(), Code::kInvalidArgument);
  EXPECT_EQ(set("quota-objects", "5k").error(), Code::kInvalidArgument);
  pool = {"b", 100, {{"user.x", "y"}}};
  EXPECT_EQ(wait(control_.create_pool(pool, id(4), Until::forever())).error(), Code::kInvalidArgument);
  targets_.holds = {.bytes = 7, .objects = 3};
  EXPECT_EQ(wait(control_.query_pool("a"))->used_objects, 6u);
  EXPECT_EQ(wait(control_.query_container("a", "c"))->used_objects, 3u);
  expect_consistent();
}

TEST_F(ControlServiceTest, AClonePassesOnWhatItsSourceIs) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  CreateContainer request{
      "a", "c", "posix", {{"compression", "zstd"}, {"user.owner", "me"}, {"quota", "60"}, {"quota-objects", "9"}}};
  const auto source = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(source.has_value());
  const auto lease = wait(control_.lease_oids(source->id, Until::forever()));
  const auto clone = [&](const std::string& from, const std::string& snapshot, const std::string& label,
                         std::uint64_t n) {
    return wait(control_.clone_container({"a", from, snapshot, label}, id(n), Until::forever()));
  };
  const auto made = clone("c", "", "k", 3);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(made->type, "posix");
  EXPECT_EQ(made->properties, (std::map<std::string, std::string>{
                                  {"checksum", "crc32c"}, {"compression", "zstd"}, {"user.owner", "me"}}));
  ASSERT_TRUE(made->clone_of.has_value());
  EXPECT_EQ(made->clone_of->container, source->id);
  EXPECT_GE(wait(control_.lease_oids(made->id, Until::forever()))->first, lease->first + lease->count)
      << "objects of the source have lower numbers";
  EXPECT_EQ(clone("c", "", "k", 3)->clone_of, made->clone_of) << "a request that is sent again";
  EXPECT_EQ(clone("c", "", "k", 4).error(), Code::kExists);
  EXPECT_EQ(clone("none", "", "l", 5).error(), Code::kContainerNotFound);
  EXPECT_EQ(clone("c", "none", "l", 5).error(), Code::kNotFound);
  EXPECT_EQ(clone("c", "", "a/b", 5).error(), Code::kInvalidArgument);
  for (const auto& target : targets_.snapshots)
    EXPECT_TRUE(target.at(source->id).empty()) << "the clone alone keeps it";
  EXPECT_TRUE(wait(control_.list_snapshots("a", "c"))->empty());

  const auto snapshot = wait(control_.create_snapshot("a", "k", "s", id(6), Until::forever()));
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_EQ(clone("k", "s", "m", 7)->clone_of->epoch, snapshot->epoch);
  EXPECT_TRUE(wait(control_.destroy_snapshot("a", "k", "s", Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.destroy_container("a", "c", Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.query_container("a", "k")).has_value());
  expect_consistent();
}

TEST_F(ControlServiceTest, AFlattenedCloneIsNoneAnyMore) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  EXPECT_TRUE(create_container("a", "c", 2).has_value());
  EXPECT_TRUE(wait(control_.clone_container({"a", "c", "", "k"}, id(3), Until::forever())).has_value());
  const auto flatten = [&](const std::string& name) {
    return wait(control_.flatten_container("a", name, Until::forever()));
  };
  const auto original = flatten("c");
  ASSERT_TRUE(original.has_value()) << original.error().to_string();
  EXPECT_FALSE(original->clone_of || original->flattening);
  EXPECT_EQ(flatten("none").error(), Code::kContainerNotFound);
  targets_.flattening_adds.bytes = 101;
  const auto refused = flatten("k");
  ASSERT_EQ(refused.error(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().to_string().find("flattening 'k'"), std::string::npos) << refused.error().to_string();
  EXPECT_FALSE(wait(control_.query_container("a", "k"))->flattening) << "what is refused is not begun";
  targets_.flattening_adds.bytes = 60;
  targets_.is_slow = true;
  for (int i = 0; i < 2; ++i) {
    const auto begun = flatten("k");
    ASSERT_TRUE(begun && begun->clone_of && begun->flattening);
    EXPECT_EQ(begun->flattening->left_bytes, 60u);
  }
  wait(control_.stop());
  ControlService next(node_, coordinator_, targets_);
  EXPECT_TRUE(wait(next.resume()).has_value());
  EXPECT_TRUE(wait(next.query_container("a", "k"))->flattening) << "a start goes on with it";
  targets_.is_slow = false;
  world_.run_until([] { return false; }, std::chrono::seconds(2));
  const auto done = wait(next.query_container("a", "k"));
  EXPECT_FALSE(done->clone_of || done->flattening);
  for (const auto& target : targets_.clones) EXPECT_TRUE(target.empty());
  wait(next.stop());
  expect_consistent();
}

TEST_F(ControlServiceTest, ClonesAreInTheWayOfARollback) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  EXPECT_TRUE(create_container("a", "c", 2).has_value());
  EXPECT_TRUE(wait(control_.create_snapshot("a", "c", "s", id(3), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.clone_container({"a", "c", "", "later"}, id(4), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.clone_container({"a", "c", "s", "same"}, id(5), Until::forever())).has_value());
  const auto refused = wait(control_.roll_back("a", "c", "s", true, id(6), Until::forever()));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kConditionFailed);
  EXPECT_NE(refused.error().message().find("'later'"), std::string::npos) << refused.error().message();
  EXPECT_EQ(refused.error().message().find("'same'"), std::string::npos) << refused.error().message();
  EXPECT_TRUE(wait(control_.destroy_container("a", "later", Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.roll_back("a", "c", "s", true, id(7), Until::forever())).has_value());
}

/// Nobody knows its name any more, but what it sees cannot be taken back; and what is refused must not be begun.
TEST_F(ControlServiceTest, SoAreClonesThatAreGoneAndHaveClones) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  EXPECT_TRUE(create_container("a", "c", 2).has_value());
  EXPECT_TRUE(wait(control_.create_snapshot("a", "c", "s", id(3), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.clone_container({"a", "c", "", "first"}, id(4), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.clone_container({"a", "first", "", "second"}, id(5), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.destroy_container("a", "first", Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.create_snapshot("a", "c", "t", id(6), Until::forever())).has_value());
  const auto refused = wait(control_.roll_back("a", "c", "s", true, id(7), Until::forever()));
  ASSERT_EQ(refused.error(), Code::kConditionFailed);
  EXPECT_NE(refused.error().message().find("'second'"), std::string::npos) << refused.error().message();
  EXPECT_EQ(wait(control_.list_snapshots("a", "c"))->size(), 2u) << "force, but not for nothing";
  EXPECT_TRUE(wait(control_.create_snapshot("a", "c", "u", id(8), Until::forever())).has_value());
  ControlService next(node_, coordinator_, targets_);
  EXPECT_TRUE(wait(next.resume()).has_value());
  EXPECT_TRUE(wait(control_.destroy_container("a", "second", Until::forever())).has_value());
  for (const auto& done : targets_.rollbacks) EXPECT_TRUE(done.empty());
  EXPECT_TRUE(wait(control_.roll_back("a", "c", "s", true, id(9), Until::forever())).has_value());
  expect_consistent();
}

/// Earlier builds began what a clone did not let: it must not come later, nor keep the system from starting.
TEST_F(ControlServiceTest, ARollbackThatIsRefusedAtTheStartIsOver) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  const auto container = create_container("a", "c", 2);
  const auto snapshot = wait(control_.create_snapshot("a", "c", "s", id(3), Until::forever()));
  EXPECT_TRUE(wait(control_.clone_container({"a", "c", "", "later"}, id(4), Until::forever())).has_value());
  cluster::Transaction change;
  const RollbackRecord begun{.container = container->id, .id = id(5), .to = snapshot->epoch};
  change.put(rollback_key(container->id), encode(begun));
  ASSERT_TRUE(wait(coordinator_.commit(std::move(change))));
  ControlService next(node_, coordinator_, targets_);
  ASSERT_TRUE(wait(next.resume()).has_value());
  EXPECT_TRUE(wait(control_.destroy_container("a", "later", Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.create_snapshot("a", "c", "t", id(6), Until::forever())).has_value());
  for (const auto& done : targets_.rollbacks) EXPECT_TRUE(done.empty());
}

TEST_F(ControlServiceTest, AStartChargesWhatIsThere) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  CreateContainer request{"a", "c", "", {{"quota", "60"}}};
  const auto container = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(container.has_value());
  targets_.accounts.clear();
  ControlService next(node_, coordinator_, targets_);
  ASSERT_TRUE(wait(next.resume()).has_value());
  EXPECT_EQ(targets_.accounts.at(container->id)->charge({61, 0}).error(), Code::kQuotaExceeded);
  EXPECT_TRUE(targets_.accounts.at(container->id)->charge({60, 0}).has_value());
}

TEST_F(ControlServiceTest, PropertiesAreBounded) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  EXPECT_TRUE(create_container("a", "c", 2).has_value());
  std::map<std::string, std::string> many;
  for (std::uint32_t number = 1; number < kMaxProperties; ++number) {
    many.emplace(fmt::format("user.{}", number), std::string(kMaxPropertyBytes, 'x'));
  }
  ASSERT_TRUE(wait(control_.set_properties("a", "c", many, Until::forever())).has_value());
  EXPECT_EQ(wait(control_.set_properties("a", "c", {{"user.more", ""}}, Until::forever())).error(), Code::kOutOfRange);
  EXPECT_TRUE(wait(control_.destroy_container("a", "c", Until::forever())).has_value());
}

TEST_F(ControlServiceTest, BadRequestsChangeNothing) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  const auto before = state_.revision;
  EXPECT_EQ(create_pool("", 1, 2).error(), Code::kInvalidArgument);
  EXPECT_EQ(create_pool("a/b", 1, 2).error(), Code::kInvalidArgument);
  EXPECT_EQ(create_pool(std::string(128, 'x'), 1, 2).error(), Code::kInvalidArgument);
  EXPECT_EQ(create_pool(id(5).to_string(), 1, 2).error(), Code::kInvalidArgument);
  EXPECT_EQ(create_container("none", "c", 2).error(), Code::kPoolNotFound);
  const CreateContainer odd{"a", "c", "table", {}};
  EXPECT_EQ(wait(control_.create_container(odd, id(2), Until::forever())).error(), Code::kInvalidArgument);
  EXPECT_EQ(state_.revision, before);
}

TEST_F(ControlServiceTest, LeasesOfObjectNumbersDoNotOverlap) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  const auto container = create_container("a", "c", 2);
  const auto first = wait(control_.lease_oids(container->id, Until::forever()));
  const auto second = wait(control_.lease_oids(container->id, Until::forever()));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->first, kFirstLeasedObject);
  EXPECT_EQ(second->first, first->first + first->count);
  EXPECT_EQ(wait(control_.lease_oids(id(9), Until::forever())).error(), Code::kContainerNotFound);
}

TEST_F(ControlServiceTest, AFailingTargetUndoesTheCreation) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  int calls = 0;
  targets_.before = [&]() -> Result<> {
    if (++calls == 2) return fail(Code::kNoSpace, "target 1 is full");
    return {};
  };
  const auto refused = create_container("a", "c", 2);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kNoSpace);
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.empty());
  EXPECT_EQ(wait(control_.query_pool("a"))->containers, 0U);
  EXPECT_TRUE(create_container("a", "c", 3).has_value());
  expect_consistent();
}

TEST_F(ControlServiceTest, ADamagedRecordIsNamed) {
  const auto pool = create_pool("a", 100, 1);
  state_.entries.at("pool/" + pool->id.to_string()).value = "{";
  const auto query = wait(control_.query_pool("a"));
  ASSERT_FALSE(query.has_value());
  EXPECT_EQ(query.error(), Code::kCorrupt);
  EXPECT_NE(query.error().message().find(pool->id.to_string()), std::string::npos);
}

class SnapshotsTest : public ControlServiceTest {
 protected:
  SnapshotsTest() {
    EXPECT_TRUE(create_pool("a", 100, 1));
    container_ = create_container("a", "c", 2)->id;
  }
  Result<SnapshotInfo> create(const std::string& name, std::uint64_t number) {
    return wait(control_.create_snapshot("a", "c", name, id(number), Until::forever()));
  }
  Result<> destroy(const std::string& name) {
    return wait(control_.destroy_snapshot("a", "c", name, Until::forever()));
  }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const SnapshotInfo& snapshot : *wait(control_.list_snapshots("a", "c"))) names.push_back(snapshot.name);
    return names;
  }
  std::set<Epoch> kept(std::size_t target) { return targets_.snapshots[target][container_]; }

  Uuid container_;
};

TEST_F(SnapshotsTest, ReachEveryTargetWithOneEpochAndLeaveEveryTarget) {
  targets_.clock = Epoch(5000);
  const auto first = create("monday", 3);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_GT(first->epoch, Epoch(5000)) << "above all that any target has answered for";
  const auto second = create("before:tuesday", 4);
  ASSERT_TRUE(second);
  EXPECT_GT(second->epoch, first->epoch);
  EXPECT_EQ(names(), (std::vector<std::string>{"before:tuesday", "monday"}));
  for (const std::size_t target : {0, 1}) EXPECT_EQ(kept(target), (std::set{first->epoch, second->epoch}));
  EXPECT_EQ(wait(control_.query_snapshot("a", "c", "monday"))->epoch, first->epoch);
  expect_consistent();
  EXPECT_TRUE(destroy("monday"));
  EXPECT_EQ(destroy("monday").error(), Code::kNotFound);
  EXPECT_EQ(wait(control_.query_snapshot("a", "c", "monday")).error(), Code::kNotFound);
  for (const std::size_t target : {0, 1}) EXPECT_EQ(kept(target), std::set{second->epoch});
  EXPECT_TRUE(create("monday", 5)) << "the name is free again";
  expect_consistent();
}

TEST_F(SnapshotsTest, NamesAreUniqueAndRepeatedRequestsAreNotExecutedAgain) {
  const auto first = create("s", 3);
  const auto again = create("s", 3);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->epoch, again->epoch);
  EXPECT_EQ(create("s", 4).error(), Code::kExists);
  EXPECT_EQ(kept(0).size(), 1u);
  for (const char* name : {"", "a/b", "white space", "\xff", "0d9c9f3e-6f0a-4c0b-8a3e-3f1d0e9b7a11"})
    EXPECT_EQ(create(name, 5).error(), Code::kInvalidArgument) << name;
  EXPECT_EQ(create(std::string(kMaxLabelBytes + 1, 'x'), 5).error(), Code::kInvalidArgument);
  EXPECT_EQ(wait(control_.create_snapshot("a", "d", "s", id(6), Until::forever())).error(), Code::kContainerNotFound);
  EXPECT_EQ(wait(control_.create_snapshot("b", "c", "s", id(6), Until::forever())).error(), Code::kPoolNotFound);
  expect_consistent();
}

TEST_F(SnapshotsTest, OneThatATargetCannotTakeLeavesNothing) {
  int told = 0;
  targets_.before = [&told]() -> Result<> {
    if (++told != 2) return {};
    return fail(Code::kNoSpace, "full");
  };
  const auto refused = create("s", 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Code::kNoSpace);
  EXPECT_TRUE(names().empty());
  for (const std::size_t target : {0, 1}) EXPECT_TRUE(kept(target).empty());
  EXPECT_TRUE(create("s", 3)) << "the same request again";
  expect_consistent();
}

// Targets fail at first to add it, then to remove it again: what is left under the name is nobody's.
TEST_F(SnapshotsTest, OneThatCouldNotBeUndoneMakesRoomForAnother) {
  int told = 0;
  targets_.before = [&told]() -> Result<> {
    if (++told < 2) return {};
    return fail(Code::kIoError, "broken");
  };
  EXPECT_EQ(create("s", 3).error(), Code::kIoError);
  EXPECT_EQ(kept(0).size(), 1u);
  EXPECT_TRUE(names().empty());
  EXPECT_EQ(wait(control_.query_snapshot("a", "c", "s")).error(), Code::kNotFound);
  targets_.before = [] { return Result<>(); };
  const auto made = create("s", 4);
  ASSERT_TRUE(made) << made.error().to_string();
  for (const std::size_t target : {0, 1}) EXPECT_EQ(kept(target), std::set{made->epoch});
  expect_consistent();
}

TEST_F(SnapshotsTest, GoWithTheirContainer) {
  for (std::uint64_t number = 0; number < 150; ++number) ASSERT_TRUE(create(fmt::format("s{}", number), 10 + number));
  EXPECT_TRUE(wait(control_.destroy_container("a", "c", Until::forever())));
  for (const std::size_t target : {0, 1}) EXPECT_TRUE(kept(target).empty());
  for (const auto& [key, entry] : state_.entries) EXPECT_FALSE(key.starts_with("snapshot/")) << key;
  EXPECT_TRUE(create_container("a", "c", 3));
  EXPECT_TRUE(names().empty());
  expect_consistent();
}

class RollbackTest : public SnapshotsTest {
 protected:
  Result<SnapshotInfo> roll_back(const std::string& name, std::uint64_t number, bool force = false) {
    return wait(control_.roll_back("a", "c", name, force, id(number), Until::forever()));
  }
  auto done(std::size_t target) { return targets_.rollbacks[target][container_]; }
};

TEST_F(RollbackTest, ReachesEveryTargetOnce) {
  const auto snapshot = create("s", 3);
  ASSERT_TRUE(snapshot);
  for (int repeated = 0; repeated < 2; ++repeated) {
    const auto rolled_back = roll_back("s", 4);
    ASSERT_TRUE(rolled_back) << rolled_back.error().to_string();
    EXPECT_EQ(rolled_back->epoch, snapshot->epoch);
  }
  using Done = std::vector<std::pair<Uuid, Epoch>>;
  for (const std::size_t target : {0, 1}) EXPECT_EQ(done(target), (Done{{id(4), snapshot->epoch}}));
  EXPECT_TRUE(roll_back("s", 5));
  EXPECT_EQ(done(1).size(), 2u);
  EXPECT_EQ(roll_back("t", 6).error(), Code::kNotFound);
  EXPECT_EQ(roll_back("no/name", 6).error(), Code::kInvalidArgument);
  EXPECT_EQ(wait(control_.roll_back("a", "d", "s", false, id(6), Until::forever())).error(), Code::kContainerNotFound);
  expect_consistent();
}

TEST_F(RollbackTest, NewerSnapshotsAreInTheWayOrGo) {
  ASSERT_TRUE(create("older", 3) && create("middle", 4) && create("newer", 5));
  const auto refused = roll_back("middle", 6);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Code::kConditionFailed);
  EXPECT_NE(refused.error().message().find("newer"), std::string::npos);
  EXPECT_TRUE(done(0).empty());
  EXPECT_TRUE(roll_back("middle", 6, true));
  EXPECT_EQ(names(), (std::vector<std::string>{"middle", "older"}));
  EXPECT_EQ(kept(1).size(), 2u);
  // The answer was lost, and meanwhile somebody made another snapshot: sent again, the request does nothing.
  ASSERT_TRUE(create("later", 7));
  EXPECT_TRUE(roll_back("middle", 6, true));
  EXPECT_EQ(names(), (std::vector<std::string>{"later", "middle", "older"}));
  expect_consistent();
}

TEST_F(RollbackTest, OneThatATargetInterruptedIsCompletedByWhatComesNext) {
  ASSERT_TRUE(create("s", 3));
  for (const bool by_restart : {false, true}) {
    const std::size_t before = done(0).size();
    int told = 0;
    targets_.before = [&told]() -> Result<> {
      if (++told != 2) return {};
      return fail(Code::kIoError, "broken");
    };
    EXPECT_EQ(roll_back("s", 10 + before).error(), Code::kIoError);
    targets_.before = [] { return Result<>(); };
    EXPECT_EQ(done(1).size(), before);
    if (by_restart) {
      EXPECT_TRUE(wait(control_.resume()));
    } else {
      EXPECT_TRUE(create("t", 4));
    }
    EXPECT_EQ(done(1), done(0));
    EXPECT_EQ(done(1).size(), before + 1);
    if (!by_restart) EXPECT_TRUE(destroy("t"));
  }
  expect_consistent();
}

TEST_F(RollbackTest, IsForgottenWithTheContainer) {
  ASSERT_TRUE(create("s", 3) && roll_back("s", 4));
  ASSERT_TRUE(wait(control_.destroy_container("a", "c", Until::forever())));
  for (const auto& [key, entry] : state_.entries) EXPECT_FALSE(key.starts_with("rollback/")) << key;
  expect_consistent();
}

TEST_F(SnapshotsTest, HaveABound) {
  for (std::uint64_t number = 0; number < object::kMaxSnapshots; ++number) {
    const SnapshotRecord record{container_, fmt::format("s{}", number), id(10 + number), Epoch(1 + number),
                                SnapshotRecord::State::kReady};
    cluster::Transaction change;
    change.put(snapshot_key(container_, record.name), encode(record));
    ASSERT_TRUE(wait(coordinator_.commit(std::move(change))));
  }
  const auto refused = create("one-more", 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Code::kQuotaExceeded);
  EXPECT_TRUE(destroy("s7"));
  EXPECT_TRUE(create("one-more", 3));
  expect_consistent();
}

}  // namespace
}  // namespace cenote::engine
