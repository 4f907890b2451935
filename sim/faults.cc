#include "faults.h"

#include <fmt/format.h>

#include <memory>

#include "cenote/protocol/pool_changes.h"
#include "cenote/runtime/cross_core.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

enum class Fault : std::uint8_t {
  kReset,
  kCut,
  kCutOneWay,
  kRestart,
  kCrash,
  kCrashAtWrite,
  kSlow,
  kSkew,
  kApart,
  kAlone,
  kMap,
  kAway,
  kRot,
  kStop,
  kClock
};

std::vector<Fault> faults_of(const FaultPlan& plan, bool several) {
  std::vector<Fault> faults;
  if (plan.resets) faults.insert(faults.end(), 3, Fault::kReset);
  if (plan.cuts) faults.insert(faults.end(), {Fault::kCut, Fault::kCutOneWay});
  if (plan.crashes)
    faults.insert(faults.end(), {Fault::kRestart, Fault::kCrash, Fault::kCrashAtWrite, Fault::kCrashAtWrite});
  if (plan.slow) faults.push_back(Fault::kSlow);
  if (plan.skew) faults.push_back(Fault::kSkew);
  if (plan.apart && several) faults.insert(faults.end(), {Fault::kApart, Fault::kAlone});
  if (plan.maps && several) faults.insert(faults.end(), plan.away ? 4 : 1, Fault::kMap);
  if (plan.away && several) faults.insert(faults.end(), 4, Fault::kAway);
  if (plan.rots) faults.insert(faults.end(), 6, Fault::kRot);
  if (plan.stops && several) faults.insert(faults.end(), 2, Fault::kStop);
  if (plan.clocks && several) faults.insert(faults.end(), 2, Fault::kClock);
  return faults;
}

/// One run's faults; lives in the frame of `inject_faults`.
class Injector {
 public:
  Injector(Run& run, const FaultPlan& plan, std::vector<std::string> clients, CancelSource* stop)
      : run_(run), rots_(plan.rots), clients_(std::move(clients)), stop_(stop) {
    if (rots_) rotten_ = run_.some_engine();
  }

  Task<> inject(Fault fault);

 private:
  const std::string& some_client() { return clients_[run_.below(clients_.size())]; }
  std::string engine_name() { return run_.engine(run_.some_engine()).address().host; }
  Task<> restart_cleanly(std::uint32_t index);
  Task<> cut(bool one_way);
  Task<> crash_at_write();
  Task<> slow_down();
  void skew();
  Task<> set_clock_off();
  void rot();
  Task<> set_apart();
  Task<> leave_alone();
  /// False when the run is to end.
  Task<bool> wait(Duration duration) { co_return (co_await sleep_for(run_.director(), duration, *stop_)).has_value(); }

  Run& run_;
  const std::function<bool(ByteView)> rots_;
  std::uint32_t rotten_ = 0;
  std::vector<std::string> clients_;
  CancelSource* stop_;
};

Task<> Injector::inject(Fault fault) {
  switch (fault) {
    case Fault::kReset:
      run_.count("resets");
      run_.note("fault: reset");
      run_.network().reset_connections(some_client(), engine_name());
      co_return;
    case Fault::kCut:
      co_await cut(false);
      co_return;
    case Fault::kCutOneWay:
      co_await cut(true);
      co_return;
    case Fault::kRestart:
      run_.count("restarts");
      co_await restart_cleanly(run_.some_engine());
      co_return;
    case Fault::kCrash: {
      const std::uint32_t index = run_.some_engine();
      co_await crash_and_restart(run_, run_.random_duration(3s), index);
      co_return;
    }
    case Fault::kCrashAtWrite:
      co_await crash_at_write();
      co_return;
    case Fault::kSlow:
      co_await slow_down();
      co_return;
    case Fault::kSkew:
      skew();
      co_return;
    case Fault::kApart:
      co_await set_apart();
      co_return;
    case Fault::kAlone:
      co_await leave_alone();
      co_return;
    case Fault::kAway: {
      run_.count("engines_away");
      const std::uint32_t index = run_.some_engine();
      co_await crash_and_restart(run_, 8s + run_.random_duration(20s), index);
      co_return;
    }
    case Fault::kRot:
      rot();
      co_return;
    case Fault::kStop:
      co_await stop_and_start(run_);
      co_return;
    case Fault::kClock:
      co_await set_clock_off();
      co_return;
    case Fault::kMap:
      if (co_await change_map(run_, run_.some_engine())) run_.count("map_changes");
      co_return;
  }
}

Task<> Injector::restart_cleanly(std::uint32_t index) {
  run_.note(fmt::format("fault: clean restart of engine {}", index));
  co_await stop_engine(run_, index);
  co_await run_.director().sleep_for(run_.random_duration(2s));
  if (!run_.failed()) static_cast<void>(co_await start_engine(run_, index));
  run_.note("the engine is back");
}

