#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "history.h"
#include "history_cover.h"
#include "history_page.h"
#include "late_births.h"
#include "object_count.h"
#include "update.h"

namespace cenote::object {
namespace {

// What one batch takes.
constexpr std::size_t kEntriesPerBatch = 96;
static_assert(kEntriesPerBatch + Core::kStampEntries + 16 <= store::kMaxBatchEntries);
constexpr std::uint64_t kDataPerBatch = 1u << 20;
/// In a row, that others have put what was about to be put.
constexpr int kMostStale = 16;

/// Both lists of ranges in one, ascending and apart.
std::vector<RolledBack> joined(std::vector<RolledBack> ranges, std::span<const RolledBack> others) {
  ranges.insert(ranges.end(), others.begin(), others.end());
  std::ranges::sort(ranges, {}, &RolledBack::after);
  std::vector<RolledBack> result;
  for (const RolledBack& range : ranges) {
    if (result.empty() || result.back().upto <= range.after) {
      result.push_back(range);
    } else {
      result.back().upto = std::max(result.back().upto, range.upto);
    }
  }
  return result;
}

/// Puts a page, some entries at a time.
class HistoryPut {
 public:
  HistoryPut(Core& core, const Uuid& id, const HistoryContent& content, const std::optional<HistoryCover>& cover,
             store::Lsn& seen)
      : core_(core), id_(id), content_(content), cover_(cover), seen_(seen) {}

  /// Stubs that are not there.
  Task<Result<std::uint64_t>> run(Until until);

 private:
  using Group = std::span<const HistoryEntry>;

  Result<Container*> find();
  bool is_left_out(const Container& container, const HistoryEntry& entry) const;
  bool is_put(const Container& container, const HistoryEntry& entry) const {
    return !entry.is_stub && !is_left_out(container, entry);
  }
  Result<> put_facts(store::View& view);
  Result<> check_rollbacks(const Container& container, const std::vector<RolledBack>& ranges) const;
  Group next_group(std::size_t from) const;
  Task<Result<>> put_group(Group group, Until until);
  Task<Result<bool>> try_group(Group group, Until until);
  Result<> find_missing(store::View& view, Group group);
  Task<Result<media::Buffer>> gather(Group group, std::uint64_t bytes, Until until) const;
  void add_akeys(Group group, UpdateRequest& request) const;
  Result<bool> put(store::View& view, Group group, Update* update);
  Result<> put_plain(store::View& view, const Container& container, const HistoryEntry& entry);
  Result<> apply(Container& container, store::View& view, Group group);
  Task<Result<>> cut_punches(Group group, Until until);

