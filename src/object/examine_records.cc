#include "cenote/base/format.h"
#include "keys.h"
#include "target_check.h"

namespace cenote::object {
namespace {

Result<> take_record(ByteView key_bytes, ByteView value, TargetRecords& records,
                     std::unordered_map<Uuid, store::TreeId>& containers) {
  TRY(const SystemKey key, parse_system_key(key_bytes));
  switch (key.kind) {
    case RecordKind::kCeiling: {
      TRY(const std::uint64_t ceiling, decode_number(value));
      records.ceiling = Epoch(ceiling);
      return {};
    }
    case RecordKind::kContainer: {
      TRY(const ContainerRecord record, decode_container(value));
      records.trees[record.tree].container = key.container;
      records.trees[record.tree].has_snapshots = record.has_snapshots;
      records.trees[record.tree].has_rollbacks = record.has_rollbacks;
      records.trees[record.tree].source = record.clone;
      records.trees[record.tree].kept = record.kept;
      containers[key.container] = record.tree;
      return {};
    }
    case RecordKind::kUsage:
    case RecordKind::kBound: {
      const auto found = containers.find(key.container);
      if (found == containers.end())
        return failf(Code::kCorrupt, "the system tree has a record of container {}, but not the container",
                     key.container.to_string());
      if (key.kind == RecordKind::kUsage) {
        TRY(records.trees[found->second].used, decode_usage(value));
      } else {
        CHECK_OK(decode_number(value));
      }
      return {};
    }
    case RecordKind::kSnapshot: {
      CHECK_OK(decode_snapshot(value));
      const auto found = containers.find(key.container);
      if (found == containers.end())
        return failf(Code::kCorrupt, "the system tree has a snapshot of container {}, but not the container",
                     key.container.to_string());
      ++records.trees[found->second].snapshots;
      if (key.epoch <= records.ceiling) return {};
      return failf(Code::kCorrupt, "container {} has a snapshot of epoch {}, which lies above the clock's ceiling {}",
                   key.container.to_string(), key.epoch.value(), records.ceiling.value());
    }
    case RecordKind::kRollback: {
      CHECK_OK(decode_rollback(value));
      const auto found = containers.find(key.container);
      if (found == containers.end())
        return failf(Code::kCorrupt, "the system tree has a rollback of container {}, but not the container",
                     key.container.to_string());
      records.trees[found->second].rollback = true;
      return {};
    }
    case RecordKind::kIncomplete:
      CHECK_OK(decode_incomplete(value));
      if (containers.contains(key.container)) return {};
      return failf(Code::kCorrupt, "the system tree says that container {} is incomplete, but has none",
                   key.container.to_string());
    case RecordKind::kDestroying: {
      TRY(const ByteView position, decode_destroying(value));
      records.destroying[key.tree] = to_bytes(position);
      return {};
    }
  }
  return {};
}

/// What the record of a container says of its rollbacks and snapshots against those there are.
void check_containers(TargetRecords& records) {
  for (const auto& [tree, owner] : records.trees) {
    if (owner.has_rollbacks == owner.rollback) continue;
    records.flaws.push_back(fmt::format("container {} has {} record of a rollback, its own record says {}",
                                        owner.container.to_string(), owner.rollback ? "a" : "no",
                                        owner.has_rollbacks ? "there is one" : "there is none"));
  }
  for (const auto& [tree, owner] : records.trees) {
    if (owner.has_snapshots == (owner.snapshots > 0) && owner.snapshots <= kMaxSnapshots) continue;
    records.flaws.push_back(fmt::format("container {} has {} snapshots, its record says {}",
                                        owner.container.to_string(), owner.snapshots,
                                        owner.has_snapshots ? "at least one" : "none"));
  }
}

/// Clones against what they were made of. A chain that is longer than any can be never ends.
void check_clones(TargetRecords& records, const std::unordered_map<Uuid, store::TreeId>& containers) {
  for (const auto& [tree, owner] : records.trees) {
    std::size_t depth = 0;
    for (const TargetRecords::Owner* clone = &owner; clone->source && depth <= kMaxCloneDepth; ++depth) {
      const auto source = containers.find(clone->source->container);
      if (source == containers.end()) {
        if (clone == &owner)
          records.flaws.push_back(
              fmt::format("container {} is a clone of {}, which is missing: what it has from there "
                          "is lost",
                          owner.container.to_string(), clone->source->container.to_string()));
        break;
      }
      clone = &records.trees.at(source->second);
    }
    if (depth > kMaxCloneDepth)
      records.flaws.push_back(
          fmt::format("container {} is a clone of a clone, and so on without end", owner.container.to_string()));
    if (owner.source && owner.source->epoch > records.ceiling)
      records.flaws.push_back(
          fmt::format("container {} is a clone as of epoch {}, which lies above the clock's "
                      "ceiling {}",
                      owner.container.to_string(), owner.source->epoch.value(), records.ceiling.value()));
  }
}

}  // namespace

Task<TargetRecords> read_records(store::Examination& examination, store::TreeWalk::Purpose purpose) {
  TargetRecords records;
  const auto tree = examination.find_tree(kSystemTreeName);
  if (!tree) {
    if (examination.find_tree(kRequestTreeName)) records.flaws.emplace_back("the system tree of the target is missing");
    co_return records;
  }
  if (!examination.find_tree(kRequestTreeName)) records.flaws.emplace_back("the tree of request results is missing");
  std::unordered_map<Uuid, store::TreeId> containers;
  store::TreeWalk walk(examination, *tree, purpose);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      if (const auto taken = take_record(walk.key(i), walk.value(i), records, containers); !taken)
        records.flaws.push_back(taken.error().message());
    }
  }
  check_containers(records);
  check_clones(records, containers);
  co_return records;
}

