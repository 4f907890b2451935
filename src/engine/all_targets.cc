#include "all_targets.h"

#include <algorithm>
#include <numeric>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_redundancy.h"
#include "gather.h"

namespace cenote::engine {
namespace {

__extension__ using Wide = unsigned __int128;

/// Rounded down, so that the shares of all are no more than the limit.
std::uint64_t part_of(std::uint64_t limit, const std::vector<std::uint64_t>& weights, std::size_t engine) {
  if (limit == object::SpaceAccount::kNoLimit) return limit;
  const std::uint64_t all = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  if (all == 0) return limit / weights.size();
  return static_cast<std::uint64_t>(Wide{limit} * weights[engine] / all);
}

object::Usage part_of(object::Usage limit, const std::vector<std::uint64_t>& weights, std::size_t engine) {
  return {part_of(limit.bytes, weights, engine), part_of(limit.objects, weights, engine)};
}

}  // namespace

AllTargets::AllTargets(Reactor& reactor, std::vector<ContainerTargets*> engines, PoolMembers members)
    : reactor_(reactor), engines_(std::move(engines)), members_(std::move(members)) {
  ASSERT(!engines_.empty());
  for (const ContainerTargets* engine : engines_) weights_.push_back(engine->capacity_bytes());
}

template <typename MakeTask>
Task<Result<>> AllTargets::on_all(MakeTask make_task) {
  co_return first_failure(co_await gather(reactor_, engines_.size(), make_task));
}

template <typename MakeTask>
Task<Result<>> AllTargets::on_members(const Uuid& container, MakeTask make_task) {
  std::vector<std::size_t> members;
  for (std::size_t engine = 0; engine < engines_.size(); ++engine)
    if (is_member(container, engine)) members.push_back(engine);
  co_return first_failure(
      co_await gather(reactor_, members.size(), [&](std::size_t index) { return make_task(members[index]); }));
}

void AllTargets::note_pool(Uuid container, Uuid pool) {
  pools_[container] = pool;
  members_.try_emplace(pool, weights_);
}

void AllTargets::note_account(const Uuid& container, const object::SpaceAccount& account) {
  if (account.parent() != nullptr) note_pool(container, account.parent()->id());
}

bool AllTargets::is_member(const Uuid& container, std::size_t engine) const {
  const auto pool = pools_.find(container);
  if (pool == pools_.end()) return true;
  return members_.at(pool->second)[engine] > 0 && !is_excluded(pool->second, engine);
}

bool AllTargets::is_excluded(const Uuid& pool, std::size_t engine) const {
  const auto found = excluded_.find(pool);
  return found != excluded_.end() && found->second.contains(engine);
}

AllTargets::Weights AllTargets::weights_in(const cluster::PoolMap& map) const {
  Weights weights(engines_.size());
  for (const cluster::MapTarget& target : map.targets()) {
    const cluster::Rank rank = map.engines()[target.engine].rank;
    if (rank.value() < weights.size()) weights[rank.value()] += target.bytes;
  }
  return weights;
}

// An engine that is excluded in the newest map serves nothing of the pool, whether or not that is active yet: it reads
// that map before it serves again.
void AllTargets::take_map(const cluster::PoolMap& map) {
  cluster::MapVersion& taken = versions_[map.pool()];
  if (map.version() < taken) return;
  taken = map.version();
  members_[map.pool()] = weights_in(map);
  std::set<std::size_t> excluded;
  for (const cluster::MappedEngine& engine : cluster::mapped_engines(map))
    if (!engine.is_used) excluded.insert(engine.rank.value());
  exclude(map.pool(), std::move(excluded));
}

const AllTargets::Weights& AllTargets::weights_of(const object::SpaceAccount& account) const {
  const auto pool = members_.find(account.parent() == nullptr ? account.id() : account.parent()->id());
  return pool == members_.end() ? weights_ : pool->second;
}

std::shared_ptr<object::SpaceAccount> AllTargets::share(const object::SpaceAccount& whole, const Weights& weights,
                                                        std::size_t engine) const {
  std::shared_ptr<object::SpaceAccount> parent;
  if (whole.parent() != nullptr) parent = share(*whole.parent(), weights, engine);
  std::string name = whole.name();
  if (engines_.size() > 1) name += " on this engine, which has its share of the limit";
  auto part = std::make_shared<object::SpaceAccount>(std::move(name), std::move(parent), whole.id());
  part->set_limit(part_of(whole.limit(), weights, engine));
  part->set_soft_limit(part_of(whole.soft_limit(), weights, engine));
  return part;
}

Task<Result<>> AllTargets::create(Uuid container, object::ContainerProperties properties,
                                  std::optional<object::CloneSource> source,
                                  std::shared_ptr<object::SpaceAccount> account) {
  note_account(container, *account);
  co_return co_await on_members(container, [&](std::size_t engine) {
    return engines_[engine]->create(container, properties, source, share(*account, engine));
  });
}

Task<Result<>> AllTargets::charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) {
  note_account(container, *account);
  co_return co_await on_members(
      container, [&](std::size_t engine) { return engines_[engine]->charge_to(container, share(*account, engine)); });
}

