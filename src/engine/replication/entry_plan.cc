#include "entry_plan.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

using Members = std::vector<cluster::TargetId>;

/// A part of a request: a dkey, or all of an object, or (with the null object) all of a container.
struct Place {
  ObjectId object;
  bool whole = false;
  ByteView dkey;
};

Place place_of(const ListRequest& list) {
  if (list.level == ListLevel::kObjects) return {.object = ObjectId(), .whole = true, .dkey = {}};
  return {.object = list.object, .whole = list.level == ListLevel::kDkeys, .dkey = list.dkey};
}
Place place_of(const QueryRequest& query) {
  return {.object = query.object, .whole = query.dkey.empty(), .dkey = query.dkey};
}
Place place_of(const PunchRequest& punch) {
  return {.object = punch.object, .whole = punch.level == PunchLevel::kObject, .dkey = punch.dkey};
}

/// Calls `visit(place)` for all parts, those that lead first.
Result<> each_place(const CommitRequest& request, const std::function<Result<>(const Place&)>& visit) {
  for (const UpdateRequest& update : request.updates)
    CHECK_OK(visit({.object = update.object, .whole = false, .dkey = update.dkey}));
  for (const PunchRequest& punch : request.punches) CHECK_OK(visit(place_of(punch)));
  for (const AkeyRead& read : request.reads)
    CHECK_OK(visit({.object = read.object, .whole = false, .dkey = read.dkey}));
  for (const ListRead& list : request.lists) CHECK_OK(visit(place_of(list.request)));
  for (const QueryRead& query : request.queries) CHECK_OK(visit(place_of(query.request)));
  return {};
}

/// Finds the groups of places, and numbers those that differ.
class Groups {
 public:
  Groups(const cluster::PoolLayout& layout, cluster::PlacementSeed seed) : layout_(layout), seed_(seed) {}

  Result<std::set<std::uint32_t>> of(const Place& place) {
    if (!place.whole) {
      TRY(const cluster::GroupKey key, cluster::PoolLayout::key_of(place.object, seed_, place.dkey));
      TRY(const std::uint32_t number, add(key));
      return std::set{number};
    }
    if (place.object == ObjectId()) return everybody();
    TRY(const ClassParts parts, class_parts(place.object.object_class()));
    if (parts.spreads_over_all()) return everybody();
    TRY(cluster::GroupKey key, cluster::PoolLayout::key_of(place.object, seed_, {}));
    std::set<std::uint32_t> numbers;
    for (key.group = 0; key.group < parts.groups; ++key.group) {
      TRY(const std::uint32_t number, add(key));
      numbers.insert(number);
    }
    return numbers;
  }
  std::vector<Members> take() { return std::move(groups_); }
  /// Whether the member of a group lacks what was there before.
  bool is_incomplete(std::uint32_t group, cluster::TargetId target) const {
    return std::ranges::binary_search(incomplete_[group], target);
  }

 private:
  Result<std::uint32_t> add(const cluster::GroupKey& key) {
    TRY(const cluster::GroupLayout group, layout_.group(key));
    CHECK_OK(layout_.leader(key, group));  // one that has lost all its data cannot be changed
    Members members, incomplete;
    for (const cluster::Holder& holder : group.writers()) {
      members.push_back(holder.target);
      if (!group.is_complete(holder.target)) incomplete.push_back(holder.target);
    }
    return number_of(std::move(members), std::move(incomplete));
  }
  Result<std::set<std::uint32_t>> everybody() {
    Members members, incomplete;
    for (std::uint32_t number = 0; number < layout_.target_count(); ++number) {
      const cluster::MapTarget& target = layout_.map()->target(cluster::TargetId(number));
      if (target.state != cluster::ComponentState::kUp && !cluster::PoolMap::is_complete(target)) continue;
      members.emplace_back(number);
      // While data moves nobody can tell for all of an object at once who has it.
      if (layout_.is_moving()) incomplete.emplace_back(number);
    }
    return std::set{number_of(std::move(members), std::move(incomplete))};
  }
  std::uint32_t number_of(Members members, Members incomplete) {
    std::ranges::sort(members);
    std::ranges::sort(incomplete);
    const auto number = static_cast<std::uint32_t>(groups_.size());
    const auto [at, added] = numbers_.try_emplace({members, incomplete}, number);
    if (!added) return at->second;
    groups_.push_back(std::move(members));
    incomplete_.push_back(std::move(incomplete));
    return number;
  }

  const cluster::PoolLayout& layout_;
  cluster::PlacementSeed seed_;
  std::map<std::pair<Members, Members>, std::uint32_t> numbers_;
  std::vector<Members> groups_;
  std::vector<Members> incomplete_;
};

/// Which of the numbered groups each part of a request is about, in the order of the request.
struct Parts {
  std::vector<std::set<std::uint32_t>> updates, punches, reads, lists, queries;
};

