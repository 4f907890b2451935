#include "core_thread.h"

#include "cenote/runtime/thread_refused.h"

namespace cenote::engine {

Result<std::unique_ptr<CoreThread>> CoreThread::start(UringReactorOptions options) {
  TRY(auto reactor, UringReactor::create(options));
  try {
    return std::unique_ptr<CoreThread>(new CoreThread(std::move(reactor)));
  } catch (const std::system_error& refused) {
    return fail(thread_refused(refused));
  }
}

CoreThread::CoreThread(std::unique_ptr<UringReactor> reactor)
    : reactor_(std::move(reactor)), calls_(*reactor_), closing_(*reactor_), thread_([this] { reactor_->run(); }) {}

CoreThread::~CoreThread() {
  // The callers have returned, but the ends of their tasks may still be ahead of the reactor.
  struct Close final : Mail {
    explicit Close(CoreThread& owner) : thread(owner) {}
    void deliver() override {
      const bool started = thread.closing_.spawn(run(thread));
      ASSERT(started);
    }
    static Task<> run(CoreThread& thread) {
      co_await thread.calls_.drain();
      thread.reactor_->stop();
    }
    CoreThread& thread;
  } close(*this);
  reactor_->post(close);
  thread_.join();
}

}  // namespace cenote::engine
