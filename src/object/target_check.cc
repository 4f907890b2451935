#include "target_check.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/runtime/scope.h"
#include "keys.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kDataBuffers = 32ull << 20;
/// Entries whose data is read together, enough to keep a fast device busy.
constexpr std::size_t kReadsAtOnce = 16;
constexpr std::size_t kMaxPending = 512;
constexpr std::uint64_t kMaxPendingBytes = 16ull << 20;

}  // namespace

TargetCheck::TargetCheck(Reactor& reactor, TargetCheckOptions options)
    : reactor_(reactor),
      options_(std::move(options)),
      buffers_(reactor, media::BufferPoolOptions{.budget_bytes = kDataBuffers}) {}

Task<Result<TargetCheckReport>> TargetCheck::run(store::Devices devices) {
  store::ExamineOptions examine;
  examine.system = options_.system;
  examine.target = options_.target;
  examine.cache_bytes = options_.cache_bytes;
  examine.key = options_.key;
  examine.found = [this](store::Finding finding) { found(std::move(finding)); };
  examine.progress = [this](std::uint64_t bytes) {
    done_bytes_ += bytes;
    options_.progress(done_bytes_, std::max(total_bytes_, done_bytes_));
  };
  CO_TRY(examination_, co_await store::Examination::open(reactor_, devices, std::move(examine)));
  total_bytes_ = examination_->bytes_to_check(options_.data);
  co_await check();
  report_.recovered = examination_->recovered();
  report_.store = examination_->totals();
  co_await examination_->close();
  co_return report_;
}

Task<> TargetCheck::check() {
  records_ = co_await read_records(*examination_, store::TreeWalk::Purpose::kCheck);
  for (const std::string& flaw : records_.flaws) {
    TargetFinding finding;
    finding.finding.kind = store::FindingKind::kEntry;
    finding.finding.tree_name = kSystemTreeName;
    finding.finding.message = flaw;
    emit(finding);
  }
  co_await check_requests();
  co_await check_entries();
  const std::vector<store::TreeReport> trees = examination_->trees();
  for (const store::TreeReport& tree : trees) {
    if (is_container_tree(tree.name)) co_await check_container(tree.id, tree.name);
  }
  check_missing();
  co_await examination_->check_rest();
  if (examination_->settle_space(true)) co_await name_disputed();
}

void TargetCheck::emit(const TargetFinding& finding) {
  ++(finding.finding.severity == store::Severity::kWarning ? report_.warnings : report_.damages);
  options_.found(finding);
}

/// A finding of the store below: says whose entries it costs.
void TargetCheck::found(store::Finding finding) {
  TargetFinding target;
  target.finding = std::move(finding);
  store::Finding& inner = target.finding;
  if (inner.lost) trees_whole_ = false;
  if (inner.tree) {
    const auto owner = records_.trees.find(*inner.tree);
    if (owner != records_.trees.end()) target.container = owner->second.container;
  }
  if (inner.lost && is_container_tree(inner.tree_name)) {
    inner.message += fmt::format("; lost are the entries from {} to {}", describe_key_prefix(inner.lost->lower),
                                 inner.lost->upper ? describe_key_prefix(*inner.lost->upper) : "the end");
    if (target.container) inner.message += fmt::format(" of container {}", target.container->to_string());
  } else if (inner.lost && !inner.tree_name.empty()) {
    inner.message += fmt::format("; lost are entries of {}", inner.tree_name);
  }
  emit(target);
}

TargetFinding TargetCheck::about(store::TreeId tree, std::uint64_t page, ByteView key, store::FindingKind kind) {
  TargetFinding finding;
  finding.finding.kind = kind;
  finding.finding.tree = tree;
  finding.finding.page = page;
  finding.finding.device = examination_->data_device().name();
  const auto& trees = examination_->trees();
  const auto named = std::ranges::find(trees, tree, &store::TreeReport::id);
  if (named != trees.end()) finding.finding.tree_name = named->name;
  const auto owner = records_.trees.find(tree);
  if (owner != records_.trees.end()) finding.container = owner->second.container;
  if (const auto parsed = parse_key(key)) {
    finding.object = parsed->object;
    finding.epoch = parsed->epoch;
  }
  return finding;
}

Task<> TargetCheck::check_container(store::TreeId tree, std::string name) {
  // What lies before the position of a container that is being reclaimed was given back already.
  const auto destroying = records_.destroying.find(tree);
  const std::optional<Bytes> kept =
      destroying == records_.destroying.end() ? std::nullopt : std::optional(destroying->second);
  last_.reset();
  tree_holds_ = {};
  store::TreeWalk walk(*examination_, tree, store::TreeWalk::Purpose::kCheck);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      const ByteView key = walk.key(i);
      check_entry(tree, walk.page(), key, walk.value(i), !kept || compare(key, *kept) >= 0);
    }
    if (pending_.size() >= kMaxPending || pending_bytes_ >= kMaxPendingBytes) co_await read_pending();
  }
  co_await read_pending();
  if (!kept) check_owner(tree, name);
}

