#include "records.h"

#include "cenote/base/format.h"

namespace cenote::posix {
namespace {

constexpr std::size_t kMaxWhereBytes = 16 + kMaxNameBytes;
constexpr std::size_t kTimeBytes = 8;

std::string describe(const ObjectId& object, std::string_view dkey) {
  return fmt::format("entry '{}' of directory {}", printable(as_bytes(dkey)), object.to_string());
}

FetchRequest value_fetch(const ObjectId& object, std::string_view dkey, std::string_view akey, std::size_t most) {
  FetchRequest request;
  request.object = object;
  request.dkey = to_bytes(as_bytes(dkey));
  AkeyFetch& value = request.akeys.emplace_back();
  value.akey = to_bytes(as_bytes(akey));
  value.max_bytes = most;
  return request;
}

/// The latest of the marks in a reply, which follow the inode.
Result<std::optional<WallTime>> latest_mark(const FetchReply& reply, ByteView buffer, const ObjectId& object) {
  std::optional<WallTime> latest;
  std::size_t at = kMaxEntryBytes;
  for (std::size_t i = 1; i < reply.akeys.size(); ++i, at += kTimeBytes) {
    if (!reply.akeys[i].exists) continue;
    TRY(const WallTime time, decode_time(buffer.subspan(at, reply.akeys[i].bytes), describe(object, kSelfDkey)));
    if (!latest || *latest < time) latest = time;
  }
  return latest;
}

/// What a directory has of its own: the inode, and its marks.
async::ChangeSet::Update directory_update(const ObjectId& object, ByteView inode, ByteView time, std::uint32_t marks) {
  async::ChangeSet::Update update{value_update(object, kSelfDkey, kInodeAkey, inode.size(), Precondition::kNone),
                                  {inode}};
  for (std::uint32_t i = 0; i < marks; ++i) {
    AkeyUpdate& mark = update.request.akeys.emplace_back();
    mark.akey = to_bytes(as_bytes(touch_akey(i)));
    mark.bytes = time.size();
    update.payload.push_back(time);
  }
  return update;
}

}  // namespace

UpdateRequest value_update(const ObjectId& object, std::string_view dkey, std::string_view akey, std::size_t bytes,
                           Precondition condition) {
  UpdateRequest request;
  request.object = object;
  request.dkey = to_bytes(as_bytes(dkey));
  AkeyUpdate& value = request.akeys.emplace_back();
  value.akey = to_bytes(as_bytes(akey));
  value.condition = condition;
  value.bytes = bytes;
  return request;
}

Task<Result<std::optional<Entry>>> Records::entry(Place place, Until until) {
  if (cache_ != nullptr)
    if (const auto* const known = cache_->find<RecordCache::Entries>(place)) co_return *known;
  Bytes buffer(kMaxEntryBytes);
  RecordCache* const cache = cache_;
  CO_TRY(auto read, co_await fetch(value_fetch(place.object, place.dkey, kInodeAkey, buffer.size()),
                                   {MutableBytes(buffer)}, until));
  std::optional<Entry> found;
  if (read.reply.akeys[0].exists) {
    const ByteView bytes = ByteView(buffer).first(read.reply.akeys[0].bytes);
    CO_TRY(found, decode_entry(bytes, describe(place.object, place.dkey)));
  }
  if (read.lease) cache->put(place, found, {*std::move(read.lease)});
  co_return found;
}

/// With a lease where what was read is to be kept.
Task<Result<async::Leased<FetchReply>>> Records::fetch(FetchRequest request, std::vector<MutableBytes> into,
                                                       Until until) {
  if (cache_ != nullptr) co_return co_await container_.fetch_leased(std::move(request), std::move(into), until);
  CO_TRY(FetchReply reply, co_await container_.fetch(std::move(request), std::move(into), until));
  co_return async::Leased<FetchReply>{std::move(reply)};
}

Task<Result<std::vector<std::optional<Entry>>>> Records::entries(std::vector<Place> places, Until until) {
  std::vector<async::FetchItem> items(places.size());
  Bytes buffer(places.size() * kMaxEntryBytes);
  for (std::size_t i = 0; i < places.size(); ++i) {
    items[i].request = value_fetch(places[i].object, places[i].dkey, kInodeAkey, kMaxEntryBytes);
    items[i].into = {MutableBytes(buffer).subspan(i * kMaxEntryBytes, kMaxEntryBytes)};
  }
  co_await container_.fetch_many(items, until);
  std::vector<std::optional<Entry>> result(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!items[i].result) co_return fail(std::move(items[i].result).error());
    const AkeyFetched& fetched = items[i].result->akeys[0];
    if (!fetched.exists) continue;
    CO_TRY(result[i], decode_entry(ByteView(buffer).subspan(i * kMaxEntryBytes, fetched.bytes),
                                   describe(places[i].object, places[i].dkey)));
  }
  co_return result;
}

