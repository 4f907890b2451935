/// Hours of overwriting, punching and aggregating at a steady state: what is stored stays in proportion to what is
/// there.
#include <algorithm>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kSeed = 21;
constexpr std::uint64_t kFiles = 16;
constexpr std::uint64_t kFileBlocks = 512;  // 2 MiB: two windows of an array
constexpr std::uint64_t kMinuteSteps = 60;  // one a second
const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);

/// What each block of each file holds: the place in the source of its bytes, or nothing.
class Files {
 public:
  static constexpr std::uint64_t kNothing = UINT64_MAX;
  Files() {
    for (auto& file : from_) file.fill(kNothing);
  }
  void write(std::uint64_t file, std::uint64_t first, std::uint64_t count, std::uint64_t from) {
    for (std::uint64_t i = 0; i < count; ++i) from_[file][first + i] = from + i * media::kBlockBytes;
  }
  void punch(std::uint64_t file, std::uint64_t first, std::uint64_t count) {
    std::fill_n(from_[file].begin() + static_cast<std::ptrdiff_t>(first), count, kNothing);
  }
  std::uint64_t from(std::uint64_t file, std::uint64_t block) const { return from_[file][block]; }
  std::uint64_t live_blocks() const {
    std::uint64_t live = 0;
    for (const auto& file : from_) live += kFileBlocks - static_cast<std::uint64_t>(std::ranges::count(file, kNothing));
    return live;
  }

 private:
  std::array<std::array<std::uint64_t, kFileBlocks>, kFiles> from_{};
};

class Endurance {
 public:
  Endurance() : target_(kSeed, 256), random_(kSeed), source_(pattern(1, (kFileBlocks + 1) * media::kBlockBytes)) {
    target_.options.aggregation = true;
    target_.create();
  }

  void run(std::uint64_t hours) {
    for (std::uint64_t minute = 1; minute <= hours * 60; ++minute) {
      for (std::uint64_t i = 0; i < kMinuteSteps && !testing::Test::HasFatalFailure(); ++i) step();
      if (minute % 10 == 0) measure(minute);
      if (minute % 30 == 0) verify();
    }
  }
  double worst() const { return worst_; }
  TestTarget& target() { return target_; }

 private:
  // Sizes from one block to 1 MiB, small ones as often as large ones.
  std::pair<std::uint64_t, std::uint64_t> place() {
    const std::uint64_t most = std::uint64_t{1} << random_() % 9;
    const std::uint64_t count = std::max<std::uint64_t>(1, most - random_() % (most / 2 + 1));
    return {random_() % (kFileBlocks - count + 1), count};
  }

  void step() {
    const std::uint64_t file = random_() % kFiles;
    const std::uint64_t what = random_() % 100;
    if (what == 0) {
      punch_file(file);
    } else if (what < 8) {
      punch_range(file);
    } else {
      write(file);
    }
    target_.world.run_until([] { return false; }, std::chrono::seconds(1));
  }
  void write(std::uint64_t file) {
    const auto [first, count] = place();
    const std::uint64_t from = random_() % 4096;
    const ByteView data = ByteView(source_).subspan(from, count * media::kBlockBytes);
    const auto written =
        target_.update(target_.array(kObject, key_of(file), key_of("a"), 1,
                                     {RecordRange{first * media::kBlockBytes, count * media::kBlockBytes}}, data),
                       data);
    ASSERT_TRUE(written) << written.error().to_string();
    files_.write(file, first, count, from);
  }
  PunchRequest punch(PunchLevel level, std::uint64_t file) const {
    PunchRequest request;
    request.container = target_.container;
    request.object = kObject;
    request.level = level;
    request.dkey = key_of(file);
    return request;
  }
  void punch_range(std::uint64_t file) {
    const auto [first, count] = place();
    PunchRequest request = punch(PunchLevel::kRange, file);
    request.akeys.push_back(key_of("a"));
    request.ranges.push_back({first * media::kBlockBytes, count * media::kBlockBytes});
    ASSERT_TRUE(target_.punch(request));
    files_.punch(file, first, count);
  }
  void punch_file(std::uint64_t file) {
    ASSERT_TRUE(target_.punch(punch(PunchLevel::kDkey, file)));
    files_.punch(file, 0, kFileBlocks);
  }

  void verify() {
    constexpr std::uint64_t kBlocksAtOnce = 256;
    for (std::uint64_t file = 0; file < kFiles; ++file) {
      for (std::uint64_t first = 0; first < kFileBlocks; first += kBlocksAtOnce) {
        const auto fetched = target_.fetch(
            target_.fetch_array(kObject, key_of(file), key_of("a"),
                                {RecordRange{first * media::kBlockBytes, kBlocksAtOnce * media::kBlockBytes}}));
        ASSERT_TRUE(fetched) << fetched.error().to_string();
        Bytes found = joined(*fetched);
        found.resize(kBlocksAtOnce * media::kBlockBytes);  // a file that is gone has no bytes
        for (std::uint64_t i = 0; i < kBlocksAtOnce; ++i) {
          const std::uint64_t from = files_.from(file, first + i);
          const Bytes zeroes(media::kBlockBytes);
          const ByteView wanted =
              from == Files::kNothing ? ByteView(zeroes) : ByteView(source_).subspan(from, media::kBlockBytes);
          ASSERT_TRUE(std::ranges::equal(ByteView(found).subspan(i * media::kBlockBytes, media::kBlockBytes), wanted))
              << "file " << file << ", block " << first + i;
        }
      }
    }
  }

  // After a full aggregation, so that nothing is stored only because it may still be read in the past.
  void measure(std::uint64_t minute) {
    ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
    const auto owned = target_.block_on(target_.objects->owned_extents());
    ASSERT_TRUE(owned);
    std::uint64_t stored = 0;
    for (const store::Extent& extent : *owned) stored += extent.blocks;
    const double amplification = double(stored) / double(files_.live_blocks());
    if (minute > 60) worst_ = std::max(worst_, amplification);
  }

  TestTarget target_;
  std::mt19937_64 random_;
  Bytes source_;
  Files files_;
  double worst_ = 0;
};

TEST(Endurance, StoredSpaceStaysInProportion) {
  Endurance endurance;
  ASSERT_NO_FATAL_FAILURE(endurance.run(2));
  EXPECT_LE(endurance.worst(), 1.1);
  endurance.target().check();
  RecordProperty("amplification", std::to_string(endurance.worst()));
}

}  // namespace
}  // namespace cenote::object