void TargetCheck::check_entry(store::TreeId tree, std::uint64_t page, ByteView key, ByteView value, bool owned) {
  auto described = describe_entry(key, value);
  if (!described) {
    TargetFinding finding = about(tree, page, key, store::FindingKind::kEntry);
    finding.finding.message = described.error().message();
    return emit(finding);
  }
  if (!owned) return;
  bool reachable = true;
  for (const store::Extent& extent : described->extents) {
    std::string why;
    if (examination_->refer(extent, &why)) continue;
    reachable = false;
    TargetFinding finding = about(tree, page, key, store::FindingKind::kBlock);
    finding.finding.message = fmt::format("{}: {}", describe_key_prefix(key), why);
    finding.finding.block = extent.first.value();
    finding.finding.blocks = extent.blocks;
    finding.dkey = described->dkey;
    finding.akey = described->akey;
    emit(finding);
  }
  count(*described);
  const bool living = !records_.destroying.contains(tree);
  if (described->holds_data && reachable && living && (options_.data || described->is_inline)) {
    pending_.push_back({tree, page, to_bytes(key), to_bytes(value)});
    pending_bytes_ += described->is_inline ? 0 : described->bytes;
  }
  last_ = *std::move(described);
}

void TargetCheck::count(const EntryDescription& entry) {
  ++report_.entries;
  const bool same_object = last_ && last_->object == entry.object;
  if (!same_object) {
    ++report_.objects;
    ++tree_holds_.objects;
  }
  const bool same_dkey = same_object && last_->dkey == entry.dkey;
  if (entry.dkey && !same_dkey) ++report_.dkeys;
  if (entry.akey && !(same_dkey && last_->akey == entry.akey)) ++report_.akeys;
  if (!entry.holds_data) return;
  (entry.is_inline ? report_.inline_bytes : report_.stored_bytes) += entry.bytes;
  tree_holds_.bytes += entry.bytes;
}

/// What the system tree says of the container against what its tree holds.
void TargetCheck::check_owner(store::TreeId tree, const std::string& name) {
  const auto owner = records_.trees.find(tree);
  TargetFinding finding = about(tree, 0, {}, store::FindingKind::kEntry);
  finding.finding.page.reset();
  if (owner == records_.trees.end()) {
    if (!trees_whole_) finding.finding.severity = store::Severity::kWarning;
    finding.finding.message = fmt::format("{} belongs to no container that can be read", name);
    return emit(finding);
  }
  ++report_.containers;
  owner->second.seen = true;
  const UsageRecord& used = owner->second.used;
  if (!trees_whole_) return;
  finding.finding.severity = store::Severity::kWarning;
  const auto differs = [&](const char* what, std::uint64_t counted, std::uint64_t holds) {
    if (counted == holds) return;
    finding.finding.message = fmt::format("container {} counts {} {} and holds {}", owner->second.container.to_string(),
                                          counted, what, holds);
    emit(finding);
  };
  differs("stored bytes", used.bytes, tree_holds_.bytes);
  // Without a number they are counted when the target opens.
  differs("objects", used.objects.value_or(tree_holds_.objects), tree_holds_.objects);
}

void TargetCheck::check_missing() {
  for (const auto& [tree, owner] : records_.trees) {
    if (owner.seen) continue;
    TargetFinding finding = about(tree, 0, {}, store::FindingKind::kTree);
    finding.finding.page.reset();
    finding.finding.message = fmt::format("container {} is lost: its tree {} is not in the catalog",
                                          owner.container.to_string(), tree.value());
    emit(finding);
  }
}

Task<> TargetCheck::check_requests() {
  const auto tree = examination_->find_tree(kRequestTreeName);
  if (!tree) co_return;
  store::TreeWalk walk(*examination_, *tree, store::TreeWalk::Purpose::kCheck);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      const auto key = parse_request_key(walk.key(i));
      const auto record = decode_request(walk.value(i));
      if (key && record) continue;
      TargetFinding finding = about(*tree, walk.page(), {}, store::FindingKind::kEntry);
      finding.finding.message = "a kept result of a request: " + (key ? record.error() : key.error()).message();
      emit(finding);
    }
  }
}

