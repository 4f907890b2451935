#include "cenote/cluster/placement.h"

#include <algorithm>
#include <set>

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "placement_hash.h"
#include "placement_view.h"

namespace cenote::cluster {
namespace {

TargetId id_of(std::uint32_t entry) { return entry == kNoEntry ? kNoTarget : TargetId(entry); }

/// Targets that joined up to a version, in the order in which they did; those of one version together.
std::vector<std::vector<std::uint32_t>> generations(const PoolMap& map, MapVersion until) {
  std::vector<std::uint32_t> joined;
  for (std::uint32_t i = 0; i < map.targets().size(); ++i) {
    if (map.targets()[i].joined.value() != 0 && map.targets()[i].joined <= until) joined.push_back(i);
  }
  const auto version = [&map](std::uint32_t target) { return map.targets()[target].joined; };
  std::ranges::sort(joined, [&version](std::uint32_t a, std::uint32_t b) {
    return version(a) != version(b) ? version(a) < version(b) : a < b;
  });
  std::vector<std::vector<std::uint32_t>> all;
  for (const std::uint32_t target : joined) {
    if (all.empty() || version(all.back().front()) != version(target)) all.emplace_back();
    all.back().push_back(target);
  }
  return all;
}

std::uint32_t count_incomplete(const PlacementView& view, const std::vector<bool>& is_complete,
                               std::uint32_t group_size) {
  std::set<std::uint32_t> domains;
  for (const std::uint32_t target : view.members()) {
    if (!is_complete[target]) domains.insert(view.domain_of(target));
  }
  // A pool with fewer targets than a group has members leaves a gap for each.
  const std::size_t gaps = group_size - std::min<std::size_t>(group_size, view.members().size());
  return static_cast<std::uint32_t>(domains.size() + gaps);
}

MapVersion last_joined(const PoolMap& map, MapVersion until) {
  MapVersion last;
  for (const MapTarget& target : map.targets()) {
    if (target.joined <= until) last = std::max(last, target.joined);
  }
  return last;
}

}  // namespace

ObjectPlace::ObjectPlace(const ObjectId& object, PlacementSeed seed)
    : point_(mix(seed.value() ^ mix(object.high() + kGolden)) + object.low() * kGolden) {}

std::uint32_t group_of(const ObjectId& object, const ClassParts& parts, ByteView dkey) {
  const bool is_number = object.dkey_flavour() == KeyFlavour::kUint64 && dkey.size() == sizeof(std::uint64_t);
  const std::uint64_t number = is_number ? load_le<std::uint64_t>(dkey.data()) : hash64(dkey);
  return static_cast<std::uint32_t>(parts.spreads_over_all() ? number : number % parts.groups);
}

bool GroupLayout::is_complete(TargetId target) const {
  const auto held = std::span(complete).first(size);
  return std::ranges::find(held, target) != held.end();
}

Holders GroupLayout::readers() const {
  Holders holders;
  for (std::uint32_t i = 0; i < size; ++i) {
    if (complete[i] != kNoTarget) holders.push_back({i, complete[i]});
  }
  return holders;
}

Holders GroupLayout::writers() const {
  Holders holders;
  for (std::uint32_t i = 0; i < size; ++i) {
    if (complete[i] != kNoTarget) holders.push_back({i, complete[i]});
    if (wanted[i] != kNoTarget && wanted[i] != complete[i]) holders.push_back({i, wanted[i]});
  }
  return holders;
}

/// A view, and what tells whether that of another map has the same history: targets join in an order that never
/// changes.
struct Placement::View {
  PlacementView view;
  Uuid pool;
  MapVersion last_joined;
};

struct Placement::Builder {
  const PoolMap& map;
  std::uint32_t group_size;
  const Placement* before;
  std::shared_ptr<const FaultTree> tree = std::make_shared<const FaultTree>(map);

  std::shared_ptr<const SlotTable> known_history(MapVersion last) const {
    if (before == nullptr || before->group_size_ != group_size) return nullptr;
    for (const View* view : {before->wanted_.get(), before->relied_on_.get()}) {
      if (view->pool == map.pool() && view->last_joined == last) return view->view.history();
    }
    return nullptr;
  }