Task<Result<std::optional<Stored>>> Records::directory(ObjectId object, std::uint32_t marks, Until until) {
  const Place place = Place::of_directory(object);
  RecordCache* const cache = cache_;
  if (cache != nullptr)
    if (const auto* const known = cache->find<RecordCache::Directory>(place)) co_return *known;
  FetchRequest request = value_fetch(object, kSelfDkey, kInodeAkey, kMaxEntryBytes);
  Bytes buffer(kMaxEntryBytes + marks * kTimeBytes);
  for (std::uint32_t i = 0; i < marks; ++i) {
    AkeyFetch& mark = request.akeys.emplace_back();
    mark.akey = to_bytes(as_bytes(touch_akey(i)));
    mark.max_bytes = kTimeBytes;
  }
  CO_TRY(auto read, co_await fetch(std::move(request), {MutableBytes(buffer)}, until));
  const FetchReply& reply = read.reply;
  std::optional<Stored> found;
  if (reply.akeys[0].exists) {
    CO_TRY(Entry entry, decode_entry(ByteView(buffer).first(reply.akeys[0].bytes), describe(object, kSelfDkey)));
    if (!entry.inode || !entry.inode->is_directory() || entry.object != object)
      co_return failf(Code::kCorrupt, "directory {} has another thing's inode", object.to_string());
    CO_TRY(const auto touched, latest_mark(reply, buffer, object));
    found = Stored{*std::move(entry.inode), touched};
  }
  // Without its marks it is no answer for who asks for them.
  if (read.lease && marks > 0) cache->put(place, found, {*std::move(read.lease)});
  co_return found;
}

Task<Result<std::optional<WhereAt>>> Records::where(ObjectId object, Until until) {
  Bytes buffer(kMaxWhereBytes);
  CO_TRY(const FetchReply reply,
         co_await container_.fetch(value_fetch(companion_object(object), kPlaceDkey, kWhereAkey, buffer.size()),
                                   {MutableBytes(buffer)}, until));
  if (!reply.akeys[0].exists) co_return std::optional<WhereAt>();
  CO_TRY(WhereAt where, decode_where(ByteView(buffer).first(reply.akeys[0].bytes),
                                     fmt::format("the place of {}", object.to_string())));
  co_return std::optional<WhereAt>(std::move(where));
}

Task<Result<>> Records::put_entry(Place place, Entry entry, Precondition condition, Until until) {
  const Bytes encoded = encode_entry(entry);
  CO_CHECK_OK(co_await container_.update(value_update(place.object, place.dkey, kInodeAkey, encoded.size(), condition),
                                         {ByteView(encoded)}, until));
  co_return Result<>();
}

Task<Result<>> Records::insert(Place name, Inode inode, std::vector<Xattr> xattrs, std::uint32_t mark,
                               std::uint32_t marks, Until until) {
  const bool apart = inode.is_directory();
  const Bytes entry = encode_entry(apart ? Entry::reference(inode) : Entry::of(inode));
  const Bytes time = encode_time(inode.ctime);
  async::ChangeSet changes;
  changes.updates.push_back(
      {value_update(name.object, name.dkey, kInodeAkey, entry.size(), Precondition::kAbsent), {ByteView(entry)}});
  changes.updates.push_back(
      {value_update(name.object, kSelfDkey, touch_akey(mark), time.size(), Precondition::kPresent), {ByteView(time)}});
  Bytes own;
  if (apart) {
    own = encode_entry(Entry::of(inode));
    changes.updates.push_back(directory_update(inode.object, own, time, marks));
  }
  for (const Xattr& xattr : xattrs) {
    changes.updates.push_back(
        {value_update(companion_object(inode.object), kXattrDkey, xattr.name, xattr.value.size(), Precondition::kNone),
         {ByteView(xattr.value)}});
  }
  CO_CHECK_OK(co_await container_.apply(std::move(changes), until));
  co_return Result<>();
}

