#include "cenote/etcd/membership_plan.h"

#include <algorithm>
#include <charconv>

#include "cenote/base/format.h"

namespace cenote::etcd {
namespace {

using cluster::Rank;

constexpr std::string_view kNamePrefix = "engine-";
constexpr std::size_t kMembersOfMany = 3;
/// How long those that come later wait for each that comes first and does not.
constexpr Duration kTurn = std::chrono::seconds(15);

std::optional<Rank> rank_of(const ClusterMember& member) {
  const std::string_view name = member.name;
  if (!name.starts_with(kNamePrefix)) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return Rank(number);
}

bool is_at(const ClusterMember& member, const std::string& peer_url) {
  return std::ranges::find(member.peer_urls, peer_url) != member.peer_urls.end();
}

const MembershipView::Engine* engine_of(const MembershipView& view, const ClusterMember& member) {
  const auto rank = rank_of(member);
  const auto found = std::ranges::find_if(view.engines, [&](const auto& engine) { return rank == engine.rank; });
  return found == view.engines.end() ? nullptr : &*found;
}

/// Of this engine: by its name, or, as long as it has none, by where it is to be.
bool is_own(const MembershipView& view, const ClusterMember& member) {
  if (!member.name.empty()) return rank_of(member) == view.self;
  return is_at(member, view.own ? view.own->peer_url : view.peer_url);
}

bool is_member(const MembershipView& view, Rank rank) {
  return std::ranges::any_of(view.members, [&](const auto& m) {
    return rank == view.self ? is_own(view, m.member) : rank_of(m.member) == rank;
  });
}

/// The up engine with the lowest rank for which `is` holds.
template <typename Predicate>
std::optional<Rank> first_up(const MembershipView& view, Predicate is) {
  std::optional<Rank> first;
  for (const auto& engine : view.engines)
    if (engine.up && is(engine.rank) && (!first || engine.rank < *first)) first = engine.rank;
  return first;
}

bool is_lost(const MembershipView& view, const MembershipView::Member& m) {
  if (m.silent >= view.patience) return true;
  const auto* const engine = engine_of(view, m.member);
  return engine != nullptr && !engine->up && engine->gone >= view.patience;
}

bool runs(const MembershipView& view, const MembershipView::Member& m) {
  const auto* const engine = engine_of(view, m.member);
  return engine != nullptr && engine->up && m.silent == Duration(0);
}

/// Whether it is this engine's turn to become a member: the first one's at once, each further one's later.
bool is_next(const MembershipView& view) {
  std::int64_t before = 0;
  for (const auto& engine : view.engines)
    if (engine.up && engine.rank < view.self && !is_member(view, engine.rank)) ++before;
  return view.vacant >= before * kTurn;
}

MembershipPlan plan_removal(const MembershipView& view) {
  if (first_up(view, [](Rank) { return true; }) != view.self) return {};
  const bool has_successor = first_up(view, [&](Rank rank) { return !is_member(view, rank); }).has_value();
  for (const auto& lost : view.members) {
    if (!is_lost(view, lost)) continue;
    // A learner has no vote that would be missed, and is in the way of the next one.
    const bool can_go = lost.member.learner || (has_successor && std::ranges::all_of(view.members, [&](const auto& m) {
                                                  return &m == &lost || runs(view, m);
                                                }));
    if (can_go) return {MembershipStep::kRemove, lost.member.id};
  }
  return {};
}

}  // namespace

std::string member_name(Rank rank) { return fmt::format("{}{}", kNamePrefix, rank.value()); }

std::size_t wanted_members(const MembershipView& view) {
  const auto up = static_cast<std::size_t>(std::ranges::count_if(view.engines, &MembershipView::Engine::up));
  return up >= kMembersOfMany ? kMembersOfMany : 1;
}

MembershipPlan plan_membership(const MembershipView& view) {
  const auto mine = std::ranges::find_if(view.members, [&](const auto& m) { return is_own(view, m.member); });
  if (mine != view.members.end()) {
    const bool stranger = !view.own || view.own_data_lost || !is_at(mine->member, view.own->peer_url) ||
                          (!view.own->runs() && !mine->member.name.empty());
    if (stranger) {
      if (view.members.size() == 1) return {};
      return {MembershipStep::kRemove, mine->member.id};
    }
    if (!view.own->runs()) return {MembershipStep::kStart};
    if (mine->member.learner) return {MembershipStep::kPromote, mine->member.id};
    return plan_removal(view);
  }
  if (view.own && view.own->runs()) return {MembershipStep::kForget};
  const bool learning = std::ranges::any_of(view.members, [](const auto& m) { return m.member.learner; });
  const bool taken = std::ranges::any_of(view.members, [&](const auto& m) { return is_at(m.member, view.peer_url); });
  const bool vacant = view.members.size() < wanted_members(view) && !learning;
  if (vacant && view.may_add && !taken && is_next(view)) return {MembershipStep::kAdd};
  return plan_removal(view);
}

std::vector<std::string> voting_endpoints(const std::vector<ClusterMember>& members) {
  std::vector<std::string> endpoints;
  for (const ClusterMember& member : members)
    if (!member.learner) endpoints.insert(endpoints.end(), member.client_urls.begin(), member.client_urls.end());
  std::ranges::sort(endpoints);
  return endpoints;
}

std::string initial_cluster_of(const std::vector<ClusterMember>& members, const OwnMember& own) {
  std::string all;
  for (const ClusterMember& member : members) {
    const std::string& name = is_at(member, own.peer_url) ? own.name : member.name;
    if (member.peer_urls.empty() || name.empty()) continue;
    if (!all.empty()) all += ',';
    all += name + "=" + member.peer_urls.front();
  }
  return all;
}

}  // namespace cenote::etcd
