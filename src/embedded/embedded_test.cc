#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cenote/cenote.hpp"

namespace cenote {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr OpenOptions kSmall{.create = true, .size_bytes = 64u << 20, .cache_bytes = 32u << 20};

/// A directory of its own for each test, and the store in it.
class AStore : public testing::Test {
 public:
  AStore() {
    std::string name = testing::TempDir() + "cenote-embedded-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    directory_ = name + "/store";
    parent_ = name;
  }
  ~AStore() override { std::filesystem::remove_all(parent_); }

 protected:
  Container open_new_container(Client& client) {
    EXPECT_TRUE(client.create_pool({.label = "pool", .size_bytes = 0}));
    EXPECT_TRUE(client.create_container({.pool = "pool", .label = "things", .type = "", .properties = {}}));
    return client.open_container("pool", "things").value();
  }

  std::string parent_, directory_;
};

/// A single value "name" and an array "data" of `records` bytes, in one row. Only the byte counts of the two are left
/// to the caller: an update and a fetch call them by different names.
template <typename Request>
Request two_akeys(ObjectId object, std::size_t records) {
  Request request;
  request.object = object;
  request.dkey = to_bytes(as_bytes("row"));
  request.akeys.resize(2);
  request.akeys[0].akey = to_bytes(as_bytes("name"));
  request.akeys[1].akey = to_bytes(as_bytes("data"));
  request.akeys[1].kind = ValueKind::kArray;
  request.akeys[1].ranges.push_back({100, records});
  return request;
}

UpdateRequest update_of_two_akeys(ObjectId object, std::size_t first, std::size_t second) {
  auto request = two_akeys<UpdateRequest>(object, second);
  request.akeys[0].bytes = first;
  request.akeys[1].bytes = second;
  return request;
}

FetchRequest fetch_of_two_akeys(ObjectId object, std::size_t first, std::size_t second) {
  auto request = two_akeys<FetchRequest>(object, second);
  request.akeys[0].max_bytes = first;
  request.akeys[1].max_bytes = second;
  return request;
}

TEST_F(AStore, IsEncryptedWithAKeyAndOpensWithThatKeyOnly) {
  const auto key_of = [](int byte) {
    return SecretKey(std::array<std::byte, SecretKey::kBytes>{static_cast<std::byte>(byte)});
  };
  OpenOptions options = kSmall;
  options.encryption_key = key_of(1);
  {
    auto client = open(directory_, options);
    ASSERT_TRUE(client) << client.error().message();
    ASSERT_TRUE(open_new_container(*client).kv().put("colour", "blue"));
    EXPECT_TRUE(client->system()->encrypted);
    for (const TargetInfo& target : client->system()->targets) EXPECT_TRUE(target.encrypted);
  }
  EXPECT_EQ(open(directory_, kSmall).error(), Code::kKeyNeeded);
  options.encryption_key = key_of(2);
  EXPECT_EQ(open(directory_, options).error(), Code::kWrongKey);
  options.encryption_key = key_of(1);
  auto client = open(directory_, options);
  ASSERT_TRUE(client) << client.error().message();
  auto container = client->open_container("pool", "things");
  ASSERT_TRUE(container);
  EXPECT_EQ(as_text(*container->kv().get("colour").value()), "blue");
}

TEST_F(AStore, KeepsKeysAndValues) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Kv kv = open_new_container(*client).kv();
  ASSERT_TRUE(kv.put("colour", "blue"));
  ASSERT_TRUE(kv.put("shape", "round"));
  const auto colour = kv.get("colour");
  ASSERT_TRUE(colour && colour->has_value());
  EXPECT_EQ(as_text(**colour), "blue");
  EXPECT_FALSE(kv.get("size").value().has_value());
  const auto page = kv.list();
  ASSERT_TRUE(page);
  EXPECT_THAT(page->keys, ElementsAre("colour", "shape"));
  EXPECT_EQ(kv.put("colour", "red", Precondition::kAbsent).error().code(), Code::kConditionFailed);
  ASSERT_TRUE(kv.remove("colour"));
  EXPECT_EQ(kv.remove("colour").error().code(), Code::kNotFound);
}

TEST_F(AStore, KeepsArraysWithHoles) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Container container = open_new_container(*client);
  const ObjectId object =
      container.allocate_object(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical).value();
  Array array = container.array(object);
  const Bytes written(300'000, std::byte{7});
  constexpr std::uint64_t kOffset = (1u << 20) - 1000;  // over the border of two chunks
  ASSERT_TRUE(array.write(kOffset, written));
  EXPECT_EQ(array.size(), kOffset + written.size());
  Bytes back(written.size() + 2000);
  EXPECT_EQ(array.read(kOffset - 500, back), written.size() + 500);
  EXPECT_EQ(back[499], std::byte{0});
  EXPECT_TRUE(std::equal(written.begin(), written.end(), back.begin() + 500));
}

