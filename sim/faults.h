#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client_node.h"
#include "run.h"

namespace cenote::sim {

/// What goes wrong in a run, and how often.
struct FaultPlan {
  Duration pause_max = std::chrono::milliseconds(30);  ///< between two faults
  bool resets = true;                                  ///< connections break
  bool cuts = true;                                    ///< partitions, one-way and two-way
  bool crashes = true;  ///< restarts and power failures of the engine, at any time or at a device write
  bool slow = true;     ///< a device gets slow
  bool skew = true;     ///< wall clocks differ, within what the protocol allows
  bool apart = true;    ///< of several engines: one does not reach another, or not the coordinator
  bool maps = true;     ///< of several engines: an operator changes a pool's map
  bool away = false;    ///< of several engines: one stays away for so long that it is excluded
  /// Of several engines with replicas of everything: stored data of one of them, always the same one, rots. Whether a
  /// block is of a value.
  std::function<bool(ByteView block)> rots = nullptr;
  bool clocks = false;  ///< of several engines: the clock of one is far off for a while
  bool stops = false;   ///< of several engines: the system is stopped as a whole, engines are switched off, it goes on
};

/// All faults, as often as the seed says: from a few in a run to one every few operations.
FaultPlan random_plan(Run& run);

/// Makes the network lossy, within the rules that the seed draws.
void roughen_network(Run& run);

/// Injects faults until `stop` is cancelled; then everything is healed and the engine runs, or the run has failed. On
/// the director.
Task<> inject_faults(Run& run, FaultPlan plan, std::vector<std::string> clients, CancelSource* stop);

/// The middle of a run with one client: `work` under the faults of a random plan, and when all is healed and nothing
/// has failed, `finish`, which looks at what there is in the end. `end` comes last in any case. All on the client's
/// node; closes the client. On the director.
Task<> work_under_faults(Run& run, ClientNode& client, std::function<Task<Result<>>()> work,
                         std::function<Task<Result<>>()> finish, std::function<Task<>()> end = {});

/// An operator begins to empty one of several engines, or brings one back that is being emptied, was emptied or was
/// excluded: the next version of a pool's map. False: that is not legal at the moment, or something else came first.
Task<bool> change_map(Run& run, std::uint32_t index);

/// The system is stopped as a whole and goes on; engines are switched off meanwhile, or die. On the director.
Task<> stop_and_start(Run& run);

/// Cuts an engine's power, at once; from anywhere.
void crash(Run& run, std::uint32_t index = 0);
/// After a crash: waits for `downtime` and starts the engine again, perhaps through more crashes while it recovers. On
/// the director.
Task<> restart(Run& run, Duration downtime, std::uint32_t index = 0);
Task<> crash_and_restart(Run& run, Duration downtime, std::uint32_t index = 0);

}  // namespace cenote::sim
