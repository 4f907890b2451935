#include "cenote/runtime/uring_reactor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "cenote/runtime/scope.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<UringReactor> make_reactor(UringReactorOptions options = {}) {
  auto reactor = UringReactor::create(options);
  if (!reactor) {
    ADD_FAILURE() << reactor.error().to_string();
    std::abort();
  }
  return *std::move(reactor);
}

/// One operation; the awaiting coroutine fills in the entry through `Fill`, a plain function.
template <typename Fill>
struct Operation final : UringOperation {
  UringReactor& reactor;
  Fill fill;
  std::coroutine_handle<> waiter{};
  std::int32_t result = 0;

  Operation(UringReactor& r, Fill f) : reactor(r), fill(f) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    waiter = handle;
    fill(reactor.prepare(*this));
  }
  std::int32_t await_resume() const { return result; }
  void complete(std::int32_t answer, std::uint32_t) override {
    result = answer;
    reactor.schedule(waiter);
  }
};

auto nop(UringReactor& reactor) {
  return Operation(reactor, [](io_uring_sqe& entry) { ::io_uring_prep_nop(&entry); });
}

/// Counts the answers of many operations.
struct CountingOperation final : UringOperation {
  int completed = 0;
  std::vector<std::int32_t> results{};
  void complete(std::int32_t result, std::uint32_t) override {
    ++completed;
    results.push_back(result);
  }
};

Task<int> give(int value) { co_return value; }
Task<> nops_in_turn(UringReactor& reactor, int count) {
  for (int i = 0; i < count; ++i) EXPECT_EQ(co_await nop(reactor), 0);
}
Task<> note_order(Reactor& reactor, Instant at, int id, std::vector<int>& order) {
  co_await reactor.sleep_until(at);
  EXPECT_GE(reactor.now(), at);
  order.push_back(id);
}
Task<> drain(Scope& scope) { co_await scope.drain(); }

TEST(UringReactorTest, BlockOnReturnsValuesAgainAndAgain) {
  auto reactor = make_reactor();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(reactor->block_on(give(i)), i);
  EXPECT_FALSE(reactor->is_current());
}

