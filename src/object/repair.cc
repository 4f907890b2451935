#include "repair.h"

#include <cstring>
#include <optional>

#include "cenote/base/codec.h"
#include "history_cover.h"
#include "update.h"
#include "value_check.h"

namespace cenote::object {
namespace {

/// Looked at in one run, and kept while their data is read.
constexpr std::size_t kEntriesPerRun = 32;
constexpr std::uint32_t kLookedAtPerRun = 256;
/// In one dkey; who repairs them finds the rest the next time.
constexpr std::size_t kMostDamaged = 64;

Result<Container*> find_container(Core& core, const Uuid& id, store::Lsn& seen) {
  seen = std::max(seen, core.containers_lsn);
  const auto found = core.containers.find(id);
  if (found == core.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id.to_string());
  seen = std::max(seen, found->second.lsn);
  return &found->second;
}

Task<ValueOutcome> check(Core& core, const Entry& entry) {
  co_return co_await check_value({.device = core.store.data_device(), .buffers = core.buffers}, entry);
}

struct Item {
  Bytes key, value;
};

/// The next entries with data below a prefix; false: there are no more.
Result<bool> collect(store::View& view, store::TreeId tree, ByteView prefix, Bytes& position,
                     std::vector<Item>& items) {
  items.clear();
  store::Cursor cursor(view, tree);
  TRY(bool more, cursor.seek(position));
  for (std::uint32_t left = kLookedAtPerRun; more && left > 0 && items.size() < kEntriesPerRun; --left) {
    if (!starts_with(cursor.key(), prefix)) return false;
    const auto entry = decode_entry(cursor.value());
    if (entry && entry->holds_data()) items.push_back({to_bytes(cursor.key()), to_bytes(cursor.value())});
    position = to_bytes(cursor.key());
    position.push_back(std::byte{0});
    TRY(more, cursor.next());
  }
  return more;
}

/// Puts a copy in the place of an entry whose data cannot be read.
class Replacement {
 public:
  Replacement(Core& core, const Uuid& id, const HistoryEntry& copy, store::Lsn& seen)
      : core_(core), id_(id), copy_(copy), seen_(seen) {}

  Task<Result<bool>> run(Until until);

 private:
  Result<bool> look_up(store::View& view);
  Task<Result<media::Buffer>> payload(Until until) const;
  UpdateRequest request() const;
  Result<bool> put(store::View& view, Update& update);