/// A bit of a value, or of what is left of one.
void Injector::rot() {
  engine::SimEngine& engine = run_.engine(rotten_);
  const auto target = static_cast<std::uint32_t>(run_.below(engine.identity().targets.size()));
  media::SimMedium& medium = engine.medium(target);
  const std::uint64_t looked_at = medium.block_count();
  Bytes block(media::kBlockBytes);
  const std::uint64_t from = run_.below(medium.block_count());
  for (std::uint64_t i = 0; i < looked_at; ++i) {
    const media::BlockNo at((from + i) % medium.block_count());
    medium.read_block(at, block);
    if (!rots_(block)) continue;
    block[run_.below(block.size())] ^= std::byte{1};
    medium.write_block(at, block);
    run_.count("rotten_blocks");
    run_.note(fmt::format("fault: block {} of target {} of engine {} rots", at.value(), target, rotten_));
    return;
  }
}

Task<> Injector::set_apart() {
  const std::uint32_t from = run_.some_engine(), to = run_.some_engine();
  run_.count("engines_apart");
  run_.note(fmt::format("fault: engine {} does not reach engine {}", from, to));
  run_.network().cut(run_.engine(from).control().name(), run_.engine(to).address().host);
  static_cast<void>(co_await wait(run_.random_duration(run_.chance(1, 3) ? Duration(20s) : Duration(2s))));
  run_.network().heal_all();
}

Task<> Injector::leave_alone() {
  const std::uint32_t index = run_.some_engine();
  if (!run_.engine(index).running()) co_return;
  run_.count("engines_alone");
  run_.note(fmt::format("fault: engine {} does not reach the coordinator", index));
  run_.engine(index).set_coordinator_reachable(false);
  static_cast<void>(co_await wait(run_.random_duration(run_.chance(1, 2) ? Duration(20s) : Duration(2s))));
  run_.engine(index).set_coordinator_reachable(true);
}

Task<> Injector::cut(bool one_way) {
  const std::string client = some_client();
  const std::string engine = engine_name();
  run_.count("cuts");
  run_.note(fmt::format("fault: cut {}{}", client, one_way ? ", one way" : ""));
  if (!one_way) {
    run_.network().cut(client, engine);
  } else if (run_.chance(1, 2)) {
    run_.network().cut_one_way(client, engine);
  } else {
    run_.network().cut_one_way(engine, client);
  }
  static_cast<void>(co_await wait(run_.random_duration(run_.chance(1, 4) ? Duration(15s) : Duration(1s))));
  run_.network().heal_all();
}

Task<> Injector::crash_at_write() {
  const std::uint32_t index = run_.some_engine();
  engine::SimEngine& engine = run_.engine(index);
  const std::uint32_t target = static_cast<std::uint32_t>(run_.below(engine.identity().targets.size()));
  media::SimDevice* device = engine.device(target);
  if (device == nullptr) co_return;
  Event hit(run_.director());
  // The hook is within the device: the rest of the node dies at the same instant, but outside of it.
  device->set_write_hook(
      [this, &hit, index, left = 1 + run_.below(60)](std::uint64_t, const media::IoRequest&) mutable {
        if (left == 0) return;
        --left;
        if (left > 0) return;
        run_.world().after(Duration(0), [this, &hit, index] {
          if (hit.is_set()) return;
          crash(run_, index);
          hit.set();
        });
      });
  const auto waited = co_await hit.wait(Until{run_.director().now() + 5s, stop_});
  if (!waited) {
    // Not many writes at the moment; another action at this very instant may still be on its way.
    if (auto* same = engine.device(target)) same->set_write_hook({});
    co_await run_.director().sleep_for(1ns);
    if (!hit.is_set()) co_return;
  }
  run_.note(fmt::format("fault: crash at a write of target {} of engine {}", target, index));
  co_await restart(run_, run_.random_duration(3s), index);
}

Task<> Injector::slow_down() {
  engine::SimEngine& engine = run_.engine(run_.some_engine());
  const std::uint32_t target = static_cast<std::uint32_t>(run_.below(engine.identity().targets.size()));
  media::SimDevice* device = engine.device(target);
  if (device == nullptr) co_return;
  run_.count("slow_devices");
  run_.note(fmt::format("fault: target {} is slow", target));
  device->set_slowdown(static_cast<double>(10 + run_.below(1000)));
  static_cast<void>(co_await wait(run_.random_duration(1s)));
  if (auto* same = engine.device(target)) same->set_slowdown(1.0);
}

// Any two of them are no further apart than an engine and a majority may be.
void Injector::skew() {
  run_.count("skews");
  run_.engine(run_.some_engine()).set_clock_skew(run_.random_duration(480ms) - 240ms);
}

// Somebody sets it wrongly, and right again.
Task<> Injector::set_clock_off() {
  const std::uint32_t index = run_.some_engine();
  const Duration far = 700ms + run_.random_duration(run_.chance(1, 3) ? Duration(2h) : Duration(10s));
  const Duration skew = run_.chance(1, 2) ? far : -far;
  run_.count("clocks_off");
  run_.note(fmt::format("fault: the clock of engine {} is {} ms off", index, skew / 1ms));
  run_.engine(index).set_clock_skew(skew);
  static_cast<void>(co_await wait(run_.random_duration(run_.chance(1, 2) ? Duration(20s) : Duration(2s))));
  run_.engine(index).set_clock_skew(Duration(0));
  run_.note("the clock is right again");
}

}  // namespace

