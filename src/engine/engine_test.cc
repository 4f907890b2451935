#include "cenote/engine/engine.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "cenote/base/format.h"
#include "cenote/rpc/inproc.h"
#include "cenote/rpc/tcp.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/uring_reactor.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

namespace fs = std::filesystem;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);

/// Engines on this machine, in a temporary directory, with ports that the kernel picks.
Bytes value(std::size_t bytes) { return Bytes(bytes, std::byte{0x5a}); }

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    std::string pattern = (fs::temp_directory_path() / "cenote-engine-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.data_directory = (root_ / "data").string();
    options_.listen_address = "127.0.0.1:0";
    options_.control_address = "";
    options_.targets = 2;
    options_.target_bytes = kMinTargetBytes;
    options_.preallocate = false;
    options_.reactors = 2;
  }
  ~EngineTest() override {
    engine_.reset();
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  Result<std::unique_ptr<Engine>> launch() { return Engine::start(options_, metrics_, Logger()); }
  void start() {
    auto started = launch();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
    engine_ = *std::move(started);
  }
  Error refusal() {
    const auto started = launch();
    EXPECT_FALSE(started.has_value());
    return started ? Error(Code::kOk) : started.error();
  }

  // Runs `work(client)`, a Task, with a client over TCP.
  template <typename Work>
  void with_client(Work work) {
    auto reactor = UringReactor::create();
    ASSERT_TRUE(reactor.has_value());
    TestClient client(**reactor, std::make_unique<rpc::TcpTransport>(**reactor), engine_->addresses().front());
    (*reactor)->block_on(work(client));
    (*reactor)->block_on(client.stop());
  }

  fs::path root_;
  EngineOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<Engine> engine_;
};

constexpr std::array<std::size_t, 4> kSizes{0, 10, 5000, 1 << 20};

/// Makes a container and puts a value of each size into it.
Task<> put_values(TestClient& client, Uuid& container) {
  const auto made = co_await client.set_up();
  EXPECT_TRUE(made.has_value()) << made.error().to_string();
  container = *made;
  for (const std::size_t bytes : kSizes) {
    const auto put = co_await client.put(container, kObject, std::to_string(bytes), value(bytes));
    EXPECT_TRUE(put.has_value()) << put.error().to_string();
  }
}

Task<> expect_values(TestClient& client, Uuid container) {
  for (const std::size_t bytes : kSizes) {
    const auto got = co_await client.get(container, kObject, std::to_string(bytes));
    EXPECT_TRUE(got.has_value()) << got.error().to_string();
    if (got) EXPECT_EQ(*got, value(bytes));
  }
}

TEST_F(EngineTest, ServesOverTcpAndKeepsWhatItAcknowledged) {
  start();
  EXPECT_TRUE(engine_->ready());
  ASSERT_EQ(engine_->addresses().size(), 1U);
  EXPECT_NE(engine_->addresses().front().port, 0);
  Uuid container;
  with_client([&](TestClient& client) { return put_values(client, container); });
  const auto stopped = engine_->stop();
  EXPECT_TRUE(stopped.has_value()) << stopped.error().to_string();
  EXPECT_FALSE(engine_->ready());
  engine_.reset();
  start();
  with_client([&](TestClient& client) { return expect_values(client, container); });
}

TEST_F(EngineTest, ManyRequestsAtOnceCrossAllReactors) {
  start();
  with_client([&](TestClient& client) -> Task<> {
    const auto container = co_await client.set_up();
    Scope scope(client.reactor());
    int done = 0;
    const auto one = [](TestClient& c, Uuid id, int number, int& count) -> Task<> {
      const std::string key = std::to_string(number);
      const auto put = co_await c.put(id, kObject, key, to_bytes(as_bytes(key)));
      EXPECT_TRUE(put.has_value()) << put.error().to_string();
      const auto got = co_await c.get(id, kObject, key);
      EXPECT_TRUE(got.has_value() && to_text(*got) == key);
      ++count;
    };
    for (int number = 0; number < 100; ++number) scope.spawn(one(client, *container, number, done));
    co_await scope.drain();
    EXPECT_EQ(done, 100);
  });
}