/// What is prepared holds data that no container's tree refers to.
Task<> TargetCheck::check_entries() {
  const auto tree = examination_->find_tree(kEntryTreeName);
  if (!tree) co_return;
  std::optional<std::pair<EntryKey, EntryHeader>> prepared;
  std::uint64_t page = 0;
  Bytes changes;
  const auto finish = [&] {
    if (prepared) check_prepared(*tree, page, prepared->first, changes);
    prepared.reset();
    changes.clear();
  };
  store::TreeWalk walk(*examination_, *tree, store::TreeWalk::Purpose::kCheck);
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      const auto key = parse_entry_key(walk.key(i));
      const auto header = key && key->piece == 0 ? decode_entry_header(walk.value(i)) : Result<EntryHeader>();
      if (!key || !header) {
        TargetFinding finding = about(*tree, walk.page(), {}, store::FindingKind::kEntry);
        finding.finding.message = (key ? header.error() : key.error()).message();
        emit(finding);
        continue;
      }
      if (key->piece > 0) {
        changes.insert(changes.end(), walk.value(i).begin(), walk.value(i).end());
        continue;
      }
      finish();
      page = walk.page();
      if (header->state == EntryState::kPrepared) prepared = {*key, *header};
    }
  }
  finish();
}

void TargetCheck::check_prepared(store::TreeId tree, std::uint64_t page, const EntryKey& key, ByteView changes) {
  TargetFinding finding = about(tree, page, {}, store::FindingKind::kEntry);
  finding.epoch = key.name.epoch;
  const auto parts = decode_entry_changes(changes);
  if (!parts) {
    finding.finding.message =
        fmt::format("entry {} of target {}: {}", key.name.epoch.value(), key.name.leader, parts.error().message());
    return emit(finding);
  }
  for (const store::Extent& extent : parts->claims) {
    std::string why;
    if (examination_->refer(extent, &why)) continue;
    finding.finding.kind = store::FindingKind::kBlock;
    finding.finding.message = fmt::format("entry {} of target {}: {}", key.name.epoch.value(), key.name.leader, why);
    finding.finding.block = extent.first.value();
    finding.finding.blocks = extent.blocks;
    emit(finding);
  }
}

Task<> TargetCheck::read_pending() {
  std::size_t next = 0;
  Scope scope(reactor_);
  for (std::size_t i = 0; i < std::min(kReadsAtOnce, pending_.size()); ++i) scope.spawn(read_worker(&next));
  co_await scope.drain();
  pending_.clear();
  pending_bytes_ = 0;
}

Task<> TargetCheck::read_worker(std::size_t* next) {
  while (*next < pending_.size()) {
    const Pending& pending = pending_[(*next)++];  // the vector is left alone until all workers have ended
    const auto entry = decode_entry(pending.value);
    ASSERT(entry);
    note_data(pending, co_await check_value(reading_of(*examination_, buffers_), *entry));
  }
}

void TargetCheck::note_data(const Pending& pending, const ValueOutcome& outcome) {
  report_.verified_bytes += outcome.verified_bytes;
  report_.unprotected_bytes += outcome.unprotected_bytes;
  report_.skipped_bytes += outcome.skipped_bytes;
  if (!outcome.flaw) return;
  const auto entry = describe_entry(pending.key, pending.value);
  ASSERT(entry);
  TargetFinding finding = about(pending.tree, pending.page, pending.key, store::FindingKind::kData);
  describe_flaw(*entry, outcome, finding);
  emit(finding);
}

/// Everyone who uses a block that is in dispute is named, so all containers are walked once more.
Task<> TargetCheck::name_disputed() {
  const std::vector<store::TreeReport> trees = examination_->trees();
  for (const store::TreeReport& tree : trees) {
    if (!is_container_tree(tree.name)) continue;
    const auto destroying = records_.destroying.find(tree.id);
    const Bytes from = destroying == records_.destroying.end() ? Bytes() : destroying->second;
    store::TreeWalk walk(*examination_, tree.id, store::TreeWalk::Purpose::kAgain, from);
    while (co_await walk.next()) {
      for (std::uint32_t i = 0; i < walk.count(); ++i) {
        const ByteView key = walk.key(i);
        const auto entry = describe_entry(key, walk.value(i));
        if (!entry) continue;
        for (const store::Extent& extent : entry->extents) {
          const std::string dispute = examination_->dispute(extent);
          if (dispute.empty()) continue;
          TargetFinding finding = about(tree.id, walk.page(), key, store::FindingKind::kBlock);
          finding.dkey = entry->dkey;
          finding.akey = entry->akey;
          finding.finding.block = extent.first.value();
          finding.finding.blocks = extent.blocks;
          finding.finding.message = fmt::format("{}: {}", describe_key_prefix(key), dispute);
          emit(finding);
        }
      }
    }
  }
}

Task<Result<TargetCheckReport>> check_target(Reactor& reactor, store::Devices devices, TargetCheckOptions options) {
  TargetCheck check(reactor, std::move(options));
  co_return co_await check.run(devices);
}

}  // namespace cenote::object
