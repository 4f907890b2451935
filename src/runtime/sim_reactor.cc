#include "cenote/runtime/sim_reactor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>
#include <vector>

#include "cenote/runtime/random.h"
#include "ready_queue.h"
#include "timer_queue.h"

namespace cenote {
namespace {

// Virtual time starts away from zero, so that a forgotten (zero) deadline is noticed.
constexpr Instant kStart{std::chrono::seconds(1000)};
// The wall clock at kStart: 2025-01-01 00:00:00 UTC.
constexpr WallTime kWallStart{std::chrono::seconds(1735689600)};
// More steps at one instant than any healthy program takes: something spins without waiting.
constexpr std::uint64_t kDefaultStepLimit = 50'000'000;

struct Action {
  Instant when;
  std::uint64_t order;
  SimReactor* node;  // null: outside every node
  std::function<void()> run;
};

bool later(const Action& a, const Action& b) { return a.when != b.when ? a.when > b.when : a.order > b.order; }

}  // namespace

/// Invariants: `runnable` is true exactly for the nodes in the world's list of runnable ones; these are the nodes with
/// a ready coroutine, mail, or a due timer (a disarmed timer may leave one there that has nothing to do any more).
struct SimReactor::Impl {
  SimWorld& world;
  std::string name;
  Random random;
  ReadyQueue ready{};
  std::deque<Mail*> mail{};
  TimerQueue timers{};
  Duration clock_skew{};
  bool runnable = false;

  bool timer_due(Instant now) const { return timers.next() <= now; }
};

struct SimWorld::Impl {
  std::uint64_t seed;
  Random random;
  // A stream of its own, so that a test that draws more numbers does not change the schedule before it.
  Random schedule;
  Instant now = kStart;
  std::vector<std::unique_ptr<SimReactor>> nodes{};
  std::vector<SimReactor*> runnable{};
  std::vector<Action> actions{};  // a heap by `later`
  std::uint64_t next_order = 0;
  std::uint64_t steps_of_instant = 0;
  std::uint64_t step_limit = kDefaultStepLimit;
  SimReactor* current = nullptr;
  bool running = false;

  explicit Impl(std::uint64_t world_seed) : seed(world_seed), random(world_seed), schedule(~world_seed) {}

