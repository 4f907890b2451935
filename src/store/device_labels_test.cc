#include "device_labels.h"

#include <gtest/gtest.h>

#include "aligned_buffer.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

constexpr std::size_t kMeta = 0, kWal = 1, kData = 2;

/// A store on three devices that was opened and closed a few times, so that its labels have been rewritten.
class StoreOfThreeDevices : public ::testing::Test, public StoreBench {
 protected:
  StoreOfThreeDevices() : StoreBench(41, 64, Layout::kThreeDevices) {}

  void SetUp() override {
    format_store();
    use("first");
  }
  /// One life of the store: opened, written, closed with a checkpoint.
  void use(std::string_view name) {
    open();
    make_tree(name);
    EXPECT_TRUE(block_on(store->close()));
    power_off();
  }
  Error refusal() {
    const auto opened = try_open();
    EXPECT_FALSE(opened);
    power_off();
    return opened ? Error(Code::kOk) : opened.error();
  }
  Label label_at(std::size_t device, std::size_t place) {
    AlignedBuffer block(media::kBlockBytes);
    mediums[device]->read_block(media::BlockNo(kLabelPlaces[place]), block.span());
    return decode_label(block.span()).value_or(Label{});
  }
  std::size_t newest_place(std::size_t device) {
    return label_at(device, 1).sequence > label_at(device, 0).sequence ? 1 : 0;
  }
  void damage(std::size_t device, std::size_t place) {
    AlignedBuffer block(media::kBlockBytes);
    const media::BlockNo at(kLabelPlaces[place]);
    mediums[device]->read_block(at, block.span());
    block.data()[40] ^= std::byte{1};
    mediums[device]->write_block(at, block.span());
  }
};

TEST_F(StoreOfThreeDevices, OpensAgain) {
  open();
  EXPECT_TRUE(store->find_tree("first"));
}

TEST_F(StoreOfThreeDevices, RefusesSwappedDevices) {
  const BenchMedia good = copies();
  const auto swapped = [&](std::size_t a, std::size_t b) {
    for (std::size_t i = 0; i < kMaxDevices; ++i) mediums[i] = good[i]->clone();
    std::swap(mediums[a], mediums[b]);
    return refusal();
  };
  for (const auto& error : {swapped(kWal, kData), swapped(kMeta, kWal), swapped(kMeta, kData)}) {
    EXPECT_EQ(error.code(), Code::kForeign) << error.to_string();
    EXPECT_NE(error.message().find("swapped?"), std::string::npos) << error.to_string();
  }
}

TEST_F(StoreOfThreeDevices, RefusesDevicesOfOtherStoresAndBlankOnes) {
  StoreBench other(42, 64, Layout::kThreeDevices);
  other.format_store();
  other.power_off();
  for (const std::size_t device : {kWal, kData}) {
    std::swap(mediums[device], other.mediums[device]);
    EXPECT_EQ(refusal().code(), Code::kForeign) << device;
    std::swap(mediums[device], other.mediums[device]);
    auto blank = std::make_unique<media::SimMedium>(mediums[device]->block_count());
    std::swap(mediums[device], blank);
    EXPECT_EQ(refusal().code(), Code::kForeign) << device;
    std::swap(mediums[device], blank);
  }
  std::swap(mediums[kMeta], other.mediums[kMeta]);
  EXPECT_EQ(refusal().code(), Code::kForeign);
}

TEST_F(StoreOfThreeDevices, RefusesAnOlderCopyOfEachDevice) {
  const BenchMedia older = copies();
  use("second");
  const BenchMedia newest = copies();
  for (const std::size_t device : {kMeta, kWal, kData}) {
    for (std::size_t i = 0; i < kMaxDevices; ++i) mediums[i] = (i == device ? older : newest)[i]->clone();
    const Error error = refusal();
    EXPECT_EQ(error.code(), Code::kCorrupt) << error.to_string();
    EXPECT_NE(error.message().find("older copy of the"), std::string::npos) << error.to_string();
  }
}

TEST_F(StoreOfThreeDevices, RefusesACopyFromBeforeTheLastCheckpoint) {
  open();
  make_tree("before");
  BenchMedia copy;
  for (std::size_t i = 0; i < kMaxDevices; ++i) copy[i] = drives[i]->crash_image({});
  ASSERT_TRUE(block_on(store->checkpoint()));
  crash();
  for (const std::size_t device : {kWal, kData}) {
    auto present = mediums[device]->clone();
    mediums[device] = copy[device]->clone();
    EXPECT_EQ(refusal().code(), Code::kCorrupt);
    mediums[device] = std::move(present);
  }
  open();
  EXPECT_TRUE(store->find_tree("before"));
}

