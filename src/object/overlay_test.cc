#include "overlay.h"

#include <gtest/gtest.h>

#include <random>

namespace cenote::object {
namespace {

TEST(Overlay, NothingIsOneHole) {
  Overlay overlay;
  Overlay::Slices slices;
  overlay.resolve(5, 9, slices);
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(slices[0], (Overlay::Slice{5, 9, Overlay::kHole, kEpochZero}));
}

TEST(Overlay, NewerShowsOverOlder) {
  Overlay overlay;
  overlay.add(0, 100, Epoch(1), 0);
  overlay.add(20, 30, Epoch(3), 1);
  overlay.add(25, 60, Epoch(2), 2);
  overlay.add(50, 55, Epoch(4), Overlay::kHole);
  Overlay::Slices slices;
  overlay.resolve(10, 110, slices);
  const Overlay::Slices expected{{10, 20, 0, Epoch(1)},
                                 {20, 30, 1, Epoch(3)},
                                 {30, 50, 2, Epoch(2)},
                                 {50, 55, Overlay::kHole, Epoch(4)},
                                 {55, 60, 2, Epoch(2)},
                                 {60, 100, 0, Epoch(1)},
                                 {100, 110, Overlay::kHole, kEpochZero}};
  EXPECT_EQ(slices, expected);
}

TEST(Overlay, TheNewestThatCoversAllIsTheOnlyOne) {
  Overlay overlay;
  overlay.add(0, 256, Epoch(1), 0);
  overlay.add(8, 16, Epoch(3), 1);
  overlay.add(0, 64, Epoch(2), 2);
  Overlay::Slices slices;
  overlay.resolve(9, 16, slices);
  EXPECT_EQ(slices, (Overlay::Slices{{9, 16, 1, Epoch(3)}}));
  slices.clear();
  overlay.resolve(9, 17, slices);  // one record more than the newest has
  EXPECT_EQ(slices, (Overlay::Slices{{9, 16, 1, Epoch(3)}, {16, 17, 2, Epoch(2)}}));
}

TEST(Overlay, OfCopiesTheFirstShows) {
  for (std::uint64_t count = 0; count < 30; ++count) {
    Overlay overlay;
    // Long enough a list that sorting moves what is equal.
    for (std::uint32_t i = 0; i < count; ++i) overlay.add(200 + i, 201 + i, Epoch(9), 100 + i);
    overlay.add(10, 40, Epoch(5), 1000);
    overlay.add(0, 100, Epoch(5), 1001);
    Overlay::Slices slices;
    overlay.resolve(0, 100, slices);
    EXPECT_EQ(slices, (Overlay::Slices{{0, 10, 1001, Epoch(5)}, {10, 40, 1000, Epoch(5)}, {40, 100, 1001, Epoch(5)}}));
    slices.clear();
    overlay.resolve(10, 40, slices);
    EXPECT_EQ(slices, (Overlay::Slices{{10, 40, 1000, Epoch(5)}}));
  }
}

TEST(Overlay, AgreesWithPaintingRecordByRecord) {
  constexpr std::uint64_t kSeed = 23;
  std::mt19937_64 random(kSeed);
  constexpr std::uint64_t kRecords = 60;
  for (int round = 0; round < 4000; ++round) {
    struct Cell {
      std::uint32_t version = Overlay::kHole;
      std::uint64_t epoch = 0;
    };
    std::vector<Cell> cells(kRecords);
    Overlay overlay;
    const std::uint64_t count = random() % 12;
    std::vector<std::uint64_t> epochs;
    for (std::uint64_t i = 1; i <= count; ++i) epochs.push_back(i);
    std::shuffle(epochs.begin(), epochs.end(), random);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t first = random() % kRecords;
      const std::uint64_t end = first + 1 + random() % (kRecords - first);
      const std::uint32_t version = random() % 4 == 0 ? Overlay::kHole : i;
      overlay.add(first, end, Epoch(epochs[i]), version);
      for (std::uint64_t at = first; at < end; ++at)
        if (epochs[i] > cells[at].epoch) cells[at] = {version, epochs[i]};
    }
    const std::uint64_t from = random() % kRecords;
    const std::uint64_t to = from + 1 + random() % (kRecords - from);
    Overlay::Slices slices;
    overlay.resolve(from, to, slices);
    std::uint64_t at = from;
    for (const Overlay::Slice& slice : slices) {
      ASSERT_EQ(slice.first, at) << "round " << round << " seed " << kSeed;
      for (; at < slice.end; ++at) {
        ASSERT_EQ(slice.version, cells[at].version) << "round " << round << " seed " << kSeed;
        ASSERT_EQ(slice.epoch.value(), cells[at].epoch) << "round " << round << " seed " << kSeed;
      }
    }
    ASSERT_EQ(at, to);
  }
}

}  // namespace
}  // namespace cenote::object