  void add_runnable(SimReactor& node) {
    if (std::exchange(node.impl_->runnable, true)) return;
    runnable.push_back(&node);
  }
  bool action_due() const { return !actions.empty() && actions.front().when <= now; }
  bool step();
  void run_action();
  void run_node(std::size_t index);
  void run_part_of(SimReactor& node);
  Instant next_time() const;
  void advance_to(Instant when);
  bool run(const std::function<bool()>& done, bool idle_is_done, Duration limit);
  void check_invariants() const;
  [[noreturn]] void die(std::string_view why) const;
};

/// Runs one coroutine, timer, mail or action; false if none can run at this instant.
bool SimWorld::Impl::step() {
  const std::size_t choices = runnable.size() + (action_due() ? 1 : 0);
  if (choices == 0) return false;
  if (++steps_of_instant > step_limit) die("the program runs on without virtual time moving");
  const std::size_t choice = choices == 1 ? 0 : schedule.below(choices);
  if (choice == runnable.size()) {
    run_action();
  } else {
    run_node(choice);
  }
  return true;
}

void SimWorld::Impl::run_action() {
  std::ranges::pop_heap(actions, later);
  const Action action = std::move(actions.back());
  actions.pop_back();
  current = action.node;
  action.run();
  current = nullptr;
}

void SimWorld::Impl::run_node(std::size_t index) {
  SimReactor& node = *runnable[index];
  current = &node;
  run_part_of(node);
  current = nullptr;
  const SimReactor::Impl& state = *node.impl_;
  if (!state.ready.empty() || !state.mail.empty() || state.timer_due(now)) return;
  // Nothing leaves the list elsewhere and new nodes come behind, so the place is still the node's own.
  node.impl_->runnable = false;
  runnable[index] = runnable.back();
  runnable.pop_back();
}

void SimWorld::Impl::run_part_of(SimReactor& node) {
  SimReactor::Impl& state = *node.impl_;
  enum class Source : std::uint8_t { kReady, kMail, kTimer };
  std::array<Source, 3> sources{};
  std::size_t count = 0;
  if (!state.ready.empty()) sources[count++] = Source::kReady;
  if (!state.mail.empty()) sources[count++] = Source::kMail;
  if (state.timer_due(now)) sources[count++] = Source::kTimer;
  if (count == 0) return;
  switch (sources[count == 1 ? 0 : schedule.below(count)]) {
    case Source::kReady:
      return state.ready.pop().resume();
    case Source::kTimer:
      return state.timers.fire_first();
    case Source::kMail: {
      Mail* mail = state.mail.front();
      state.mail.pop_front();
      return mail->deliver();
    }
  }
}

Instant SimWorld::Impl::next_time() const {
  Instant next = actions.empty() ? kNoDeadline : actions.front().when;
  for (const auto& node : nodes) next = std::min(next, node->impl_->timers.next());
  return next;
}

void SimWorld::Impl::advance_to(Instant when) {
  ASSERT(when >= now);
  now = when;
  steps_of_instant = 0;
  for (const auto& node : nodes) {
    if (node->impl_->timer_due(now)) add_runnable(*node);
  }
}

void SimWorld::Impl::check_invariants() const {
  for (const SimReactor* node : runnable) ASSERT(node->impl_->runnable);
  std::size_t count = 0;
  for (const auto& node : nodes) {
    const SimReactor::Impl& state = *node->impl_;
    ASSERT(state.runnable || (state.ready.empty() && state.mail.empty() && !state.timer_due(now)));
    if (state.runnable) ++count;
  }
  ASSERT(count == runnable.size());
  ASSERT(std::ranges::is_heap(actions, later));
}

/// Whether `done` (or idleness, where that counts) came within `limit`.
bool SimWorld::Impl::run(const std::function<bool()>& done, bool idle_is_done, Duration limit) {
  ASSERT(!running);
  running = true;
  const Instant end = now + limit;
  bool reached = done();
  while (!reached) {
    if (step()) {
      reached = done();
      continue;
    }
    const Instant next = next_time();
    if (next == kNoDeadline) {
      reached = idle_is_done;
      break;
    }
    advance_to(std::min(next, end));
    if (next > end) break;
  }
  running = false;
  check_invariants();
  return reached;
}

void SimWorld::Impl::die(std::string_view why) const {
  fmt::print(stderr, "cenote: simulation failed: {} (seed {}, virtual time {} ns, {} actions pending)\n", why, seed,
             (now - kStart).count(), actions.size());
  for (const auto& node : nodes) {
    const SimReactor::Impl& state = *node->impl_;
    fmt::print(stderr, "  node '{}': {} ready, {} mails, {} timers\n", state.name, state.ready.size(),
               state.mail.size(), state.timers.size());
  }
  std::abort();
}

SimWorld::SimWorld(std::uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}
SimWorld::~SimWorld() { ASSERT(!impl_->running); }

std::uint64_t SimWorld::seed() const { return impl_->seed; }
Instant SimWorld::now() const { return impl_->now; }
std::uint64_t SimWorld::random() { return impl_->random.next(); }
std::uint64_t SimWorld::random_below(std::uint64_t bound) { return impl_->random.below(bound); }
bool SimWorld::chance(std::uint64_t numerator, std::uint64_t denominator) {
  return impl_->random.chance(numerator, denominator);
}

SimReactor& SimWorld::add_node(std::string name) {
  impl_->nodes.push_back(std::unique_ptr<SimReactor>(new SimReactor(*this, std::move(name))));
  return *impl_->nodes.back();
}

void SimWorld::at(Instant when, std::function<void()> action) {
  impl_->actions.push_back({std::max(when, impl_->now), impl_->next_order++, nullptr, std::move(action)});
  std::ranges::push_heap(impl_->actions, later);
}
void SimWorld::at(SimReactor& node, Instant when, std::function<void()> action) {
  impl_->actions.push_back({std::max(when, impl_->now), impl_->next_order++, &node, std::move(action)});
  std::ranges::push_heap(impl_->actions, later);
}

void SimWorld::set_step_limit(std::uint64_t steps) { impl_->step_limit = steps; }

bool SimWorld::run_until_idle(Duration limit) {
  return impl_->run([] { return false; }, true, limit);
}
bool SimWorld::run_until(const std::function<bool()>& done, Duration limit) { return impl_->run(done, false, limit); }

void SimWorld::run_until_done(const bool& done, Duration limit) {
  if (impl_->run([&done] { return done; }, false, limit)) return;
  impl_->die("the task that block_on waits for never ended");
}

SimReactor::SimReactor(SimWorld& world, std::string name)
    : impl_(std::make_unique<Impl>(world, std::move(name), Random(world.random()))) {}
SimReactor::~SimReactor() = default;

const std::string& SimReactor::name() const { return impl_->name; }
SimWorld& SimReactor::world() { return impl_->world; }
Instant SimReactor::now() const { return impl_->world.now(); }
WallTime SimReactor::wall_now() const { return kWallStart + (now() - kStart) + impl_->clock_skew; }
std::uint64_t SimReactor::random() { return impl_->random.next(); }
void SimReactor::fill_secret(MutableBytes into) {
  for (std::byte& byte : into) byte = static_cast<std::byte>(impl_->random.next() >> 56);
}

void SimReactor::schedule(std::coroutine_handle<> handle) {
  impl_->ready.push(handle);
  impl_->world.impl_->add_runnable(*this);
}
void SimReactor::arm(Timer& timer, Instant at) {
  impl_->timers.arm(timer, at);
  if (at <= now()) impl_->world.impl_->add_runnable(*this);
}
void SimReactor::disarm(Timer& timer) { impl_->timers.disarm(timer); }
void SimReactor::post(Mail& mail) {
  impl_->mail.push_back(&mail);
  impl_->world.impl_->add_runnable(*this);
}
bool SimReactor::is_current() const { return impl_->world.impl_->current == this; }
void SimReactor::set_clock_skew(Duration skew) { impl_->clock_skew = skew; }

}  // namespace cenote