/// Of what is spread over targets each shows a part, and none could tell whether the whole is still the same.
Result<> check_whole(const Place& place) {
  if (!place.whole) return {};
  if (place.object == ObjectId())
    return fail(Code::kUnsupported, "a transaction over several targets cannot list objects");
  TRY(const ClassParts parts, class_parts(place.object.object_class()));
  if (parts.groups == 1) return {};
  return failf(
      Code::kUnsupported,
      "object {} of class {} is spread over targets: a transaction over several targets cannot list it, nor ask "
      "for its greatest dkey",
      place.object.to_string(), class_name(place.object.object_class()));
}

Result<Parts> find_parts(const CommitRequest& request, Groups& groups) {
  Parts parts;
  for (const UpdateRequest& update : request.updates) {
    TRY(parts.updates.emplace_back(), groups.of({.object = update.object, .whole = false, .dkey = update.dkey}));
  }
  for (const PunchRequest& punch : request.punches) {
    TRY(parts.punches.emplace_back(), groups.of(place_of(punch)));
  }
  for (const AkeyRead& read : request.reads) {
    TRY(parts.reads.emplace_back(), groups.of({.object = read.object, .whole = false, .dkey = read.dkey}));
  }
  for (const ListRead& list : request.lists) {
    CHECK_OK(check_whole(place_of(list.request)));
    TRY(parts.lists.emplace_back(), groups.of(place_of(list.request)));
  }
  for (const QueryRead& query : request.queries) {
    CHECK_OK(check_whole(place_of(query.request)));
    TRY(parts.queries.emplace_back(), groups.of(place_of(query.request)));
  }
  return parts;
}

template <typename Item>
void copy_some(const std::vector<Item>& from, const std::vector<std::set<std::uint32_t>>& groups,
               const std::set<std::uint32_t>& own, std::vector<Item>& to) {
  for (std::size_t i = 0; i < from.size(); ++i)
    if (std::ranges::any_of(groups[i], [&](std::uint32_t group) { return own.contains(group); })) to.push_back(from[i]);
}

/// `own`: the groups of the target; `complete`: those that it has all of. What was read of the others it cannot check,
/// so it may get a part that holds nothing, and has a vote all the same: it may be the only one in the next version.
EntryPlan::Member part_for(cluster::TargetId target, const CommitRequest& request, const Parts& parts,
                           const std::set<std::uint32_t>& own, const std::set<std::uint32_t>& complete) {
  EntryPlan::Member member{.target = target, .whole = false, .part = {}, .updates = {}};
  member.part.container = request.container;
  member.part.snapshot = request.snapshot;
  member.part.id = request.id;
  copy_some(request.reads, parts.reads, complete, member.part.reads);
  copy_some(request.lists, parts.lists, complete, member.part.lists);
  copy_some(request.queries, parts.queries, complete, member.part.queries);
  copy_some(request.punches, parts.punches, own, member.part.punches);
  copy_some(request.updates, parts.updates, own, member.part.updates);
  for (std::uint32_t i = 0; i < request.updates.size(); ++i)
    if (std::ranges::any_of(parts.updates[i], [&](std::uint32_t group) { return own.contains(group); }))
      member.updates.push_back(i);
  return member;
}

}  // namespace

Result<cluster::GroupKey> leading_group(const CommitRequest& request, cluster::PlacementSeed seed) {
  std::optional<cluster::GroupKey> first;
  CHECK_OK(each_place(request, [&](const Place& place) -> Result<> {
    if (first || place.object == ObjectId()) return {};
    TRY(first, cluster::PoolLayout::key_of(place.object, seed, place.whole ? ByteView() : place.dkey));
    return {};
  }));
  if (!first) return fail(Code::kInvalidArgument, "a change of nothing");
  return *first;
}

