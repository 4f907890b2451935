#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "cenote/base/codec.h"
#include "cenote/media/sim_device.h"
#include "cenote/object/object_store.h"
#include "cenote/store/store_check.h"
#include "keys.h"
#include "records.h"
#include "values.h"

namespace cenote::object {

template <typename T>
Code code_of(const Result<T>& result) {
  return result ? Code::kOk : result.error().code();
}

inline KeyBytes key_of(std::string_view text) { return KeyBytes(as_bytes(text)); }
inline KeyBytes key_of(std::uint64_t number) {
  KeyBytes key;
  key.resize(8);
  store_le(key.data(), number);
  return key;
}

/// `count` bytes that differ from seed to seed and from place to place.
/// splitmix64, and one call a word: the tests make gigabytes of it, without optimization.
inline Bytes pattern(std::uint64_t seed, std::size_t count) {
  Bytes bytes(count);
  std::byte* const data = bytes.data();
  std::uint64_t state = seed * 0xd1342543de82ef95;  // seeds that follow each other must not give the same, moved
  for (std::size_t i = 0; i < count; i += sizeof state) {
    state += 0x9e3779b97f4a7c15;
    std::uint64_t word = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    word ^= word >> 31;
    std::memcpy(data + i, &word, std::min(sizeof word, count - i));
  }
  return bytes;
}

/// Data of which some parts compress well, some a little and some not at all.
inline Bytes mixture(std::uint64_t seed, std::size_t count) {
  Bytes bytes = pattern(seed, count);
  std::byte* const data = bytes.data();
  std::mt19937_64 random(seed + 1);
  for (std::size_t at = 0; at < count;) {
    const std::size_t end = std::min<std::size_t>(count, at + 1 + random() % 50'000);
    const std::size_t period = random() % 3 == 0 ? 0 : 1 + random() % 100;
    for (std::size_t i = at + period; period > 0 && i < end; ++i) data[i] = data[i - period];
    at = end;
  }
  return bytes;
}

/// A fetch's payload in one piece.
inline Bytes joined(const Fetched& fetched) {
  Bytes bytes;
  for (const PayloadPiece& piece : fetched.payload) bytes.insert(bytes.end(), piece.data.begin(), piece.data.end());
  return bytes;
}

/// A simulated node with one target on one device, for tests. Everything random comes from `seed`.
class TestTarget {
 public:
  explicit TestTarget(std::uint64_t seed, std::uint64_t mib = 96)
      : world(seed),
        node(world.add_node("node")),
        medium(std::make_unique<media::SimMedium>(mib * store::kGroupBlocks)),
        container(Uuid::from_random(3, seed)) {
    format.system = Uuid::from_random(1, seed);
    format.target = Uuid::from_random(2, seed);
    format.log_bytes = 4u << 20;
    open_options.cache_bytes = store::kMinCacheBytes;
    options.aggregation = false;
    options.inline_bytes = kMaxInlineBytes;
  }
  ~TestTarget() { power_off(); }

  template <typename T>
  T block_on(Task<T> task) {
    return world.block_on(node, std::move(task));
  }

  /// Before `create`: the store gets a key.
  void encrypt() {
    std::array<std::byte, SecretKey::kBytes> bytes{};
    bytes.fill(std::byte{7});
    format.key = open_options.key = SecretKey(bytes);
  }
  /// Formats, opens, creates the container.
  void create() {
    power_on();
    const auto formatted = block_on(store::Store::format(node, store::Devices::one(*device), format));
    ASSERT_TRUE(formatted) << formatted.error().to_string();
    open();
    const auto created = block_on(objects->create_container(container, properties));
    ASSERT_TRUE(created) << created.error().to_string();
  }
  Result<> try_open() {
    power_on();
    auto opened = block_on(store::Store::open(node, store::Devices::one(*device), open_options));
    if (!opened) return fail(opened.error());
    store = *std::move(opened);
    buffers = std::make_unique<media::BufferPool>(node, media::BufferPoolOptions{.budget_bytes = 32u << 20});
    auto started = block_on(ObjectStore::open(*store, *buffers, options));
    if (!started) return fail(started.error());
    objects = *std::move(started);
    return {};
  }
  void open() {
    const auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().to_string();
  }
  void power_on() {
    if (!device) device = std::make_unique<media::SimDevice>(node, "disk", *medium, device_options);
  }
  void power_off() {
    if (objects) static_cast<void>(block_on(objects->close()));
    objects.reset();
    if (store) static_cast<void>(block_on(store->close()));
    store.reset();
    buffers.reset();
    if (device) block_on(device->close());
    device.reset();
  }
  void reopen() {
    power_off();
    open();
  }

  media::Buffer buffer_of(ByteView bytes) {
    if (bytes.empty()) return {};
    auto buffer = buffers->try_allocate(static_cast<std::uint32_t>(bytes.size()));
    EXPECT_TRUE(buffer);
    copy_bytes(bytes, buffer->span());
    return std::move(*buffer);
  }
  Result<UpdateReply> update(const UpdateRequest& request, ByteView payload) {
    return block_on(objects->update(request, buffer_of(payload), payload.size(), Until::forever()));
  }
  Result<Fetched> fetch(const FetchRequest& request) { return block_on(fetch_of(*objects, request)); }
  /// Calls that keep their requests, for those that others await.
  static Task<Result<Fetched>> fetch_of(ObjectStore& objects, FetchRequest request) {
    Result<Fetched> fetched(std::in_place);
    CO_CHECK_OK(co_await objects.fetch(request, *fetched, Until::forever()));
    co_return fetched;
  }
  static Task<Result<UpdateReply>> update_of(ObjectStore& objects, UpdateRequest request, media::Buffer payload,
                                             std::uint64_t payload_bytes) {
    co_return co_await objects.update(request, std::move(payload), payload_bytes, Until::forever());
  }
  Result<UpdateReply> punch(const PunchRequest& request) { return block_on(objects->punch(request, Until::forever())); }
  Result<ListReply> list(const ListRequest& request) { return block_on(objects->list(request, Until::forever())); }
  Result<QueryReply> query(const QueryRequest& request) { return block_on(objects->query(request, Until::forever())); }

  /// Every block is referred to exactly once, every page is whole, every container counts what it holds.
  void check() {
    objects->check_invariants();
    auto owned = block_on(objects->owned_extents());
    ASSERT_TRUE(owned) << owned.error().to_string();
    const auto report = block_on(store::check_store(*store, *std::move(owned)));
    ASSERT_TRUE(report) << report.error().to_string();
    for (const Uuid& id : *block_on(objects->list_containers())) {
      const auto counted = block_on(objects->container_usage(id));
      if (!counted) continue;  // only kept for its clones
      const Usage held = holds(id);
      ASSERT_EQ(counted->bytes, held.bytes);
      ASSERT_EQ(counted->objects, held.objects);
    }
  }

  /// Gives all entries of a container's tree to `take`.
  void each_entry(const Uuid& id, const std::function<void(ByteView, ByteView)>& take) {
    Bytes position;
    int left = 0;
    const auto read = [&](store::View& view) -> Result<bool> {
      const store::TreeId system = *store->find_tree(kSystemTreeName);
      TRY(const auto value, view.get(system, container_key(RecordKind::kContainer, id)));
      TRY(const ContainerRecord record, decode_container(*value));
      store::Cursor cursor(view, record.tree);
      TRY(bool more, cursor.seek(position));
      for (; more && left > 0; --left) {
        take(cursor.key(), cursor.value());
        position = to_bytes(cursor.key());
        position.push_back(std::byte{0});
        TRY(more, cursor.next());
      }
      return more;
    };
    for (bool more = true; more;) {
      left = 64;  // over all attempts of a run, which keeps the pages of all of them
      const auto read_on = block_on(store->run(read));
      ASSERT_TRUE(read_on) << read_on.error().to_string();
      more = *read_on;
    }
  }
  std::uint64_t entries() {
    std::uint64_t count = 0;
    each_entry(container, [&count](ByteView, ByteView) { ++count; });
    return count;
  }
  Usage holds(const Uuid& id) {
    Usage usage;
    Bytes object;
    each_entry(id, [&](ByteView key, ByteView value) {
      if (!starts_with(key, object) || object.empty()) ++usage.objects;
      object = to_bytes(key.first(KeyPath::kObjectEnd));
      const auto entry = decode_entry(value);
      ASSERT_TRUE(entry) << entry.error().to_string();
      if (entry->holds_data()) usage.bytes += entry->bytes;
    });
    return usage;
  }

  // Requests for one akey, with checksums as a client makes them.
  UpdateRequest single(const ObjectId& object, KeyBytes dkey, KeyBytes akey, ByteView value) const {
    UpdateRequest request{.container = container, .object = object, .dkey = std::move(dkey), .akeys = {}, .id = {}};
    AkeyUpdate& update = request.akeys.emplace_back();
    update.akey = std::move(akey);
    update.bytes = value.size();
    append_checksums(update, value, update.checksums);
    return request;
  }
  UpdateRequest array(const ObjectId& object, KeyBytes dkey, KeyBytes akey, std::uint32_t record_bytes,
                      RecordRanges ranges, ByteView data) const {
    UpdateRequest request{.container = container, .object = object, .dkey = std::move(dkey), .akeys = {}, .id = {}};
    AkeyUpdate& update = request.akeys.emplace_back();
    update.akey = std::move(akey);
    update.kind = ValueKind::kArray;
    update.record_bytes = record_bytes;
    update.ranges = std::move(ranges);
    update.bytes = data.size();
    append_checksums(update, data, update.checksums);
    return request;
  }
  FetchRequest fetch_single(const ObjectId& object, KeyBytes dkey, KeyBytes akey, Epoch epoch = kEpochLatest) const {
    FetchRequest request{
        .container = container, .object = object, .dkey = std::move(dkey), .epoch = epoch, .akeys = {}};
    request.akeys.push_back({.akey = std::move(akey), .ranges = {}, .max_bytes = kMaxPayloadBytes});
    return request;
  }
  FetchRequest fetch_array(const ObjectId& object, KeyBytes dkey, KeyBytes akey, RecordRanges ranges,
                           Epoch epoch = kEpochLatest) const {
    FetchRequest request = fetch_single(object, std::move(dkey), std::move(akey), epoch);
    request.akeys[0].kind = ValueKind::kArray;
    request.akeys[0].ranges = std::move(ranges);
    return request;
  }

  SimWorld world;
  SimReactor& node;
  std::unique_ptr<media::SimMedium> medium;
  media::SimDeviceOptions device_options;
  std::unique_ptr<media::SimDevice> device;
  store::FormatOptions format;
  store::OpenOptions open_options;
  ObjectStoreOptions options;
  ContainerProperties properties;
  Uuid container;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<media::BufferPool> buffers;
  std::unique_ptr<ObjectStore> objects;
};

}  // namespace cenote::object
