// A whole store whose media were changed: an input is a list of edits of a valid image, each with or without putting
// right every checksum above it, as a hostile or broken writer would. Opening, reading, writing and examining it must
// end in data or in errors, never in a crash, a wrong assertion or an endless loop.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/media/sim_device.h"
#include "cenote/store/examine.h"
#include "cenote/store/store.h"
#include "cenote/store/store_check.h"
#include "fuzz_input.h"
#include "geometry.h"
#include "page.h"
#include "superblock.h"

namespace {

using namespace cenote;
using namespace cenote::store;

constexpr std::uint64_t kSeed = 1;
constexpr std::uint32_t kMediumGroups = 40;
constexpr std::uint32_t kRecords = 3000;
constexpr unsigned kEditsMax = 16;
// Far more turns of the simulated world than any of this needs.
constexpr std::uint64_t kStepsMax = 5'000'000;

/// A node with the medium of a store.
struct Bench {
  explicit Bench(std::unique_ptr<media::SimMedium> image)
      : world(kSeed), node(world.add_node("node")), medium(std::move(image)) {
    world.set_step_limit(kStepsMax);
    device = std::make_unique<media::SimDevice>(node, "disk", *medium, media::SimDeviceOptions{});
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench() { world.block_on(node, device->close()); }
  template <typename T>
  T block_on(Task<T> task) {
    return world.block_on(node, std::move(task));
  }
  Devices devices() { return Devices::one(*device); }

  SimWorld world;
  SimReactor& node;
  std::unique_ptr<media::SimMedium> medium;
  std::unique_ptr<media::SimDevice> device;
};

Bytes key_of(std::uint64_t number) {
  Bytes key(4 + number % 20);
  store_le<std::uint32_t>(key.data(), static_cast<std::uint32_t>(number * 2654435761u));
  return key;
}

void put(Bench& bench, Store& store, TreeId tree, std::uint64_t number) {
  Batch batch;
  batch.put(tree, key_of(number), Bytes(number * 37 % 900, static_cast<std::byte>(number)));
  if (number % 16 == 0) {
    if (const auto extent = store.reserve(1 + number % 5, SpaceClass::kForeground)) batch.claim(*extent);
  }
  ASSERT(bench.block_on(store.commit(std::move(batch))));
}

/// The key of a sealed image; none of a plain one.
std::optional<SecretKey> key_if(bool sealed) {
  if (!sealed) return std::nullopt;
  return SecretKey(std::array<std::byte, SecretKey::kBytes>{std::byte{9}});
}

/// Two trees, one dropped, extents, a checkpoint, and records in the log after it.
std::unique_ptr<media::SimMedium> make_image(bool sealed) {
  Bench bench(std::make_unique<media::SimMedium>(std::uint64_t{kMediumGroups} * kGroupBlocks));
  ASSERT(
      bench.block_on(Store::format(bench.node, bench.devices(), {.log_bytes = kMinLogBytes, .key = key_if(sealed)})));
  const OpenOptions options{.cache_bytes = kMinCacheBytes, .key = key_if(sealed)};
  auto store = bench.block_on(Store::open(bench.node, bench.devices(), options));
  ASSERT(store);
  std::vector<TreeId> trees;
  for (const char* name : {"first", "second", "dropped"}) {
    Batch batch;
    trees.push_back((*store)->next_tree_id());
    batch.create_tree(trees.back(), name);
    ASSERT(bench.block_on((*store)->commit(std::move(batch))));
  }
  for (std::uint32_t n = 0; n < kRecords; ++n) put(bench, **store, trees[n % trees.size()], n);
  Batch drop;
  drop.drop_tree(trees.back());
  ASSERT(bench.block_on((*store)->commit(std::move(drop))));
  ASSERT(bench.block_on((*store)->checkpoint()));
  for (std::uint32_t n = 0; n < 40; ++n) put(bench, **store, trees[n % 2], kRecords + n);
  auto image = bench.medium->clone();
  static_cast<void>(bench.block_on((*store)->close()));
  store->reset();
  return image;
}

/// What is covered by one checksum: a superblock, a page, or a block of log, table, map or bitmap.
struct Unit {
  enum class Kind : std::uint8_t { kSuperblock, kPage, kChunk, kLog };
  Kind kind;
  std::uint64_t first;
  std::uint64_t blocks;
};

class Image {
 public:
  explicit Image(std::unique_ptr<media::SimMedium> medium) : medium_(std::move(medium)) { find_units(); }

