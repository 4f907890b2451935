#pragma once

#include "target_test_kit.h"

namespace cenote::object {

inline const ObjectId kCloneObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

/// A container with values, and clones of it.
class CloneFixture : public testing::Test {
 protected:
  explicit CloneFixture(std::uint64_t seed = 31, std::uint64_t mib = 96)
      : target_(seed, mib), parent_(target_.container) {}

  static Bytes value_of(std::uint64_t number) { return pattern(number, 50'000); }
  /// All requests go to it from now on.
  void use(const Uuid& container) { target_.container = container; }
  void put(std::string_view akey, std::uint64_t number) {
    const Bytes value = value_of(number);
    const auto updated = target_.update(target_.single(kCloneObject, key_of("d"), key_of(akey), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  void punch() {
    ASSERT_TRUE(target_.punch(
        {.container = target_.container, .object = kCloneObject, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
  }
  bool shows(std::string_view akey, std::uint64_t number, Epoch epoch = kEpochLatest) {
    const auto fetched = target_.fetch(target_.fetch_single(kCloneObject, key_of("d"), key_of(akey), epoch));
    return fetched && fetched->reply.akeys[0].exists && joined(*fetched) == value_of(number);
  }
  bool absent(std::string_view akey) {
    const auto fetched = target_.fetch(target_.fetch_single(kCloneObject, key_of("d"), key_of(akey)));
    return fetched && !fetched->reply.akeys[0].exists;
  }
  Epoch snapshot() {
    const Epoch epoch(target_.objects->now().value() + 1);
    EXPECT_TRUE(target_.block_on(target_.objects->add_snapshot(target_.container, epoch)));
    return epoch;
  }
  Result<> clone_as(const Uuid& id, const Uuid& source, Epoch epoch) {
    return target_.block_on(target_.objects->clone_container(id, target_.properties, {source, epoch}));
  }
  /// Of the container in use as it is now; what keeps that is the clone alone.
  Uuid clone(std::uint64_t number) {
    const Uuid id = Uuid::from_random(9, number);
    const Epoch epoch = snapshot();
    const auto cloned = clone_as(id, target_.container, epoch);
    EXPECT_TRUE(cloned) << cloned.error().to_string();
    EXPECT_TRUE(target_.block_on(target_.objects->remove_snapshot(target_.container, epoch)));
    return id;
  }
  void aggregate() { ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now()))); }
  std::uint64_t used(const Uuid& container) {
    const auto usage = target_.block_on(target_.objects->container_usage(container));
    return usage ? usage->bytes : UINT64_MAX;
  }
  Result<> destroy(const Uuid& container) { return target_.block_on(target_.objects->destroy_container(container)); }
  std::uint64_t owned_blocks() {
    std::uint64_t blocks = 0;
    const auto owned = target_.block_on(target_.objects->owned_extents());
    EXPECT_TRUE(owned);
    for (const store::Extent& extent : *owned) blocks += extent.blocks;
    return blocks;
  }
  Result<> roll_back(Epoch to, std::uint64_t request) {
    return target_.block_on(target_.objects->roll_back(target_.container, to, Uuid::from_random(7, request)));
  }

  TestTarget target_;
  Uuid parent_;
};

}  // namespace cenote::object
