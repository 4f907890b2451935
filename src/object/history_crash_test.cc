// Cuts the power of a target at every device write while a history is copied to it, or what it is to hold no more is
// given back.

#include "cenote/object/examine.h"
#include "history_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  std::size_t done = 0;  ///< steps that were answered
};

enum class Doing : std::uint8_t { kCopy, kCopyOverLeftovers, kDiscard };
constexpr std::string_view kDkeys[] = {"a", "b", "c", "d", "e"};
/// With kDiscard.
constexpr std::string_view kKept[] = {"a", "b"};

HistoryFilter only(std::string_view dkey) {
  return [dkey](const ObjectId&, const std::optional<ByteView>& key) {
    return !key ? Part::kSome : equal(*key, as_bytes(dkey)) ? Part::kAll : Part::kNone;
  };
}
HistoryFilter all_before(std::string_view dkey) {
  return [dkey](const ObjectId&, const std::optional<ByteView>& key) {
    return !key ? Part::kSome : compare(*key, as_bytes(dkey)) < 0 ? Part::kAll : Part::kNone;
  };
}

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
  for (const std::string_view dkey : kDkeys)
    for (const std::string_view akey : {"v", "r"}) places.push_back({kObject, key_of(dkey), key_of(akey)});
  SameAnswers(source, copy).check(places, kEpochLatest);
}

