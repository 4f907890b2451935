#include "control_service.h"

#include <gtest/gtest.h>

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
  CreateContainer request{"a", "c", "posix", {{"checksum", "off"}, {"user.owner", "me"}}};
  const auto container = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  EXPECT_EQ(container->properties, request.properties);
  EXPECT_FALSE(targets_.containers[0].at(container->id).checksums);
  const auto changed =
      wait(control_.set_properties("a", "c", {{"user.owner", "you"}, {"user.x", ""}}, Until::forever()));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->properties.at("user.owner"), "you");
  EXPECT_EQ(changed->properties.size(), 3U);
  const auto refused = [&](const std::string& name, const std::string& value) {
    return wait(control_.set_properties("a", "c", {{name, value}}, Until::forever())).error().code();
  };
  EXPECT_EQ(refused("checksum", "crc32c"), Code::kInvalidArgument) << "fixed at creation";
  EXPECT_EQ(refused("color", "red"), Code::kInvalidArgument);
  EXPECT_EQ(refused("user.", "x"), Code::kInvalidArgument);
  EXPECT_EQ(refused("user.a b", "x"), Code::kInvalidArgument);
  EXPECT_EQ(refused("user.x", std::string(kMaxPropertyBytes + 1, 'x')), Code::kOutOfRange);
  EXPECT_EQ(refused("user." + std::string(200, 'x'), "x"), Code::kOutOfRange);
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
  EXPECT_EQ(account->charge(61).error(), Code::kQuotaExceeded);
  EXPECT_TRUE(account->charge(50).has_value());
  EXPECT_TRUE(account->over_soft_limit());
  EXPECT_EQ(neighbour->charge(51).error(), Code::kQuotaExceeded) << "both share the pool's size";
  EXPECT_TRUE(neighbour->charge(50).has_value());
  neighbour->refund(50);
  const auto set = [&](const std::string& name, const std::string& value) {
    return wait(control_.set_properties("a", "c", {{name, value}}, Until::forever()));
  };
  EXPECT_TRUE(set("quota", "none").has_value());
  EXPECT_TRUE(account->charge(50).has_value());
  EXPECT_TRUE(set("quota", "70").has_value());
  EXPECT_EQ(account->check_room(0).error(), Code::kQuotaExceeded) << "more is stored than is allowed now";
  for (const char* value : {"", "-1", "1.5", "10GiB", "x", "18446744073709551615", "99999999999999999999"})
    EXPECT_EQ(set("quota", value).error(), Code::kInvalidArgument) << value;
  EXPECT_EQ(set("quota-soft", "x").error(), Code::kInvalidArgument);
}

TEST_F(ControlServiceTest, AStartChargesWhatIsThere) {
  EXPECT_TRUE(create_pool("a", 100, 1).has_value());
  CreateContainer request{"a", "c", "", {{"quota", "60"}}};
  const auto container = wait(control_.create_container(request, id(2), Until::forever()));
  ASSERT_TRUE(container.has_value());
  targets_.accounts.clear();
  ControlService next(node_, coordinator_, targets_);
  ASSERT_TRUE(wait(next.resume()).has_value());
  EXPECT_EQ(targets_.accounts.at(container->id)->charge(61).error(), Code::kQuotaExceeded);
  EXPECT_TRUE(targets_.accounts.at(container->id)->charge(60).has_value());
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

}  // namespace
}  // namespace cenote::engine
