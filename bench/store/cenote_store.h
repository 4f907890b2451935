#pragma once

#include <array>
#include <memory>
#include <string>

#include "cenote/media/uring_device.h"
#include "cenote/runtime/uring_reactor.h"
#include "cenote/store/store.h"
#include "harness/comparison.h"

namespace cenote::bench {

struct CenoteStoreOptions {
  std::uint64_t device_bytes = 1ull << 30;
  /// Small enough for a checkpoint in every run at full speed.
  std::uint64_t log_bytes = 32ull << 20;
  store::OpenOptions open = {};
};

/// A master key for stores that are thrown away.
inline SecretKey bench_key() { return SecretKey(std::array<std::byte, SecretKey::kBytes>{std::byte{1}}); }

/// A reactor of the calling thread, a file and, once formatted or opened, a store with one tree in it.
class CenoteStore {
 public:
  static Result<std::unique_ptr<CenoteStore>> create(std::string path, CenoteStoreOptions options);
  CenoteStore(const CenoteStore&) = delete;
  CenoteStore& operator=(const CenoteStore&) = delete;

  /// Makes an empty store and opens it.
  Result<> format();
  /// Opens the device and the store that is on it; replays its log.
  Result<> open();
  /// Checkpoints and closes both.
  Result<> close();

  UringReactor& reactor() { return *reactor_; }
  media::UringDevice& device() { return *device_; }
  store::Store& store() { return *store_; }
  store::TreeId tree() const { return tree_; }
  const std::string& path() const { return path_; }

 private:
  CenoteStore() = default;
  Result<> open_device();

  CenoteStoreOptions options_;
  std::string path_;
  std::unique_ptr<UringReactor> reactor_;
  std::unique_ptr<media::UringDevice> device_;
  std::unique_ptr<store::Store> store_;
  store::TreeId tree_{};
};

/// How often `Puts` coroutines commit and what that gave.
struct PutsDone {
  LatencyHistogram latencies;
  Duration taken{};
};

/// `concurrent` coroutines put durably, each one put at a time, until `deadline`-many nanoseconds have passed.
Result<PutsDone> run_puts(CenoteStore& store, unsigned concurrent, Duration window);
/// The same while one checkpoint after the other is taken.
Result<PutsDone> run_puts_in_checkpoints(CenoteStore& store, unsigned concurrent, Duration window);
/// The same until `puts` puts are done; `durable_each` false: only the last ones are waited for.
Result<> fill(CenoteStore& store, std::uint64_t puts);

}  // namespace cenote::bench
