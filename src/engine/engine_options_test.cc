#include "cenote/engine/engine_options.h"

#include <gtest/gtest.h>

#include "cenote/engine/coordinator_source.h"

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

class NoSource final : public CoordinatorSource {
 public:
  Task<Result<std::unique_ptr<cluster::Coordinator>>> open(Reactor&, Logger) override {
    co_return fail(Code::kUnreachable);
  }
  std::string place() const override { return "nowhere"; }
};

TEST(EngineOptions, OtherEnginesMustFindThisOne) {
  NoSource source;
  EngineOptions options = sample();
  options.insecure = true;
  options.listen_address = "0.0.0.0:7777";
  EXPECT_EQ(refusal(options), Code::kOk) << "an engine alone";
  options.coordinator = &source;
  EXPECT_EQ(refusal(options), Code::kInvalidArgument);
  for (const char* address : {"10.0.0.1", "[::1]:7", "node7:9999"}) {
    options.advertise_address = address;
    EXPECT_EQ(refusal(options), Code::kOk) << address;
  }
  for (const char* address : {"0.0.0.0", "[::]:1", "node7:port"}) {
    options.advertise_address = address;
    EXPECT_EQ(refusal(options), Code::kInvalidArgument) << address;
  }
  options.advertise_address.clear();
  options.listen_address.clear();
  EXPECT_EQ(refusal(options), Code::kInvalidArgument);
}

TEST(EngineOptions, FaultDomainsArePathsOfNames) {
  EngineOptions options = sample();
  for (const std::string& path :
       {std::string("node7"), std::string("rack1/node7"), std::string("a/b/c/d/e/f/g/h/i"), std::string(63, 'x')}) {
    options.fault_domain = path;
    EXPECT_EQ(refusal(options), Code::kOk) << path;
  }
  for (const std::string& path : {std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"),
                                  std::string("a b"), std::string("a/b/c/d/e/f/g/h/i/j"), std::string(64, 'x')}) {
    options.fault_domain = path;
    EXPECT_EQ(refusal(options), Code::kInvalidArgument) << path;
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