  Core& core_;
  const Uuid id_;
  const HistoryEntry& copy_;
  store::Lsn& seen_;
  store::TreeId tree_;
  Bytes value_;  // that stands at the key
};

/// False: there is nothing to replace any more.
Result<bool> Replacement::look_up(store::View& view) {
  TRY(const Container* container, find_container(core_, id_, seen_));
  tree_ = container->tree;
  TRY(const auto value, view.get(tree_, copy_.key));
  if (!value) return false;
  TRY(const Entry entry, decode_entry(*value));
  if (!is_same(copy_, entry))
    return fail(Code::kConditionFailed, "the copy is of another content than what is damaged here");
  if (entry.checksums.empty())
    return fail(Code::kUnsupported, "it has no checksums by which a copy could be told to be the same");
  value_ = to_bytes(*value);
  return true;
}

UpdateRequest Replacement::request() const {
  UpdateRequest request{.container = id_, .object = copy_.at.object, .dkey = copy_.at.dkey(), .akeys = {}, .id = {}};
  AkeyUpdate& akey = request.akeys.emplace_back();
  akey.akey = copy_.at.akey();
  akey.bytes = copy_.data.size();
  if (copy_.type == EntryType::kExtent) {
    akey.kind = ValueKind::kArray;
    akey.record_bytes = copy_.record_bytes;
    akey.ranges = {{copy_.at.first, copy_.records}};
  }
  for (std::size_t at = 0; at < copy_.checksums.size(); at += sizeof(std::uint32_t))
    akey.checksums.push_back(load_le<std::uint32_t>(copy_.checksums.data() + at));
  return request;
}

Task<Result<media::Buffer>> Replacement::payload(Until until) const {
  if (copy_.data.empty()) co_return media::Buffer();
  CO_TRY(media::Buffer buffer, co_await core_.buffers.allocate(static_cast<std::uint32_t>(copy_.data.size()), until));
  std::memcpy(buffer.data(), copy_.data.data(), copy_.data.size());
  co_return buffer;
}

Task<Result<bool>> Replacement::run(Until until) {
  {
    // What is found must still be there when it is read.
    const store::ExtentGuard guard = core_.store.guard_extents();
    CO_TRY(const bool there, co_await core_.store.run([this](store::View& view) { return look_up(view); }, until));
    if (!there) co_return false;
    const auto entry = decode_entry(value_);
    const ValueOutcome outcome = co_await check(core_, *entry);
    if (!outcome.flaw) co_return false;
  }
  CO_TRY(const media::Buffer buffer, co_await payload(until));
  const UpdateRequest request = this->request();
  Update update(core_, request,
                {.data = buffer.data(), .bytes = copy_.data.size(), .registered_index = buffer.registered_index()});
  CO_TRY(const Container* container, find_container(core_, id_, seen_));
  // Compares the copy with its checksums, which are those of the entry here.
  CO_CHECK_OK(update.prepare(*container));
  CO_CHECK_OK(core_.data_written(co_await update.write(until)));
  ASSERT(update.piece_count() == 1);
  co_return co_await core_.store.run([&](store::View& view) { return put(view, update); }, until);
}

/// False: it is another entry by now, or none.
Result<bool> Replacement::put(store::View& view, Update& update) {
  TRY(Container * container, find_container(core_, id_, seen_));
  if (container->tree != tree_) return false;
  TRY(const auto value, view.get(tree_, copy_.key));
  if (!value || !equal(*value, value_)) return false;
  TRY(const Entry entry, decode_entry(value_));
  core_.batch.clear();
  // What it takes is given back at once.
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  update.put_piece(*container, 0, copy_.key);
  if (!entry.is_inline)
    for (const store::Extent& extent : entry.extents()) core_.batch.release(extent);
  TRY(container->lsn, view.apply(core_.batch));
  seen_ = std::max(seen_, container->lsn);
  update.pieces_applied();
  return true;
}

}  // namespace

Task<Result<std::vector<DamagedEntry>>> find_damaged(Core& core, Uuid container, const ObjectId& object,
                                                     const Bytes& dkey, Until until, store::Lsn& seen) {
  const KeyPath path(object, dkey);
  const Bytes prefix = to_bytes(path.dkey_prefix());
  Bytes position = prefix;
  std::vector<DamagedEntry> damaged;
  std::vector<Item> items;
  for (bool more = true; more && damaged.size() < kMostDamaged;) {
    const store::ExtentGuard guard = core.store.guard_extents();
    CO_TRY(more, co_await core.store.run(
                     [&](store::View& view) -> Result<bool> {
                       TRY(const Container* found, find_container(core, container, seen));
                       return collect(view, found->tree, prefix, position, items);
                     },
                     until));
    for (Item& item : items) {
      if (damaged.size() == kMostDamaged) break;
      const auto entry = decode_entry(item.value);
      const ValueOutcome outcome = co_await check(core, *entry);
      if (!outcome.flaw) continue;
      CO_TRY(EntryDescription described, describe_entry(item.key, item.value));
      damaged.push_back({.key = std::move(item.key), .entry = std::move(described)});
    }
    co_await core.reactor.yield();
  }
  co_return damaged;
}

Task<Result<bool>> replace_damaged(Core& core, Uuid container, const Bytes& copy, Until until, store::Lsn& seen) {
  CO_TRY(const HistoryContent content, decode_history(copy));
  if (content.entries.size() != 1 || !content.entries.front().holds_data() || content.entries.front().is_stub)
    co_return fail(Code::kMalformed, "this is no copy of one entry with data");
  Replacement replacement(core, container, content.entries.front(), seen);
  co_return co_await replacement.run(until);
}

}  // namespace cenote::object
