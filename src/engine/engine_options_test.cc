#include "cenote/engine/engine_options.h"

#include <gtest/gtest.h>

namespace cenote::engine {
namespace {

EngineOptions sample() {
  EngineOptions options;
  options.data_directory = "/x";
  return options;
}

Code refusal(const EngineOptions& options) {
  const auto outcome = with_defaults(options, 4);
  return outcome ? Code::kOk : outcome.error().code();
}

TEST(EngineOptions, DefaultsFollowTheMachine) {
  EXPECT_EQ(with_defaults(sample(), 1)->reactors, 1U);
  EXPECT_EQ(with_defaults(sample(), 2)->reactors, 1U);
  EXPECT_EQ(with_defaults(sample(), 8)->reactors, 7U);
  EXPECT_EQ(with_defaults(sample(), 0)->reactors, 1U);
  EXPECT_LE(with_defaults(sample(), 500)->reactors, kMaxReactors);
  EXPECT_EQ(default_targets(1), 1U);
  EXPECT_EQ(default_targets(64), 4U);
  EXPECT_EQ(default_log_bytes(100ull << 30), 64ull << 20);
  EXPECT_EQ(default_log_bytes(kMinTargetBytes), kMinTargetBytes / 8);
}

TEST(EngineOptions, CachesShareOutAPartOfTheMemory) {
  EXPECT_EQ(default_cache_bytes(24ull << 30, 2), 768ull << 20);
  EXPECT_EQ(default_cache_bytes(512ull << 20, 4), 64ull << 20);
  EXPECT_EQ(default_cache_bytes(1ull << 40, 4), 1ull << 30);
  EXPECT_GE(usable_memory(), 64ull << 20);
  EXPECT_EQ(refusal(sample()), Code::kOk);
}

TEST(EngineOptions, OnlyThisMachineUnlessInsecure) {
  EngineOptions options = sample();
  for (const char* address : {"0.0.0.0:7777", "[::]:7777", "example.org", "10.0.0.1:1"}) {
    options.listen_address = address;
    EXPECT_EQ(refusal(options), Code::kPermissionDenied) << address;
  }
  options.insecure = true;
  EXPECT_EQ(refusal(options), Code::kOk);
  options = sample();
  options.control_address = "0.0.0.0:7778";
  EXPECT_EQ(refusal(options), Code::kPermissionDenied);
  for (const char* address : {"", "127.0.0.1:0", "localhost:80", "[::1]:1", "127.8.8.8"}) {
    options.control_address = address;
    EXPECT_EQ(refusal(options), Code::kOk) << address;
  }
}

TEST(EngineOptions, ImpossibleValuesAreNamed) {
  const auto refused = [](auto change) {
    EngineOptions options = sample();
    change(options);
    return refusal(options);
  };
  EXPECT_EQ(refused([](auto& o) { o.data_directory = ""; }), Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) { o.system_name = "a b"; }), Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) { o.listen_address = "127.0.0.1:port"; }), Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) { o.targets = kMaxTargets + 1; }), Code::kOutOfRange);
  EXPECT_EQ(refused([](auto& o) { o.target_bytes = kMinTargetBytes - 1; }), Code::kOutOfRange);
  EXPECT_EQ(refused([](auto& o) { o.cache_bytes = 1; }), Code::kOutOfRange);
  EXPECT_EQ(refused([](auto& o) { o.log_bytes = 1; }), Code::kOutOfRange);
  EXPECT_EQ(refused([](auto& o) { o.reactors = 1000; }), Code::kOutOfRange);
  EXPECT_EQ(refused([](auto& o) { o.target_paths = {"/a", "/b", "/a"}; }), Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) {
              o.target_paths = {"/a", "/b"};
              o.targets = 3;
            }),
            Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) {
              o.target_paths = {"/a", "/b"};
              o.wal_paths = {"/c"};
            }),
            Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) {
              o.target_paths = {"/a"};
              o.data_paths = {"/a"};
            }),
            Code::kInvalidArgument);
  EXPECT_EQ(refused([](auto& o) {
              o.target_bytes = kMinTargetBytes;
              o.log_bytes = kMinTargetBytes / 2;
            }),
            Code::kOutOfRange);
}

}  // namespace
}  // namespace cenote::engine
