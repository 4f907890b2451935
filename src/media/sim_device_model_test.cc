// Random concurrent operations on a SimDevice, cut by a crash, against a model that knows for each block which contents
// the contract allows: what is durable stays, and nothing is there that was never written.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "cenote/base/codec.h"
#include "cenote/media/sim_device.h"
#include "cenote/runtime/scope.h"
#include "device_test_support.h"

namespace cenote::media {
namespace {

constexpr std::uint64_t kBlocks = 12;
constexpr std::size_t kSectorBytes = 512;
constexpr int kLives = 4;
constexpr int kOperations = 150;

using Contents = std::array<std::byte, kBlockBytes>;

// Every word of a write's block names the write, so any mixture shows.
Contents contents_of(std::uint64_t id) {
  Contents contents;
  for (std::size_t at = 0; at < kBlockBytes; at += sizeof id) store_le(contents.data() + at, id);
  return contents;
}

struct Version {
  std::uint64_t id;  // in order of submission over all blocks
  bool discard;
  bool completed = false;
  bool durable = false;
};

struct Block {
  Contents base;  // after the last crash
  std::vector<Version> versions;
};

struct Model {
  std::array<Block, kBlocks> blocks;
  std::uint64_t last_id = 0;
  int in_flight = 0;
  std::uint64_t reads = 0;

  // The newest write of a block with a property, 0 for the base. A discard promises nothing, so it never counts.
  template <typename Property>
  std::uint64_t newest(std::uint64_t block, Property property) const {
    std::uint64_t id = 0;
    for (const Version& version : blocks[block].versions) {
      if (!version.discard && std::invoke(property, version)) id = version.id;
    }
    return id;
  }

  // Whether `part`, at `offset` of the block, may be there when write `floor` certainly is and later ones perhaps.
  bool allowed(std::uint64_t block, std::uint64_t floor, std::size_t offset, ByteView part) const {
    if (floor == 0 && equal(part, ByteView(blocks[block].base).subspan(offset, part.size()))) return true;
    for (const Version& version : blocks[block].versions) {
      if (version.id < floor) continue;
      Contents contents = contents_of(version.id);
      if (version.discard) SimMedium::unwritten_contents(BlockNo(block), contents);
      if (equal(part, ByteView(contents).subspan(offset, part.size()))) return true;
    }
    return false;
  }

