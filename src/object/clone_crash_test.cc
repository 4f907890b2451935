#include <map>

#include "cenote/object/examine.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
constexpr std::string_view kAkeys[] = {"a", "b", "c"};

/// What a container shows: the number of the value of each akey, 0 for none.
using Shown = std::array<std::uint64_t, std::size(kAkeys)>;

/// What was acknowledged. Of one operation that was under way nobody knows.
struct Known {
  std::map<Uuid, Shown> containers;
  std::optional<Uuid> in_doubt;
  Shown before{}, after{};  ///< of that one, if it is there
};

struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  Known known;
};

constexpr std::size_t kValueBytes = 20'000;
Bytes value_of(std::uint64_t number) { return pattern(number, kValueBytes + number); }
Uuid id(std::uint64_t number) { return Uuid::from_random(77, number); }

/// One life of a container, its clone and a clone of that, which go in an order of their own.
class Story {
 public:
  Story(TestTarget& target, Known& known) : target_(target), known_(known) {}

  void put(const Uuid& container, std::size_t akey, std::uint64_t number) {
    begin(container);
    known_.after[akey] = number;
    target_.container = container;
    const Bytes value = value_of(number);
    const auto updated = target_.update(target_.single(kObject, key_of("d"), key_of(kAkeys[akey]), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
    end();
  }
  void punch(const Uuid& container) {
    begin(container);
    known_.after = {};
    ASSERT_TRUE(
        target_.punch({.container = container, .object = kObject, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
    end();
  }
  void clone(const Uuid& source, const Uuid& clone) {
    const Epoch epoch(target_.objects->now().value() + 1);
    ASSERT_TRUE(target_.block_on(target_.objects->add_snapshot(source, epoch)));
    known_.in_doubt = clone;
    known_.before = known_.after = known_.containers.at(source);
    const auto cloned = target_.block_on(target_.objects->clone_container(clone, target_.properties, {source, epoch}));
    ASSERT_TRUE(cloned) << cloned.error().to_string();
    end();
    ASSERT_TRUE(target_.block_on(target_.objects->remove_snapshot(source, epoch)));
  }
  void destroy(const Uuid& container) {
    begin(container);
    ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(container)));
    known_.in_doubt.reset();
  }
  /// Of which nobody sees anything.
  void flatten(const Uuid& container) {
    const auto flattened = target_.block_on(target_.objects->flatten(container));
    ASSERT_TRUE(flattened) << flattened.error().to_string();
  }
  void aggregate() { ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now()))); }

 private:
  void begin(const Uuid& container) {
    known_.in_doubt = container;
    known_.before = known_.after = known_.containers.at(container);
    known_.containers.erase(container);
  }
  void end() {
    known_.containers[*known_.in_doubt] = known_.after;
    known_.in_doubt.reset();
  }

  TestTarget& target_;
  Known& known_;
};

/// With the middle of the chain flattened, or its end, before anything goes.
void tell(TestTarget& target, Known& known, bool source_first, std::optional<Uuid> flattened) {
  Story story(target, known);
  const Uuid source = id(1), clone = id(2), second = id(3);
  story.put(source, 0, 1);
  story.put(source, 1, 2);
  story.clone(source, clone);
  story.put(source, 0, 3);
  story.put(clone, 2, 4);
  story.aggregate();
  story.clone(clone, second);
  story.punch(clone);
  story.put(clone, 1, 5);
  story.put(second, 0, 6);
  story.aggregate();
  if (flattened) story.flatten(*flattened);
  story.destroy(source_first ? source : second);
  story.aggregate();
  story.destroy(clone);
  story.aggregate();
  story.put(source_first ? second : source, 2, 7);
  story.destroy(source_first ? second : source);
  story.aggregate();
}