FaultPlan random_plan(Run& run) { return {.pause_max = 10ms * (1U << run.below(6))}; }

void roughen_network(Run& run) {
  rpc::SimLinkRules rules;
  rules.delay_max = 100us + run.random_duration(run.chance(1, 4) ? Duration(20ms) : Duration(400us));
  rules.piece_bytes_max = static_cast<std::uint32_t>(1024 + run.below(128u << 10));
  rules.stall_ppm = static_cast<std::uint32_t>(run.below(3000));
  rules.stall_max = 100ms + run.random_duration(3s);
  rules.reset_ppm = static_cast<std::uint32_t>(run.below(2000));
  run.network().set_default_rules(rules);
  run.network().set_dead_after(1s + run.random_duration(10s));
}

namespace {

/// Whether it begins now.
Task<Result<bool>> try_operation(ClientNode& client, PoolOperation operation, std::uint32_t index, Until until) {
  CO_TRY(const PoolChanged changed,
         co_await client.client().change_engines("pool", {.operation = operation, .engines = {index}}, until));
  co_return changed.engines.front().outcome == kChangeBegun;
}

Task<Result<bool>> change_engine(ClientNode& client, std::uint32_t index) {
  const Until until = Until::at(client.node().now() + 4s);
  CO_CHECK_OK(co_await client.connect(until));
  const auto drained = co_await try_operation(client, PoolOperation::kDrain, index, until);
  if (drained.value_or(false)) co_return true;
  co_return co_await try_operation(client, PoolOperation::kReintegrate, index, until);
}

}  // namespace

Task<bool> change_map(Run& run, std::uint32_t index) {
  ClientNode client(run, fmt::format("operator-{}", run.world().random()));
  const auto changed = co_await on_node(run, client.node(), [&] { return change_engine(client, index); });
  co_await on_node(run, client.node(), [&] { return client.close(); });
  if (!changed.value_or(false)) co_return false;
  run.note(fmt::format("an operator changes what engine {} is for", index));
  co_return true;
}

void crash(Run& run, std::uint32_t index) {
  run.count("crashes");
  run.note(fmt::format("fault: crash of engine {}", index));
  run.engine(index).crash({.keep_random = !run.chance(1, 3), .tear = run.chance(1, 2)});
}

Task<> crash_and_restart(Run& run, Duration downtime, std::uint32_t index) {
  crash(run, index);
  co_await restart(run, downtime, index);
}

Task<> restart(Run& run, Duration downtime, std::uint32_t index) {
  engine::SimEngine& engine = run.engine(index);
  for (;;) {
    co_await on_node(run, engine.control(), [&engine] { return engine.clear(); });
    co_await run.director().sleep_for(downtime);
    // Recovery itself may be cut off, too.
    const auto again = std::make_shared<bool>(false);
    const auto over = std::make_shared<bool>(false);
    if (run.chance(1, 4)) {
      run.world().after(run.random_duration(20ms), [&run, again, over, index] {
        if (*over) return;
        *again = true;
        crash(run, index);
      });
    }
    const auto started = co_await on_node(run, engine.control(), [&engine] { return engine.start(); });
    *over = true;
    if (*again) continue;
    if (!started)
      run.fail(fmt::format("engine {} does not start after a crash: {}", index, started.error().to_string()));
    run.note("the engine is back");
    co_return;
  }
}

Task<> inject_faults(Run& run, FaultPlan plan, std::vector<std::string> clients, CancelSource* stop) {
  const std::vector<Fault> faults = faults_of(plan, run.engine_count() > 1);
  Injector injector(run, plan, std::move(clients), stop);
  while (!faults.empty() && !run.failed()) {
    if (!co_await sleep_for(run.director(), run.random_duration(plan.pause_max), *stop)) break;
    co_await injector.inject(faults[run.below(faults.size())]);
  }
  run.network().heal_all();
  for (std::uint32_t index = 0; index < run.engine_count(); ++index) {
    engine::SimEngine& engine = run.engine(index);
    for (std::uint32_t target = 0; target < engine.identity().targets.size(); ++target)
      if (media::SimDevice* device = engine.device(target)) device->set_slowdown(1.0);
  }
}

Task<> work_under_faults(Run& run, ClientNode& client, std::function<Task<Result<>>()> work,
                         std::function<Task<Result<>>()> finish, std::function<Task<>()> end) {
  CancelSource stop;
  Scope faults(run.director());
  faults.spawn(inject_faults(run, random_plan(run), {client.name()}, &stop));
  const auto worked = co_await on_node(run, client.node(), std::move(work));
  if (!worked) run.fail(worked.error().to_string());
  stop.cancel();
  co_await faults.drain();
  run.network().set_default_rules({});
  if (!run.failed()) {
    const auto finished = co_await on_node(run, client.node(), std::move(finish));
    if (!finished) run.fail("in the end: " + finished.error().to_string());
  }
  if (end) co_await on_node(run, client.node(), std::move(end));
  co_await on_node(run, client.node(), [&] { return client.close(); });
}

}  // namespace cenote::sim
