#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cenote/base/log.h"
#include "cenote/engine/coordinator_source.h"
#include "etcd_process.h"
#include "etcd_source.h"
#include "stop_signals.h"

namespace cenote::cli {

/// How a server takes others into its system. Where it is the only engine, with the control state in itself, it starts
/// an etcd beside itself to see that this works, notes in its data directory that the control state goes there, and
/// asks to be started again: the start moves it (EngineOptions::move_control_state).
class SharedCoordinator final : public engine::CoordinatorSharing {
 public:
  /// `choice`: the coordinator that it shares already, if it does. `restart` is called once, on any thread. `settings`
  /// outlive it.
  SharedCoordinator(const Settings& settings, std::optional<CoordinatorChoice> choice, std::function<void()> restart,
                    Logger logger);
  /// Waits for a trial that runs.
  ~SharedCoordinator();

  Place where() override;
  Result<Place> share() override;

 private:
  enum class State : std::uint8_t { kIdle, kTrying, kRestarting };
  void prepare();
  Result<> try_etcd();

  const Settings& settings_;
  const std::optional<CoordinatorChoice> choice_;
  const std::function<void()> restart_;
  Logger logger_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;  // of what follows
  State state_ = State::kIdle;
  std::optional<Error> failure_;  // of the last try, until somebody was told
  std::thread thread_;
};

/// A data directory that `server.join` is given for joins that system: where its coordinator is gets noted there, if it
/// is not yet, or is not there any more. kUnreachable, kInvalidArgument for a directory that belongs to another system;
/// what the system says. Blocks until the system can be joined, for so long as it needs to be made ready; kStopped when
/// a signal asks to stop meanwhile.
Result<> join_system(const Settings& settings, StopSignals& signals);

}  // namespace cenote::cli
