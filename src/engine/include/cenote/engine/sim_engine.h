#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/metrics.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/engine/engine_core.h"
#include "cenote/engine/identity.h"
#include "cenote/media/sim_device.h"
#include "cenote/rpc/sim_network.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::engine {

/// A coordinator that several simulated engines share, and the node that it runs on.
struct SimSharedCoordinator {
  SimReactor* node = nullptr;
  cluster::Coordinator* coordinator = nullptr;  ///< outlives the engines
};

struct SimEngineOptions {
  std::string name = "engine";  ///< of its nodes; clients connect to (name, port)
  std::uint16_t port = 7777;
  std::uint32_t targets = 2;
  /// Data reactors, each a node of its own; 0: everything on one node, the control reactor's.
  std::uint32_t reactors = 0;
  std::uint64_t target_bytes = 64ull << 20;
  std::uint64_t log_bytes = 4ull << 20;
  bool own_devices = false;  ///< Each target has devices of their own for its log and its data.
  media::SimDeviceOptions device;
  std::optional<SimSharedCoordinator> shared;                 ///< none: the engine has a coordinator of its own
  Duration control_copy_time = std::chrono::milliseconds(5);  ///< What a write of the control copy takes.
  EngineCoreOptions core;
  Logger logger;
};

/// A whole engine in the simulator: what `Engine` is on a real machine. Its media outlive its software, so it can be
/// crashed and started again, as often as a test likes.
///
/// Invariants: at most one EngineCore lives at a time; a crash cuts devices and network of all its nodes at one
/// instant, so nothing the software does afterwards has an effect.
class SimEngine {
 public:
  /// World and network outlive it.
  SimEngine(SimWorld& world, rpc::SimNetwork& network, SimEngineOptions options);
  /// Stopped, or crashed and cleared.
  ~SimEngine();

  /// On the control node. The first start formats the stores, and joins the system of a shared coordinator. kForeign:
  /// the engine belongs to another one.
  Task<Result<>> start();
  Task<Result<>> stop();
  /// Power fails, now: from outside all nodes, or from any.
  void crash(media::CrashOptions options = {});
  /// After `crash`: waits until the software has come to its end by itself. On the control node. Then it may start
  /// again.
  Task<> clear();
  bool running() const;
  /// Whether the shared coordinator can be reached, until the next start.
  void set_coordinator_reachable(bool reachable);
  /// From the next start on: the one before was lost.
  void use_coordinator(SimSharedCoordinator shared);
  /// Of its machine: of all its nodes.
  void set_clock_skew(Duration skew);
  /// The file with the copy of the control state, and the one that was put aside.
  const std::optional<Bytes>& control_copy() const;
  const std::optional<Bytes>& control_copy_aside() const;
  void set_control_copy_writable(bool writable);

  rpc::Address address() const;
  SimReactor& control();
  EngineCore& core();
  const Identity& identity() const;
  MetricRegistry& metrics();
  /// A device of a target of the running engine, for faults; null when it is not open. `role` is "", or "wal" or "data"
  /// where it has one of its own.
  media::SimDevice* device(std::uint32_t target, std::string_view role = "");
  /// The same of the control state's, where the coordinator is not shared.
  media::SimDevice* control_device();
  /// What the medium of that device holds.
  media::SimMedium& medium(std::uint32_t target, std::string_view role = "");

 private:
  class Host;
  void forget_core();
  std::unique_ptr<Host> host_;
  MetricRegistry metrics_;
  SimEngineOptions options_;
  std::unique_ptr<EngineCore> core_;
};

}  // namespace cenote::engine