  const std::vector<Unit>& units() const { return units_; }
  std::unique_ptr<media::SimMedium> take() { return std::move(medium_); }

  Bytes read(const Unit& unit) const {
    Bytes bytes(unit.blocks * media::kBlockBytes);
    for (std::uint64_t i = 0; i < unit.blocks; ++i)
      medium_->read_block(media::BlockNo(unit.first + i),
                          MutableBytes(bytes).subspan(i * media::kBlockBytes, media::kBlockBytes));
    return bytes;
  }
  /// Writes `bytes` there. `stamp`: with its checksum, and those above it, made right.
  void write(const Unit& unit, Bytes bytes, bool stamp) {
    const std::uint32_t before = checksum_of(unit, read(unit));
    if (stamp) stamp_unit(unit, bytes);
    put(unit, bytes);
    if (stamp && unit.kind != Unit::Kind::kSuperblock) replace_checksum(before, checksum_of(unit, bytes));
  }

 private:
  void find_units();
  void put(const Unit& unit, ByteView bytes) {
    for (std::uint64_t i = 0; i < unit.blocks; ++i)
      medium_->write_block(media::BlockNo(unit.first + i), bytes.subspan(i * media::kBlockBytes, media::kBlockBytes));
  }
  static std::uint32_t checksum_of(const Unit& unit, ByteView bytes) {
    return unit.kind == Unit::Kind::kPage ? load_le<std::uint32_t>(bytes.data()) : crc32c(bytes);
  }
  static void stamp_unit(const Unit& unit, Bytes& bytes) {
    const std::size_t at = unit.kind == Unit::Kind::kPage ? 0 : 8;
    if (unit.kind == Unit::Kind::kChunk) return;  // its checksum stands elsewhere
    store_le<std::uint32_t>(bytes.data() + at, 0);
    store_le(bytes.data() + at, crc32c(bytes));
  }
  /// Wherever the old checksum stands the new one is put, and so on up to the superblocks.
  void replace_checksum(std::uint32_t before, std::uint32_t after, unsigned depth = 0) {
    if (before == after || depth > 3) return;
    std::array<std::byte, 4> old{};
    store_le(old.data(), before);
    for (const Unit& unit : units_) {
      if (unit.kind != Unit::Kind::kChunk && unit.kind != Unit::Kind::kSuperblock) continue;
      Bytes bytes = read(unit);
      const auto found = std::ranges::search(bytes, old);
      if (found.empty()) continue;
      const std::uint32_t own = checksum_of(unit, bytes);
      store_le(&*found.begin(), after);
      stamp_unit(unit, bytes);
      put(unit, bytes);
      if (unit.kind == Unit::Kind::kChunk) replace_checksum(own, checksum_of(unit, bytes), depth + 1);
    }
  }

