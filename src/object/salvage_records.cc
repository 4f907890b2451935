#include "salvage_records.h"

#include "cenote/base/format.h"
#include "container_key.h"

namespace cenote::object {

namespace {

Result<> rewrap(const Uuid& id, std::optional<SealedKey>& key, const std::optional<SalvagedRecords::Keys>& keys,
                Reactor& reactor) {
  if (!key) return {};
  if (!keys) return fail(Code::kCorrupt, "it is encrypted, and its store is not");
  TRY(key, rewrap_container_key(id, *key, keys->from, keys->to, reactor));
  return {};
}

}  // namespace

Result<> SalvagedRecords::take(ByteView key_bytes, ByteView value) {
  TRY(const SystemKey key, parse_system_key(key_bytes));
  if (key.kind == RecordKind::kCeiling) {
    TRY(const std::uint64_t number, decode_number(value));
    ceiling_ = Epoch(number);
    has_ceiling_ = true;
    return {};
  }
  if (key.kind == RecordKind::kDestroying) {
    destroyed_.insert(key.tree);
    return {};
  }
  if (key.kind == RecordKind::kContainer) {
    TRY(containers_[key.container].record, decode_container(value));
    return {};
  }
  // Keys of containers come first.
  const auto found = containers_.find(key.container);
  if (found == containers_.end())
    return failf(Code::kCorrupt, "the system tree has a record of container {}, but not the container",
                 key.container.to_string());
  Container& container = found->second;
  if (key.kind == RecordKind::kBound) {
    TRY(const std::uint64_t number, decode_number(value));
    container.bound = Epoch(number);
  } else if (key.kind == RecordKind::kSnapshot) {
    CHECK_OK(decode_snapshot(value));
    container.snapshots.insert(key.epoch);
  } else if (key.kind == RecordKind::kRollback) {
    TRY(container.rollback, decode_rollback(value));
  } else if (key.kind == RecordKind::kIncomplete) {
    CHECK_OK(decode_incomplete(value));
    container.incomplete = true;
  }
  // Usage is counted anew.
  return {};
}

void SalvagedRecords::settle(const std::optional<Keys>& keys, Reactor& reactor,
                             const std::function<void(const Uuid&, std::string)>& lost) {
  // One that did not decode has left nothing but its place.
  std::erase_if(containers_, [](const auto& entry) { return entry.second.record.tree == store::TreeId{}; });
  for (auto at = containers_.begin(); at != containers_.end();) {
    const auto wrapped = rewrap(at->first, at->second.record.key, keys, reactor);
    if (!wrapped) lost(at->first, "all of it is lost: " + wrapped.error().message());
    at = wrapped ? std::next(at) : containers_.erase(at);
  }
  for (auto& [id, container] : containers_) {
    ContainerRecord& record = container.record;
    if (record.has_snapshots && container.snapshots.empty())
      lost(id, "its snapshots are lost, and what only they show will be merged");
    if (record.has_rollbacks && !container.rollback)
      lost(id, "the record of its last rollback is lost: what that took back and was not removed yet is there again");
    record.has_snapshots = !container.snapshots.empty();
    record.has_rollbacks = container.rollback.has_value();
    if (!record.clone || containers_.contains(record.clone->container)) continue;
    lost(id, fmt::format("it is a clone of {}, which is lost: what it has from there is lost, too",
                         record.clone->container.to_string()));
    record.clone.reset();
  }
}

std::optional<Uuid> SalvagedRecords::owner_of(store::TreeId tree) const {
  for (const auto& [id, container] : containers_)
    if (container.record.tree == tree) return id;
  return std::nullopt;
}

std::map<store::TreeId, Uuid> SalvagedRecords::trees() const {
  std::map<store::TreeId, Uuid> trees;
  for (const auto& [id, container] : containers_) trees[container.record.tree] = id;
  return trees;
}

Epoch SalvagedRecords::ceiling(bool whole, Epoch now) const {
  Epoch ceiling = std::max(ceiling_, highest_);
  // No epoch may be given again that was ever read, which the lost number would have told.
  if (!whole || !has_ceiling_) ceiling = std::max(ceiling, now);
  for (const auto& [id, container] : containers_) {
    if (container.bound) ceiling = std::max(ceiling, *container.bound);
    if (!container.snapshots.empty()) ceiling = std::max(ceiling, *container.snapshots.rbegin());
    if (container.rollback && !container.rollback->ranges.empty())
      ceiling = std::max(ceiling, container.rollback->ranges.back().upto);
    if (container.record.clone) ceiling = std::max(ceiling, container.record.clone->epoch);
  }
  return ceiling;
}

std::map<Bytes, Bytes> SalvagedRecords::encode(bool whole, Epoch now) const {
  std::map<Bytes, Bytes> entries;
  const auto put = [&entries](ByteView key, ByteView value) { entries[to_bytes(key)] = to_bytes(value); };
  const Epoch ceiling = this->ceiling(whole, now);
  put(ceiling_key(), encode_number(ceiling.value()));
  for (const auto& [id, container] : containers_) {
    put(container_key(RecordKind::kContainer, id), encode_container(container.record));
    put(container_key(RecordKind::kUsage, id), encode_usage(container.used));
    const Epoch bound = container.bound.value_or(whole ? kEpochZero : ceiling);
    if (bound != kEpochZero) put(container_key(RecordKind::kBound, id), encode_number(bound.value()));
    for (const Epoch snapshot : container.snapshots) put(snapshot_key(id, snapshot), encode_snapshot());
    if (container.rollback) put(container_key(RecordKind::kRollback, id), encode_rollback(*container.rollback));
    if (container.incomplete) put(container_key(RecordKind::kIncomplete, id), encode_incomplete({}));
  }
  return entries;
}

}  // namespace cenote::object
