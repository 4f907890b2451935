#pragma once

#include <map>
#include <memory>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "container_targets.h"
#include "control_copy.h"
#include "engine_link.h"
#include "share_accounts.h"

namespace cenote::engine {

/// What an engine does at its targets for the leader of the control state, whoever that is at the time: another engine,
/// or this one. Control reactor only.
///
/// Invariants: nothing is done for a leader when a later one has been heard of since the engine started; of one
/// leader's changes none is made after a later one, and one at a time. Both are remembered in memory only:
/// docs/protocols/targets.md says why that is enough.
class TargetsService final : public EngineLink {
 public:
  /// Scrubs that are known, running or ended; who asks for none of it for so long is not there any more.
  static constexpr std::size_t kMaxScrubs = 8;
  static constexpr Duration kScrubPatience = std::chrono::minutes(1);

  /// `targets` are the engine's own; `copy` is its copy of the control state, nullptr for none. Both outlive it.
  TargetsService(Reactor& reactor, ContainerTargets& targets, ControlCopy* copy = nullptr)
      : reactor_(reactor), targets_(targets), copy_(copy), turn_(reactor, 1), scope_(reactor) {}
  /// Ends scrubs. Awaited before destruction, after the last call has returned.
  Task<> stop();

  /// kLeaseExpired: there is a later leader. kRequestExpired: this leader has made a later change. kNotFound: no such
  /// scrub. Otherwise as of ContainerTargets. A call that failed may be made again, under a new number.
  Task<Result<TargetsReply>> call(TargetsRequest request, Until until) override;
  /// Whether a leader has told of the container, since the engine started, and has not ended it: until then what is
  /// written there is charged to nobody.
  bool knows(const Uuid& container) const { return accounts_.contains(container); }

 private:
  struct Scrub;
  Result<> admit(const TargetsRequest& request);
  Task<Result<TargetsReply>> change(TargetsRequest request, Until until);
  Task<Result<>> make_change(TargetsRequest request);
  Task<Result<TargetsReply>> answer(TargetsRequest request);
  Task<Result<>> create(TargetsRequest request);
  Task<Result<>> charge(TargetsRequest request);
  Task<Result<>> destroy(Uuid container);
  Task<Result<>> hold_answers(std::uint64_t number);
  Task<Result<>> release_answers(std::uint64_t number);
  Task<Result<object::Usage>> measure_flattening(Uuid container);
  Result<> begin_scrub(const TargetsRequest& request);
  Task<Result<ScrubNews>> scrub_news(TargetsRequest request);
  Task<Result<>> cancel_scrub(Uuid id, bool forget);
  Task<> run_scrub(std::shared_ptr<Scrub> scrub);
  Task<> watch_scrub(std::shared_ptr<Scrub> scrub);

  Reactor& reactor_;
  ContainerTargets& targets_;
  ControlCopy* copy_;
  ShareAccounts accounts_;
  Semaphore turn_;
  Scope scope_;
  std::uint64_t token_ = 0;        // of the latest leader
  std::uint64_t last_change_ = 0;  // its number
  std::uint64_t held_ = 0;         // number of the hold that stands, or 0
  std::map<Uuid, std::shared_ptr<Scrub>> scrubs_;
};

}  // namespace cenote::engine