namespace {

bool is_of_one_dkey(const CommitRequest& request) {
  if (request.has_reads()) return false;
  if (request.updates.size() == 1 && request.punches.empty()) return true;
  return request.updates.empty() && request.punches.size() == 1 && !place_of(request.punches.front()).whole;
}

/// Who checks the conditions: of one group its leader, before it asks the others (group_leader.cc). Of several each
/// checks those of its part that has all of what was there; the leader of each could be lost before it has done so.
/// Those that lack some are asked last, so that one of them has it prepared says that somebody has.
Result<> assign_checks(const CommitRequest& request, const Parts& parts, cluster::TargetId leader, EntryPlan& plan) {
  std::set<std::uint32_t> checked;
  for (EntryPlan::Member& member : plan.members) {
    const bool leads = member.target == leader;
    if (leads && member.incomplete)
      return fail(Code::kUnsupported, "conditions of what lies in several groups, while data of one moves");
    member.checks = leads || (plan.note.groups.size() > 1 && !member.incomplete &&
                              is_conditional(member.whole ? request : member.part));
    for (std::uint32_t group = 0; member.checks && group < plan.note.groups.size(); ++group)
      if (std::ranges::binary_search(plan.note.groups[group], member.target)) checked.insert(group);
  }
  const auto check = [&checked](bool conditional, const std::set<std::uint32_t>& groups) -> Result<> {
    if (!conditional) return {};
    if (std::ranges::includes(checked, groups)) return {};
    return fail(Code::kUnsupported, "conditions of a group of which nobody has all data while it moves");
  };
  for (std::size_t i = 0; i < request.updates.size(); ++i)
    CHECK_OK(check(is_conditional(request.updates[i]), parts.updates[i]));
  for (std::size_t i = 0; i < request.punches.size(); ++i) {
    const PunchRequest& punch = request.punches[i];
    TRY(const ClassParts shape, class_parts(punch.object.object_class()));
    if (is_conditional(punch) && place_of(punch).whole && shape.groups != 1)
      return fail(Code::kUnsupported, "a condition about an object that is spread over targets, beside other changes");
    CHECK_OK(check(is_conditional(punch), parts.punches[i]));
  }
  return {};
}

/// Of a whole object that is spread over targets the leader looks at its own part.
bool is_lone_punch(const CommitRequest& request) {
  return request.punches.size() == 1 && request.updates.empty() && !request.has_reads();
}

/// What most changes are: of the dkey that leads them, and nothing else. All of its group get all of it.
Result<> plan_one_group(const cluster::PoolLayout& layout, EntryPlan& plan) {
  TRY(const cluster::GroupLayout group, layout.group(plan.note.leader));
  TRY(const cluster::TargetId leader, layout.leader(plan.note.leader, group));  // of one that has not lost all its data
  for (const cluster::Holder& holder : group.writers()) {
    plan.members.push_back({.target = holder.target,
                            .incomplete = !group.is_complete(holder.target),
                            .checks = holder.target == leader,
                            .part = {},
                            .updates = {}});
  }
  std::ranges::sort(plan.members, {}, &EntryPlan::Member::target);
  Members& members = plan.note.groups.emplace_back();
  for (const EntryPlan::Member& member : plan.members) members.push_back(member.target);
  return {};
}

}  // namespace

Result<EntryPlan> plan_entry(const CommitRequest& request, const cluster::PoolLayout& layout,
                             cluster::PlacementSeed seed) {
  EntryPlan plan;
  if (layout.map() == nullptr)
    return fail(Code::kUnsupported, "a pool that was made before pools had maps has no groups");
  plan.note.pool = layout.map()->pool();
  plan.note.begun = layout.version();
  TRY(plan.note.leader, leading_group(request, seed));
  if (is_of_one_dkey(request)) {
    CHECK_OK(plan_one_group(layout, plan));
    return plan;
  }
  Groups groups(layout, seed);
  TRY(const Parts parts, find_parts(request, groups));
  plan.note.groups = groups.take();
  for (const cluster::TargetId target : plan.note.members()) {
    std::set<std::uint32_t> own, complete;
    for (std::uint32_t number = 0; number < plan.note.groups.size(); ++number) {
      if (!std::ranges::binary_search(plan.note.groups[number], target)) continue;
      own.insert(number);
      if (!groups.is_incomplete(number, target)) complete.insert(number);
    }
    const bool incomplete = complete.size() < own.size();
    if (own.size() == plan.note.groups.size() && !(incomplete && request.has_reads())) {
      plan.members.push_back({.target = target, .whole = true, .part = {}, .updates = {}});
    } else {
      plan.members.push_back(part_for(target, request, parts, own, complete));
    }
    plan.members.back().incomplete = incomplete;
  }
  if (!is_conditional(request)) return plan;
  TRY(const cluster::TargetId leader, layout.leader(plan.note.leader));
  if (is_lone_punch(request)) {
    for (EntryPlan::Member& member : plan.members) member.checks = member.target == leader;
  } else {
    if (auto assigned = assign_checks(request, parts, leader, plan); !assigned)
      plan.unchecked = std::move(assigned).error();
  }
  return plan;
}

Result<bool> needs_entry(const ObjectId& object, std::optional<ByteView> dkey, const cluster::PoolLayout& layout,
                         cluster::PlacementSeed seed) {
  TRY(const ClassParts parts, class_parts(object.object_class()));
  if (parts.group_size() > 1) return true;
  if (!layout.is_moving()) return false;
  if (!dkey && parts.groups != 1) return true;
  TRY(const cluster::GroupKey key, cluster::PoolLayout::key_of(object, seed, dkey.value_or(ByteView())));
  TRY(const cluster::GroupLayout group, layout.group(key));
  return group.writers().size() > 1;
}

Result<bool> needs_entry(const CommitRequest& request, const cluster::PoolLayout& layout, cluster::PlacementSeed seed) {
  if (layout.map() == nullptr || layout.target_count() == 1) return false;
  std::optional<cluster::TargetId> only;
  bool several = false;
  CHECK_OK(each_place(request, [&](const Place& place) -> Result<> {
    if (several) return {};
    if (place.object == ObjectId()) {
      several = true;
      return {};
    }
    TRY(const ClassParts parts, class_parts(place.object.object_class()));
    const auto dkey = place.whole ? std::nullopt : std::optional(place.dkey);
    TRY(const bool entry, needs_entry(place.object, dkey, layout, seed));
    several = entry || (place.whole && parts.groups != 1);
    if (several) return {};
    TRY(const cluster::TargetId home, layout.home(place.object, seed, place.dkey));
    several = only.value_or(home) != home;
    only = home;
    return {};
  }));
  return several;
}

}  // namespace cenote::engine
