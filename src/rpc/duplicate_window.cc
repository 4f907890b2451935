#include "duplicate_window.h"

#include "cenote/base/format.h"
#include "cenote/rpc/wire.h"

namespace cenote::rpc {
namespace {

// A full window is searched for expired entries at most this often.
constexpr std::uint64_t kSweepEvery = 1'000'000'000;

}  // namespace

Result<> DuplicateWindow::check_room(std::uint64_t now) {
  if (full()) drop_expired(now);
  if (full()) return failf(Code::kBusy, "{} answers of this session wait for their acknowledgement", kept_);
  return {};
}

void DuplicateWindow::begin(std::uint64_t sequence, std::uint64_t expiry, IncomingRequest& running) {
  entries_.insert(sequence, Entry{.running = &running, .expiry = expiry, .forget = false, .answer = {}});
}

void DuplicateWindow::answer(std::uint64_t sequence, Answer answer, bool forget) {
  Entry* entry = entries_.find(sequence);
  ASSERT(entry != nullptr && entry->running != nullptr);
  if (forget || entry->forget) {
    entries_.erase(sequence);
    return;
  }
  entry->running = nullptr;
  entry->answer = std::move(answer);
  ++kept_;
  kept_bytes_ += entry->answer.body.size();
}

/// True if the entry can go now; a running one goes when it has ended.
bool DuplicateWindow::remove(Entry& entry) {
  if (entry.running != nullptr) {
    entry.forget = true;
    return false;
  }
  --kept_;
  kept_bytes_ -= entry.answer.body.size();
  return true;
}

void DuplicateWindow::acknowledge(std::uint64_t up_to, std::span<const std::uint64_t> ended) {
  if (up_to > acknowledged_) {
    acknowledged_ = up_to;
    entries_.erase_if(
        [this](std::uint64_t sequence, Entry& entry) { return sequence <= acknowledged_ && remove(entry); });
  }
  for (std::uint64_t sequence : ended) {
    Entry* entry = entries_.find(sequence);
    if (entry != nullptr && remove(*entry)) entries_.erase(sequence);
  }
}

void DuplicateWindow::drop_expired(std::uint64_t now) {
  if (now < next_sweep_) return;
  next_sweep_ = now + kSweepEvery;
  entries_.erase_if(
      [&](std::uint64_t, Entry& entry) { return entry.running == nullptr && entry.expiry < now && remove(entry); });
}

void DuplicateWindow::forget_all() {
  acknowledged_ = 0;
  entries_.erase_if([this](std::uint64_t, Entry& entry) { return remove(entry); });
}

void DuplicateWindow::check_invariants() {
  std::uint32_t kept = 0;
  std::uint64_t bytes = 0;
  entries_.erase_if([&](std::uint64_t sequence, Entry& entry) {
    ASSERT(entry.running != nullptr || sequence > acknowledged_);
    if (entry.running == nullptr) {
      ++kept;
      bytes += entry.answer.body.size();
    }
    return false;
  });
  ASSERT(kept == kept_ && bytes == kept_bytes_);
}

}  // namespace cenote::rpc
