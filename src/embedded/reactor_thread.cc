#include "cenote/embedded/reactor_thread.h"

#include "cenote/runtime/thread_refused.h"

namespace cenote {

Result<std::unique_ptr<ReactorThread>> ReactorThread::start(UringReactorOptions options) {
  TRY(auto reactor, UringReactor::create(options));
  try {
    return std::unique_ptr<ReactorThread>(new ReactorThread(std::move(reactor)));
  } catch (const std::system_error& refused) {
    return fail(thread_refused(refused));
  }
}

ReactorThread::ReactorThread(std::unique_ptr<UringReactor> reactor)
    : reactor_(std::move(reactor)), scope_(*reactor_), thread_([this] { reactor_->run(); }) {}

ReactorThread::~ReactorThread() {
  // Callers have returned, but the roots of their tasks may still be ending on the reactor.
  struct Drained final : Mail {
    Scope& scope;
    UringReactor& reactor;
    Task<> task;
    explicit Drained(Scope& s, UringReactor& r) : scope(s), reactor(r) {}
    static Task<> drain(Drained* self) {
      while (self->scope.running() > 1) co_await self->reactor.yield();
      self->reactor.stop();
    }
    void deliver() override {
      const bool started = scope.spawn(drain(this));
      ASSERT(started);
    }
  } drained(scope_, *reactor_);
  reactor_->post(drained);
  thread_.join();
}

}  // namespace cenote
