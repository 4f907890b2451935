#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/etcd/etcd_coordinator.h"
#include "cenote/media/uring_device.h"
#include "cenote/runtime/uring_reactor.h"
#include "test_etcd.h"

// The coordinators that have to behave alike, with what a test does to them.
namespace cenote::etcd {

using namespace std::chrono_literals;

class World {
 public:
  World() : reactor_(*UringReactor::create()) {}
  virtual ~World() = default;

  UringReactor& reactor() { return *reactor_; }
  /// Two clients of the same state; where only one process can have it, one and the same.
  virtual cluster::Coordinator& first() = 0;
  virtual cluster::Coordinator& second() = 0;
  /// The end of whoever keeps the state, without a word, and its return. Watches are gone first where that is this
  /// process.
  virtual void restart() = 0;
  /// Whether watches, leases and clients live on over a restart.
  virtual bool survives_restart() const = 0;
  /// Everything that has happened is forgotten, but for what is.
  virtual void compact() = 0;

  template <typename T>
  T wait(Task<T> task) {
    return reactor_->block_on(std::move(task));
  }

 private:
  std::unique_ptr<UringReactor> reactor_;
};

class EmbeddedWorld final : public World {
 public:
  EmbeddedWorld() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cenote-coordinator-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    open(true);
  }
  ~EmbeddedWorld() override {
    close();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  cluster::Coordinator& first() override { return *coordinator_; }
  cluster::Coordinator& second() override { return *coordinator_; }
  bool survives_restart() const override { return false; }
  void restart() override {
    close();
    open(false);
  }
  void compact() override {
    for (std::size_t done = 0; done <= kHistory; done += cluster::kMaxTransactionOperations) {
      cluster::Transaction many;
      for (std::size_t i = 0; i < cluster::kMaxTransactionOperations; ++i) many.put(fmt::format("compact/{}", i), "");
      EXPECT_TRUE(wait(coordinator_->commit(std::move(many))));
    }
  }

 private:
  static constexpr std::size_t kHistory = 500;

  void open(bool format) {
    auto device = media::UringDevice::open(reactor(), folder_ + "/state", {.create_bytes = 64u << 20});
    ASSERT_TRUE(device) << device.error().to_string();
    device_ = *std::move(device);
    const auto devices = store::Devices::one(*device_);
    if (format) {
      ASSERT_TRUE(wait(store::Store::format(reactor(), devices, {.log_bytes = 8u << 20})));
    }
    store::OpenOptions options;
    options.cache_bytes = store::kMinCacheBytes;
    auto store = wait(store::Store::open(reactor(), devices, options));
    ASSERT_TRUE(store) << store.error().to_string();
    auto made = wait(cluster::EmbeddedCoordinator::open(*std::move(store), {.history_events = kHistory}));
    ASSERT_TRUE(made) << made.error().to_string();
    coordinator_ = *std::move(made);
  }
  void close() {
    if (coordinator_ == nullptr) return;
    coordinator_->check_invariants();
    EXPECT_TRUE(wait(coordinator_->close()));
    coordinator_.reset();
    wait(device_->close());
    device_.reset();
  }

  std::string folder_;
  std::unique_ptr<media::UringDevice> device_;
  std::unique_ptr<cluster::EmbeddedCoordinator> coordinator_;
};

class EtcdWorld final : public World {
 public:
  explicit EtcdWorld(std::size_t members = 1) : cluster(members) {
    const std::string flaw = cluster.start();
    EXPECT_EQ(flaw, "");
    if (!flaw.empty()) return;
    first_ = connect();
    second_ = connect();
  }
  ~EtcdWorld() override {
    for (auto* client : {&first_, &second_}) {
      if (*client != nullptr) EXPECT_TRUE(wait((*client)->close()));
    }
    if (http_ != nullptr) wait(http_->close());
    if (testing::Test::HasFailure()) {
      for (const auto& member : cluster.members) std::fprintf(stderr, "%s\n", member->log().c_str());
    }
  }

  cluster::Coordinator& first() override { return *first_; }
  cluster::Coordinator& second() override { return *second_; }
  bool survives_restart() const override { return true; }
  void restart() override {
    for (auto& member : cluster.members) member->kill();
    EXPECT_EQ(cluster.start(), "");
  }
  void compact() override {
    const auto now = wait(first_->revision());
    ASSERT_TRUE(now);
    ask("/v3/kv/compaction", Json{{"revision", std::to_string(now->value())}, {"physical", true}});
  }

  EtcdOptions options(std::string root = "cenote/test/") const {
    EtcdOptions options{.endpoints = cluster.endpoints, .root = std::move(root)};
    options.request_timeout = 60s;
    options.attempt_timeout = 1s;
    options.watch_silence = 500ms;
    options.session_ttl = 10s;
    return options;
  }
  std::unique_ptr<EtcdCoordinator> connect() {
    auto made = wait(EtcdCoordinator::open(reactor(), options(), Logger()));
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? *std::move(made) : nullptr;
  }
  /// Past the adapter.
  Json ask(const std::string& path, const Json& body, std::size_t member = 0) {
    if (http_ == nullptr) http_ = *HttpClient::start(reactor(), {}, 1s);
    auto answer =
        wait(ask_etcd(*http_, cluster.endpoints[member] + path, body.dump(), Until::at(reactor().now() + 5s)));
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer.value_or(Json::object());
  }

  TestCluster cluster;

 private:
  std::unique_ptr<EtcdCoordinator> first_, second_;
  std::unique_ptr<HttpClient> http_;
};

}  // namespace cenote::etcd
