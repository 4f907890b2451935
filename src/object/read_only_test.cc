#include <map>

#include "cenote/runtime/scope.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
constexpr std::uint64_t kKeys = 400;

/// Numbered values under many keys, so that they fill some leaves; how far each key is.
class Values {
 public:
  explicit Values(TestTarget& target) : target_(target) {}

  Task<> write(std::uint64_t worker, std::uint64_t workers, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (std::uint64_t key = worker; key < kKeys; key += workers) {
        Progress& progress = keys_[key];
        const std::uint64_t number = ++progress.started;
        const Bytes value = value_of(key, number);
        media::Buffer buffer = target_.buffer_of(value);
        const auto reply = co_await target_.objects->update(target_.single(kObject, key_of(key), key_of("a"), value),
                                                            std::move(buffer), value.size(), Until::forever());
        if (reply) {
          progress.shown = number;
          continue;
        }
        EXPECT_TRUE(reply.error() == Code::kFenced || reply.error() == Code::kIoError ||
                    reply.error() == Code::kDeviceFull)
            << reply.error().to_string();
        co_return;
      }
    }
  }
  void write_all(int rounds) {
    Scope scope(target_.node);
    for (std::uint64_t worker = 0; worker < 4; ++worker) scope.spawn(write(worker, 4, rounds));
    target_.block_on(scope.drain());
  }

  /// Reads every key; what is shown must be what was acknowledged, or later, and must stay. Says how many were shown.
  std::uint64_t read_all(bool may_be_refused) {
    std::uint64_t shown = 0;
    for (auto& [key, progress] : keys_) {
      const auto fetched = target_.fetch(target_.fetch_single(kObject, key_of(key), key_of("a")));
      if (!fetched && may_be_refused) {
        EXPECT_EQ(fetched.error().code(), Code::kFenced) << fetched.error().to_string();
        continue;
      }
      EXPECT_TRUE(fetched) << fetched.error().to_string();
      if (!fetched) continue;
      const auto number = number_of(*fetched, key, progress);
      EXPECT_TRUE(number) << "key " << key << " shows something else";
      progress.shown = number.value_or(0);
      ++shown;
    }
    return shown;
  }

 private:
  struct Progress {
    std::uint64_t started = 0, shown = 0;
  };
  static Bytes value_of(std::uint64_t key, std::uint64_t number) {
    return pattern(key * 1000 + number, key % 3 == 0 ? 6000 : 300);
  }
  static std::optional<std::uint64_t> number_of(const Fetched& fetched, std::uint64_t key, const Progress& progress) {
    const Bytes value = joined(fetched);
    for (std::uint64_t number = progress.shown; number <= progress.started; ++number) {
      if (number == 0 && !fetched.reply.akeys[0].exists) return 0;
      if (number > 0 && value == value_of(key, number)) return number;
    }
    return std::nullopt;
  }

  TestTarget& target_;
  std::map<std::uint64_t, Progress> keys_;
};

class ReadOnlyTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ReadOnlyTest, WhatIsDurableIsReadAfterAWriteFailed) {
  const std::uint64_t seed = GetParam();
  TestTarget target(seed, 128);
  target.device_options.prefers_durable_writes = seed % 2 == 0;
  if (seed % 3 == 0) {
    target.encrypt();
    target.properties.encrypted = true;
  }
  target.create();
  Values values(target);
  values.write_all(2);
  // At any write from here on, of data, log, pages or a superblock; or the file system below has no room left.
  std::uint64_t left = seed * 37 % 500;
  target.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
    if (left-- != 0) return;
    // A disk may take writes into its cache and fail only when it has to make them durable.
    const bool only_flushes = seed % 2 == 1 && seed % 5 == 0;
    (only_flushes ? target.device->options().flush_error_ppm : target.device->options().write_error_ppm) = 1'000'000;
  });
  if (seed % 4 == 1) static_cast<void>(target.block_on(target.store->checkpoint()));
  values.write_all(4);
  if (!target.store->status().fenced) EXPECT_FALSE(target.block_on(target.store->checkpoint()));
  target.device->set_write_hook(nullptr);
  ASSERT_TRUE(target.store->status().fenced);
  EXPECT_NE(target.store->status().fenced_by.find("write"), std::string::npos);
  const std::uint64_t shown = values.read_all(true);
  EXPECT_GT(shown, kKeys / 2);
  EXPECT_EQ(code_of(target.update(target.single(kObject, key_of(1), key_of("a"), {}), {})), Code::kFenced);
  // On media that work again everything that was acknowledged or shown is there, also after a loss of power.
  if (seed % 2 == 1) target.device->crash({});
  target.device_options.write_error_ppm = 0;
  target.reopen();
  EXPECT_EQ(values.read_all(false), kKeys);
  target.check();
  values.write_all(1);
  EXPECT_EQ(values.read_all(false), kKeys);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReadOnlyTest, testing::Range<std::uint64_t>(1, 25));

}  // namespace
}  // namespace cenote::object