Task<Result<>> AllTargets::tell_limits(std::size_t engine, const object::SpaceAccount& account) {
  const Uuid pool = account.parent() == nullptr ? account.id() : account.parent()->id();
  if (is_excluded(pool, engine)) co_return Result<>();
  co_return co_await engines_[engine]->limits_changed(share(account, engine));
}

Task<Result<>> AllTargets::limits_changed(std::shared_ptr<object::SpaceAccount> account) {
  co_return co_await on_all([&](std::size_t engine) { return tell_limits(engine, *account); });
}

Task<Result<>> AllTargets::destroy(Uuid container) {
  auto destroyed =
      co_await on_members(container, [&](std::size_t engine) { return engines_[engine]->destroy(container); });
  if (!destroyed) co_return destroyed;
  co_await destroy_at_excluded(container);
  pools_.erase(container);
  co_return destroyed;
}

/// They may still have it from before. Who cannot be asked now is told when it gets its part again.
Task<> AllTargets::destroy_at_excluded(Uuid container) {
  const auto pool = pools_.find(container);
  if (pool == pools_.end()) co_return;
  std::vector<std::size_t> excluded;
  for (std::size_t engine = 0; engine < engines_.size(); ++engine)
    if (members_.at(pool->second)[engine] > 0 && is_excluded(pool->second, engine)) excluded.push_back(engine);
  static_cast<void>(co_await gather(reactor_, excluded.size(),
                                    [&](std::size_t index) { return engines_[excluded[index]]->destroy(container); }));
}

namespace {

/// Puts an answer in its place among those of all engines.
template <typename T>
Task<Result<>> keep(Task<Result<T>> call, T& answer) {
  CO_TRY(answer, co_await std::move(call));
  co_return Result<>();
}

/// That an engine cannot be asked is no failure.
template <typename T>
Task<Result<>> keep_if_reached(Task<Result<T>> call, T& answer, Result<>& failure) {
  auto kept = co_await keep(std::move(call), answer);
  if (!kept && !is_of_the_way(kept.error())) failure = kept;
  co_return kept;
}

object::Usage sum(const std::vector<object::Usage>& parts) {
  object::Usage sum;
  for (const object::Usage& part : parts) sum = sum + part;
  return sum;
}

void add(std::optional<FlattenInfo>& sum, const FlattenInfo& part) {
  if (!sum) sum.emplace();
  sum->copied_bytes += part.copied_bytes;
  sum->copied_objects += part.copied_objects;
  sum->left_bytes += part.left_bytes;
  sum->left_objects += part.left_objects;
  sum->damaged += part.damaged;
  if (sum->obstacle.empty()) sum->obstacle = part.obstacle;
}

}  // namespace

Task<Result<Epoch>> AllTargets::newest_epoch(Uuid container) {
  std::vector<Epoch> seen(engines_.size());
  CO_CHECK_OK(co_await on_members(
      container, [&](std::size_t engine) { return keep(engines_[engine]->newest_epoch(container), seen[engine]); }));
  co_return *std::ranges::max_element(seen);
}

Task<Result<>> AllTargets::hold_answers(Uuid container) {
  auto held =
      co_await on_members(container, [&](std::size_t engine) { return engines_[engine]->hold_answers(container); });
  // The others must not wait for somebody who gives up. One that cannot be told either holds for kHoldAnswers at most.
  if (!held) static_cast<void>(co_await release_answers(container));
  co_return held;
}

// Each engine proves that it has held until its release, and that comes after all the others have done what was to be
// done meanwhile: so there was a moment at which all of them held, before the first and after the last change. One that
// was excluded meanwhile answered nothing.
Task<Result<>> AllTargets::release_answers(Uuid container) {
  co_return co_await on_members(container,
                                [&](std::size_t engine) { return engines_[engine]->release_answers(container); });
}

Task<Result<>> AllTargets::add_snapshot(Uuid container, Epoch epoch) {
  co_return co_await on_members(container,
                                [&](std::size_t engine) { return engines_[engine]->add_snapshot(container, epoch); });
}

Task<Result<>> AllTargets::remove_snapshot(Uuid container, Epoch epoch) {
  co_return co_await on_members(
      container, [&](std::size_t engine) { return engines_[engine]->remove_snapshot(container, epoch); });
}

Task<Result<>> AllTargets::roll_back(Uuid container, Epoch to, Uuid request) {
  co_return co_await on_members(
      container, [&](std::size_t engine) { return engines_[engine]->roll_back(container, to, request); });
}

Task<Result<>> AllTargets::check_rollback(Uuid container, Epoch to) {
  co_return co_await on_members(container,
                                [&](std::size_t engine) { return engines_[engine]->check_rollback(container, to); });
}

Task<Result<object::Usage>> AllTargets::measure_flattening(Uuid container) {
  std::vector<object::Usage> added(engines_.size());
  CO_CHECK_OK(co_await on_members(container, [&](std::size_t engine) {
    return keep(engines_[engine]->measure_flattening(container), added[engine]);
  }));
  co_return sum(added);
}