Task<std::vector<std::pair<store::TreeId, Uuid>>> container_trees(store::Examination& examination) {
  const TargetRecords records = co_await read_records(examination, store::TreeWalk::Purpose::kAgain);
  std::vector<std::pair<store::TreeId, Uuid>> trees;
  for (const auto& [tree, owner] : records.trees) trees.emplace_back(tree, owner.container);
  co_return trees;
}

Task<std::vector<ContainerSpace>> container_space(store::Examination& examination) {
  const TargetRecords records = co_await read_records(examination, store::TreeWalk::Purpose::kAgain);
  std::vector<ContainerSpace> spaces;
  const std::vector<store::TreeReport> trees = examination.trees();
  for (const store::TreeReport& tree : trees) {
    if (!is_container_tree(tree.name)) continue;
    ContainerSpace space;
    space.tree = tree.id;
    if (const auto owner = records.trees.find(tree.id); owner != records.trees.end())
      space.container = owner->second.container;
    store::TreeWalk walk(examination, tree.id, store::TreeWalk::Purpose::kShow);
    while (co_await walk.next()) {
      for (std::uint32_t i = 0; i < walk.count(); ++i) {
        const auto entry = decode_entry(walk.value(i));
        if (!entry) continue;
        ++space.versions;
        (entry->is_inline ? space.inline_bytes : space.stored_bytes) += entry->bytes;
        space.extents += entry->extent_count;
        for (const store::Extent& extent : entry->extents()) space.blocks += extent.blocks;
      }
    }
    spaces.push_back(space);
  }
  co_return spaces;
}

namespace {

KeptRequest describe_request(ByteView key, ByteView value) {
  KeptRequest request;
  const auto parsed = parse_request_key(key);
  const auto record = decode_request(value);
  if (!parsed || !record) {
    request.flaw = (parsed ? record.error() : parsed.error()).message();
    return request;
  }
  request.session = parsed->session;
  request.sequence = parsed->sequence;
  request.epoch = record->epoch;
  request.expiry = record->expiry;
  return request;
}

/// The highest sequence that each session has acknowledged.
Task<std::unordered_map<std::uint64_t, std::uint64_t>> acknowledged(store::Examination& examination,
                                                                    store::TreeId tree) {
  std::unordered_map<std::uint64_t, std::uint64_t> sessions;
  store::TreeWalk walk(examination, tree, store::TreeWalk::Purpose::kAgain);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      const auto key = parse_request_key(walk.key(i));
      const auto record = decode_request(walk.value(i));
      if (key && record) sessions[key->session] = std::max(sessions[key->session], record->acknowledged);
    }
  }
  co_return sessions;
}

}  // namespace

Task<Result<>> show_requests(store::Examination& examination, ShowRequestsOptions options) {
  const auto tree = examination.find_tree(kRequestTreeName);
  if (!tree) co_return fail(Code::kNotFound, "this is not the store of a target: it keeps no results of requests");
  const auto sessions = co_await acknowledged(examination, *tree);
  store::TreeWalk walk(examination, *tree, store::TreeWalk::Purpose::kShow);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      KeptRequest request = describe_request(walk.key(i), walk.value(i));
      if (options.session && *options.session != request.session) continue;
      const auto session = sessions.find(request.session);
      request.acknowledged = session != sessions.end() && request.sequence <= session->second;
      options.found(request);
    }
  }
  co_return Result<>();
}

Task<Result<>> show_object(store::Examination& examination, ShowObjectOptions options) {
  std::optional<store::TreeId> tree;
  const auto trees = co_await container_trees(examination);
  for (const auto& [id, container] : trees) {
    if (container == options.container) tree = id;
  }
  if (!tree) co_return failf(Code::kContainerNotFound, "no container {} on this target", options.container.to_string());
  media::BufferPool buffers(examination.reactor(), media::BufferPoolOptions{.budget_bytes = 4ull << 20});
  const Bytes prefix = to_bytes(KeyPath(options.object).object_prefix());
  bool any = false;
  store::TreeWalk walk(examination, *tree, store::TreeWalk::Purpose::kShow, prefix);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      const Bytes key = to_bytes(walk.key(i));
      if (!starts_with(key, prefix)) {
        if (any) co_return Result<>();
        co_return failf(Code::kNotFound, "nothing is stored of object {} on this target", options.object.to_string());
      }
      StoredVersion version;
      const auto entry = decode_entry(walk.value(i));
      auto described = describe_entry(key, walk.value(i));
      if (!described || !entry) {
        version.entry.object = options.object;
        version.entry.type = "unknown";
        version.data = "damaged: " + (described ? entry.error() : described.error()).message();
        any = true;
        options.found(version);
        continue;
      }
      if (options.dkey && described->dkey && *described->dkey != *options.dkey) continue;
      any = true;
      version.entry = *std::move(described);
      version.data = "none";
      if (entry->holds_data()) {
        const ValueOutcome outcome = co_await check_value(reading_of(examination, buffers), *entry);
        version.data = outcome.flaw                    ? "damaged: " + *outcome.flaw
                       : outcome.skipped_bytes > 0     ? "not read: perhaps overwritten since the checkpoint"
                       : outcome.unprotected_bytes > 0 ? "no checksum"
                                                       : "ok";
      }
      options.found(version);
    }
  }
  if (any) co_return Result<>();
  co_return failf(Code::kNotFound, "nothing is stored of object {} on this target", options.object.to_string());
}

}  // namespace cenote::object
