// Cuts the power at every device write while entries are prepared and decided.

#include <gtest/gtest.h>

#include "cenote/object/examine.h"
#include "entries.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
constexpr std::uint64_t kEntryCount = 14;

/// What was sent about an entry, and what was answered.
struct Sent {
  EntryName name;
  bool prepared = false;  ///< answered
  bool deciding = false;  ///< sent
  bool decided = false;   ///< answered
};

struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  std::vector<Sent> sent;
};

EntryEvent decision_of(std::uint64_t number) {
  constexpr EntryEvent kEvents[] = {EntryEvent::kCommit, EntryEvent::kAbort, EntryEvent::kCommit, EntryEvent::kLeave};
  return kEvents[number % std::size(kEvents)];
}
EntryState outcome_of(std::uint64_t number) {
  switch (decision_of(number)) {
    case EntryEvent::kCommit:
      return EntryState::kCommitted;
    case EntryEvent::kAbort:
      return EntryState::kRefused;
    default:
      return EntryState::kNone;
  }
}

// Inline, in blocks, and so many that the changes take several pieces.
Bytes value_of(std::uint64_t number) { return pattern(number, number % 3 == 0 ? 60 : 9000); }
std::uint64_t dkeys_of(std::uint64_t number) { return number % 5 == 4 ? 40 : 1; }
KeyBytes dkey_of(std::uint64_t number, std::uint64_t index) { return key_of(number % 4 * 1000 + index); }

CommitRequest request_of(const TestTarget& target, std::uint64_t number, Bytes& payload) {
  CommitRequest request;
  request.container = target.container;
  request.id = {.session = 9,
                .sequence = number + 1,
                .expiry = target.node.wall_now() + std::chrono::seconds(1000),
                .acknowledged = 0};
  const Bytes value = value_of(number);
  for (std::uint64_t i = 0; i < dkeys_of(number); ++i) {
    request.updates.push_back(target.single(kObject, dkey_of(number, i), key_of("a"), value));
    payload.insert(payload.end(), value.begin(), value.end());
  }
  return request;
}

Task<> decide(TestTarget& target, std::vector<Sent>& sent, std::uint64_t number) {
  sent[number].deciding = true;
  const auto decided = co_await target.objects->change_entry(sent[number].name, decision_of(number));
  EXPECT_EQ(decided, outcome_of(number));
  sent[number].decided = true;
}

/// Two are always prepared and not decided.
Task<> work(TestTarget& target, std::vector<Sent>& sent) {
  for (std::uint64_t number = 0; number < kEntryCount; ++number) {
    const auto epoch = co_await target.objects->draw_epoch(Until::forever());
    EXPECT_TRUE(epoch);
    sent.push_back({.name = {.leader = 1, .epoch = *epoch}});
    Bytes payload;
    const CommitRequest request = request_of(target, number, payload);
    media::Buffer buffer = target.buffer_of(payload);
    const auto state = co_await target.objects->prepare(request, sent[number].name, as_bytes("who takes part"),
                                                        std::move(buffer), payload.size(), Until::forever());
    EXPECT_EQ(state, EntryState::kPrepared) << (state ? "" : state.error().to_string());
    sent[number].prepared = true;
    if (number >= 2) co_await decide(target, sent, number - 2);
    if (number == 7) EXPECT_TRUE(co_await target.store->checkpoint());
  }
}

/// That the dkeys of an entry show it, or do not.
void expect_shown(TestTarget& target, std::uint64_t number, bool shown) {
  for (std::uint64_t i = 0; i < dkeys_of(number); ++i) {
    const auto fetched = target.fetch(target.fetch_single(kObject, dkey_of(number, i), key_of("a")));
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    const bool there = fetched->reply.akeys[0].exists && joined(*fetched) == value_of(number);
    EXPECT_EQ(there, shown) << "entry " << number << ", dkey " << i;
  }
}

void examine(TestTarget& target) {
  target.power_on();
  TargetCheckOptions options;
  options.cache_bytes = target.open_options.cache_bytes;
  options.found = [](const TargetFinding& found) {
    EXPECT_EQ(found.finding.kind, store::FindingKind::kSuperblock) << found.finding.message;
  };
  const auto report = target.block_on(check_target(target.node, store::Devices::one(*target.device), options));
  ASSERT_TRUE(report) << report.error().to_string();
}

/// What is held of an entry is what was answered, or what was sent after that.
void expect_held(const Sent& sent, std::uint64_t number, EntryState state) {
  if (sent.decided) {
    EXPECT_EQ(state, outcome_of(number));
  } else if (sent.deciding) {
    EXPECT_TRUE(state == EntryState::kPrepared || state == outcome_of(number));
  } else if (sent.prepared) {
    EXPECT_EQ(state, EntryState::kPrepared);
  } else {
    EXPECT_TRUE(state == EntryState::kPrepared || state == EntryState::kNone);
  }
}

/// The newest of each dkey that was committed is what it shows.
void expect_newest(TestTarget& target, const std::vector<Sent>& sent) {
  for (std::uint64_t residue = 0; residue < 4; ++residue) {
    std::optional<std::uint64_t> newest;
    for (std::uint64_t number = residue; number < sent.size(); number += 4) {
      const EntryState state = *target.block_on(target.objects->entry_state(sent[number].name));
      if (state == EntryState::kCommitted) newest = number;
    }
    if (newest) expect_shown(target, *newest, true);
  }
}

void verify(Image& image, std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", cut before device write " << image.write);
  TestTarget target(seed);
  target.medium = std::move(image.medium);
  ASSERT_NO_FATAL_FAILURE(examine(target));
  ASSERT_NO_FATAL_FAILURE(target.open());
  target.check();
  for (std::uint64_t number = 0; number < image.sent.size(); ++number) {
    SCOPED_TRACE(testing::Message() << "entry " << number);
    const Sent& sent = image.sent[number];
    const EntryState state = *target.block_on(target.objects->entry_state(sent.name));
    expect_held(sent, number, state);
    if (state != EntryState::kPrepared) continue;
    const auto fetched = target.fetch(target.fetch_single(kObject, dkey_of(number, 0), key_of("a")));
    EXPECT_EQ(code_of(fetched), Code::kUndecided);
    EXPECT_EQ(target.block_on(target.objects->change_entry(sent.name, decision_of(number))), outcome_of(number));
  }
  EXPECT_TRUE(target.block_on(target.objects->undecided_entries())->empty());
  expect_newest(target, image.sent);
  target.check();
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  target.check();
  target.reopen();
  target.check();
}

class EntriesCrash : public testing::TestWithParam<std::uint64_t> {};

TEST_P(EntriesCrash, EveryDeviceWrite) {
  const std::uint64_t seed = GetParam();
  std::vector<Image> images;
  {
    TestTarget target(seed);
    target.device_options.prefers_durable_writes = seed % 2 == 0;
    target.create();
    std::vector<Sent> sent;
    std::uint64_t writes = 0;
    target.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      images.push_back({++writes, target.device->crash_image({}), sent});
    });
    target.block_on(work(target, sent));
    target.device->set_write_hook(nullptr);
  }
  ASSERT_GT(images.size(), 40u);
  for (std::size_t i = 0; i < images.size() && !testing::Test::HasFailure(); ++i) verify(images[i], seed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EntriesCrash, testing::Range<std::uint64_t>(1, 3));

}  // namespace
}  // namespace cenote::object