Task<Result<>> AllTargets::start_flattening(Uuid container) {
  co_return co_await on_members(container,
                                [&](std::size_t engine) { return engines_[engine]->start_flattening(container); });
}

Task<Result<std::optional<FlattenInfo>>> AllTargets::flattening(Uuid container) {
  std::vector<std::optional<FlattenInfo>> parts(engines_.size());
  CO_CHECK_OK(co_await on_members(
      container, [&](std::size_t engine) { return keep(engines_[engine]->flattening(container), parts[engine]); }));
  std::optional<FlattenInfo> sum;
  for (const auto& part : parts)
    if (part) add(sum, *part);
  co_return sum;
}

Task<Result<object::Usage>> AllTargets::used(Uuid container) {
  std::vector<object::Usage> used(engines_.size());
  Result<> failure;
  static_cast<void>(co_await on_members(container, [&](std::size_t engine) {
    return keep_if_reached(engines_[engine]->used(container), used[engine], failure);
  }));
  // Who asks how much there is can do with what there is at the engines that answer.
  if (!failure) co_return fail(failure.error());
  co_return sum(used);
}

std::size_t AllTargets::target_count() const {
  std::size_t count = 0;
  for (const ContainerTargets* engine : engines_) count += engine->target_count();
  return count;
}

std::vector<cluster::EngineSpec> AllTargets::engines() const {
  std::vector<cluster::EngineSpec> all;
  for (const ContainerTargets* engine : engines_) std::ranges::move(engine->engines(), std::back_inserter(all));
  return all;
}

std::shared_ptr<AllTargets::Parts> AllTargets::split(ContainerScrub& scrub) const {
  const auto parts = std::make_shared<Parts>();
  for (const ContainerTargets* engine : engines_) {
    auto& part = parts->emplace_back(std::make_unique<ContainerScrub>(engine->target_count()));
    part->container = scrub.container;
    part->bytes_per_second = scrub.bytes_per_second;
  }
  return parts;
}

Task<Result<>> AllTargets::scrub_part(std::size_t engine, ContainerScrub& part, std::vector<Result<>>& outcomes) {
  outcomes.resize(engines_[engine]->target_count());
  if (!is_member(part.container, engine)) co_return Result<>();
  outcomes = co_await engines_[engine]->scrub(part);
  co_return Result<>();
}

Task<std::vector<Result<>>> AllTargets::scrub(ContainerScrub& scrub) {
  ASSERT(!scrub.parts.empty() && scrub.parts.size() == target_count());
  const auto parts = split(scrub);
  scrubs_[&scrub] = parts;
  // Somebody may have thought better of it before it began.
  if (scrub.parts.front().cancel.cancelled()) co_await cancel(scrub);
  std::vector<std::vector<Result<>>> outcomes(engines_.size());
  static_cast<void>(
      co_await on_all([&](std::size_t engine) { return scrub_part(engine, *(*parts)[engine], outcomes[engine]); }));
  auto progress = co_await progress_of(scrub);
  scrubs_.erase(&scrub);
  for (std::size_t target = 0; target < scrub.parts.size(); ++target)
    scrub.parts[target].progress = std::move(progress[target]);
  std::vector<Result<>> all;
  for (auto& part : outcomes) std::ranges::move(part, std::back_inserter(all));
  co_return all;
}

Task<Result<>> AllTargets::read_progress(std::size_t engine, ContainerScrub& part,
                                         std::vector<ContainerScrub::Progress>& progress) {
  progress = co_await engines_[engine]->progress_of(part);
  co_return Result<>();
}

Task<std::vector<ContainerScrub::Progress>> AllTargets::progress_of(ContainerScrub& scrub) {
  std::vector<ContainerScrub::Progress> all;
  const auto running = scrubs_.find(&scrub);
  if (running == scrubs_.end()) {
    for (const ContainerScrub::Part& part : scrub.parts) all.push_back(part.progress);
    co_return all;
  }
  // It may end meanwhile.
  const auto parts = running->second;
  std::vector<std::vector<ContainerScrub::Progress>> progress(engines_.size());
  static_cast<void>(
      co_await on_all([&](std::size_t engine) { return read_progress(engine, *(*parts)[engine], progress[engine]); }));
  for (auto& part : progress) std::ranges::move(part, std::back_inserter(all));
  co_return all;
}

Task<> AllTargets::cancel(ContainerScrub& scrub) {
  for (ContainerScrub::Part& part : scrub.parts) part.cancel.cancel();
  const auto running = scrubs_.find(&scrub);
  if (running == scrubs_.end()) co_return;
  const auto parts = running->second;
  for (std::size_t engine = 0; engine < engines_.size(); ++engine) co_await engines_[engine]->cancel(*(*parts)[engine]);
}

bool AllTargets::encrypted() const {
  return std::ranges::all_of(engines_, [](const ContainerTargets* engine) { return engine->encrypted(); });
}

std::uint64_t AllTargets::capacity_bytes() const {
  std::uint64_t bytes = 0;
  for (const ContainerTargets* engine : engines_) bytes += engine->capacity_bytes();
  return bytes;
}

}  // namespace cenote::engine