/// Where one of them has been merged: holes that hid nothing, and their epochs, are gone there.
void compare_data(TestTarget& source, TestTarget& copy, std::span<const std::string_view> dkeys) {
  for (const std::string_view dkey : dkeys) {
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

/// Nothing is there but of these.
void check_only(TestTarget& target, std::span<const std::string_view> dkeys) {
  target.each_entry(target.container, [&](ByteView key, ByteView) {
    const auto at = parse_key(key);
    ASSERT_TRUE(at);
    if (at->level != Level::kObject)
      EXPECT_TRUE(std::ranges::any_of(dkeys, [&](auto dkey) { return equal(at->dkey(), as_bytes(dkey)); }));
  });
}

class HistoryCrash : public testing::TestWithParam<std::tuple<Doing, std::uint64_t>> {
 protected:
  using Step = std::function<void(TestTarget&)>;

  HistoryCrash() : doing_(std::get<0>(GetParam())), seed_(std::get<1>(GetParam())), source_(seed_) {}

  void make_source() {
    source_.properties.compression = seed_ % 2 == 0 ? Compression::kLz4 : Compression::kNone;
    source_.properties.encrypted = seed_ % 2 == 0;
    if (source_.properties.encrypted) source_.encrypt();
    source_.create();
    ASSERT_NO_FATAL_FAILURE(fill(source_, seed_));
  }
  /// What is there before the first step.
  void make_copy(TestTarget& copy) {
    copy.options.inline_bytes = 300;
    copy.device_options.prefers_durable_writes = seed_ % 2 == 0;
    prepare_copy(source_, copy);
    if (doing_ == Doing::kDiscard) {
      ASSERT_NO_FATAL_FAILURE(copy_history(source_, copy));
      ASSERT_TRUE(copy.block_on(copy.objects->end_history(copy.container)));
    }
    if (doing_ != Doing::kCopyOverLeftovers) return;
    ASSERT_NO_FATAL_FAILURE(fill(copy, seed_ + 7));
    source_.objects->observe(copy.objects->now());
    closed_ = Epoch(source_.objects->now().value() | 1);
    source_.objects->observe(closed_);
    // Its array stands on a birth that goes.
    for (const std::string_view dkey : {"b", "d"}) change_both(copy, dkey);
  }
  void change_both(TestTarget& copy, std::string_view dkey) {
    const Bytes data = mixture(seed_, 5000);
    CommitRequest request;
    request.container = source_.container;
    request.updates.push_back(source_.array(kObject, key_of(dkey), key_of("r"), 1, {{500, 5000}}, data));
    const EntryName name{.leader = 3, .epoch = *source_.block_on(source_.objects->draw_epoch(Until::forever()))};
    copy.objects->observe(name.epoch);
    for (TestTarget* target : {&source_, &copy}) {
      const auto prepared = target->block_on(
          target->objects->prepare(request, name, {}, target->buffer_of(data), data.size(), Until::forever(),
                                   target == &copy ? Member::kIncomplete : Member::kComplete));
      ASSERT_TRUE(prepared) << prepared.error().to_string();
      ASSERT_TRUE(target->block_on(target->objects->change_entry(name, EntryEvent::kCommit)));
    }
  }
  void make_steps() {
    if (doing_ == Doing::kDiscard) {
      for (const std::string_view first : {"d", "c"})
        steps_.push_back([first](TestTarget& target) {
          const auto discarded = target.block_on(
              target.objects->discard_history(target.container, {}, all_before(first), Until::forever()));
          ASSERT_TRUE(discarded && discarded->empty());
        });
      return;
    }
    for (const std::string_view dkey : kDkeys) {
      const auto page = read_page(source_, {}, only(dkey));
      ASSERT_TRUE(page && page->next.empty());
      std::optional<HistoryCover> cover;
      if (doing_ == Doing::kCopyOverLeftovers) cover = HistoryCover{only(dkey), closed_};
      steps_.push_back([entries = page->entries, cover](TestTarget& copy) {
        const auto put = copy.block_on(copy.objects->put_history(copy.container, entries, Until::forever(), cover));
        ASSERT_TRUE(put) << put.error().to_string();
      });
    }
  }
  void check_done(TestTarget& copy) {
    if (doing_ == Doing::kDiscard) return check_only(copy, kKept);
    compare(source_, copy);
  }
  void verify(Image& image) {
    SCOPED_TRACE(testing::Message() << "seed " << seed_ << ", cut before device write " << image.write);
    TestTarget copy(seed_ + 50);
    copy.container = source_.container;
    copy.properties = source_.properties;
    if (copy.properties.encrypted) copy.encrypt();
    copy.medium = std::move(image.medium);
    ASSERT_NO_FATAL_FAILURE(examine(copy));
    ASSERT_NO_FATAL_FAILURE(copy.open());
    copy.check();
    if (image.done > 0 && doing_ != Doing::kDiscard)
      EXPECT_TRUE(copy.block_on(copy.objects->is_incomplete(copy.container)).value()) << "a page is there";
    for (std::size_t i = image.done; i < steps_.size(); ++i) ASSERT_NO_FATAL_FAILURE(steps_[i](copy));
    ASSERT_NO_FATAL_FAILURE(check_done(copy));
    ASSERT_TRUE(copy.block_on(copy.objects->end_history(copy.container)));
    ASSERT_TRUE(copy.block_on(copy.objects->aggregate(copy.objects->now())));
    if (doing_ == Doing::kDiscard) {
      ASSERT_NO_FATAL_FAILURE(compare_data(source_, copy, kKept));
    } else {
      ASSERT_NO_FATAL_FAILURE(compare_data(source_, copy, kDkeys));
    }
    copy.check();
  }

  const Doing doing_;
  const std::uint64_t seed_;
  TestTarget source_;
  Epoch closed_;
  std::vector<Step> steps_;
};

TEST_P(HistoryCrash, EveryDeviceWrite) {
  ASSERT_NO_FATAL_FAILURE(make_source());
  std::vector<Image> images;
  {
    TestTarget copy(seed_ + 50);
    ASSERT_NO_FATAL_FAILURE(make_copy(copy));
    ASSERT_NO_FATAL_FAILURE(make_steps());
    std::uint64_t writes = 0;
    std::size_t done = 0;
    copy.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      images.push_back({++writes, copy.device->crash_image({}), done});
    });
    for (const Step& step : steps_) {
      ASSERT_NO_FATAL_FAILURE(step(copy));
      ++done;
    }
    copy.device->set_write_hook(nullptr);
    ASSERT_NO_FATAL_FAILURE(check_done(copy));
  }
  ASSERT_GT(images.size(), doing_ == Doing::kDiscard ? 1u : 12u);
  for (std::size_t i = 0; i < images.size() && !testing::Test::HasFailure(); ++i) verify(images[i]);
}

INSTANTIATE_TEST_SUITE_P(Seeds, HistoryCrash,
                         testing::Combine(testing::Values(Doing::kCopy, Doing::kCopyOverLeftovers, Doing::kDiscard),
                                          testing::Range<std::uint64_t>(1, 3)));

}  // namespace
}  // namespace cenote::object