  Core& core_;
  const Uuid id_;
  const HistoryContent& content_;
  const std::optional<HistoryCover>& cover_;
  store::Lsn& seen_;
  std::vector<std::size_t> missing_;  // of the group: entries with data that are not there
  std::uint64_t missing_bytes_ = 0;
  std::uint64_t missing_stubs_ = 0;  // of the group
};

Result<Container*> HistoryPut::find() {
  seen_ = std::max(seen_, core_.containers_lsn);
  const auto found = core_.containers.find(id_);
  if (found == core_.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id_.to_string());
  seen_ = std::max(seen_, found->second.lsn);
  return &found->second;
}

/// What was rolled back, and what this target takes in as an entry: it brings its own blocks. (Births say what belongs
/// together, whoever brings them.)
bool HistoryPut::is_left_out(const Container& container, const HistoryEntry& entry) const {
  if (find_rolled_back(container.rolled_back, entry.at.epoch) != nullptr) return true;
  if (entry.type == EntryType::kArray) return false;
  if (cover_ && entry.at.epoch > cover_->upto) return true;
  if (core_.entries.none_undecided() || !entry.holds_data()) return false;
  const KeyBytes dkey = entry.at.dkey();
  return core_.entries.touches_at(id_, {entry.at.object, dkey.view()}, entry.at.epoch);
}

Task<Result<std::uint64_t>> HistoryPut::run(Until until) {
  CO_CHECK_OK(co_await core_.store.run([this](store::View& view) { return put_facts(view); }, until));
  if (cover_) CO_CHECK_OK(co_await erase_leftovers(core_, id_, content_, *cover_, until, seen_));
  std::uint64_t missing = 0;
  for (std::size_t next = 0; next < content_.entries.size();) {
    const Group group = next_group(next);
    next += group.size();
    CO_CHECK_OK(co_await put_group(group, until));
    missing += missing_stubs_;
    co_await core_.reactor.yield();
  }
  CO_CHECK_OK(find());
  co_return missing;
}

Result<> HistoryPut::check_rollbacks(const Container& container, const std::vector<RolledBack>& ranges) const {
  if (ranges.size() > kMaxRolledBack)
    return failf(Code::kQuotaExceeded, "{} rollbacks of the container are still being cleaned up", ranges.size());
  for (const Epoch epoch : container.retained())
    if (lost_its_view(ranges, epoch))
      return failf(Code::kConditionFailed, "what a snapshot or clone of epoch {} shows was rolled back at the source",
                   epoch.value());
  return {};
}

/// What is true of the container at the source is here before any of its entries, so that nobody sees what nobody sees
/// there, and so is the mark that says that not all is there.
Result<> HistoryPut::put_facts(store::View& view) {
  TRY(Container * container, find());
  const HistoryFacts& facts = content_.facts;
  const Epoch bound = std::max(container->bound, facts.bound);
  std::vector<RolledBack> ranges = joined(container->rolled_back, facts.rolled_back);
  CHECK_OK(check_rollbacks(*container, ranges));
  // A rollback here that the source had not heard of when the page was read is the later one.
  const bool later = facts.as_of > container->last_rollback_at && !facts.last_rollback.is_null();
  const Uuid request = later ? facts.last_rollback : container->last_rollback;
  const bool rollback_changes = request != container->last_rollback || ranges != container->rolled_back;
  core_.clock.observe(std::max(bound, facts.as_of));
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  core_.put_incomplete(*container);
  if (bound != container->bound)
    core_.batch.put(core_.system_tree, container_key(RecordKind::kBound, id_), encode_number(bound.value()));
  if (rollback_changes) {
    core_.batch.put(core_.system_tree, container_key(RecordKind::kRollback, id_),
                    encode_rollback({.request = request, .ranges = ranges}));
    core_.put_container(*container, !container->snapshots.empty(), true);
  }
  if (core_.batch.empty()) return {};
  // Whatever comes later here is above the bound, also after a restart.
  const std::optional<Epoch> ceiling = core_.clock.raise_for(core_.clock.last());
  if (ceiling) core_.batch.put(core_.system_tree, ceiling_key(), encode_number(ceiling->value()));
  TRY(container->lsn, view.apply(core_.batch));
  seen_ = std::max(seen_, container->lsn);
  if (ceiling) {
    core_.clock.raised(*ceiling);
    core_.ceiling_lsn = container->lsn;
  }
  Core::note_incomplete(*container);
  container->bound = bound;
  if (!rollback_changes) return {};
  container->last_rollback = request;
  if (later) container->last_rollback_at = facts.as_of;
  if (ranges == container->rolled_back) return {};
  container->rolled_back = std::move(ranges);
  // As a rollback here: nothing that is known of its akeys holds.
  ++container->rollbacks;
  ++container->punches;
  core_.watches.note_all(id_);
  return {};
}

/// As many entries as one batch takes. A birth is put when everything newer is in the tree that may end the life of its
/// array: so it is in no batch with a punch, or with another birth of its akey, before it.
HistoryPut::Group HistoryPut::next_group(std::size_t from) const {
  const Group left = Group(content_.entries).subspan(from);
  std::uint64_t bytes = 0;
  bool punches = false;
  ByteView birth;  // prefix of its akey
  std::size_t count = 0;
  for (; count < left.size() && count < kEntriesPerBatch; ++count) {
    const HistoryEntry& entry = left[count];
    bytes += entry.data.size();
    if (count > 0 && bytes > kDataPerBatch) break;
    if (entry.type == EntryType::kPunch) punches = true;
    if (entry.type != EntryType::kArray) continue;
    const ByteView akey = entry.key.first(entry.at.akey_end);
    if (punches || equal(birth, akey)) break;
    birth = akey;
  }
  return left.first(count);
}

Task<Result<>> HistoryPut::put_group(Group group, Until until) {
  bool done = false;
  for (int stale = 0; !done; ++stale) {
    if (stale > kMostStale) co_return fail(Code::kBusy, "others put the same history here");
    CO_TRY(done, co_await try_group(group, until));
  }
  co_return co_await cut_punches(group, until);
}

/// False: somebody else has put some of it meanwhile.
Task<Result<bool>> HistoryPut::try_group(Group group, Until until) {
  CO_CHECK_OK(co_await core_.store.run([this, group](store::View& view) { return find_missing(view, group); }, until));
  if (missing_.empty())
    co_return co_await core_.store.run([this, group](store::View& view) { return put(view, group, nullptr); }, until);
  UpdateRequest request{.container = id_, .object = {}, .dkey = {}, .akeys = {}, .id = {}};
  add_akeys(group, request);
  CO_TRY(const media::Buffer payload, co_await gather(group, missing_bytes_, until));
  Update update(core_, request,
                {.data = payload.data(), .bytes = missing_bytes_, .registered_index = payload.registered_index()});
  CO_TRY(const Container* container, find());
  CO_CHECK_OK(update.prepare(*container));
  CO_CHECK_OK(core_.data_written(co_await update.write(until)));
  ASSERT(update.piece_count() == missing_.size());
  co_return co_await core_.store.run([this, group, &update](store::View& view) { return put(view, group, &update); },
                                     until);
}

Result<bool> is_there(const HistoryEntry& copied, const std::optional<ByteView>& value) {
  if (!value) return false;
  TRY(const Entry entry, decode_entry(*value));
  return is_same(copied, entry);
}

Result<> HistoryPut::find_missing(store::View& view, Group group) {
  TRY(const Container* container, find());
  missing_.clear();
  missing_bytes_ = missing_stubs_ = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (!group[i].holds_data() || is_left_out(*container, group[i])) continue;
    TRY(const auto there, view.get(container->tree, group[i].key));
    if (group[i].is_stub) {
      TRY(const bool same, is_there(group[i], there));
      if (!same) ++missing_stubs_;
      continue;
    }
    if (there) continue;
    missing_.push_back(i);
    missing_bytes_ += group[i].data.size();
  }
  return {};
}

/// Each entry is an akey of the update; where it goes its key says.
void HistoryPut::add_akeys(Group group, UpdateRequest& request) const {
  const ParsedKey& first = group[missing_.front()].at;
  request.object = first.object;
  request.dkey = first.dkey();
  for (const std::size_t index : missing_) {
    const HistoryEntry& entry = group[index];
    AkeyUpdate& akey = request.akeys.emplace_back();
    akey.akey = entry.at.akey();
    akey.bytes = entry.data.size();
    if (entry.type == EntryType::kExtent) {
      akey.kind = ValueKind::kArray;
      akey.record_bytes = entry.record_bytes;
      akey.ranges = {{entry.at.first, entry.records}};
    }
    for (std::size_t at = 0; at < entry.checksums.size(); at += sizeof(std::uint32_t))
      akey.checksums.push_back(load_le<std::uint32_t>(entry.checksums.data() + at));
  }
}

Task<Result<media::Buffer>> HistoryPut::gather(Group group, std::uint64_t bytes, Until until) const {
  if (bytes == 0) co_return media::Buffer();
  CO_TRY(media::Buffer buffer, co_await core_.buffers.allocate(static_cast<std::uint32_t>(bytes), until));
  std::size_t at = 0;
  for (const std::size_t index : missing_) {
    const ByteView data = group[index].data;
    if (!data.empty()) std::memcpy(buffer.data() + at, data.data(), data.size());
    at += data.size();
  }
  co_return buffer;
}

/// False: not all that is missing is what it was.
Result<bool> HistoryPut::put(store::View& view, Group group, Update* update) {
  TRY(Container * container, find());
  core_.batch.clear();
  std::size_t piece = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const HistoryEntry& entry = group[i];
    if (!is_put(*container, entry)) continue;
    if (!entry.holds_data()) {
      CHECK_OK(put_plain(view, *container, entry));
      continue;
    }
    const bool missing = piece < missing_.size() && missing_[piece] == i;
    TRY(const auto there, view.get(container->tree, entry.key));
    if (missing == there.has_value()) return false;
    if (missing) update->put_piece(*container, piece++, entry.key);
  }
  if (piece != missing_.size()) return false;
  if (core_.batch.empty()) return true;
  CHECK_OK(apply(*container, view, group));
  if (update != nullptr) update->pieces_applied();
  return true;
}

