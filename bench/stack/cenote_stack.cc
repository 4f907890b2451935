#include "stack/cenote_stack.h"

#include <httplib.h>
#include <sched.h>

#include <utility>

#include "cenote/base/format.h"

namespace cenote::bench {
namespace {

Task<Result<async::Container>> make_container(async::Client& client) {
  CO_TRY(const PoolInfo pool, co_await client.create_pool({.label = "bench", .size_bytes = 0}));
  CreateContainer request;
  request.pool = pool.label;
  request.label = "bench";
  CO_TRY(const ContainerInfo made, co_await client.create_container(std::move(request)));
  co_return co_await client.open_container(pool.label, made.label);
}

// Sum over all targets of one metric in Prometheus' text.
double metric_sum(const std::string& text, const std::string& name) {
  double sum = 0;
  for (std::size_t at = text.find("\n" + name); at != std::string::npos; at = text.find("\n" + name, at + 1)) {
    const std::size_t end = text.find('\n', at + 1);
    const std::size_t space = text.rfind(' ', end);
    sum += std::strtod(text.c_str() + space + 1, nullptr);
  }
  return sum;
}

}  // namespace

struct PinnedThread::Saved {
  cpu_set_t cpus;
};

PinnedThread::PinnedThread(int cpu) : saved_(std::make_unique<Saved>()) {
  ::sched_getaffinity(0, sizeof saved_->cpus, &saved_->cpus);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(cpu), &one);
  ::sched_setaffinity(0, sizeof one, &one);
}

PinnedThread::~PinnedThread() { ::sched_setaffinity(0, sizeof saved_->cpus, &saved_->cpus); }

Result<std::unique_ptr<CenoteStack>> CenoteStack::start(const Setting& setting, StackOptions options) {
  std::unique_ptr<CenoteStack> stack(new CenoteStack);
  CHECK_OK(stack->start_engine(setting, options));
  CHECK_OK(stack->connect());
  return stack;
}

CenoteStack::~CenoteStack() {
  container_.reset();
  if (client_) reactor_->block_on(client_->close());
}

Result<> CenoteStack::start_engine(const Setting& setting, const StackOptions& options) {
  engine::EngineOptions engine;
  engine.data_directory = (setting.directory / "engine").string();
  engine.listen_address = "127.0.0.1:0";
  engine.control_address = "127.0.0.1:0";
  engine.targets = 1;
  engine.reactors = 1;
  engine.pin_cpus = true;  // reactor 0 to CPU 0
  engine.target_bytes = options.target_bytes;
  TRY(engine_, engine::Engine::start(std::move(engine), metrics_, Logger()));
  return {};
}

Result<> CenoteStack::connect() {
  TRY(reactor_, UringReactor::create());
  transport_ = std::make_unique<rpc::TcpTransport>(*reactor_);
  TRY(client_,
      reactor_->block_on(async::Client::connect(*reactor_, *transport_, engine_->addresses(), {.name = "bench"})));
  TRY(auto container, reactor_->block_on(make_container(*client_)));
  container_ = std::make_unique<async::Container>(std::move(container));
  return {};
}

Result<double> CenoteStack::checkpoints() {
  httplib::Client http("http://" + engine_->control_address());
  const auto answer = http.Get("/metrics");
  if (!answer || answer->status != 200) return fail(Code::kUnreachable, "the engine's control port does not answer");
  return metric_sum(answer->body, "cenote_target_checkpoints_total");
}

Result<> CenoteStack::close() {
  container_.reset();
  if (client_) reactor_->block_on(client_->close());
  client_.reset();
  transport_.reset();
  return engine_->stop();
}

}  // namespace cenote::bench
