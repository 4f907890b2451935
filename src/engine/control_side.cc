#include "control_side.h"

#include "system_record.h"

namespace cenote::engine {
namespace {

constexpr Duration kSystemTimeout = std::chrono::seconds(10);

}  // namespace

Result<std::unique_ptr<ControlSide>> ControlSide::start(CoordinatorSource* source, const Logger& logger) {
  // The control reactor waits for rare events; polling would only take time from the others.
  TRY(auto thread, CoreThread::start({.spin = Duration(0)}));
  std::unique_ptr<ControlSide> side(new ControlSide(std::move(thread), source));
  if (source == nullptr) return side;
  Reactor& reactor = side->thread_->reactor();
  auto opened = side->thread_->run([&] { return source->open(reactor, logger.named("coordinator")); });
  if (!opened) return fail(opened.error().with_context("coordinator at " + source->place()));
  side->coordinator_ = *std::move(opened);
  return side;
}

ControlSide::~ControlSide() {
  if (coordinator_ != nullptr) thread_->run([this] { return close(); });
}

Task<> ControlSide::close() {
  // Nobody is left to hear of a failure, and nothing that was answered depends on it.
  static_cast<void>(co_await coordinator_->close());
  coordinator_.reset();
}

Result<std::optional<SystemIdentity>> ControlSide::system(std::optional<SystemIdentity> proposal) {
  auto found = thread_->run([&] {
    const Until until = Until::at(thread_->reactor().now() + kSystemTimeout);
    return find_system(*coordinator_, std::move(proposal), until);
  });
  if (!found) return fail(found.error().with_context("coordinator at " + source_->place()));
  return found;
}

}  // namespace cenote::engine