Task<Result<std::optional<Bytes>>> Records::xattr(ObjectId object, std::string name, Until until) {
  Bytes value(kMaxXattrBytes);
  CO_TRY(const FetchReply reply,
         co_await container_.fetch(value_fetch(companion_object(object), kXattrDkey, name, kMaxXattrBytes),
                                   {MutableBytes(value)}, until));
  if (!reply.akeys[0].exists) co_return std::optional<Bytes>();
  value.resize(reply.akeys[0].bytes);
  co_return std::optional(std::move(value));
}

Task<Result<>> Records::put_xattr(ObjectId object, Xattr xattr, Precondition condition, Until until) {
  CO_CHECK_OK(co_await container_.update(
      value_update(companion_object(object), kXattrDkey, xattr.name, xattr.value.size(), condition),
      {ByteView(xattr.value)}, until));
  co_return Result<>();
}

Task<Result<>> Records::put_directory(Inode inode, std::uint32_t marks, Until until) {
  const Bytes own = encode_entry(Entry::of(inode)), time = encode_time(inode.ctime);
  auto [request, payload] = directory_update(inode.object, own, time, marks);
  CO_CHECK_OK(co_await container_.update(std::move(request), std::move(payload), until));
  co_return Result<>();
}

Task<Result<>> Records::put_where(ObjectId object, WhereAt where, Until until) {
  const Bytes encoded = encode_where(where);
  CO_CHECK_OK(co_await container_.update(
      value_update(companion_object(object), kPlaceDkey, kWhereAkey, encoded.size(), Precondition::kNone),
      {ByteView(encoded)}, until));
  co_return Result<>();
}

Task<Result<>> Records::touch(ObjectId directory, std::uint32_t mark, WallTime now, Until until) {
  const Bytes encoded = encode_time(now);
  CO_CHECK_OK(co_await container_.update(
      value_update(directory, kSelfDkey, touch_akey(mark), encoded.size(), Precondition::kNone), {ByteView(encoded)},
      until));
  co_return Result<>();
}

Task<Result<>> Records::require_directory(ObjectId directory, Until until) {
  CO_TRY(const auto stored, co_await this->directory(directory, 0, until));
  if (stored) co_return Result<>();
  co_return failf(Code::kConditionFailed, "directory {} is gone", directory.to_string());
}

Task<Result<>> Records::remove(Place place, Until until, Precondition condition) {
  PunchRequest request;
  request.condition = condition;
  request.object = place.object;
  request.level = PunchLevel::kDkey;
  request.dkey = to_bytes(as_bytes(place.dkey));
  CO_CHECK_OK(co_await container_.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<>> Records::punch_object(ObjectId object, Until until) {
  PunchRequest request;
  request.level = PunchLevel::kObject;
  request.object = object;
  CO_CHECK_OK(co_await container_.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<Records::Page>> Records::list(ObjectId object, std::string prefix, std::string after, std::uint32_t limit,
                                          Until until) {
  ListRequest request;
  request.object = object;
  request.level = ListLevel::kDkeys;
  request.anchor = to_bytes(as_bytes(after));
  request.prefix = to_bytes(as_bytes(prefix));
  request.limit = limit;
  CO_TRY(const ListReply listed, co_await container_.list(std::move(request), until));
  Page page;
  page.at_end = listed.anchor.empty();
  for (const ListedKey& key : listed.keys) page.dkeys.push_back(to_text(key.key));
  co_return page;
}

}  // namespace cenote::posix