TEST_F(AStore, UpdatesAndFetchesSeveralAkeysAtOnce) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Container container = open_new_container(*client);
  const ObjectId object =
      container.allocate_object(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical).value();
  const std::string name = "first row";
  const Bytes data(20'000, std::byte{42});
  const auto updated = container.update(update_of_two_akeys(object, name.size(), data.size()), {as_bytes(name), data});
  ASSERT_TRUE(updated) << updated.error().message();
  Bytes name_back(name.size()), data_back(data.size());
  const auto fetched = container.fetch(fetch_of_two_akeys(object, name.size(), data.size()), {name_back, data_back});
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(fetched->epoch, updated->epoch);
  EXPECT_EQ(as_text(name_back), name);
  EXPECT_EQ(data_back, data);
}

TEST_F(AStore, ShowsASnapshotAsItWas) {
  {
    auto client = open(directory_, kSmall);
    ASSERT_TRUE(client) << client.error().message();
    Container container = open_new_container(*client);
    Kv kv = container.kv();
    const ObjectId object =
        container.allocate_object(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical).value();
    Array array = container.array(object);
    ASSERT_TRUE(kv.put("colour", "blue"));
    ASSERT_TRUE(array.write(0, Bytes(3'000'000, std::byte{1})));
    const auto made = container.create_snapshot("monday");
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(container.create_snapshot("monday").error().code(), Code::kExists);
    ASSERT_TRUE(kv.put("colour", "red"));
    ASSERT_TRUE(kv.put("shape", "round"));
    ASSERT_TRUE(array.write(500, Bytes(1000, std::byte{2})));
    ASSERT_TRUE(array.set_size(10'000));

    auto view = container.at_snapshot("monday");
    ASSERT_TRUE(view) << view.error().message();
    EXPECT_EQ(view->snapshot()->epoch, made->epoch);
    EXPECT_FALSE(container.snapshot());
    EXPECT_EQ(as_text(*view->kv().get("colour").value()), "blue");
    EXPECT_THAT(view->kv().list()->keys, ElementsAre("colour"));
    EXPECT_EQ(view->array(object).size(), 3'000'000u);
    Bytes back(2000);
    EXPECT_EQ(view->array(object).read(0, back), 2000u);
    EXPECT_EQ(back, Bytes(2000, std::byte{1}));
    EXPECT_EQ(as_text(*kv.get("colour").value()), "red");
    EXPECT_EQ(array.size(), 10'000u);

    const auto refused = view->kv().put("colour", "green");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kReadOnly);
    EXPECT_THAT(refused.error().message(), HasSubstr("monday"));
    EXPECT_EQ(view->kv().remove("colour").error().code(), Code::kReadOnly);
    EXPECT_EQ(view->array(object).write(0, Bytes(1)).error().code(), Code::kReadOnly);
    EXPECT_EQ(view->array(object).set_size(5).error().code(), Code::kReadOnly);
    EXPECT_EQ(view->allocate_object(ObjectClass::kS1, KeyFlavour::kUint64, KeyFlavour::kLexical).error().code(),
              Code::kReadOnly);
    EXPECT_EQ(view->create_snapshot("tuesday").error().code(), Code::kReadOnly);
    EXPECT_EQ(container.at_snapshot("tuesday").error().code(), Code::kNotFound);
    EXPECT_EQ(container.at_snapshot("../c").error().code(), Code::kInvalidArgument);
  }
  auto client = open(directory_, {.create = false});
  ASSERT_TRUE(client) << client.error().message();
  Container container = client->open_container("pool", "things").value();
  const auto snapshots = container.snapshots();
  ASSERT_TRUE(snapshots && snapshots->size() == 1);
  EXPECT_EQ(as_text(*container.at_snapshot("monday")->kv().get("colour").value()), "blue");
  ASSERT_TRUE(container.destroy_snapshot("monday"));
  EXPECT_EQ(container.destroy_snapshot("monday").error().code(), Code::kNotFound);
  EXPECT_TRUE(container.snapshots()->empty());
}

TEST_F(AStore, HasItsDataAfterItWasClosedAndOpenedAgain) {
  {
    auto client = open(directory_, kSmall);
    ASSERT_TRUE(client) << client.error().message();
    ASSERT_TRUE(open_new_container(*client).kv().put("colour", "blue"));
  }
  auto client = open(directory_, {.create = false});
  ASSERT_TRUE(client) << client.error().message();
  const auto pools = client->list_pools();
  ASSERT_TRUE(pools && pools->size() == 1);
  EXPECT_EQ(pools->front().label, "pool");
  auto container = client->open_container("pool", "things");
  ASSERT_TRUE(container);
  const auto colour = container->kv().get("colour");
  ASSERT_TRUE(colour && colour->has_value());
  EXPECT_EQ(as_text(**colour), "blue");
}

TEST_F(AStore, IsClosedByTheLastOfItsHandles) {
  std::optional<Kv> kv;
  {
    auto client = open(directory_, kSmall);
    ASSERT_TRUE(client) << client.error().message();
    kv = open_new_container(*client).kv();
  }
  ASSERT_TRUE(kv->put("colour", "blue"));
  EXPECT_EQ(open(directory_).error().code(), Code::kLocked);
  kv.reset();
  EXPECT_TRUE(open(directory_));
}

TEST_F(AStore, IsLockedWhileItIsOpen) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  const auto second = open(directory_, kSmall);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kLocked);
  EXPECT_THAT(second.error().message(), HasSubstr(directory_));
}