  void mark(std::uint64_t first, std::uint64_t count, std::uint64_t id, bool Version::* property) {
    for (std::uint64_t block = first; block < first + count; ++block) {
      for (Version& version : blocks[block].versions) {
        if (version.id == id) version.*property = true;
      }
    }
  }
  std::uint64_t add(std::uint64_t first, std::uint64_t count, bool discard) {
    ++last_id;
    for (std::uint64_t block = first; block < first + count; ++block) {
      blocks[block].versions.push_back({.id = last_id, .discard = discard});
    }
    return last_id;
  }
};

void expect_alive_or_dead(const SimDevice& device, const Result<>& result) {
  EXPECT_EQ(result.has_value(), !device.dead()) << (result ? "" : result.error().to_string());
}

Task<> write_and_note(Model& model, SimDevice& device, std::uint64_t first, std::uint64_t count,
                      Durability durability) {
  const std::uint64_t id = model.add(first, count, false);
  std::vector<AlignedBlock> data(count, AlignedBlock{contents_of(id)});
  const Result<> result =
      co_await device.write(BlockNo(first), {data[0].bytes.data(), count * kBlockBytes}, durability);
  expect_alive_or_dead(device, result);
  if (result) model.mark(first, count, id, &Version::completed);
  if (result && durability == Durability::kDurable) model.mark(first, count, id, &Version::durable);
  --model.in_flight;
}

Task<> discard_and_note(Model& model, SimDevice& device, std::uint64_t first, std::uint64_t count) {
  model.add(first, count, true);
  expect_alive_or_dead(device, co_await device.discard(BlockNo(first), count));
  --model.in_flight;
}

Task<> flush_and_note(Model& model, SimDevice& device) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> covered;
  for (std::uint64_t block = 0; block < kBlocks; ++block) {
    for (const Version& version : model.blocks[block].versions) {
      if (version.completed) covered.emplace_back(block, version.id);
    }
  }
  const Result<> result = co_await device.flush();
  expect_alive_or_dead(device, result);
  if (result) {
    for (auto [block, id] : covered) model.mark(block, 1, id, &Version::durable);
  }
  --model.in_flight;
}

Task<> read_and_check(Model& model, SimDevice& device, std::uint64_t first, std::uint64_t count) {
  std::vector<std::uint64_t> floors;
  for (std::uint64_t i = 0; i < count; ++i) floors.push_back(model.newest(first + i, &Version::completed));
  std::vector<AlignedBlock> data(count);
  const Result<> result = co_await device.read(BlockNo(first), {data[0].bytes.data(), count * kBlockBytes});
  expect_alive_or_dead(device, result);
  for (std::uint64_t i = 0; result && i < count; ++i) {
    EXPECT_TRUE(model.allowed(first + i, floors[i], 0, data[i].bytes)) << "read of block " << first + i;
    ++model.reads;
  }
  --model.in_flight;
}

void spawn_one(Model& model, SimDevice& device, Scope& scope, SimWorld& world) {
  ++model.in_flight;
  const std::uint64_t count = 1 + world.random_below(4);
  const std::uint64_t first = world.random_below(kBlocks - count + 1);
  const auto durability = world.chance(1, 3) ? Durability::kDurable : Durability::kCached;
  switch (world.random_below(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
      scope.spawn(write_and_note(model, device, first, count, durability));
      break;
    case 4:
    case 5:
    case 6:
    case 7:
      scope.spawn(read_and_check(model, device, first, count));
      break;
    case 8:
      scope.spawn(flush_and_note(model, device));
      break;
    default:
      scope.spawn(discard_and_note(model, device, first, count));
  }
}

Task<> drive(Model& model, SimDevice& device, Scope& scope, SimReactor& node) {
  SimWorld& world = node.world();
  for (int i = 0; i < kOperations && !device.dead(); ++i) {
    while (model.in_flight >= 8) co_await node.sleep_for(std::chrono::microseconds(10));
    spawn_one(model, device, scope, world);
    if (world.chance(1, 2)) co_await node.sleep_for(Duration(world.random_below(60'000)));
    device.check_invariants();
  }
  co_await scope.drain();
}

void check_after_crash(const Model& model, const SimMedium& medium) {
  for (std::uint64_t block = 0; block < kBlocks; ++block) {
    const std::uint64_t floor = model.newest(block, &Version::durable);
    Contents contents;
    medium.read_block(BlockNo(block), contents);
    for (std::size_t at = 0; at < kBlockBytes; at += kSectorBytes) {
      ASSERT_TRUE(model.allowed(block, floor, at, ByteView(contents).subspan(at, kSectorBytes)))
          << "block " << block << ", byte " << at << ": write " << load_le<std::uint64_t>(contents.data() + at)
          << " found, write " << floor << " was durable";
    }
  }
}

void restart(Model& model, const SimMedium& medium) {
  for (std::uint64_t block = 0; block < kBlocks; ++block) {
    medium.read_block(BlockNo(block), model.blocks[block].base);
    model.blocks[block].versions.clear();
  }
}

// One life of the device: operations until a crash at a random write, or after the last of them.
void live(Model& model, SimMedium& medium, SimReactor& node) {
  SimWorld& world = node.world();
  SimDevice device(node, "disk", medium, {.latency_jitter = 4});
  Scope scope(node);
  const CrashOptions how{.keep_random = !world.chance(1, 8), .tear = !world.chance(1, 8)};
  const std::uint64_t cut = 1 + world.random_below(kOperations / 2);
  device.set_write_hook([&](std::uint64_t number, const IoRequest&) {
    if (number == cut) device.crash(how);
  });
  world.block_on(node, drive(model, device, scope, node));
  device.crash(how);
  ASSERT_NO_FATAL_FAILURE(check_after_crash(model, medium));
}

TEST(SimDeviceModelTest, DurableContentsSurviveAndNothingIsInvented) {
  std::uint64_t reads = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimWorld world(seed);
    SimReactor& node = world.add_node("node");
    SimMedium medium(kBlocks);
    Model model;
    for (int life = 0; life < kLives; ++life) {
      SCOPED_TRACE(testing::Message() << "life " << life);
      restart(model, medium);
      ASSERT_NO_FATAL_FAILURE(live(model, medium, node));
      if (testing::Test::HasFailure()) return;
    }
    reads += model.reads;
  }
  EXPECT_GT(reads, 1000u);
}

}  // namespace
}  // namespace cenote::media