  std::shared_ptr<const View> view(std::shared_ptr<const SlotTable> history, MapVersion last,
                                   std::vector<std::uint32_t> members) const {
    return std::make_shared<const View>(PlacementView(tree, std::move(history), std::move(members)), map.pool(), last);
  }
};

Result<Placement> Placement::build(const PoolMap& map, std::uint32_t group_size, const Placement* before) {
  if (group_size == 0 || group_size > kMaxGroupSize)
    return failf(Code::kOutOfRange, "groups of {} members: 1 to {} are possible", group_size, kMaxGroupSize);
  std::vector<std::uint32_t> relied_on;
  std::vector<std::uint32_t> wanted;
  std::vector<bool> is_complete;
  for (std::uint32_t i = 0; i < map.targets().size(); ++i) {
    const MapTarget& target = map.targets()[i];
    if (map.is_relied_on(target)) relied_on.push_back(i);
    if (map.is_wanted(target)) wanted.push_back(i);
    is_complete.push_back(PoolMap::is_complete(target));
  }
  const Builder builder{.map = map, .group_size = group_size, .before = before};
  const MapVersion last_settled = last_joined(map, map.settled());
  const MapVersion last = last_joined(map, map.version());
  std::shared_ptr<const SlotTable> settled_history = builder.known_history(last_settled);
  std::shared_ptr<const SlotTable> history = builder.known_history(last);
  if (settled_history == nullptr || history == nullptr) {
    SlotTableBuilder tables(*builder.tree, group_size);
    for (const std::vector<std::uint32_t>& generation : generations(map, map.version())) {
      tables.add(generation);
      if (map.targets()[generation.front()].joined == last_settled)
        settled_history = std::make_shared<const SlotTable>(tables.table());
    }
    history = last == last_settled ? settled_history : std::make_shared<const SlotTable>(tables.table());
  }
  if (history->empty())
    return failf(Code::kResourceExhausted, "a group of {} members needs as many targets; the pool has {}", group_size,
                 map.targets().size());

  Placement placement;
  placement.version_ = map.version();
  placement.group_size_ = group_size;
  placement.is_complete_ = std::make_shared<const std::vector<bool>>(std::move(is_complete));
  const bool is_still = last == last_settled && relied_on == wanted;
  placement.wanted_ = builder.view(history, last, std::move(wanted));
  placement.relied_on_ =
      is_still ? placement.wanted_ : builder.view(settled_history, last_settled, std::move(relied_on));
  placement.incomplete_domains_ = count_incomplete(placement.relied_on_->view, *placement.is_complete_, group_size);
  return placement;
}

GroupLayout Placement::group(const ObjectPlace& place, const ClassParts& parts, std::uint32_t index) const {
  ASSERT(parts.group_size() == group_size_ && (parts.spreads_over_all() || index < parts.groups));
  std::array<std::uint32_t, kMaxGroupSize> wanted;
  std::array<std::uint32_t, kMaxGroupSize> relied_on;
  wanted_->view.find(place.point(), parts.groups, index, std::span(wanted).first(group_size_));
  if (relied_on_ == wanted_) {
    relied_on = wanted;
  } else {
    relied_on_->view.find(place.point(), parts.groups, index, std::span(relied_on).first(group_size_));
  }
  GroupLayout layout{.size = group_size_};
  for (std::uint32_t i = 0; i < group_size_; ++i) {
    const bool is_complete = relied_on[i] != kNoEntry && (*is_complete_)[relied_on[i]];
    layout.complete[i] = is_complete ? TargetId(relied_on[i]) : kNoTarget;
    layout.wanted[i] = id_of(wanted[i]);
  }
  return layout;
}

std::vector<GroupLayout> Placement::groups(const ObjectPlace& place, const ClassParts& parts) const {
  ASSERT(parts.group_size() == group_size_ && !parts.spreads_over_all());
  std::vector<std::uint32_t> wanted;
  std::vector<std::uint32_t> relied_on;
  wanted_->view.find_all(place.point(), parts.groups, wanted);
  if (relied_on_ != wanted_) relied_on_->view.find_all(place.point(), parts.groups, relied_on);
  const std::vector<std::uint32_t>& holders = relied_on_ == wanted_ ? wanted : relied_on;
  std::vector<GroupLayout> layouts(parts.groups);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    GroupLayout& layout = layouts[i / group_size_];
    const std::size_t position = i % group_size_;
    layout.size = group_size_;
    const bool is_complete = holders[i] != kNoEntry && (*is_complete_)[holders[i]];
    layout.complete[position] = is_complete ? TargetId(holders[i]) : kNoTarget;
    layout.wanted[position] = id_of(wanted[i]);
  }
  return layouts;
}

bool Placement::is_walked(const ClassParts& parts) const {
  return !parts.spreads_over_all() &&
         (wanted_->view.is_walked(parts.groups) || relied_on_->view.is_walked(parts.groups));
}

std::size_t Placement::memory_bytes() const {
  const auto bytes = [](const SlotTable& table) { return table.entries.capacity() * sizeof(std::uint32_t); };
  std::size_t sum = bytes(*wanted_->view.history());
  if (!wanted_->view.shares_history()) sum += bytes(wanted_->view.table());
  if (relied_on_ == wanted_) return sum;
  if (relied_on_->view.history() != wanted_->view.history()) sum += bytes(*relied_on_->view.history());
  if (!relied_on_->view.shares_history()) sum += bytes(relied_on_->view.table());
  return sum;
}

}  // namespace cenote::cluster
