#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/identity.h"
#include "cenote/media/block_device.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/object/object_store.h"
#include "cenote/object/scrubber.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/rpc/bulk.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "cenote/store/store.h"
#include "store_devices.h"

namespace cenote::engine {

struct TargetOptions {
  std::uint32_t index = 0;
  Uuid system;
  StoreIdentity identity;
  std::uint64_t cache_bytes = 0;
  bool discard = false;
  /// The store may have to be formatted first: its system is being created.
  bool creating = false;
  /// The master key of its store; forgotten when that is open.
  std::optional<SecretKey> key = std::nullopt;
  /// As of EngineOptions.
  std::uint64_t scrub_bytes_per_second = 0;
  Duration scrub_period{};
  Duration retention{};
  double scarce_space = 0;
  const TrustedClock* clock = nullptr;
};

/// A fetch, and its answer until the last byte of it is sent. Its memory belongs to the target's reactor; it is filled
/// there, read on the connection's, released there, and goes home by itself.
///
/// Invariant: counted in the target's gate from `Target::take_held` to its way back into the target's list.
class HeldFetch final : public rpc::PayloadOwner, private Mail {
 public:
  object::Fetched& fetched() { return fetched_; }
  /// There is no answer. On the target's reactor.
  void give_up() { deliver(); }
  /// Moves every piece of the data into `payload`; it is sent to the target when all of them are released, at once if
  /// there are none. On the connection's reactor, once.
  void add_to(rpc::Payload& payload);

 private:
  friend class Target;
  explicit HeldFetch(class Target& target) : target_(target) {}
  void release() override;
  void deliver() override;

  Target& target_;
  object::Fetched fetched_;
  std::size_t pieces_ = 0;
};

/// One target: devices, store and object store, on their reactor. Its address is stable while it is open, so other
/// reactors may hold it; only `index`, `reactor` and `name` are for them, the rest is for `call_on`.
class Target {
 public:
  /// Opens (or formats) the store on `devices`. Errors name target and device. `pool` is of the reactor and outlives
  /// it.
  static Task<Result<std::unique_ptr<Target>>> open(Reactor& reactor, StoreDevices devices, media::BufferPool& pool,
                                                    TargetOptions options, MetricRegistry& metrics, Logger logger);
  ~Target();
  /// Waits for what is held, closes everything, returns the first failure. Must be awaited before destruction.
  Task<Result<>> close();

  std::uint32_t index() const { return options_.index; }
  Reactor& reactor() const { return reactor_; }

  object::ObjectStore& objects() { return *objects_; }
  store::Store& store() { return *store_; }
  /// Ends every wait of running requests: for a stop whose grace is over.
  CancelSource& cancel_source() { return cancel_; }

  /// An empty place for what a fetch brings, until that is sent; null when the target is closing.
  HeldFetch* take_held();

  /// Takes into use what its devices have become larger by. See Store::grow.
  Task<Result<>> grow();
  /// Bytes that pools may promise.
  std::uint64_t capacity_bytes() const;
  TargetInfo info() const;
  TargetScrub scrub_info() const;
  /// Told of all damage that its scrub finds, on its reactor; empty: nobody.
  void on_damage(std::function<void(const object::TargetFinding&)> listener) { on_damage_ = std::move(listener); }
  /// The data of an entry was repaired.
  void note_repaired(const Uuid& container, const object::EntryDescription& entry) {
    if (scrubber_ != nullptr) scrubber_->note_repaired(container, entry);
  }
  /// What its scrub knows to be damaged.
  std::vector<object::KeptFinding> findings() const;
  /// kUnsupported: scrubbing is off.
  Result<> control_scrub(ScrubAction action);
  void refresh_metrics();

 private:
  friend class HeldFetch;
  struct Gauges;

  Target(Reactor& reactor, StoreDevices devices, TargetOptions options, MetricRegistry& metrics, const Logger& logger);
  Task<Result<>> start(media::BufferPool& pool);
  Task<Result<>> format_if_new();
  void log_fenced(const Error& reason) const;
  void record_latencies(MetricRegistry& metrics);
  /// Tells when devices begin to be slow or silent, and when they are well again.
  Task<> watch_devices();
  void start_scrubber();
  void refresh_health_metrics();
  void refresh_scrub_metrics();
  void log_finding(const object::TargetFinding& finding) const;

  Reactor& reactor_;
  TargetOptions options_;
  Logger logger_;
  StoreDevices devices_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<object::ObjectStore> objects_;
  std::unique_ptr<object::Scrubber> scrubber_;  // null: scrubbing is off
  std::function<void(const object::TargetFinding&)> on_damage_;
  CancelSource cancel_;
  Scope watch_;
  Gate held_;
  std::vector<std::unique_ptr<HeldFetch>> idle_;  // ready for use
  std::unique_ptr<Gauges> gauges_;
};

}  // namespace cenote::engine