  std::unique_ptr<media::SimMedium> medium_;
  std::vector<Unit> units_;
};

void Image::find_units() {
  for (const std::uint64_t place : kSuperblockPlaces)
    units_.push_back({Unit::Kind::kSuperblock, place, kSuperblockBlocks});
  const auto superblock = decode_superblock(read(units_.front()));
  ASSERT(superblock);
  const Geometry& geometry = superblock->geometry;
  const auto lies_in = [](std::uint64_t block, const Region& region, std::uint64_t slots) {
    return block >= region.first && block < region.first + slots * region.blocks;
  };
  const media::BlockNo end(medium_->block_count());
  std::uint64_t next = 0;
  for (media::BlockNo at = medium_->next_written(media::BlockNo(0), end); at < end;
       at = medium_->next_written(media::BlockNo(std::max(at.value() + 1, next)), end)) {
    const std::uint64_t block = at.value();
    const bool superblocks = block < kSuperblockBlocks || lies_in(block, {kSuperblockPlaces[1], kSuperblockBlocks}, 1);
    if (superblocks) continue;
    if (lies_in(block, geometry.log, 1)) {
      units_.push_back({Unit::Kind::kLog, block, 1});
    } else if (lies_in(block, geometry.table, 2) || lies_in(block, geometry.map, 2) ||
               lies_in(block, geometry.bitmap, 2)) {
      units_.push_back({Unit::Kind::kChunk, block, 1});
    } else {
      units_.push_back({Unit::Kind::kPage, block - block % kPageBlocks, kPageBlocks});
      next = block - block % kPageBlocks + kPageBlocks;
    }
  }
}

std::uint32_t number(fuzz::Input& input, unsigned bytes) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = value << 8 | input.byte();
  return value;
}

/// One edit: which unit, what happens to it, whether checksums follow.
void edit(Image& image, fuzz::Input& input) {
  const std::vector<Unit>& units = image.units();
  const Unit unit = units[number(input, 2) % units.size()];
  const std::uint32_t how = input.byte();
  const bool stamp = (how & 1) != 0;
  Bytes bytes = image.read(unit);
  const std::size_t at = number(input, 2) % (bytes.size() - 8);
  switch (how >> 1 & 3) {
    case 0:
      bytes[at] ^= static_cast<std::byte>(1 + input.byte() % 255);
      break;
    case 1:  // the header, where most decisions are taken
      bytes[at % 64] = static_cast<std::byte>(input.byte());
      break;
    case 2: {
      const ByteView part = input.part();
      std::copy_n(part.begin(), std::min(part.size(), bytes.size() - at),
                  bytes.begin() + static_cast<std::ptrdiff_t>(at));
      break;
    }
    default: {  // another unit's contents
      const Bytes other = image.read(units[number(input, 2) % units.size()]);
      std::copy_n(other.begin(), std::min(other.size(), bytes.size()), bytes.begin());
      break;
    }
  }
  image.write(unit, std::move(bytes), stamp);
}

/// Everything a reader may meet.
Result<> scan(Bench& bench, Store& store, const char* name) {
  const auto tree = store.find_tree(name);
  if (!tree) return {};
  Bytes position;
  for (bool done = false; !done;) {
    std::uint32_t left = 64;
    const auto attempt = [&](View& view) -> Result<bool> {
      Cursor cursor(view, *tree);
      TRY(bool more, cursor.seek(position));
      for (; more && left > 0; --left) {
        position.assign(cursor.key().begin(), cursor.key().end());
        position.push_back(std::byte{0});
        TRY(more, cursor.next());
      }
      return !more;
    };
    TRY(done, bench.block_on(store.run(attempt)));
  }
  return {};
}

void use_store(const media::SimMedium& image, bool sealed) {
  Bench bench(image.clone());
  const OpenOptions options{.cache_bytes = kMinCacheBytes, .key = key_if(sealed)};
  auto store = bench.block_on(Store::open(bench.node, bench.devices(), options));
  if (!store) return;
  for (const char* name : {"first", "second"}) static_cast<void>(scan(bench, **store, name));
  static_cast<void>(bench.block_on(check_store(**store, std::nullopt)));
  if (const auto tree = (*store)->find_tree("first")) {
    for (std::uint64_t n = 0; n < 8; ++n) {
      Batch batch;
      batch.put(*tree, key_of(n * 331), Bytes(100));
      batch.erase(*tree, key_of(n * 331 + 1));
      static_cast<void>(bench.block_on((*store)->commit(std::move(batch))));
    }
    static_cast<void>(bench.block_on((*store)->checkpoint()));
  }
  static_cast<void>(bench.block_on((*store)->close()));
}

Task<> walk(Examination& examination) {
  for (const TreeReport& tree : examination.trees()) {
    TreeWalk entries(examination, tree.id, TreeWalk::Purpose::kCheck);
    while (co_await entries.next()) {
      for (std::uint32_t i = 0; i < entries.count(); ++i) {
        static_cast<void>(entries.key(i));
        static_cast<void>(entries.value(i));
      }
    }
  }
  co_await examination.check_rest();
}

void examine(const media::SimMedium& image, bool sealed) {
  Bench bench(image.clone());
  const ExamineOptions options{.cache_bytes = kMinCacheBytes, .key = key_if(sealed)};
  auto examination = bench.block_on(Examination::open(bench.node, bench.devices(), options));
  if (!examination) return;
  bench.block_on(walk(**examination));
  static_cast<void>((*examination)->settle_space(false));
  bench.block_on((*examination)->close());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<std::unique_ptr<media::SimMedium>, 2> whole = {make_image(false), make_image(true)};
  fuzz::Input input(data, size);
  // An edit takes all sorts of lengths, so half of the inputs meet a sealed store.
  const bool sealed = size % 2 == 1;
  Image image(whole[sealed ? 1 : 0]->clone());
  for (unsigned i = 0; i < kEditsMax && !input.empty(); ++i) edit(image, input);
  const auto medium = image.take();
  use_store(*medium, sealed);
  examine(*medium, sealed);
  return 0;
}
