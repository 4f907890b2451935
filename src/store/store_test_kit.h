#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cenote/media/sim_device.h"
#include "cenote/store/store.h"
#include "geometry.h"
#include "log_format.h"
#include "page.h"

namespace cenote::store {

/// The media of a bench, the meta device first; the others are null when one device plays all roles.
using BenchMedia = std::array<std::unique_ptr<media::SimMedium>, kMaxDevices>;

/// A master key.
inline SecretKey test_key(std::uint8_t number) {
  std::array<std::byte, SecretKey::kBytes> bytes;
  bytes.fill(static_cast<std::byte>(number));
  return SecretKey(bytes);
}

/// Sees what goes to the media of a sealed store: that it is sealed, and under no nonce twice.
class NonceLedger {
 public:
  void see(const media::IoRequest& request) {
    if (request.kind != media::IoKind::kWrite) return;
    const ByteView bytes(request.data, request.bytes);
    const auto header = read_frame_header(bytes);
    if (header) {
      plain_ += header->sealed ? 0 : 1;
      const std::uint64_t end = kFrameHeaderBytes + header->payload_bytes;
      // One that wraps at the end of the ring goes out in two parts.
      if (header->sealed && end <= bytes.size()) take(bytes.subspan(end - kEnvelopeBytes, kSealNonceBytes));
    } else if (bytes.size() == kPageBytes && load_le<std::uint32_t>(bytes.data() + 4) == kPageMagic) {
      const bool sealed = (load_le<std::uint16_t>(bytes.data() + 44) & 2) != 0;
      plain_ += sealed ? 0 : 1;
      if (sealed) take(bytes.subspan(kPageHeaderBytes, kSealNonceBytes));
    }
  }
  std::uint64_t nonces() const { return nonces_.size(); }
  std::uint64_t repeated() const { return repeated_; }
  std::uint64_t plain() const { return plain_; }

 private:
  void take(ByteView nonce) { repeated_ += nonces_.insert(to_bytes(nonce)).second ? 0 : 1; }

  std::set<Bytes> nonces_;
  std::uint64_t repeated_ = 0;
  std::uint64_t plain_ = 0;
};

/// A simulated node with a store, for tests. Everything random comes from `seed`.
class StoreBench {
 public:
  /// Which roles have a device of their own.
  enum class Layout { kOneDevice, kThreeDevices, kOwnWal, kOwnData, kWalWithData };

  explicit StoreBench(std::uint64_t seed, std::uint64_t mib = 96, Layout of = Layout::kOneDevice)
      : world(seed), node(world.add_node("node")), medium(mediums[0]), layout(of) {
    mediums[0] = std::make_unique<media::SimMedium>(mib * kGroupBlocks);
    const std::uint64_t first_mib = layout == Layout::kWalWithData ? mib : 16;
    const bool first = layout != Layout::kOneDevice && layout != Layout::kOwnData;
    const bool second = layout == Layout::kThreeDevices || layout == Layout::kOwnData;
    if (first) mediums[1] = std::make_unique<media::SimMedium>(first_mib * kGroupBlocks);
    if (second) mediums[2] = std::make_unique<media::SimMedium>(mib * kGroupBlocks);
    format.system = Uuid::from_random(1, seed);
    format.target = Uuid::from_random(2, seed);
    format.log_bytes = 4u << 20;
    options.cache_bytes = kMinCacheBytes;
  }
  ~StoreBench() { power_off(); }

  /// The store is sealed from its beginning.
  void encrypt(std::uint8_t key = 1) { format.key = options.key = test_key(key); }

  template <typename T>
  T block_on(Task<T> task) {
    return world.block_on(node, std::move(task));
  }

  void power_on() {
    if (device) return;
    constexpr std::array<const char*, kMaxDevices> kNames = {"meta", "wal", "data"};
    for (std::size_t i = 0; i < kMaxDevices; ++i) {
      if (mediums[i]) drives[i] = std::make_unique<media::SimDevice>(node, kNames[i], *mediums[i], device_options);
    }
    device = drives[0].get();
  }
  /// The orderly end of the process after `close`, or its end after `crash`.
  void power_off() {
    if (store) static_cast<void>(block_on(store->close()));
    store.reset();
    for (auto& drive : drives) {
      if (drive) block_on(drive->close());
      drive.reset();
    }
    device = nullptr;
  }
  void crash(media::CrashOptions how = {}) {
    cut_power(how);
    power_off();
  }
  /// All devices at one moment.
  void cut_power(media::CrashOptions how = {}) {
    for (auto& drive : drives) {
      if (drive && !drive->dead()) drive->crash(how);
    }
  }
  /// What a crash now would leave on each device, each of which loses on its own: some, or all it may lose.
  BenchMedia crash_images(std::mt19937_64& random) const {
    BenchMedia images;
    for (std::size_t i = 0; i < kMaxDevices; ++i) {
      if (drives[i]) images[i] = drives[i]->crash_image({.keep_random = random() % 3 != 0});
    }
    return images;
  }
  /// What the devices hold now; they are off.
  BenchMedia copies() const {
    BenchMedia copies;
    for (std::size_t i = 0; i < kMaxDevices; ++i) {
      if (mediums[i]) copies[i] = mediums[i]->clone();
    }
    return copies;
  }
  /// Calls `action` with a running number before each write or flush of any device takes effect.
  void on_each_write(const std::function<void(std::uint64_t)>& action) {
    auto count = std::make_shared<std::uint64_t>(0);
    for (auto& drive : drives) {
      if (!drive) continue;
      drive->set_write_hook([this, count, action](std::uint64_t, const media::IoRequest& request) {
        if (ledger != nullptr) ledger->see(request);
        action(++*count);
      });
    }
  }
  Devices devices() const {
    media::BlockDevice* meta = drives[0].get();
    media::BlockDevice* wal = drives[1] ? drives[1].get() : meta;
    return {wal, meta, drives[2] ? drives[2].get() : layout == Layout::kWalWithData ? wal : meta};
  }

  /// Numbers of the devices that hold data and, unless `only_data`, pages.
  std::vector<std::size_t> devices_with_space(bool only_data = false) const {
    const std::size_t data = drives[2] ? 2 : layout == Layout::kWalWithData ? 1 : 0;
    if (data == 0) return {0};
    return only_data ? std::vector<std::size_t>{data} : std::vector<std::size_t>{0, data};
  }

  void format_store() {
    power_on();
    const auto formatted = block_on(Store::format(node, devices(), format));
    ASSERT_TRUE(formatted) << formatted.error().to_string();
  }
  Result<> try_open() {
    power_on();
    auto opened = block_on(Store::open(node, devices(), options));
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
  BenchMedia mediums;
  std::unique_ptr<media::SimMedium>& medium;  ///< of the meta device, or the only one
  Layout layout;
  media::SimDeviceOptions device_options;
  std::array<std::unique_ptr<media::SimDevice>, kMaxDevices> drives;
  media::SimDevice* device = nullptr;  ///< the meta device, or the only one
  FormatOptions format;
  OpenOptions options;
  std::unique_ptr<Store> store;
  NonceLedger* ledger = nullptr;  ///< sees what `on_each_write` is called for
};

}  // namespace cenote::store
