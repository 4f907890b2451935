#include "process/rows.h"

#include <thread>
#include <utility>
#include <vector>

#include "harness/machine.h"
#include "process/engine_process.h"

namespace cenote::bench {
namespace {

constexpr double kMebibyte = 1 << 20;
const std::vector<std::string> kControl{"--control", "127.0.0.1:0", "--target-size", "256MiB"};

/// An empty one, with a control port.
Result<std::unique_ptr<EngineProcess>> start_engine(const std::string& binary, std::vector<std::string> verb) {
  verb.insert(verb.end(), kControl.begin(), kControl.end());
  return EngineProcess::start(binary, std::move(verb));
}

class IdleCpu final : public Side {
 public:
  explicit IdleCpu(std::unique_ptr<EngineProcess> engine) : engine_(std::move(engine)) {}
  Result<Measured> measure(Duration window) override {
    TRY(const Duration before, cpu_time_of(engine_->process().pid()));
    const Instant begin = now();
    std::this_thread::sleep_for(window);
    TRY(const Duration after, cpu_time_of(engine_->process().pid()));
    return Measured{.value = double((after - before).count()) / double((now() - begin).count()) * 100, .details = {}};
  }

 private:
  std::unique_ptr<EngineProcess> engine_;
};

class EngineMemory final : public Side {
 public:
  explicit EngineMemory(std::unique_ptr<EngineProcess> engine) : engine_(std::move(engine)) {}
  Result<Measured> measure(Duration /*window*/) override {
    TRY(const ResidentMemory memory, resident_memory_of(engine_->process().pid()));
    return Measured{.value = double(memory.bytes) / kMebibyte,
                    .details = {{"anonymous_MiB", double(memory.anonymous_bytes) / kMebibyte}}};
  }

 private:
  std::unique_ptr<EngineProcess> engine_;
};

/// A client under load: the most that 'cenote bench' ever had resident.
class ClientMemory final : public Side {
 public:
  ClientMemory(std::unique_ptr<EngineProcess> engine, std::string binary)
      : engine_(std::move(engine)), binary_(std::move(binary)) {}
  Result<> prepare() {
    const std::string& server = engine_->address();
    CHECK_OK(run_command({binary_, "--server", server, "pool", "create", "bench"}));
    CHECK_OK(run_command({binary_, "--server", server, "container", "create", "bench/things"}));
    return {};
  }
  Result<Measured> measure(Duration /*window*/) override {
    TRY(const ChildProcess::Ended ended,
        run_command({binary_, "--server", engine_->address(), "bench", "bench/things", "--workload", "update",
                     "--workload", "fetch", "--seconds", "0.3", "--working-set", "16MiB"}));
    return Measured{.value = double(ended.max_resident_bytes) / kMebibyte, .details = {}};
  }

 private:
  std::unique_ptr<EngineProcess> engine_;
  std::string binary_;
};

class DevReady final : public Side {
 public:
  explicit DevReady(std::string binary) : binary_(std::move(binary)) {}
  Result<Measured> measure(Duration /*window*/) override {
    TRY(const auto engine, start_engine(binary_, {"dev"}));
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
  const auto start = [binary](const Setting& setting) {
    return start_engine(binary, {"server", "--data", (setting.directory / "data").string()});
  };
  const auto idle = [start](const Setting& setting) -> Result<std::unique_ptr<Side>> {
    TRY(auto engine, start(setting));
    return std::make_unique<IdleCpu>(std::move(engine));
  };
  const auto memory = [start](const Setting& setting) -> Result<std::unique_ptr<Side>> {
    TRY(auto engine, start(setting));
    return std::make_unique<EngineMemory>(std::move(engine));
  };
  const auto client = [start, binary](const Setting& setting) -> Result<std::unique_ptr<Side>> {
    TRY(auto engine, start(setting));
    auto side = std::make_unique<ClientMemory>(std::move(engine), binary);
    CHECK_OK(side->prepare());
    return side;
  };
  add_row(suite, "process/idle-engine-cpu", "% of core", Goal::at_most(1), {"cenote", idle}, 2s);
  add_row(suite, "process/engine-memory", "MiB", Goal::at_most(128), {"cenote", memory}, 0s);
  add_row(suite, "process/client-memory", "MiB", Goal::at_most(64), {"cenote", client}, 0s);
  add_row(suite, "process/dev-ready", "ms", Goal::at_most(1000),
          {"cenote",
           [binary](const Setting&) -> Result<std::unique_ptr<Side>> { return std::make_unique<DevReady>(binary); }},
          0s);
}

}  // namespace cenote::bench
