#include "late_births.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "punch.h"

namespace cenote::object {
namespace {

/// Punched ranges that one batch cuts: each becomes three entries at most and goes itself.
constexpr std::uint32_t kCutPerBatch = 32;
static_assert(kCutPerBatch * 4 + Core::kStampEntries + 2 <= store::kMaxBatchEntries);

KeyPath path_of(const ParsedKey& key) {
  KeyPath path(key.object);
  path.set_encoded_dkey(key.encoded_dkey);
  path.set_encoded_akey(key.encoded_akey);
  return path;
}

ArrayFlags both(ArrayFlags one, ArrayFlags other) {
  return ArrayFlags{static_cast<std::uint8_t>(one.bits | other.bits)};
}

void put_birth(Core& core, const Container& container, ByteView key, std::uint32_t record_bytes, ArrayFlags flags) {
  ValueBytes value;
  append_array(record_bytes, flags, value);
  core.batch.put(container.tree, key, value);
}

/// The birth or punch of the akey that comes next after `epoch`.
struct Next {
  Epoch epoch;
  Entry entry;
};
Result<std::optional<Next>> next_of_akey(store::View& view, const Container& container, KeyPath& path, Epoch epoch) {
  const PathBytes seek(path.akey_entry(Epoch(epoch.value() + 1)));
  store::Cursor cursor(view, container.tree);
  TRY(const bool found, cursor.seek_at_most(seek));
  if (!found || cursor.key().size() != seek.size() || !starts_with(cursor.key(), seek.view().first(seek.size() - 8)))
    return std::optional<Next>();
  TRY(const ParsedKey key, parse_key(cursor.key()));
  TRY(const Entry entry, decode_entry(cursor.value()));
  return std::optional(Next{key.epoch, entry});
}

Result<bool> holds_wide_punches(store::View& view, const Container& container, KeyPath& path) {
  const PathBytes prefix(path.kind_prefix(Kind::kWidePunch));
  store::Cursor cursor(view, container.tree);
  TRY(const bool found, cursor.seek(prefix));
  return found && starts_with(cursor.key(), prefix);
}

/// Whether an array that was born at `born` may still live right before `epoch`, as far as punches above it tell.
Result<bool> lives_until(store::View& view, const Container& container, KeyPath& path, Epoch born, Epoch epoch) {
  TRY(const Epoch hidden, dkey_hidden(container.reader(view, Epoch(epoch.value() - 1)), path));
  return hidden < born;
}

/// Takes the births out that follow the one at `born` in the life of its array; returns their flags.
Result<ArrayFlags> take_in_later_births(Core& core, const Container& container, store::View& view, KeyPath& path,
                                        Epoch born, std::uint32_t record_bytes, const IsCopiedBirth& is_copied) {
  ArrayFlags flags;
  for (Epoch epoch = born;;) {
    TRY(const auto next, next_of_akey(view, container, path, epoch));
    if (!next || next->entry.type != EntryType::kArray || next->entry.record_bytes != record_bytes) return flags;
    // The punch between two lives may be gone: the second birth hides as much.
    if (is_copied && is_copied(path.akey_entry(next->epoch))) return flags;
    TRY(const bool lives, lives_until(view, container, path, born, next->epoch));
    if (!lives) return flags;
    flags = both(flags, next->entry.flags);
    core.batch.erase(container.tree, path.akey_entry(next->epoch));
    epoch = next->epoch;
  }
}

}  // namespace

Result<> put_copied_birth(Core& core, const Container& container, store::View& view, const ParsedKey& key,
                          std::uint32_t record_bytes, ArrayFlags flags, const IsCopiedBirth& is_copied) {
  KeyPath path = path_of(key);
  const PathBytes birth(path.akey_entry(key.epoch));
  TRY(const auto there, view.get(container.tree, birth));
  ArrayFlags before;
  if (there) {
    TRY(const Entry entry, decode_entry(*there));
    before = entry.flags;
  }
  TRY(const ArrayFlags later, take_in_later_births(core, container, view, path, key.epoch, record_bytes, is_copied));
  ArrayFlags after = both(both(flags, before), later);
  TRY(const bool wide, holds_wide_punches(view, container, path));
  if (wide) after.add_wide_punch();
  if (!there || after != before) put_birth(core, container, birth, record_bytes, after);
  return {};
}

Result<bool> cut_early_punches(Core& core, Container& container, store::View& view, ByteView key_bytes) {
  TRY(const auto there, view.get(container.tree, key_bytes));
  if (!there) return true;
  TRY(const ParsedKey key, parse_key(key_bytes));
  TRY(const Entry birth, decode_entry(*there));
  KeyPath path = path_of(key);
  TRY(const auto next, next_of_akey(view, container, path, key.epoch));
  const Epoch end = next ? next->epoch : kEpochLatest;
  ArrayFlags flags = birth.flags;
  core.batch.clear();
  const PathBytes prefix(path.kind_prefix(Kind::kWidePunch));
  store::Cursor cursor(view, container.tree);
  TRY(bool more, cursor.seek(prefix));
  std::uint32_t cut = 0;
  for (; more && cut < kCutPerBatch && starts_with(cursor.key(), prefix);) {
    TRY(const ParsedKey punch, parse_key(cursor.key()));
    TRY(const Entry hole, decode_entry(cursor.value()));
    const RecordRange range{punch.first, hole.records};
    TRY(const bool lived, lives_until(view, container, path, key.epoch, punch.epoch));
    const bool whole = is_of_whole_windows(range, birth.record_bytes);
    if (punch.epoch > key.epoch && punch.epoch < end && lived && !whole) {
      ++cut;
      core.batch.erase(container.tree, cursor.key());
      put_punched_range(core.batch, container.tree, path, birth.record_bytes, range, punch.epoch, flags);
    }
    TRY(more, cursor.next());
  }
  if (cut == 0) return true;
  if (flags != birth.flags) put_birth(core, container, key_bytes, birth.record_bytes, flags);
  CHECK_OK(core.apply_added(container, {}, view));
  core.akeys.forget(container.tree, path.akey_prefix());
  return false;
}

Task<Result<>> cut_all_early_punches(Core& core, Uuid container, Bytes birth, Until until, store::Lsn& seen) {
  const auto cut = [&](store::View& view) -> Result<bool> {
    const auto found = core.containers.find(container);
    if (found == core.containers.end())
      return failf(Code::kContainerNotFound, "no container {} on this target", container.to_string());
    TRY(const bool over, cut_early_punches(core, found->second, view, birth));
    seen = std::max(seen, found->second.lsn);
    return over;
  };
  for (bool done = false; !done;) {
    CO_TRY(done, co_await core.store.run(cut, until));
  }
  co_return Result<>();
}

bool LateBirths::is_punched(const KeyPath& path) const {
  return std::ranges::any_of(punched_, [&path](const Bytes& prefix) {
    return equal(prefix, path.object_prefix()) || equal(prefix, path.dkey_prefix()) ||
           equal(prefix, path.akey_prefix());
  });
}

void LateBirths::note(ByteView key, std::uint32_t record_bytes, ArrayFlags flags) {
  Birth& birth = births_[to_bytes(key)];
  birth.record_bytes = record_bytes;
  birth.flags = both(birth.flags, flags);
}

Result<> LateBirths::add_birth(const ParsedKey& key, std::uint32_t record_bytes, ArrayFlags flags) {
  KeyPath path = path_of(key);
  Epoch born = key.epoch;
  if (!is_punched(path)) {
    const Reader reader = container_.reader(view_, key.epoch);
    TRY(const Epoch hidden, dkey_hidden(reader, path));
    TRY(const AkeyState state, akey_state(reader, path, hidden));
    if (state.is == AkeyState::Is::kArray && state.record_bytes == record_bytes) {
      born = state.born;
      flags = both(flags, state.flags);
    }
  }
  // Of entries of the array that were committed before this older one.
  TRY(const ArrayFlags later, take_in_later_births(core_, container_, view_, path, born, record_bytes, {}));
  note(path.akey_entry(born), record_bytes, both(flags, later));
  return {};
}

Result<> LateBirths::add_wide_punch(const ParsedKey& key, std::uint64_t records) {
  KeyPath path = path_of(key);
  const Reader reader = container_.reader(view_, key.epoch);
  TRY(const Epoch hidden, dkey_hidden(reader, path));
  TRY(const AkeyState state, akey_state(reader, path, hidden));
  if (state.is == AkeyState::Is::kArray) {
    ArrayFlags flags = state.flags;
    put_punched_range(core_.batch, container_.tree, path, state.record_bytes, {key.first, records}, key.epoch, flags);
    if (flags != state.flags || state.inherited) note(path.akey_entry(state.born), state.record_bytes, flags);
    return {};
  }
  ValueBytes value;
  append_hole(records, value);
  core_.batch.put(container_.tree, path.wide_punch(key.first, key.epoch), value);
  return {};
}

Result<> LateBirths::put() {
  for (const auto& [key, birth] : births_) {
    ArrayFlags flags = birth.flags;
    TRY(const auto there, view_.get(container_.tree, key));
    if (there) {
      TRY(const Entry before, decode_entry(*there));
      flags = both(flags, before.flags);
    }
    put_birth(core_, container_, key, birth.record_bytes, flags);
  }
  return {};
}

}  // namespace cenote::object