TEST(UringReactorTest, RefusesImpossibleOptions) {
  EXPECT_EQ(UringReactor::create({.queue_entries = 0}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(UringReactor::create({.queue_entries = 100'000}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(UringReactor::create({.cpu = 100'000}).error().code(), Code::kInvalidArgument);
}

TEST(UringReactorTest, TimersFireInOrderAndNotEarly) {
  auto reactor = make_reactor();
  Scope scope(*reactor);
  std::vector<int> order;
  const Instant start = reactor->now();
  scope.spawn(note_order(*reactor, start + 3ms, 3, order));
  scope.spawn(note_order(*reactor, start + 1ms, 1, order));
  scope.spawn(note_order(*reactor, start + 2ms, 2, order));
  reactor->block_on(drain(scope));
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  EXPECT_GE(reactor->now(), start + 3ms);
}

TEST(UringReactorTest, ClockMovesBetweenRunsAndIsFixedWithinATurn) {
  struct Looker {
    static Task<> look(Reactor& reactor) {
      const Instant first = reactor.now();
      EXPECT_TRUE(reactor.is_current());
      while (true) {
        timespec time{};
        ::clock_gettime(CLOCK_MONOTONIC, &time);
        if (Instant(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec)) > first + 100us) break;
      }
      EXPECT_EQ(reactor.now(), first);
      co_await reactor.yield();
      EXPECT_GT(reactor.now(), first + 100us);
    }
  };
  auto reactor = make_reactor();
  const Instant before = reactor->now();
  reactor->block_on(Looker::look(*reactor));
  EXPECT_GT(reactor->now(), before + 100us);
}

Task<> read_clocks(UringReactor& reactor, WallTime& early, WallTime& again, WallTime& anew, WallTime& after) {
  early = reactor.wall_now();
  // As long as this turn takes, nobody else notices that time passes.
  while (WallTime(std::chrono::system_clock::now().time_since_epoch()) <= early) {
  }
  again = reactor.wall_now();
  anew = reactor.read_wall_clock();
  after = reactor.wall_now();
  co_return;
}

TEST(UringReactorTest, WhoHasToKnowReadsTheWallClockAnew) {
  auto reactor = make_reactor();
  WallTime early{}, again{}, anew{}, after{};
  reactor->block_on(read_clocks(*reactor, early, again, anew, after));
  EXPECT_EQ(again, early);
  EXPECT_GT(anew, early);
  EXPECT_EQ(after, anew);
}

TEST(UringReactorTest, YieldLetsOthersRunAndTimersFire) {
  struct Spinner {
    static Task<> until(Reactor& reactor, const bool& done) {
      while (!done) co_await reactor.yield();
    }
    static Task<> set_after(Reactor& reactor, bool& done) {
      co_await reactor.sleep_for(1ms);
      done = true;
    }
  };
  auto reactor = make_reactor();
  Scope scope(*reactor);
  bool done = false;
  scope.spawn(Spinner::until(*reactor, done));
  scope.spawn(Spinner::set_after(*reactor, done));
  reactor->block_on(drain(scope));
  EXPECT_TRUE(done);
}

TEST(UringReactorTest, ManyOperationsPastTheQueueSize) {
  for (const unsigned entries : {1u, 8u, 64u}) {
    auto reactor = make_reactor({.queue_entries = entries});
    Scope scope(*reactor);
    for (int i = 0; i < 100; ++i) scope.spawn(nops_in_turn(*reactor, 10));
    reactor->block_on(drain(scope));
    EXPECT_EQ(reactor->operations_in_flight(), 0u);
  }
}

TEST(UringReactorTest, OneTurnMayPrepareFarMoreThanAllQueuesHold) {
  struct Flood {
    static Task<> run(UringReactor& reactor, CountingOperation& operation, int count) {
      for (int i = 0; i < count; ++i) reactor.prepare(operation);
      EXPECT_EQ(reactor.operations_in_flight(), static_cast<std::uint64_t>(count));
      while (operation.completed < count) co_await reactor.yield();
    }
  };
  auto reactor = make_reactor({.queue_entries = 2});
  CountingOperation operation;
  reactor->block_on(Flood::run(*reactor, operation, 5000));
  EXPECT_EQ(operation.completed, 5000);
  EXPECT_EQ(reactor->operations_in_flight(), 0u);
}

TEST(UringReactorTest, OperationsOfATurnShareOneSystemCall) {
  auto reactor = make_reactor();
  reactor->block_on(nops_in_turn(*reactor, 1));
  Scope scope(*reactor);
  const std::uint64_t before = reactor->system_calls();
  for (int i = 0; i < 100; ++i) scope.spawn(nops_in_turn(*reactor, 1));
  reactor->block_on(drain(scope));
  EXPECT_LE(reactor->system_calls() - before, 2u);
}

struct NopAtTurnEnd final : TurnEnd {
  UringReactor& reactor;
  CountingOperation& operation;
  NopAtTurnEnd(UringReactor& r, CountingOperation& o) : reactor(r), operation(o) {}
  void at_turn_end() override { ::io_uring_prep_nop(&reactor.prepare(operation)); }
};

Task<std::uint64_t> request_twice(UringReactor& reactor, CountingOperation& operation) {
  NopAtTurnEnd work(reactor, operation);
  const std::uint64_t before = reactor.system_calls();
  reactor.at_turn_end(work);
  reactor.at_turn_end(work);
  co_await nop(reactor);
  while (operation.completed == 0) co_await reactor.yield();
  co_return reactor.system_calls() - before;
}

TEST(UringReactorTest, WorkAtTheEndOfATurnRunsOnceAndJoinsItsSubmission) {
  const auto reactor = make_reactor();
  CountingOperation operation;
  EXPECT_EQ(reactor->block_on(request_twice(*reactor, operation)), 1u);
  EXPECT_EQ(operation.completed, 1);
}

/// Mail to the own reactor that resumes who waits for it, as a device does that answers at once.
struct Answer final : Mail {
  Reactor& reactor;
  std::coroutine_handle<> waiter{};
  explicit Answer(Reactor& r) : reactor(r) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    waiter = handle;
    reactor.post(*this);
  }
  void await_resume() const {}
  void deliver() override { reactor.schedule(waiter); }
};