Result<> HistoryPut::put_plain(store::View& view, const Container& container, const HistoryEntry& entry) {
  if (entry.type == EntryType::kArray)
    return put_copied_birth(core_, container, view, entry.at, entry.record_bytes, entry.flags, [this](ByteView key) {
      const HistoryEntry* const other = content_.find(key);
      return other != nullptr && other->type == EntryType::kArray;
    });
  TRY(const auto there, view.get(container.tree, entry.key));
  if (there) return {};
  ValueBytes value;
  if (entry.type == EntryType::kPunch) {
    append_punch(value);
  } else {
    append_hole(entry.records, value);
  }
  core_.batch.put(container.tree, entry.key, value);
  return {};
}

Result<> HistoryPut::apply(Container& container, store::View& view, Group group) {
  std::vector<ObjectId> objects;
  Epoch newest;
  for (const HistoryEntry& entry : group) {
    newest = std::max(newest, entry.at.epoch);
    if (objects.empty() || objects.back() != entry.at.object) objects.push_back(entry.at.object);
  }
  // Of an object of which all is left out nothing is put.
  std::erase_if(objects, [&](const ObjectId& object) {
    return std::ranges::none_of(
        group, [&](const HistoryEntry& entry) { return entry.at.object == object && is_put(container, entry); });
  });
  Usage added{.bytes = missing_bytes_, .objects = 0};
  TRY(added.objects, count_born(container, view, objects));
  // Nothing above the ceiling is ever shown, and whatever comes later is newer.
  core_.clock.observe(newest);
  const std::optional<Epoch> ceiling = core_.clock.raise_for(newest);
  if (ceiling) core_.batch.put(core_.system_tree, ceiling_key(), encode_number(ceiling->value()));
  CHECK_OK(core_.apply_added(container, added, view, Core::Limits::kIgnored));
  seen_ = std::max(seen_, container.lsn);
  if (ceiling) {
    core_.clock.raised(*ceiling);
    core_.ceiling_lsn = container.lsn;
  }
  if (!objects.empty()) container.present = objects.back();
  for (const HistoryEntry& entry : group) {
    if (entry.type == EntryType::kPunch) ++container.punches;
    if (entry.at.level == Level::kAkey) core_.akeys.forget(container.tree, entry.key.first(entry.at.akey_end));
  }
  for (const ObjectId& object : objects) core_.watches.note(id_, object);
  container.changed = std::max(container.changed, newest);
  return {};
}

