#pragma once

#include <map>
#include <memory>

#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/runtime/scope.h"
#include "container_targets.h"

namespace cenote::engine {

/// Checks of containers at a user's wish: all data and metadata of one container read from the devices and proved, on
/// all targets at the same time. Begun, and asked for until they have ended, since one may take hours. Nothing is kept
/// over a restart. Control reactor only.
///
/// Invariants: at most one check of a container is known, running or ended; at most kMaxRunning run, and of those that
/// ended the newest kMaxKept are known.
class ContainerChecks {
 public:
  static constexpr std::size_t kMaxRunning = 4;
  static constexpr std::size_t kMaxKept = 16;

  ContainerChecks(Reactor& reactor, ContainerTargets& targets)
      : reactor_(reactor), targets_(targets), scope_(reactor) {}
  /// Ends all checks and waits for them; none begins afterwards. Awaited before destruction if one ever began.
  Task<> stop();

  /// The same request again tells how its check is going. kExists while another one runs, kBusy while too many
  /// other containers are checked.
  Task<Result<ContainerCheck>> begin(ContainerInfo container, BeginCheck request, Uuid id);
  /// The check that runs, or the last one. kNotFound.
  Task<Result<ContainerCheck>> query(ContainerInfo container);
  /// Ends the check where it is, if it runs, and tells what it came to. kNotFound.
  Task<Result<ContainerCheck>> cancel(ContainerInfo container, Until until);

 private:
  struct Check;
  std::size_t running() const;
  std::shared_ptr<Check> find(const Uuid& container) const;
  Task<> run(std::shared_ptr<Check> check);
  Task<> read_progress(std::shared_ptr<Check> check);
  void forget_oldest();

  Reactor& reactor_;
  ContainerTargets& targets_;
  Scope scope_;
  std::map<Uuid, std::shared_ptr<Check>> checks_;  // by container
  std::uint64_t ended_ = 0;
};

/// A finding of target `index` as it is told.
DamageInfo damage_info(std::uint32_t index, const object::TargetFinding& finding);

}  // namespace cenote::engine