Task<> answered_then(UringReactor& reactor, CountingOperation& operation, int answers) {
  ::io_uring_prep_nop(&reactor.prepare(operation));
  for (int i = 0; i < answers; ++i) co_await Answer(reactor);
  ::io_uring_prep_nop(&reactor.prepare(operation));
}

TEST(UringReactorTest, WhatOneTurnsWorkLeadsToJoinsItsSubmission) {
  const auto reactor = make_reactor();
  reactor->block_on(nops_in_turn(*reactor, 1));
  CountingOperation operation;
  Scope scope(*reactor);
  const std::uint64_t before = reactor->system_calls();
  scope.spawn(answered_then(*reactor, operation, 2));
  reactor->block_on(drain(scope));
  while (operation.completed < 2) reactor->block_on(nops_in_turn(*reactor, 1));
  EXPECT_LE(reactor->system_calls() - before, 2u) << "both operations, and perhaps one round for their completion";
}

Task<> answers_without_end(Reactor& reactor, const bool& stop) {
  while (!stop) co_await Answer(reactor);
}
Task<> stop_after(UringReactor& reactor, bool& stop) {
  for (int i = 0; i < 10; ++i) co_await nop(reactor);
  stop = true;
}

TEST(UringReactorTest, WorkThatNeverEndsLetsTheKernelIn) {
  const auto reactor = make_reactor();
  Scope scope(*reactor);
  bool stop = false;
  scope.spawn(answers_without_end(*reactor, stop));
  scope.spawn(stop_after(*reactor, stop));
  reactor->block_on(drain(scope));
  EXPECT_TRUE(stop);
}

Task<> submit_within_a_turn(UringReactor& reactor, CountingOperation& operation) {
  const std::uint64_t before = reactor.system_calls();
  reactor.submit_prepared();
  EXPECT_EQ(reactor.system_calls(), before) << "there was nothing to submit";
  ::io_uring_prep_nop(&reactor.prepare(operation));
  reactor.submit_prepared();
  EXPECT_EQ(reactor.system_calls(), before + 1);
  EXPECT_EQ(::io_uring_sq_ready(&reactor.ring()), 0u);
  EXPECT_EQ(operation.completed, 0) << "answers come between turns only";
  while (operation.completed == 0) co_await reactor.yield();
}

TEST(UringReactorTest, WhatIsPreparedCanBeSubmittedWithinTheTurn) {
  const auto reactor = make_reactor();
  reactor->block_on(nops_in_turn(*reactor, 1));
  CountingOperation operation;
  reactor->block_on(submit_within_a_turn(*reactor, operation));
  EXPECT_EQ(operation.completed, 1);
  EXPECT_EQ(reactor->operations_in_flight(), 0u);
}

TEST(UringReactorTest, ACallMayBlockOnlyWhereItKeepsNobodyWaiting) {
  struct Asks {
    static Task<> alone(UringReactor& reactor) {
      EXPECT_TRUE(reactor.may_block());
      CountingOperation operation;
      reactor.prepare(operation);
      EXPECT_FALSE(reactor.may_block());
      while (operation.completed == 0) co_await reactor.yield();
      EXPECT_TRUE(reactor.may_block());
      Scope scope(reactor);
      scope.spawn(nops_in_turn(reactor, 1));
      EXPECT_FALSE(reactor.may_block());
      co_await scope.drain();
    }
    static Task<> serving(UringReactor& reactor) {
      EXPECT_FALSE(reactor.may_block());
      reactor.stop();
      co_return;
    }
  };
  auto reactor = make_reactor();
  EXPECT_FALSE(reactor->may_block());
  reactor->block_on(Asks::alone(*reactor));
  Scope scope(*reactor);
  scope.spawn(Asks::serving(*reactor));
  reactor->run();
}

