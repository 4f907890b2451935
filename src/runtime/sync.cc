#include "cenote/runtime/sync.h"

#include <utility>

namespace cenote {

Waiter::~Waiter() { reactor_.disarm(*this); }

void Waiter::start(std::coroutine_handle<> handle) {
  handle_ = handle;
  if (until_.cancel != nullptr && until_.cancel->cancelled()) return give_up(Code::kCancelled);
  if (until_.deadline <= reactor_.now()) return give_up(Code::kDeadlineExceeded);
  if (until_.cancel != nullptr) until_.cancel->add(*this);
  if (until_.deadline != kNoDeadline) reactor_.arm(*this, until_.deadline);
}

void Waiter::wake(Code outcome) {
  ASSERT(handle_);
  // Nothing can reach this waiter any more once it is out of the list, the timer queue and the cancel source: the
  // outcome stands, and all three may be destroyed before the coroutine resumes.
  ListNode<WaitListTag>::unlink();
  CancelCallback::unlink();
  reactor_.disarm(*this);
  outcome_ = outcome;
  reactor_.schedule(std::exchange(handle_, {}));
}

void Waiter::give_up(Code outcome) {
  wake(outcome);
  if (listener_ != nullptr) listener_->on_give_up();
}

Result<> Waiter::result() const {
  if (outcome_ == Code::kOk) return {};
  return fail(outcome_);
}

void Event::set() {
  set_ = true;
  while (Waiter* waiter = waiters_.front()) waiter->wake();
}

void Condition::notify_all() {
  while (Waiter* waiter = waiters_.front()) waiter->wake();
}

bool Semaphore::try_acquire(std::uint64_t units) {
  if (closed_ || !waiters_.empty() || available_ < units) return false;
  available_ -= units;
  return true;
}

void Semaphore::release(std::uint64_t units) {
  available_ += units;
  grant();
}

void Semaphore::close() {
  closed_ = true;
  while (Waiter* waiter = waiters_.front()) waiter->wake(Code::kStopped);
}

void Semaphore::grant() {
  while (Waiter* first = waiters_.front()) {
    if (first->amount() > available_) return;
    available_ -= first->amount();
    first->wake();
  }
}

void Gate::leave() {
  ASSERT(count_ > 0);
  --count_;
  if (closed_ && count_ == 0) idle_.set();
}

Task<> Gate::close() {
  closed_ = true;
  if (count_ == 0) co_return;
  // Without deadline and cancellation the wait has one outcome. The gate may be gone when it returns: another closer of
  // the same gate can have resumed first.
  const Result<> idle = co_await idle_.wait(Until::forever());
  ASSERT(idle.has_value());
}

}  // namespace cenote
