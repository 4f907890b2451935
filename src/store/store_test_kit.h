#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "cenote/media/sim_device.h"
#include "cenote/store/store.h"

namespace cenote::store {

/// A simulated node with a store on one device, for tests. Everything random comes from `seed`.
class StoreBench {
 public:
  explicit StoreBench(std::uint64_t seed, std::uint64_t mib = 96)
      : world(seed), node(world.add_node("node")), medium(std::make_unique<media::SimMedium>(mib * kGroupBlocks)) {
    format.system = Uuid::from_random(1, seed);
    format.target = Uuid::from_random(2, seed);
    format.log_bytes = 4u << 20;
    options.cache_bytes = kMinCacheBytes;
  }
  ~StoreBench() { power_off(); }

  template <typename T>
  T block_on(Task<T> task) {
    return world.block_on(node, std::move(task));
  }

  void power_on() {
    if (!device) device = std::make_unique<media::SimDevice>(node, "disk", *medium, device_options);
  }
  /// The orderly end of the process after `close`, or its end after `crash`.
  void power_off() {
    if (store) static_cast<void>(block_on(store->close()));
    store.reset();
    if (device) block_on(device->close());
    device.reset();
  }
  void crash(media::CrashOptions how = {}) {
    device->crash(how);
    power_off();
  }

  void format_store() {
    power_on();
    const auto formatted = block_on(Store::format(node, Devices::one(*device), format));
    ASSERT_TRUE(formatted) << formatted.error().to_string();
  }
  Result<> try_open() {
    power_on();
    auto opened = block_on(Store::open(node, Devices::one(*device), options));
    if (!opened) return fail(opened.error());
    store = *std::move(opened);
    return {};
  }
  void open() {
    const auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().to_string();
  }
  void reopen() {
    power_off();
    open();
  }

  Result<Lsn> commit(Batch batch) { return block_on(store->commit(std::move(batch))); }
  /// The value as text, "" for none; fails the test on an error.
  std::string get(TreeId tree, std::string_view key) {
    const auto value = block_on(store->run([&](View& view) -> Result<std::string> {
      TRY(const auto found, view.get(tree, as_bytes(key)));
      return found ? to_text(*found) : std::string();
    }));
    EXPECT_TRUE(value) << value.error().to_string();
    return value.value_or("?");
  }
  TreeId make_tree(std::string_view name) {
    Batch batch;
    const TreeId id = store->next_tree_id();
    batch.create_tree(id, name);
    const auto made = commit(std::move(batch));
    EXPECT_TRUE(made) << made.error().to_string();
    return id;
  }

  SimWorld world;
  SimReactor& node;
  std::unique_ptr<media::SimMedium> medium;
  media::SimDeviceOptions device_options;
  std::unique_ptr<media::SimDevice> device;
  FormatOptions format;
  OpenOptions options;
  std::unique_ptr<Store> store;
};

}  // namespace cenote::store
