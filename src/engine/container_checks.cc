#include "container_checks.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::engine {

struct ContainerChecks::Check {
  Check(Reactor& reactor, std::size_t targets) : scrub(targets), done(reactor) {}

  ContainerScrub scrub;
  ContainerCheck told;  ///< what is known of it on the control reactor
  Instant began{};
  std::uint64_t ended = 0;  ///< its number among those that ended; 0: it runs
  Event done;
};

namespace {

std::string advice_for(const object::TargetFinding& finding) {
  if (finding.finding.repaired) return "nothing is lost; look for the cause on the disk, which will do it again";
  switch (finding.finding.kind) {
    case store::FindingKind::kData:
      return "these records cannot be read: write them again from where they came, and look for the cause on the disk";
    case store::FindingKind::kEntry:
      return "no version of Cenote writes such a record: keep a copy of the target and report it";
    default:
      break;
  }
  if (finding.finding.lost) return "nothing in this range of keys can be read: copy out the rest, restore a copy";
  return "the server still has this page in memory: copy the container out now, before the server is stopped";
}

CheckedTarget checked(std::uint32_t index, const ContainerScrub::Progress& progress) {
  const object::ScrubReport& report = progress.report;
  return {.index = index,
          .state = kCheckRunning,
          .leaves = report.leaves,
          .pages = report.images,
          .entries = report.entries,
          .read_bytes = report.read_bytes,
          .verified_bytes = report.verified_bytes,
          .unprotected_bytes = report.unprotected_bytes,
          .damages = progress.damages,
          .repaired = report.repaired,
          .error = {}};
}

void settle(CheckedTarget& target, const Result<>& outcome) {
  if (outcome) {
    target.state = target.damages > 0 ? kCheckDamaged : kCheckWhole;
  } else if (outcome.error() == Code::kCancelled) {
    target.state = kCheckCancelled;
  } else {
    target.state = kCheckFailed;
    target.error = outcome.error().to_string();
  }
}

/// Damage is the worst that can be said of a container: a target that was not gone through does not hide it.
std::string verdict(const ContainerCheck& check) {
  if (std::ranges::any_of(check.targets, [](const auto& target) { return target.damages > 0; })) return kCheckDamaged;
  for (const char* state : {kCheckFailed, kCheckCancelled}) {
    if (std::ranges::any_of(check.targets, [state](const auto& target) { return target.state == state; })) return state;
  }
  return kCheckWhole;
}

}  // namespace

DamageInfo damage_info(std::uint32_t index, const object::TargetFinding& finding) {
  const store::Finding& inner = finding.finding;
  DamageInfo damage;
  damage.target = index;
  damage.kind = std::string(finding_name(inner.kind));
  damage.message = inner.message;
  damage.advice = advice_for(finding);
  damage.device = inner.device;
  damage.block = inner.block;
  if (inner.block) damage.blocks = inner.blocks;
  damage.page = inner.page;
  damage.container = finding.container;
  if (finding.object) damage.object = finding.object->to_string();
  damage.dkey = finding.dkey;
  damage.akey = finding.akey;
  if (finding.epoch) damage.epoch = finding.epoch->value();
  damage.first = finding.first;
  damage.records = finding.records;
  damage.repaired = inner.repaired;
  return damage;
}

std::shared_ptr<ContainerChecks::Check> ContainerChecks::find(const Uuid& container) const {
  const auto found = checks_.find(container);
  return found == checks_.end() ? nullptr : found->second;
}

std::size_t ContainerChecks::running() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(checks_, [](const auto& entry) { return entry.second->ended == 0; }));
}

Task<Result<ContainerCheck>> ContainerChecks::begin(ContainerInfo container, BeginCheck request, Uuid id) {
  const auto last = find(container.id);
  if (last != nullptr && last->told.id == id) co_return co_await query(std::move(container));
  if (last != nullptr && last->ended == 0) {
    // Not "busy", for which clients try again and again.
    co_return failf(Code::kExists, "container '{}' is being checked already: wait, or end that with --stop",
                    container.label);
  }
  if (running() >= kMaxRunning) {
    co_return failf(Code::kBusy, "{} containers are being checked already: try again when one of them is done",
                    kMaxRunning);
  }
  const auto check = std::make_shared<Check>(reactor_, targets_.target_count());
  check->began = reactor_.now();
  check->scrub.container = container.id;
  check->scrub.bytes_per_second = request.bytes_per_second;
  check->told.id = id;
  check->told.container = container.id;
  check->told.state = kCheckRunning;
  check->told.bytes_per_second = request.bytes_per_second;
  check->told.total_bytes = container.used_bytes;
  if (!scope_.spawn(run(check))) co_return fail(Code::kNotReady, "the engine is stopping");
  checks_[container.id] = check;
  co_return co_await query(std::move(container));
}

Task<> ContainerChecks::run(std::shared_ptr<Check> check) {
  const std::vector<Result<>> outcomes = co_await targets_.scrub(check->scrub);
  co_await read_progress(check);
  ContainerCheck& told = check->told;
  for (std::size_t i = 0; i < outcomes.size(); ++i) settle(told.targets[i], outcomes[i]);
  told.state = verdict(told);
  check->ended = ++ended_;
  forget_oldest();
  check->done.set();
}

/// Brings what is told of a check up to date.
Task<> ContainerChecks::read_progress(std::shared_ptr<Check> check) {
  std::vector<ContainerScrub::Progress> progress = co_await targets_.progress_of(check->scrub);
  // The end has told everything meanwhile.
  if (check->ended != 0) co_return;
  ContainerCheck& told = check->told;
  told.elapsed_ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(reactor_.now() - check->began).count());
  told.targets.clear();
  told.findings.clear();
  told.findings_omitted = 0;
  for (std::uint32_t index = 0; index < progress.size(); ++index) {
    told.targets.push_back(checked(index, progress[index]));
    std::vector<DamageInfo> damages;
    for (const auto& finding : progress[index].findings) damages.push_back(damage_info(index, finding));
    told.findings_omitted += progress[index].found - damages.size();
    told.findings_omitted += append_damages(told.findings, std::move(damages));
  }
}

void ContainerChecks::forget_oldest() {
  if (checks_.size() - running() <= kMaxKept) return;
  auto oldest = checks_.end();
  for (auto entry = checks_.begin(); entry != checks_.end(); ++entry) {
    if (entry->second->ended == 0) continue;
    if (oldest == checks_.end() || entry->second->ended < oldest->second->ended) oldest = entry;
  }
  checks_.erase(oldest);
}

Task<Result<ContainerCheck>> ContainerChecks::query(ContainerInfo container) {
  const auto check = find(container.id);
  if (check == nullptr) {
    co_return failf(Code::kNotFound, "container '{}' was not checked since the engine started, or long ago",
                    container.label);
  }
  if (check->ended == 0) co_await read_progress(check);
  co_return check->told;
}

Task<Result<ContainerCheck>> ContainerChecks::cancel(ContainerInfo container, Until until) {
  const auto check = find(container.id);
  if (check != nullptr && check->ended == 0) {
    co_await targets_.cancel(check->scrub);
    CO_CHECK_OK(co_await check->done.wait(until));
  }
  co_return co_await query(std::move(container));
}

Task<> ContainerChecks::stop() {
  std::vector<std::shared_ptr<Check>> all;
  for (const auto& [container, check] : checks_) {
    if (check->ended == 0) all.push_back(check);
  }
  for (const auto& check : all) co_await targets_.cancel(check->scrub);
  co_await scope_.stop();
}

}  // namespace cenote::engine