TEST(UringReactorTest, OperationsPreparedBeforeTheFirstRunAreSubmittedByIt) {
  auto reactor = make_reactor();
  CountingOperation operation;
  reactor->prepare(operation);
  EXPECT_EQ(reactor->operations_in_flight(), 1u);
  reactor->block_on(nops_in_turn(*reactor, 1));
  EXPECT_EQ(operation.completed, 1);
}

// The first link fails, so the second is cancelled, which it would not be had they come to the kernel apart.
TEST(UringReactorTest, ReservedEntriesReachTheKernelTogether) {
  struct Links {
    static Task<> run(UringReactor& reactor, CountingOperation& filler, CountingOperation& first,
                      CountingOperation& second) {
      for (int i = 0; i < 7; ++i) reactor.prepare(filler);
      reactor.reserve_entries(2);
      io_uring_sqe& entry = reactor.prepare(first);
      ::io_uring_prep_read(&entry, -1, nullptr, 0, 0);
      entry.flags |= IOSQE_IO_LINK;
      reactor.prepare(second);
      while (reactor.operations_in_flight() > 0) co_await reactor.yield();
    }
  };
  auto reactor = make_reactor({.queue_entries = 8});
  CountingOperation filler, first, second;
  reactor->block_on(Links::run(*reactor, filler, first, second));
  EXPECT_EQ(filler.completed, 7);
  EXPECT_EQ(first.results, (std::vector<std::int32_t>{-EBADF}));
  EXPECT_EQ(second.results, (std::vector<std::int32_t>{-ECANCELED}));
}

TEST(UringReactorTest, WaitsForSlowOperationsWithoutSpinning) {
  struct Pipe {
    static Task<> read(UringReactor& reactor, int fd, std::array<char, 8>& buffer, int& bytes) {
      bytes = co_await Operation(reactor, [fd, &buffer](io_uring_sqe& entry) {
        ::io_uring_prep_read(&entry, fd, buffer.data(), sizeof buffer, 0);
      });
    }
    static Task<> write_later(UringReactor& reactor, int fd) {
      co_await reactor.sleep_for(20ms);
      const int bytes =
          co_await Operation(reactor, [fd](io_uring_sqe& entry) { ::io_uring_prep_write(&entry, fd, "cenote", 6, 0); });
      EXPECT_EQ(bytes, 6);
    }
  };
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe(fds.data()), 0);
  auto reactor = make_reactor();
  Scope scope(*reactor);
  std::array<char, 8> buffer{};
  int bytes = 0;
  scope.spawn(Pipe::read(*reactor, fds[0], buffer, bytes));
  scope.spawn(Pipe::write_later(*reactor, fds[1]));
  reactor->block_on(drain(scope));
  EXPECT_EQ(std::string_view(buffer.data(), static_cast<std::size_t>(bytes)), "cenote");
  // Submit the read, sleep, submit the write, take both answers; a loop that polls the kernel makes thousands.
  EXPECT_LE(reactor->system_calls(), 10u);
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(UringReactorTest, IdleCostsNoCpuTime) {
  auto reactor = make_reactor();
  auto cpu_time = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
  };
  struct Sleeper {
    static Task<> sleep(Reactor& reactor) { co_await reactor.sleep_for(100ms); }
  };
  const Duration before = cpu_time();
  reactor->block_on(Sleeper::sleep(*reactor));
  EXPECT_LT(cpu_time() - before, 10ms);
  EXPECT_LE(reactor->system_calls(), 5u);
}

TEST(UringReactorTest, StopBeforeRunEndsItAfterOneTurn) {
  auto reactor = make_reactor();
  Scope scope(*reactor);
  scope.spawn(nops_in_turn(*reactor, 1));
  reactor->stop();
  reactor->run();
  EXPECT_EQ(scope.running(), 1u);
  reactor->block_on(drain(scope));  // what was left goes on
}

TEST(UringReactorTest, StopWakesASleepingLoop) {
  auto reactor = make_reactor({.spin = 0us});
  for (int i = 0; i < 100; ++i) {
    std::thread stopper([&] { reactor->stop(); });
    reactor->run();
    stopper.join();
  }
}