TEST_F(AStore, IsNotMadeWhereNoneMayBe) {
  const auto client = open(directory_, {.create = false});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code(), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(directory_));
}

TEST_F(AStore, IsNotMadeInADirectoryOfOtherThings) {
  std::filesystem::create_directory(directory_);
  std::ofstream(directory_ + "/letter.txt") << "dear store";
  const auto client = open(directory_, kSmall);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(client.error().message(), HasSubstr("letter.txt"));
}

TEST_F(AStore, RefusesCallsOfACancelledCancellation) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Kv kv = open_new_container(*client).kv();
  Cancellation cancellation;
  ASSERT_TRUE(kv.put("before", "x", Precondition::kNone, {.cancellation = &cancellation}));
  cancellation.cancel();
  EXPECT_EQ(kv.put("after", "x", Precondition::kNone, {.cancellation = &cancellation}).error().code(),
            Code::kCancelled);
  EXPECT_TRUE(kv.put("other", "x"));
}

TEST_F(AStore, RefusesCallsWithoutTimeLeft) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Kv kv = open_new_container(*client).kv();
  EXPECT_EQ(kv.put("late", "x", Precondition::kNone, {.timeout = std::chrono::nanoseconds(0)}).error().code(),
            Code::kDeadlineExceeded);
  // It may have taken effect all the same; what is promised is that the call returns and the next one works.
  EXPECT_TRUE(kv.put("later", "x"));
}

TEST_F(AStore, RunsTransactions) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Container container = open_new_container(*client);
  auto kv = container.kv();
  ASSERT_TRUE(kv.put("a", std::string_view("100")));
  ASSERT_TRUE(kv.put("b", std::string_view("0")));
  // Another thread's transactions over the same keys: money moves and none is made.
  const auto move_some = [](Container& view) -> Result<> {
    const auto number = [](const Bytes& value) { return std::stoi(std::string(as_text(value))); };
    TRY(const auto a, view.kv().get("a"));
    TRY(const auto b, view.kv().get("b"));
    CHECK_OK(view.kv().put("a", std::string_view(std::to_string(number(*a) - 1))));
    CHECK_OK(view.kv().put("b", std::string_view(std::to_string(number(*b) + 1))));
    TRY(const auto again, view.kv().get("b"));
    if (number(*again) != number(*b) + 1) return fail(Code::kCorrupt, "does not see what it wrote");
    return {};
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int moves = 0; moves < 10; ++moves) EXPECT_TRUE(container.transact(move_some));
    });
  threads.clear();
  EXPECT_EQ(as_text(**kv.get("a")), "60");
  EXPECT_EQ(as_text(**kv.get("b")), "40");
  // What its function refuses has no effect.
  const auto refused = container.transact([](Container& view) -> Result<> {
    CHECK_OK(view.kv().put("a", std::string_view("gone")));
    return fail(Code::kNotEmpty, "never mind");
  });
  EXPECT_EQ(refused.error().code(), Code::kNotEmpty);
  EXPECT_EQ(as_text(**kv.get("a")), "60");
  // Nor has what is done with its view afterwards.
  std::optional<Container> kept;
  ASSERT_TRUE(container.transact([&](Container& view) -> Result<> {
    kept = view;
    return view.kv().put("c", std::string_view("1"));
  }));
  EXPECT_EQ(kept->kv().put("c", std::string_view("2")).error().code(), Code::kStopped);
  EXPECT_EQ(kept->create_snapshot("s").error().code(), Code::kInvalidArgument);
  const auto nested =
      container.transact([](Container& view) { return view.transact([](Container&) { return Result<>(); }); });
  EXPECT_EQ(nested.error().code(), Code::kInvalidArgument);
  // What is read beyond the limit cannot be proved, so it must not pass for proved.
  const auto greedy = container.transact([](Container& view) -> Result<> {
    for (std::uint32_t i = 0; i <= kMaxTransactionReads; ++i)
      static_cast<void>(view.kv().get("key " + std::to_string(i)));
    static_cast<void>(view.kv().get("key 1"));
    return view.kv().put("a", std::string_view("greedy"));
  });
  EXPECT_EQ(greedy.error().code(), Code::kOutOfRange);
  EXPECT_EQ(as_text(**kv.get("a")), "60");
  EXPECT_EQ(as_text(**kv.get("c")), "1");
}

