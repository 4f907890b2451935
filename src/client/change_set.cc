// Changes that take effect at one moment, each on its own conditions. Whoever has what they are about checks these, so
// nothing is read before.

#include "impl.h"
#include "payload.h"
#include "transaction.h"

namespace cenote::async {
namespace {

/// Moves the changes into one request, and what they are to hold behind each other.
Result<> take(ChangeSet& changes, CommitRequest& request, std::vector<ByteView>& payload) {
  request.updates.reserve(changes.updates.size());
  for (ChangeSet::Update& update : changes.updates) {
    std::uint64_t bytes = 0;
    for (const ByteView part : update.payload) {
      bytes += part.size();
      if (!part.empty()) payload.push_back(part);
    }
    update.request.container = request.container;
    update.request.id = {};
    CHECK_OK(check_payload(update.request, bytes));
    for (AkeyUpdate& akey : update.request.akeys) akey.checksums.clear();
    request.updates.push_back(std::move(update.request));
  }
  request.punches = std::move(changes.punches);
  for (PunchRequest& punch : request.punches) {
    punch.container = request.container;
    punch.id = {};
  }
  return {};
}

}  // namespace

Task<Result<UpdateReply>> Container::apply(ChangeSet changes, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_writable());
  CommitRequest request;
  request.container = state->info.id;
  std::vector<ByteView> payload;
  CO_CHECK_OK(take(changes, request, payload));
  if (state->transaction) {
    CO_CHECK_OK(validate(request));
    co_return co_await state->transaction->apply(request, payload, until);
  }
  until = state->impl->bounded(until);
  auto applied = co_await commit(request, payload, nullptr, until);
  // Where nobody can check all that is to be checked at once it is read, and proved at the commit. What is refused so
  // has had no effect.
  if (!applied && applied.error() == Code::kUnsupported && is_conditional(request))
    co_return co_await transact(request, payload, until);
  co_return applied;
}

Task<Result<UpdateReply>> Container::transact(const CommitRequest& changes, std::span<const ByteView> payload,
                                              Until until) {
  Container self = *this;
  for (std::uint32_t attempts = 1;; ++attempts) {
    Container view = self.begin_transaction();
    const auto transaction = view.state_->transaction;
    auto outcome = co_await transaction->apply(changes, payload, until);
    if (outcome) outcome = co_await transaction->commit(until);
    transaction->end();
    if (outcome || outcome.error() != Code::kTxRestart) co_return outcome;
    const auto paused = co_await self.pause_before_retry(attempts, until);
    if (!paused) co_return paused.error() == Code::kDeadlineExceeded ? outcome : fail(paused.error());
  }
}

}  // namespace cenote::async
