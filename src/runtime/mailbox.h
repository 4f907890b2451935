#pragma once

#include <atomic>
#include <cstddef>

#include "cenote/runtime/reactor.h"

namespace cenote {

/// Mail from any thread to the one that owns the box: a lock-free stack, taken as a whole and turned round.
///
/// Invariant: `newest_` heads a chain through `Mail::next_` of everything posted since the last `deliver_all`, newest
/// first. A mail belongs to the box from `push` until just before its `deliver`, which may free or post it anew.
class Mailbox {
 public:
  /// Thread-safe. True if the box was empty: then the owner may be asleep and whoever posted must look. Sequentially
  /// consistent with `empty`, so either the owner sees the mail before it sleeps or the poster sees it asleep.
  bool push(Mail& mail) {
    Mail* next = newest_.load(std::memory_order_relaxed);
    do {
      mail.next_.store(next, std::memory_order_relaxed);
    } while (!newest_.compare_exchange_weak(next, &mail, std::memory_order_seq_cst, std::memory_order_relaxed));
    return next == nullptr;
  }
  /// The owner's.
  bool empty() const { return newest_.load(std::memory_order_seq_cst) == nullptr; }

  /// The owner's: delivers what was posted before the call, each sender's in its order. Returns how many.
  std::size_t deliver_all() {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return 0;
    Mail* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    Mail* oldest = nullptr;
    while (newest != nullptr) {
      Mail* next = newest->next_.load(std::memory_order_relaxed);
      newest->next_.store(oldest, std::memory_order_relaxed);
      oldest = newest;
      newest = next;
    }
    std::size_t delivered = 0;
    while (oldest != nullptr) {
      Mail* next = oldest->next_.load(std::memory_order_relaxed);
      oldest->deliver();
      oldest = next;
      ++delivered;
    }
    return delivered;
  }

 private:
  std::atomic<Mail*> newest_{nullptr};
};

}  // namespace cenote