/// Of a map.
async::ChangeSet::Update change_of(std::string_view key, std::string_view value, Precondition condition) {
  async::ChangeSet::Update update{.request = {}, .payload = {as_bytes(value)}};
  update.request.object = async::Kv::default_object(0);
  update.request.dkey = as_bytes(key);
  update.request.dkey_condition = condition;
  AkeyUpdate& akey = update.request.akeys.emplace_back();
  akey.akey = as_bytes("v");
  akey.bytes = value.size();
  return update;
}

TEST_F(AStore, AppliesChangesTogetherOrNot) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Container container = open_new_container(*client);
  auto kv = container.kv();
  ASSERT_TRUE(kv.put("directory", std::string_view("1 file")));
  const auto rename = [&](auto& in, std::string_view from, std::string_view to) -> Result<UpdateReply> {
    async::ChangeSet changes;
    PunchRequest& punch = changes.punches.emplace_back();
    punch.object = async::Kv::default_object(0);
    punch.level = PunchLevel::kDkey;
    punch.condition = Precondition::kPresent;
    punch.dkey = as_bytes(from);
    changes.updates.push_back(change_of(to, to, Precondition::kAbsent));
    changes.updates.push_back(change_of("directory", "changed", Precondition::kPresent));
    return in.apply(std::move(changes));
  };
  EXPECT_EQ(rename(container, "file 0", "file 1").error().code(), Code::kConditionFailed);
  ASSERT_TRUE(kv.put("file 0", std::string_view("x")));
  for (int i = 0; i < 8; ++i) {
    const std::string from = "file " + std::to_string(i), to = "file " + std::to_string(i + 1);
    const auto renamed = rename(container, from, to);
    ASSERT_TRUE(renamed) << renamed.error().to_string();
    EXPECT_EQ(*kv.get(from), std::nullopt);
    EXPECT_TRUE((*kv.get(to)).has_value());
    const auto again = rename(container, from, to);
    ASSERT_EQ(again.error().code(), Code::kConditionFailed);
    EXPECT_NE(again.error().message().find("file "), std::string::npos) << again.error().message();
  }
  EXPECT_EQ(as_text(**kv.get("directory")), "changed");
  // In a transaction the conditions are about what that shows, and all of it may still be undone.
  const auto undone = container.transact([&](Container& view) -> Result<> {
    CHECK_OK(view.kv().put("file 20", std::string_view("x")));
    CHECK_OK(rename(view, "file 20", "file 21"));
    TRY(const auto moved, view.kv().get("file 21"));
    if (!moved) return fail(Code::kCorrupt, "does not see what it changed");
    if (rename(view, "file 20", "file 22").error() != Code::kConditionFailed) return fail(Code::kCorrupt, "it is gone");
    return fail(Code::kNotEmpty, "never mind");
  });
  EXPECT_EQ(undone.error().code(), Code::kNotEmpty) << undone.error().message();
  EXPECT_EQ(*kv.get("file 21"), std::nullopt);
  const auto moved = container.transact([&](Container& view) -> Result<> {
    CHECK_OK(rename(view, "file 8", "file 9"));
    return {};
  });
  EXPECT_TRUE(moved) << moved.error().to_string();
  EXPECT_EQ(as_text(**kv.get("file 9")), "file 9");
  // Two changes of one thing are none.
  async::ChangeSet twice;
  for (int i = 0; i < 2; ++i) twice.updates.push_back(change_of("twice", "x", Precondition::kNone));
  EXPECT_EQ(container.apply(twice).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(container.apply({}).error().code(), Code::kInvalidArgument);
  twice.updates.pop_back();
  twice.updates[0].payload = {as_bytes("longer than it says")};
  EXPECT_EQ(container.apply(twice).error().code(), Code::kInvalidArgument);
}

TEST_F(AStore, ServesSeveralThreadsAtOnce) {
  auto client = open(directory_, kSmall);
  ASSERT_TRUE(client) << client.error().message();
  Kv kv = open_new_container(*client).kv();
  constexpr int kThreads = 4, kEach = 25;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([kv, thread]() mutable {
        for (int i = 0; i < kEach; ++i) EXPECT_TRUE(kv.put(std::to_string(thread) + "-" + std::to_string(i), "x"));
      });
    }
  }
  const auto page = kv.list();
  ASSERT_TRUE(page);
  EXPECT_EQ(page->keys.size(), kThreads * kEach);
}

}  // namespace
}  // namespace cenote
