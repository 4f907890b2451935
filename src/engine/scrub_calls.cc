#include "scrub_calls.h"

#include "container_checks.h"
#include "target.h"

namespace cenote::engine {

Task<Result<>> scrub_at(Target& target, const ContainerScrub& scrub, ContainerScrub::Part& part) {
  object::ScrubOptions options;
  options.bytes_per_second = scrub.bytes_per_second;
  options.cancel = &part.cancel;
  options.inherited = true;
  options.requests = [&target] { return target.objects().counters().requests(); };
  options.progress = [&part](const object::ScrubReport& report, ByteView) { part.progress.report = report; };
  options.found = [&part](const object::TargetFinding& finding) {
    ++part.progress.found;
    if (!finding.finding.repaired) ++part.progress.damages;
    if (part.progress.findings.size() < kMaxDamagesTold) part.progress.findings.push_back(finding);
  };
  CO_TRY(part.progress.report, co_await object::scrub_container(target.store(), scrub.container, std::move(options)));
  co_return Result<>();
}

Task<Result<>> read_progress_at(const ContainerScrub::Part& part, ContainerScrub::Progress& progress) {
  progress = part.progress;
  co_return Result<>();
}

Task<Result<>> cancel_at(ContainerScrub::Part& part) {
  part.cancel.cancel();
  co_return Result<>();
}

std::vector<DamageInfo> damages_of(std::uint32_t target, const std::vector<object::KeptFinding>& findings) {
  std::vector<DamageInfo> damages;
  const auto seconds = [](WallTime time) {
    return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  };
  for (const object::KeptFinding& kept : findings) {
    DamageInfo& damage = damages.emplace_back(damage_info(target, kept.finding));
    damage.found_s = seconds(kept.found);
    damage.seen_s = seconds(kept.seen);
  }
  return damages;
}

Task<Result<>> describe_scrub_at(Target& target, TargetScrub& scrub, std::vector<object::KeptFinding>& findings) {
  scrub = target.scrub_info();
  findings = target.findings();
  co_return Result<>();
}

Task<Result<>> control_scrub_at(Target& target, bool meant, ScrubAction action) {
  if (meant) CO_CHECK_OK(target.control_scrub(action));
  co_return Result<>();
}

}  // namespace cenote::engine
