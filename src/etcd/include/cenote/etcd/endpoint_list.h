#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote::etcd {

/// The endpoints of one etcd cluster whose members change: somebody finds out, everybody goes by it. Never empty.
/// Thread-safe.
class EndpointList {
 public:
  explicit EndpointList(std::vector<std::string> endpoints) { set(std::move(endpoints)); }

  std::vector<std::string> get() const {
    const std::scoped_lock lock(mutex_);
    return endpoints_;
  }
  /// Becomes another one with every `set`; never 0.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void set(std::vector<std::string> endpoints) {
    ASSERT(!endpoints.empty());
    const std::scoped_lock lock(mutex_);
    endpoints_ = std::move(endpoints);
    version_.fetch_add(1, std::memory_order_release);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> endpoints_;
  std::atomic<std::uint64_t> version_ = 0;
};

}  // namespace cenote::etcd