TEST_F(EngineTest, ConnectionsSpreadOverTheReactors) {
  start();
  for (int count = 0; count < 40; ++count) {
    with_client([&](TestClient& client) -> Task<> {
      const auto system = co_await client.admin(AdminMethod::kGet, "/v1/system");
      EXPECT_TRUE(system.has_value()) << system.error().to_string();
    });
  }
  const std::string text = metrics_.prometheus_text();
  for (const char* reactor : {"0", "1"}) {
    const std::string idle =
        fmt::format("cenote_engine_request_seconds_count{{op=\"admin\",reactor=\"{}\"}} 0", reactor);
    EXPECT_EQ(text.find(idle), std::string::npos) << "all 40 connections went to the other one";
  }
}

TEST_F(EngineTest, ServesItsOwnProcess) {
  rpc::InprocNetwork network;
  options_.inproc = &network;
  options_.listen_address = "";
  start();
  auto reactor = UringReactor::create();
  ASSERT_TRUE(reactor.has_value());
  const auto address = rpc::Address::parse(options_.inproc_address);
  {
    TestClient client(**reactor, std::make_unique<rpc::InprocTransport>(network, **reactor), *address);
    const auto container = (*reactor)->block_on(client.set_up());
    ASSERT_TRUE(container.has_value()) << container.error().to_string();
    EXPECT_TRUE((*reactor)->block_on(client.put(*container, kObject, "k", value(100000))).has_value());
    EXPECT_EQ((*reactor)->block_on(client.get(*container, kObject, "k")), value(100000));
    (*reactor)->block_on(client.stop());
  }
  EXPECT_TRUE(engine_->stop().has_value());
}

TEST_F(EngineTest, ASecondEngineOnTheDirectoryIsRefused) {
  start();
  const Error error = refusal();
  EXPECT_EQ(error, Code::kLocked);
  EXPECT_TRUE(engine_->ready()) << "the first goes on";
  EXPECT_TRUE(engine_->stop().has_value());
  EXPECT_TRUE(engine_->stop().has_value()) << "again";
  engine_.reset();
  start();
}

TEST_F(EngineTest, APortInUseIsNamedAndNothingIsLeftBehind) {
  start();
  EngineOptions first = options_;
  options_.data_directory = (root_ / "other").string();
  options_.listen_address = engine_->addresses().front().to_string();
  const Error error = refusal();
  EXPECT_EQ(error, Code::kExists) << error.to_string();
  EXPECT_NE(error.message().find(std::to_string(engine_->addresses().front().port)), std::string::npos);
  // The same directory is free for a better try.
  options_.listen_address = "127.0.0.1:0";
  const auto second = launch();
  EXPECT_TRUE(second.has_value()) << second.error().to_string();
}

TEST_F(EngineTest, ADamagedTargetIsNamedWithItsPath) {
  start();
  EXPECT_TRUE(engine_->stop().has_value());
  engine_.reset();
  const fs::path target = fs::path(options_.data_directory) / "targets" / "1";
  {
    std::fstream file(target, std::ios::in | std::ios::out | std::ios::binary);
    // Both copies of the superblock: the loss of one is survived.
    const std::string zeros(17 << 20, '\0');
    file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
  }
  const Error error = refusal();
  EXPECT_NE(error.message().find(target.string()), std::string::npos) << error.to_string();
}

TEST_F(EngineTest, ATargetOfAnotherSystemIsRefused) {
  start();
  engine_.reset();
  const fs::path target = fs::path(options_.data_directory) / "targets" / "1";
  fs::rename(target, root_ / "stranger");
  fs::remove_all(options_.data_directory);
  start();
  engine_.reset();
  fs::copy_file(root_ / "stranger", target, fs::copy_options::overwrite_existing);
  EXPECT_EQ(refusal(), Code::kForeign);
}

}  // namespace
}  // namespace cenote::engine