TEST(UringReactorTest, CreatedHereRunThereDestroyedHere) {
  auto reactor = make_reactor();
  Scope scope(*reactor);
  scope.spawn(nops_in_turn(*reactor, 10));
  std::thread thread([&] {
    reactor->block_on(drain(scope));
    reactor->run();
  });
  reactor->stop();
  thread.join();
}

TEST(UringReactorTest, SecretsOfAnyLengthAreFilledAndDiffer) {
  const auto reactor = make_reactor();
  for (std::size_t bytes : {0u, 1u, 32u, 256u, 257u, 1000u}) {
    Bytes first(bytes + 1), second(bytes + 1);
    reactor->fill_secret(MutableBytes(first).first(bytes));
    reactor->fill_secret(MutableBytes(second).first(bytes));
    EXPECT_TRUE(bytes < 32 || first != second);
    EXPECT_EQ(first.back(), std::byte{0});
  }
}

TEST(UringReactorTest, ReactorsDrawDifferentNumbers) { EXPECT_NE(make_reactor()->random(), make_reactor()->random()); }

class CountingMail final : public Mail {
 public:
  CountingMail(std::vector<int>& delivered, int id) : delivered_(delivered), id_(id) {}

 private:
  void deliver() override { delivered_.push_back(id_); }
  std::vector<int>& delivered_;
  int id_;
};

Task<> wait_for_size(Reactor& reactor, const std::vector<int>& delivered, std::size_t size) {
  while (delivered.size() < size) co_await reactor.yield();
}

TEST(UringReactorTest, MailOfEachSenderArrivesInItsOrder) {
  constexpr int kSenders = 3;
  constexpr int kMails = 2000;
  auto reactor = make_reactor();
  std::vector<int> delivered;
  std::vector<std::unique_ptr<CountingMail>> mails;
  for (int i = 0; i < kSenders * kMails; ++i) mails.push_back(std::make_unique<CountingMail>(delivered, i));
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      const int first = sender * kMails;
      for (int number = first; number < first + kMails; ++number)
        reactor->post(*mails[static_cast<std::size_t>(number)]);
    });
  }
  reactor->block_on(wait_for_size(*reactor, delivered, kSenders * kMails));
  for (std::thread& sender : senders) sender.join();
  std::array<int, kSenders> next{};
  for (const int id : delivered) EXPECT_EQ(id % kMails, next.at(static_cast<std::size_t>(id / kMails))++);
}

/// Goes to and fro between two reactors and stops both at the end.
class Ball final : public Mail {
 public:
  Ball(UringReactor& here, UringReactor& there, int hops) : here_(&here), there_(&there), hops_(hops) {}
  int hops() const { return hops_; }

 private:
  void deliver() override {
    EXPECT_TRUE(there_->is_current());
    std::swap(here_, there_);
    if (--hops_ > 0) return there_->post(*this);
    there_->stop();
    here_->stop();
  }
  UringReactor* here_;
  UringReactor* there_;
  int hops_;
};

void play(Duration spin, int hops) {
  auto a = make_reactor({.spin = spin});
  auto b = make_reactor({.spin = spin});
  Ball ball(*a, *b, hops);
  b->post(ball);
  std::thread other([&] { b->run(); });
  a->run();
  other.join();
  EXPECT_EQ(ball.hops(), 0);
  if (spin == Duration::zero()) EXPECT_GT(a->wake_ups() + b->wake_ups(), 0u);
}

TEST(UringReactorTest, PingPongWhilePolling) { play(20us, 100'000); }
TEST(UringReactorTest, PingPongWithASleepPerHop) { play(0us, 10'000); }

TEST(UringReactorDeathTest, DestroyingWithOperationsInFlightAborts) {
  EXPECT_DEATH(
      {
        auto reactor = make_reactor();
        CountingOperation operation;
        reactor->prepare(operation);
      },
      "in_flight == 0");
}

}  // namespace
}  // namespace cenote
