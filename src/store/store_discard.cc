#include <algorithm>

#include "store_impl.h"

/// How an open store tells its data device which blocks it no longer needs, if it was opened so. What is freed (I7: its
/// release is durable, and no reader from before is left) waits in a queue of the allocator, unavailable, until it has
/// been discarded; so nothing is discarded that anything refers to or that was handed out again. Whoever needs space
/// takes back all that waits, as it is: only one run at a time is being discarded, and a discard is never worth a
/// refusal.
namespace cenote::store {
namespace {

/// Largest run, of neighbours joined: 4 MiB.
constexpr std::uint64_t kRunBlocks = 4 * kGroupBlocks;
/// Runs between two pauses. The device has this many times as long for other work as the runs took, and at least the
/// least.
constexpr int kRunsInSlice = 64;
constexpr int kPauseFactor = 2;
constexpr Duration kPauseMin = std::chrono::milliseconds(1);

}  // namespace

Task<> StoreImpl::discard_loop() {
  const Until until{kNoDeadline, &scope_.cancel_source()};
  Instant begin = state_.reactor.now();
  for (int runs = 0; !fenced_ && !scope_.stopping();) {
    if (!state_.allocator.has_freed()) {
      static_cast<void>(co_await work_.wait(until));
      continue;
    }
    if (runs == 0) begin = state_.reactor.now();
    const std::vector<Extent> run = state_.allocator.take_freed_run(kRunBlocks);
    co_await discard(&run);
    state_.allocator.give_back(run);
    room_.notify_all();
    if (++runs < kRunsInSlice) continue;
    runs = 0;
    const Duration pause = std::max(kPauseMin, kPauseFactor * (state_.reactor.now() - begin));
    static_cast<void>(co_await sleep_for(state_.reactor, pause, scope_.cancel_source()));
  }
}

/// A refusal costs nothing but the space that the device could have had: the blocks are handed out again as they are.
Task<> StoreImpl::discard(const std::vector<Extent>* run) {
  std::uint64_t blocks = 0;
  for (const Extent& extent : *run) blocks += extent.blocks;
  const media::BlockNo first = std::ranges::min(*run).first;
  const auto done = co_await state_.devices.data->discard(first, blocks);
  (done ? discarded_blocks_ : discard_failures_) += done ? blocks : 1;
}

}  // namespace cenote::store