/// nullopt: there is no such container.
std::optional<Shown> shown(TestTarget& target, const Uuid& container) {
  target.container = container;
  Shown shown{};
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of(kAkeys[i])));
    if (!fetched) {
      EXPECT_EQ(code_of(fetched), Code::kContainerNotFound) << fetched.error().to_string();
      return std::nullopt;
    }
    if (!fetched->reply.akeys[0].exists) continue;
    const Bytes value = joined(*fetched);
    const std::uint64_t number = value.size() - kValueBytes;  // no two are of one size
    if (number < 10 && equal(value, value_of(number))) shown[i] = number;
    EXPECT_GT(shown[i], 0u);
  }
  return shown;
}

/// What an offline check says of the medium as the crash left it. A superblock whose writing was cut is no more than a
/// warning.
void examine(TestTarget& target) {
  target.power_on();
  TargetCheckOptions options;
  options.key = target.open_options.key;
  options.cache_bytes = target.open_options.cache_bytes;
  options.found = [](const TargetFinding& found) {
    EXPECT_EQ(found.finding.kind, store::FindingKind::kSuperblock) << found.finding.message;
  };
  const auto report = target.block_on(check_target(target.node, store::Devices::one(*target.device), options));
  ASSERT_TRUE(report) << report.error().to_string();
}

void verify(Image& image, std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "cut before device write " << image.write);
  TestTarget target(seed);
  if (seed % 2 == 0) target.encrypt();
  target.medium = std::move(image.medium);
  ASSERT_NO_FATAL_FAILURE(examine(target));
  ASSERT_NO_FATAL_FAILURE(target.open());
  for (int round = 0; round < 3; ++round) {
    // What was cut short goes on.
    for (const Uuid& container : {id(3), id(2)}) {
      if (round != 1) continue;
      const auto flattened = target.block_on(target.objects->flatten(container));
      EXPECT_TRUE(flattened || flattened.error() == Code::kContainerNotFound) << flattened.error().to_string();
    }
    if (round == 2) ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    target.check();
    for (const Uuid& container : {id(1), id(2), id(3)}) {
      const auto now = shown(target, container);
      const auto known = image.known.containers.find(container);
      if (image.known.in_doubt == container) {
        EXPECT_TRUE(!now || *now == image.known.before || *now == image.known.after);
      } else if (known == image.known.containers.end()) {
        EXPECT_FALSE(now) << "a destroyed container came back";
      } else {
        EXPECT_EQ(now, known->second);
      }
    }
  }
  // Whatever the crash left, all of it goes.
  for (const Uuid& container : {id(3), id(1), id(2)})
    static_cast<void>(target.block_on(target.objects->destroy_container(container)));
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  EXPECT_TRUE(target.block_on(target.objects->owned_extents())->empty());
  EXPECT_TRUE(target.block_on(target.objects->list_containers())->empty());
  target.check();
}

class CloneCrashTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CloneCrashTest, EveryDeviceWrite) {
  const std::uint64_t seed = GetParam();
  std::vector<Image> images;
  {
    TestTarget target(seed);
    target.container = id(1);
    target.device_options.prefers_durable_writes = seed % 2 == 0;
    target.properties.encrypted = seed % 2 == 0;
    if (target.properties.encrypted) target.encrypt();
    target.create();
    Known known;
    known.containers[id(1)] = {};
    std::uint64_t writes = 0;
    target.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      images.push_back({++writes, target.device->crash_image({}), known});
    });
    const std::optional<Uuid> flattened[] = {id(2), id(3), std::nullopt};
    tell(target, known, seed % 4 < 2, flattened[seed % 3]);
    target.device->set_write_hook(nullptr);
    EXPECT_TRUE(known.containers.empty());
    EXPECT_TRUE(target.block_on(target.objects->owned_extents())->empty());
  }
  ASSERT_GT(images.size(), 20u);
  for (std::size_t i = 0; i < images.size() && !testing::Test::HasFailure(); ++i) verify(images[i], seed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CloneCrashTest, testing::Range<std::uint64_t>(1, 5));

}  // namespace
}  // namespace cenote::object
