// Cuts the power of the destination at every device write while a history is copied to it.

#include "cenote/object/examine.h"
#include "history_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  std::size_t done = 0;  ///< pages whose putting was answered
};

/// Arrays with holes, values, and punches of both.
void fill(TestTarget& target, std::uint64_t seed) {
  for (std::uint64_t i = 0; i < 24; ++i) {
    const KeyBytes dkey = key_of(std::string(1, static_cast<char>('a' + i % 5)));
    if (i % 3 == 0) {
      const Bytes value = mixture(seed + i, 100 + 9000 * (i % 4));
      ASSERT_TRUE(target.update(target.single(kObject, dkey, key_of("v"), value), value));
    } else {
      const Bytes data = mixture(seed + i, 6000);
      ASSERT_TRUE(target.update(target.array(kObject, dkey, key_of("r"), 1, {{i * 700, 6000}}, data), data));
    }
    if (i % 7 == 6) {
      PunchRequest punch{.container = target.container,
                         .object = kObject,
                         .level = i % 2 == 0 ? PunchLevel::kDkey : PunchLevel::kRange,
                         .dkey = dkey,
                         .akeys = {},
                         .ranges = {},
                         .id = {}};
      if (punch.level == PunchLevel::kRange) {
        punch.akeys = {key_of("r")};
        punch.ranges = {{3000, 2500}};
      }
      ASSERT_TRUE(target.punch(punch));
    }
  }
}

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

void compare(TestTarget& source, TestTarget& copy) {
  std::vector<AkeyPlace> places;
  for (const std::string_view dkey : {"a", "b", "c", "d", "e"})
    for (const std::string_view akey : {"v", "r"}) places.push_back({kObject, key_of(dkey), key_of(akey)});
  SameAnswers(source, copy).check(places, kEpochLatest);
}

/// Where one of them has been merged: holes that hid nothing, and their epochs, are gone there.
void compare_data(TestTarget& source, TestTarget& copy) {
  for (const std::string_view dkey : {"a", "b", "c", "d", "e"}) {
    for (const FetchRequest& request : {source.fetch_single(kObject, key_of(dkey), key_of("v")),
                                        source.fetch_array(kObject, key_of(dkey), key_of("r"), {{0, 30'000}})}) {
      FetchRequest with_room = request;
      with_room.akeys[0].max_bytes = 100'000;
      const auto a = source.fetch(with_room), b = copy.fetch(with_room);
      ASSERT_TRUE(a && b);
      ASSERT_EQ(a->reply.akeys[0].exists, b->reply.akeys[0].exists);
      ASSERT_TRUE(joined(*a) == joined(*b)) << dkey;
    }
  }
}

/// One page for each dkey.
std::vector<Bytes> pages_of(TestTarget& source) {
  std::vector<Bytes> pages;
  for (const std::string_view dkey : {"a", "b", "c", "d", "e"}) {
    const auto page = read_page(source, {}, [dkey](const ObjectId&, const std::optional<ByteView>& key) {
      return !key ? Part::kSome : equal(*key, as_bytes(dkey)) ? Part::kAll : Part::kNone;
    });
    EXPECT_TRUE(page && page->next.empty());
    if (page) pages.push_back(page->entries);
  }
  return pages;
}

class HistoryCrash : public testing::TestWithParam<std::uint64_t> {
 protected:
  void verify(Image& image, TestTarget& source, const std::vector<Bytes>& pages) const {
    SCOPED_TRACE(testing::Message() << "seed " << GetParam() << ", cut before device write " << image.write);
    TestTarget copy(GetParam() + 50);
    copy.container = source.container;
    copy.properties = source.properties;
    if (copy.properties.encrypted) copy.encrypt();
    copy.medium = std::move(image.medium);
    ASSERT_NO_FATAL_FAILURE(examine(copy));
    ASSERT_NO_FATAL_FAILURE(copy.open());
    copy.check();
    if (image.done > 0)
      EXPECT_TRUE(copy.block_on(copy.objects->is_incomplete(copy.container)).value()) << "a page is there";
    for (std::size_t i = image.done; i < pages.size(); ++i) {
      const auto put = put_page(copy, pages[i]);
      ASSERT_TRUE(put) << put.error().to_string();
    }
    ASSERT_NO_FATAL_FAILURE(compare(source, copy));
    ASSERT_TRUE(copy.block_on(copy.objects->end_history(copy.container)));
    ASSERT_TRUE(copy.block_on(copy.objects->aggregate(copy.objects->now())));
    ASSERT_NO_FATAL_FAILURE(compare_data(source, copy));
    copy.check();
  }
};

TEST_P(HistoryCrash, EveryDeviceWrite) {
  const std::uint64_t seed = GetParam();
  TestTarget source(seed);
  source.properties.compression = seed % 2 == 0 ? Compression::kLz4 : Compression::kNone;
  source.properties.encrypted = seed % 2 == 0;
  if (source.properties.encrypted) source.encrypt();
  source.create();
  ASSERT_NO_FATAL_FAILURE(fill(source, seed));
  const std::vector<Bytes> pages = pages_of(source);
  std::vector<Image> images;
  {
    TestTarget copy(seed + 50);
    copy.options.inline_bytes = 300;
    copy.device_options.prefers_durable_writes = seed % 2 == 0;
    prepare_copy(source, copy);
    std::uint64_t writes = 0;
    std::size_t done = 0;
    copy.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      images.push_back({++writes, copy.device->crash_image({}), done});
    });
    for (const Bytes& page : pages) {
      ASSERT_TRUE(put_page(copy, page));
      ++done;
    }
    copy.device->set_write_hook(nullptr);
    ASSERT_NO_FATAL_FAILURE(compare(source, copy));
  }
  ASSERT_GT(images.size(), 12u);
  for (std::size_t i = 0; i < images.size() && !testing::Test::HasFailure(); ++i) verify(images[i], source, pages);
}

INSTANTIATE_TEST_SUITE_P(Seeds, HistoryCrash, testing::Range<std::uint64_t>(1, 3));

}  // namespace
}  // namespace cenote::object
