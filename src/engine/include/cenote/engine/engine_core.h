#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/base/secret_key.h"
#include "cenote/base/uuid.h"
#include "cenote/engine/engine_host.h"
#include "cenote/engine/identity.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/rpc/address.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

class CoordinatorSharing;

struct EngineCoreOptions {
  std::uint64_t cache_bytes = 64ull << 20;    ///< page cache of each target
  std::uint64_t buffer_bytes = 64ull << 20;   ///< I/O buffers of each target
  std::uint64_t request_bytes = 64ull << 20;  ///< payloads of requests in flight, per reactor
  bool discard = false;                       ///< freed space is given back to devices
  Duration stop_grace = std::chrono::seconds(10);
  // As of EngineOptions.
  std::uint64_t scrub_bytes_per_second = 32ull << 20;
  Duration scrub_period = std::chrono::hours(7 * 24);
  // As of ObjectStoreOptions.
  Duration retention = std::chrono::seconds(60);
  double scarce_space = 1.0 / 8;
  // With an outside coordinator only; as of EngineOptions.
  std::string advertise_address = {};
  std::string fault_domain = {};
  Uuid process = {};
  CoordinatorSharing* sharing = nullptr;
  bool auto_reintegrate = true;
  /// How long the engine serves after the coordinator was last heard, and what others add to that before they take its
  /// place. Of all engines of a system alike.
  Duration lease_ttl = std::chrono::seconds(5);
  Duration drift_margin = std::chrono::milliseconds(2500);
  /// The master key of all stores; forgotten when they are open.
  std::optional<SecretKey> encryption_key = std::nullopt;
};

/// One engine, whatever it stands on: targets, coordinator, servers and what ties them together. `Engine` runs it on a
/// real machine, tests run it in the simulator.
///
/// Life: `start`, then `stop`, both on the control reactor; a start that failed has cleaned up after itself and needs
/// no stop. Everything acknowledged is durable whether or not `stop` is ever called: it only makes the next start
/// faster.
class EngineCore {
 public:
  /// `host` and `metrics` outlive it.
  EngineCore(EngineHost& host, Identity identity, EngineCoreOptions options, MetricRegistry& metrics, Logger logger);
  ~EngineCore();

  /// Shown to those who ask for the system; before `start`.
  void set_control_address(std::string address);
  /// Opens all targets at the same time, formatting them if the system is being created, recovers the control state,
  /// and serves clients. The error names the target, its device and what to do.
  Task<Result<>> start();
  /// Stops accepting, lets running requests end (for the grace period, then cancels them), closes targets and
  /// coordinator with a checkpoint. Returns the first failure; everything is closed nevertheless.
  Task<Result<>> stop();

  /// True between the end of a successful start and the begin of the stop. Thread-safe.
  bool ready() const;
  /// Until when nothing but a stop keeps it from serving: with an outside coordinator, which then has to be heard again
  /// first, as long as its lease is valid; else for ever. Thread-safe.
  Instant serves_until() const;
  /// The system is stopped ('cenote system stop'), as far as this engine knows: clients are not served. Thread-safe.
  bool system_stopped() const;
  /// Where clients connect, with real ports. Fixed while ready.
  const std::vector<rpc::Address>& addresses() const;
  const Identity& identity() const;

  /// One request of the control API (docs/protocols/admin.md): the JSON of the answer. `new_id` names what a POST
  /// creates. kNotReady while the engine is not. Control reactor only.
  Task<Result<std::string>> admin(AdminMethod method, std::string path, std::string body, Uuid new_id, Until until);
  /// Brings gauges of the metrics up to date: before they are exported. Control reactor only.
  Task<> refresh_metrics();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::engine
