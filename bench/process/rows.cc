#include "process/rows.h"

#include <sys/wait.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "cenote/base/format.h"
#include "harness/machine.h"
#include "process/child_process.h"

namespace cenote::bench {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(30);
constexpr double kMebibyte = 1 << 20;

/// `cenote dev`: a throw-away engine with an empty pool and two empty containers.
class DevEngine {
 public:
  static Result<std::unique_ptr<DevEngine>> start(const std::string& binary) {
    std::unique_ptr<DevEngine> dev(new DevEngine);
    const Instant begin = now();
    TRY(dev->process_, ChildProcess::start({binary, "--json", "dev", "--listen", "127.0.0.1:0", "--control",
                                            "127.0.0.1:0", "--target-size", "256MiB"}));
    TRY(const std::string line, dev->process_->read_line(kStartLimit));
    dev->ready_after_ = now() - begin;
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object() || !event.contains("address"))
      return failf(Code::kMalformed, "cenote dev printed '{}'", line);
    dev->address_ = event.at("address");
    return dev;
  }
  ChildProcess& process() { return *process_; }
  const std::string& address() const { return address_; }
  Duration ready_after() const { return ready_after_; }

 private:
  DevEngine() = default;
  std::unique_ptr<ChildProcess> process_;
  std::string address_;
  Duration ready_after_{};
};

class IdleCpu final : public Side {
 public:
  explicit IdleCpu(std::unique_ptr<DevEngine> engine) : engine_(std::move(engine)) {}
  Result<Measured> measure(Duration window) override {
    TRY(const Duration before, cpu_time_of(engine_->process().pid()));
    const Instant begin = now();
    std::this_thread::sleep_for(window);
    TRY(const Duration after, cpu_time_of(engine_->process().pid()));
    return Measured{.value = double((after - before).count()) / double((now() - begin).count()) * 100, .details = {}};
  }

 private:
  std::unique_ptr<DevEngine> engine_;
};

class EngineMemory final : public Side {
 public:
  explicit EngineMemory(std::unique_ptr<DevEngine> engine) : engine_(std::move(engine)) {}
  Result<Measured> measure(Duration /*window*/) override {
    TRY(const ResidentMemory memory, resident_memory_of(engine_->process().pid()));
    return Measured{.value = double(memory.bytes) / kMebibyte,
                    .details = {{"anonymous_MiB", double(memory.anonymous_bytes) / kMebibyte}}};
  }

 private:
  std::unique_ptr<DevEngine> engine_;
};

/// A client under load: the most that 'cenote bench' ever had resident.
class ClientMemory final : public Side {
 public:
  ClientMemory(std::unique_ptr<DevEngine> engine, std::string binary)
      : engine_(std::move(engine)), binary_(std::move(binary)) {}
  Result<Measured> measure(Duration /*window*/) override {
    TRY(const auto client,
        ChildProcess::start({binary_, "--server", engine_->address(), "bench", "dev/kv", "--workload", "update",
                             "--workload", "fetch", "--seconds", "0.3", "--working-set", "16MiB"}));
    while (client->read_line(kStartLimit)) {
    }
    const ChildProcess::Ended ended = client->wait();
    if (!WIFEXITED(ended.status) || WEXITSTATUS(ended.status) != 0) {
      return failf(Code::kInternal, "cenote bench ended with status {:#x}", ended.status);
    }
    return Measured{.value = double(ended.max_resident_bytes) / kMebibyte, .details = {}};
  }

 private:
  std::unique_ptr<DevEngine> engine_;
  std::string binary_;
};

class DevReady final : public Side {
 public:
  explicit DevReady(std::string binary) : binary_(std::move(binary)) {}
  Result<Measured> measure(Duration /*window*/) override {
    TRY(const auto engine, DevEngine::start(binary_));
    Measured measured{.value = double(engine->ready_after().count()) / 1e6, .details = {}};
    engine->process().stop();
    return measured;
  }

 private:
  std::string binary_;
};

void add_row(Suite& suite, std::string name, std::string unit, Goal goal, SideSpec side, Duration window) {
  Comparison comparison{.name = name, .unit = std::move(unit), .medium = Medium::kDisk, .sides = {}, .rows = {}};
  comparison.sides = {std::move(side)};
  comparison.rows = {{.name = std::move(name), .goal = goal}};
  comparison.window = window;
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_process_rows(Suite& suite, const std::string& binary) {
  using namespace std::chrono_literals;
  const auto with_engine = [binary](auto make) {
    return [binary, make](const Setting&) -> Result<std::unique_ptr<Side>> {
      TRY(auto engine, DevEngine::start(binary));
      return make(std::move(engine));
    };
  };
  add_row(suite, "process/idle-engine-cpu", "% of core", Goal::at_most(1),
          {"cenote", with_engine([](auto engine) { return std::make_unique<IdleCpu>(std::move(engine)); })}, 2s);
  add_row(suite, "process/engine-memory", "MiB", Goal::at_most(128),
          {"cenote", with_engine([](auto engine) { return std::make_unique<EngineMemory>(std::move(engine)); })}, 0s);
  add_row(suite, "process/client-memory", "MiB", Goal::at_most(64),
          {"cenote",
           with_engine([binary](auto engine) { return std::make_unique<ClientMemory>(std::move(engine), binary); })},
          0s);
  add_row(suite, "process/dev-ready", "ms", Goal::at_most(1000),
          {"cenote",
           [binary](const Setting&) -> Result<std::unique_ptr<Side>> { return std::make_unique<DevReady>(binary); }},
          0s);
}

}  // namespace cenote::bench