TEST_F(StoreOfThreeDevices, SurvivesOneDamagedLabelOfEachDeviceAndNamesTwo) {
  const BenchMedia good = copies();
  for (const std::size_t device : {kWal, kData}) {
    for (std::size_t place = 0; place < 2; ++place) {
      for (std::size_t i = 0; i < kMaxDevices; ++i) mediums[i] = good[i]->clone();
      damage(device, place);
      open();
      EXPECT_TRUE(store->find_tree("first"));
      power_off();
    }
    damage(device, 0);
    damage(device, 1);
    EXPECT_EQ(refusal().code(), Code::kCorrupt);
  }
}

TEST_F(StoreOfThreeDevices, LabelsOfVersionOneAreRead) {
  for (const std::size_t device : {kWal, kData}) {
    Label label = label_at(device, newest_place(device));
    label.sequence = 0;
    AlignedBuffer block(media::kBlockBytes);
    encode_label(label, block.span());
    block.data()[12] = block.data()[14] = std::byte{1};
    store_le<std::uint32_t>(block.data() + 8, 0);
    store_le<std::uint32_t>(block.data() + 8, crc32c(block.span()));
    mediums[device]->write_block(media::BlockNo(kLabelPlaces[0]), block.span());
    mediums[device]->erase_block(media::BlockNo(kLabelPlaces[1]));
  }
  use("later");
  EXPECT_GT(label_at(kWal, newest_place(kWal)).sequence, 0u);
  use("last");
  open();
  EXPECT_TRUE(store->find_tree("later"));
}

TEST_F(StoreOfThreeDevices, MissingDevicesAreAskedFor) {
  power_on();
  const auto opened = block_on(Store::open(node, Devices::one(*drives[kMeta]), options));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kForeign);
  EXPECT_NE(opened.error().message().find("all its devices are needed"), std::string::npos);
}

TEST_F(StoreOfThreeDevices, IsNotFormattedOver) {
  StoreBench other(43, 64, Layout::kThreeDevices);
  for (const std::size_t device : {kMeta, kWal, kData}) {
    std::swap(mediums[device], other.mediums[device]);
    other.power_on();
    const auto formatted = other.block_on(Store::format(other.node, other.devices(), other.format));
    EXPECT_FALSE(formatted);
    if (!formatted) EXPECT_EQ(formatted.error().code(), Code::kExists);
    other.power_off();
    std::swap(mediums[device], other.mediums[device]);
  }
  open();
  EXPECT_TRUE(store->find_tree("first"));
  power_off();
  // Nor is a device that is a whole store of its own.
  StoreBench single(44, 64);
  single.format_store();
  single.power_off();
  std::swap(single.medium, other.mediums[kData]);
  other.power_on();
  EXPECT_EQ(other.block_on(Store::format(other.node, other.devices(), other.format)).error().code(), Code::kExists);
  other.power_off();
}

TEST(FormatOfThreeDevices, CutAnywhereCanBeDoneAgain) {
  std::vector<BenchMedia> images;
  std::mt19937_64 random(7);
  StoreBench bench(45, 64, StoreBench::Layout::kThreeDevices);
  bench.power_on();
  bench.on_each_write([&](std::uint64_t) { images.push_back(bench.crash_images(random)); });
  bench.format_store();
  bench.power_off();
  ASSERT_GT(images.size(), 8u);
  for (const BenchMedia& image : images) {
    StoreBench cut(45, 64, StoreBench::Layout::kThreeDevices);
    for (std::size_t i = 0; i < kMaxDevices; ++i) cut.mediums[i] = image[i]->clone();
    cut.power_on();
    // Done when a superblock is there; a torn one is a start that failed, and needs to be told to overwrite.
    auto formatted = cut.block_on(Store::format(cut.node, cut.devices(), cut.format));
    if (!formatted) {
      EXPECT_EQ(formatted.error().code(), Code::kExists);
      if (!cut.try_open()) {
        cut.format.overwrite = true;
        cut.format_store();
      }
    }
    if (!cut.store) cut.open();
  }
}

}  // namespace
}  // namespace cenote::store