Task<Result<>> HistoryPut::cut_punches(Group group, Until until) {
  for (const HistoryEntry& entry : group)
    if (entry.type == EntryType::kArray)
      CO_CHECK_OK(co_await cut_all_early_punches(core_, id_, to_bytes(entry.key), until, seen_));
  co_return Result<>();
}

Result<> begin(Core& core, const Uuid& id, const Bytes& progress, store::View& view, store::Lsn& seen) {
  seen = std::max(seen, core.containers_lsn);
  const auto found = core.containers.find(id);
  if (found == core.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id.to_string());
  Container& container = found->second;
  seen = std::max(seen, container.lsn);
  if (container.incomplete && container.progress == progress) return {};
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  core.batch.put(core.system_tree, container_key(RecordKind::kIncomplete, id), encode_incomplete(progress));
  TRY(container.lsn, view.apply(core.batch));
  Core::note_incomplete(container);
  container.progress = progress;
  seen = std::max(seen, container.lsn);
  return {};
}

Result<> end(Core& core, const Uuid& id, store::View& view, store::Lsn& seen) {
  seen = std::max(seen, core.containers_lsn);
  const auto found = core.containers.find(id);
  if (found == core.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id.to_string());
  Container& container = found->second;
  seen = std::max(seen, container.lsn);
  if (!container.incomplete) return {};
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  core.batch.erase(core.system_tree, container_key(RecordKind::kIncomplete, id));
  TRY(container.lsn, view.apply(core.batch));
  container.incomplete = false;
  container.progress.clear();
  // All of it waits for a pass.
  container.note_release(Epoch(1));
  seen = std::max(seen, container.lsn);
  return {};
}

}  // namespace

Task<Result<std::uint64_t>> put_history(Core& core, Uuid container, const Bytes& page,
                                        const std::optional<HistoryCover>& cover, Until until, store::Lsn& seen) {
  CO_TRY(const HistoryContent content, decode_history(page));
  HistoryPut put(core, container, content, cover, seen);
  co_return co_await put.run(until);
}

Task<Result<>> begin_history(Core& core, Uuid container, const Bytes& progress, store::Lsn& seen) {
  if (progress.size() > kMaxHistoryProgressBytes)
    co_return failf(Code::kInvalidArgument, "a note of {} bytes: at most {} are kept", progress.size(),
                    kMaxHistoryProgressBytes);
  co_return co_await core.store.run([&](store::View& view) { return begin(core, container, progress, view, seen); });
}

Task<Result<>> end_history(Core& core, Uuid container, store::Lsn& seen) {
  co_return co_await core.store.run([&](store::View& view) { return end(core, container, view, seen); });
}

}  // namespace cenote::object
