#include "transaction.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"
#include "merge_pages.h"
#include "payload.h"

namespace cenote::async {
namespace {

std::unexpected<Error> not_as_wanted(ByteView name, bool exists) {
  return failf(Code::kConditionFailed, "'{}': {}", printable(name), exists ? "exists" : "does not exist");
}

Result<> check(Precondition condition, ByteView name, bool exists) {
  if (condition == Precondition::kNone || exists == (condition == Precondition::kPresent)) return {};
  return not_as_wanted(name, exists);
}

Bytes gathered(std::span<const ByteView> payload) {
  Bytes bytes;
  for (const ByteView part : payload) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

/// Too old to be read, which another attempt is not.
Error restartable(Error error) {
  if (error.code() != Code::kEpochTooOld) return error;
  return Error(Code::kTxRestart, "the transaction began too long ago: " + error.message());
}

ListRequest list_of(ListLevel level, const ObjectId& object, const Bytes& dkey) {
  ListRequest list;
  list.level = level;
  list.object = object;
  list.dkey.assign(ByteView(dkey));
  return list;
}

constexpr std::uint64_t end_of(RecordRange range) { return range.first + range.count; }

/// The part of both; of no records: there is none.
RecordRange common(RecordRange a, RecordRange b) {
  const std::uint64_t first = std::max(a.first, b.first), end = std::min(end_of(a), end_of(b));
  return {first, end > first ? end - first : 0};
}

}  // namespace

Transaction::Transaction(Container container) : container_(std::move(container)) {}

Result<> Transaction::check_open() const {
  if (broken_) return fail(*broken_);
  if (!over_) return {};
  return fail(Code::kStopped, "the transaction is over: what is done in it has to end before its function does");
}

Task<Result<Epoch>> Transaction::snapshot(const ObjectId& object, ByteView dkey, Until until) {
  if (reads_latest_) co_return kEpochLatest;
  if (snapshot_) co_return *snapshot_;
  CO_TRY(const Epoch begun, co_await container_.begin(object, dkey, until));
  // Another call of this transaction may have been faster; all of them read at one epoch.
  if (!snapshot_) {
    snapshot_ = begun;
    plan_ = container_.state_->routes->share_layout();
  }
  co_return *snapshot_;
}

/// What is read and not remembered would not be proved by the commit, so there is none.
Result<> Transaction::check_read_count() {
  if (reads_.size() + lists_.size() + queries_.size() < kMaxTransactionReads) return {};
  broken_ = Error(Code::kOutOfRange,
                  fmt::format("the transaction reads more than {} things: make it smaller", kMaxTransactionReads));
  return fail(*broken_);
}

Result<> Transaction::note_read(AkeyRead read) {
  CommitRequest one;
  one.reads.push_back(read);
  Bytes encoded;
  encode(one, encoded);
  if (!noted_.insert(to_text(encoded)).second) return {};
  CHECK_OK(check_read_count());
  reads_.push_back(std::move(read));
  return {};
}

Task<Result<FetchReply>> Transaction::fetch_stored(FetchRequest request, std::vector<MutableBytes> into, Until until) {
  CO_TRY(request.epoch, co_await snapshot(request.object, request.dkey, until));
  for (const AkeyFetch& akey : request.akeys)
    CO_CHECK_OK(note_read({request.object, request.dkey, akey.akey, akey.ranges}));
  auto reply = co_await container_.fetch(std::move(request), std::move(into), until);
  if (!reply) co_return fail(restartable(std::move(reply).error()));
  co_return reply;
}

Task<Result<ListReply>> Transaction::list_stored(ListRequest request, Until until) {
  CO_TRY(request.epoch, co_await snapshot(request.object, request.dkey, until));
  CO_CHECK_OK(check_read_count());
  auto reply = co_await container_.list(request, until);
  if (!reply) co_return fail(restartable(std::move(reply).error()));
  request.container = container_.info().id;
  request.epoch = kEpochLatest;
  lists_.push_back({std::move(request), digest_of(*reply)});
  co_return reply;
}

Task<Result<QueryReply>> Transaction::query_stored(QueryRequest request, Until until) {
  CO_TRY(request.epoch, co_await snapshot(request.object, request.dkey, until));
  CO_CHECK_OK(check_read_count());
  auto reply = co_await container_.query(request, until);
  if (!reply) co_return fail(restartable(std::move(reply).error()));
  request.container = container_.info().id;
  request.epoch = kEpochLatest;
  queries_.push_back({std::move(request), *reply});
  co_return reply;
}

Task<Result<bool>> Transaction::akey_exists(ObjectId object, Bytes dkey, Bytes akey, Until until) {
  const WriteBuffer::Akey* changes = buffer_.find(object, dkey, akey);
  if (changes != nullptr && changes->written) co_return true;
  if (buffer_.hides(object, dkey, akey)) co_return false;
  FetchRequest fetch{.object = object, .dkey = KeyBytes(ByteView(dkey)), .akeys = {}};
  fetch.akeys.push_back({.akey = KeyBytes(ByteView(akey)), .ranges = {}});
  const auto reply = co_await fetch_stored(std::move(fetch), {}, until);
  if (reply) co_return reply->akeys[0].exists;
  // A value that has no room, and an array, are there.
  if (reply.error() == Code::kOutOfRange || reply.error() == Code::kTypeMismatch) co_return true;
  co_return fail(reply.error());
}

Task<Result<bool>> Transaction::dkey_exists(ObjectId object, Bytes dkey, Until until) {
  const WriteBuffer::Dkey* changes = buffer_.find(object, dkey);
  if (changes != nullptr && changes->written()) co_return true;
  if (buffer_.hides(object, dkey)) co_return false;
  ListRequest list = list_of(ListLevel::kAkeys, object, dkey);
  // One is enough, unless those that are listed first may be punched.
  if (changes == nullptr) list.limit = 1;
  do {
    CO_TRY(const ListReply page, co_await list_stored(list, until));
    for (const ListedKey& akey : page.keys)
      if (!buffer_.hides(object, dkey, akey.key)) co_return true;
    list.anchor = page.anchor;
  } while (!list.anchor.empty());
  co_return false;
}

Task<Result<bool>> Transaction::object_exists(ObjectId object, Until until) {
  const WriteBuffer::Object* changes = buffer_.find(object);
  if (changes != nullptr && changes->written()) co_return true;
  if (buffer_.hides(object)) co_return false;
  ListRequest list = list_of(ListLevel::kDkeys, object, {});
  if (changes == nullptr) list.limit = 1;
  do {
    CO_TRY(const ListReply page, co_await list_stored(list, until));
    for (const ListedKey& dkey : page.keys) {
      const bool changed = buffer_.find(object, dkey.key) != nullptr;
      if (!changed) co_return true;
      CO_TRY(const bool exists, co_await dkey_exists(object, to_bytes(dkey.key), until));
      if (exists) co_return true;
    }
    list.anchor = page.anchor;
  } while (!list.anchor.empty());
  co_return false;
}

Task<Result<>> Transaction::check_conditions(const UpdateRequest& request, Until until) {
  if (request.dkey_condition != Precondition::kNone) {
    CO_TRY(const bool exists, co_await dkey_exists(request.object, to_bytes(request.dkey), until));
    CO_CHECK_OK(check(request.dkey_condition, request.dkey, exists));
  }
  for (const AkeyUpdate& akey : request.akeys) {
    if (akey.condition == Precondition::kNone) continue;
    CO_TRY(const bool exists, co_await akey_exists(request.object, to_bytes(request.dkey), to_bytes(akey.akey), until));
    CO_CHECK_OK(check(akey.condition, akey.akey, exists));
  }
  co_return Result<>();
}

Task<Result<UpdateReply>> Transaction::update(UpdateRequest request, std::vector<ByteView> payload, Until until) {
  CO_CHECK_OK(check_open());
  request.container = container_.info().id;
  const Bytes data = gathered(payload);
  std::uint64_t announced = 0;
  for (AkeyUpdate& akey : request.akeys) {
    announced += akey.bytes;
    akey.checksums.clear();
  }
  CO_CHECK_OK(validate(request));
  if (announced != data.size())
    co_return failf(Code::kInvalidArgument, "the akeys announce {} bytes and the payload has {}", announced,
                    data.size());
  CO_CHECK_OK(co_await check_conditions(request, until));
  CO_CHECK_OK(check_open());
  CO_CHECK_OK(buffer_.update(request, data));
  CO_CHECK_OK(check_size());
  co_return UpdateReply{};
}

Task<Result<>> Transaction::check_condition(const PunchRequest& request, Until until) {
  if (request.condition == Precondition::kNone) co_return Result<>();
  const Bytes dkey = to_bytes(request.dkey);
  if (request.level == PunchLevel::kObject) {
    CO_TRY(const bool exists, co_await object_exists(request.object, until));
    co_return check(request.condition, as_bytes(request.object.to_string()), exists);
  }
  if (request.level == PunchLevel::kDkey) {
    CO_TRY(const bool exists, co_await dkey_exists(request.object, dkey, until));
    co_return check(request.condition, dkey, exists);
  }
  for (const KeyBytes& akey : request.akeys) {
    CO_TRY(const bool exists, co_await akey_exists(request.object, dkey, to_bytes(akey), until));
    CO_CHECK_OK(check(request.condition, akey, exists));
  }
  co_return Result<>();
}

Task<Result<UpdateReply>> Transaction::punch(PunchRequest request, Until until) {
  CO_CHECK_OK(check_open());
  request.container = container_.info().id;
  CO_CHECK_OK(validate(request));
  CO_CHECK_OK(co_await check_condition(request, until));
  CO_CHECK_OK(check_open());
  CO_CHECK_OK(buffer_.punch(request));
  CO_CHECK_OK(check_size());
  co_return UpdateReply{};
}

Result<> Transaction::check_size() {
  const auto fits = buffer_.check_size();
  if (!fits) broken_ = fits.error();
  return fits;
}

Task<Result<UpdateReply>> Transaction::apply(const CommitRequest& changes, std::span<const ByteView> payload,
                                             Until until) {
  CO_CHECK_OK(check_open());
  for (const UpdateRequest& update : changes.updates) CO_CHECK_OK(co_await check_conditions(update, until));
  for (const PunchRequest& punch : changes.punches) CO_CHECK_OK(co_await check_condition(punch, until));
  CO_CHECK_OK(check_open());
  // A punch hides what was there before, and nothing of what comes with it.
  for (const PunchRequest& punch : changes.punches) CO_CHECK_OK(buffer_.punch(punch));
  const Bytes data = gathered(payload);
  ByteView left = data;
  for (const UpdateRequest& update : changes.updates) {
    std::uint64_t bytes = 0;
    for (const AkeyUpdate& akey : update.akeys) bytes += akey.bytes;
    const auto added = buffer_.update(update, left.first(bytes));
    left = left.subspan(bytes);
    if (added) continue;
    // The others are in the buffer already.
    broken_ = added.error();
    co_return fail(added.error());
  }
  CO_CHECK_OK(check_size());
  co_return UpdateReply{};
}

/// What one akey is with the changes laid over it.
struct Transaction::Overlaid {
  AkeyFetched fetched;
  Bytes data;  ///< dense
  Epoch epoch;
};

Task<Result<FetchReply>> Transaction::fetch(FetchRequest request, std::vector<MutableBytes> into, Until until) {
  CO_CHECK_OK(check_open());
  request.container = container_.info().id;
  CO_CHECK_OK(validate(request));
  if (request.dkey_condition != Precondition::kNone) {
    CO_TRY(const bool exists, co_await dkey_exists(request.object, to_bytes(request.dkey), until));
    CO_CHECK_OK(check(request.dkey_condition, request.dkey, exists));
    request.dkey_condition = Precondition::kNone;
  }
  if (buffer_.find(request.object) == nullptr)
    co_return co_await fetch_stored(std::move(request), std::move(into), until);
  const Scattered<std::byte> room{std::span<const MutableBytes>(into)};
  FetchReply reply;
  std::uint64_t at = 0;
  for (const AkeyFetch& akey : request.akeys) {
    CO_TRY(Overlaid overlaid, co_await fetch_akey(request, akey, until));
    CO_CHECK_OK(check(akey.condition, akey.akey, overlaid.fetched.exists));
    const bool ranges = akey.kind == ValueKind::kArray && overlaid.fetched.exists;
    const std::uint64_t given = ranges ? overlaid.data.size() : akey.max_bytes;
    if (given > room.bytes() - at)
      co_return failf(Code::kInvalidArgument, "the fetch needs {} bytes of memory and was given {}", at + given,
                      room.bytes());
    overlaid.data.resize(given);
    const std::byte* from = overlaid.data.data();
    room.for_each(at, given, [&from](MutableBytes part) {
      std::copy_n(from, part.size(), part.data());
      from += part.size();
    });
    at += given;
    reply.epoch = std::max(reply.epoch, overlaid.epoch);
    reply.akeys.push_back(std::move(overlaid.fetched));
  }
  co_return reply;
}

Task<Result<Transaction::Overlaid>> Transaction::fetch_akey(const FetchRequest& request, const AkeyFetch& akey,
                                                            Until until) {
  const WriteBuffer::Akey* changes = buffer_.find(request.object, request.dkey, akey.akey);
  const bool hidden = buffer_.hides(request.object, request.dkey, akey.akey);
  const bool written = changes != nullptr && changes->written;
  if (written && changes->kind != akey.kind)
    co_return failf(Code::kTypeMismatch, "akey '{}': is {}", printable(akey.akey),
                    changes->kind == ValueKind::kArray ? "an array" : "a single value");
  if (akey.kind == ValueKind::kArray) co_return co_await fetch_array(request, akey, changes, hidden, until);
  Overlaid overlaid;
  if (written) {
    if (changes->value.size() > akey.max_bytes)
      co_return failf(Code::kOutOfRange, "akey '{}': the value has {} bytes, there is room for {}",
                      printable(akey.akey), changes->value.size(), akey.max_bytes);
    overlaid.fetched.exists = true;
    overlaid.fetched.bytes = changes->value.size();
    overlaid.fetched.record_bytes = static_cast<std::uint32_t>(changes->value.size());
    overlaid.data = changes->value;
    co_return overlaid;
  }
  if (hidden) co_return overlaid;
  FetchRequest stored{.object = request.object, .dkey = request.dkey, .akeys = {}};
  stored.akeys.push_back({.akey = akey.akey, .ranges = {}, .max_bytes = akey.max_bytes});
  overlaid.data.resize(akey.max_bytes);
  CO_TRY(FetchReply reply, co_await fetch_stored(std::move(stored), {MutableBytes(overlaid.data)}, until));
  overlaid.fetched = std::move(reply.akeys[0]);
  overlaid.epoch = reply.epoch;
  co_return overlaid;
}

/// Of a range whose bytes begin at `at`.
void Transaction::lay_over(const WriteBuffer::Akey& changes, RecordRange range, std::uint64_t at, Overlaid& overlaid) {
  AkeyFetched& fetched = overlaid.fetched;
  for (const auto& [first, piece] : changes.pieces) {
    const RecordRange part = common(range, {first, piece.records});
    if (part.count == 0) continue;
    const std::uint64_t bytes = part.count * fetched.record_bytes;
    std::byte* const to = overlaid.data.data() + at + (part.first - range.first) * fetched.record_bytes;
    if (piece.data) {
      remove_range(fetched.holes, part);
      std::copy_n(piece.data->data() + (part.first - first) * fetched.record_bytes, bytes, to);
    } else {
      add_range(fetched.holes, part);
      std::fill_n(to, bytes, std::byte{0});
    }
  }
}

Task<Result<Transaction::Overlaid>> Transaction::fetch_array(const FetchRequest& request, const AkeyFetch& akey,
                                                             const WriteBuffer::Akey* changes, bool hidden,
                                                             Until until) {
  Overlaid overlaid;
  AkeyFetched& fetched = overlaid.fetched;
  for (const RecordRange& range : akey.ranges) add_range(fetched.holes, range);
  if (!hidden) {
    FetchRequest stored{.object = request.object, .dkey = request.dkey, .akeys = {}};
    stored.akeys.push_back(
        {.akey = akey.akey, .kind = ValueKind::kArray, .ranges = akey.ranges, .max_bytes = akey.max_bytes});
    // Where the caller has no room there is an array of larger records than it thinks, which is then said.
    overlaid.data.resize(kMaxPayloadBytes);
    CO_TRY(FetchReply reply, co_await fetch_stored(std::move(stored), {MutableBytes(overlaid.data)}, until));
    fetched = std::move(reply.akeys[0]);
    overlaid.epoch = reply.epoch;
    // What it awaited may have let others change the buffer.
    changes = buffer_.find(request.object, request.dkey, akey.akey);
  }
  const bool written = changes != nullptr && changes->written;
  if (written && fetched.exists && fetched.record_bytes != changes->record_bytes)
    co_return failf(Code::kTypeMismatch, "akey '{}': its records have {} bytes, not {}", printable(akey.akey),
                    fetched.record_bytes, changes->record_bytes);
  if (written) fetched.record_bytes = changes->record_bytes;
  fetched.exists = fetched.exists || written;
  if (!fetched.exists) {
    overlaid.data.clear();
    co_return overlaid;
  }
  std::uint64_t records = 0;
  for (const RecordRange& range : akey.ranges) records += range.count;
  if (records > kMaxPayloadBytes / fetched.record_bytes)
    co_return failf(Code::kOutOfRange, "akey '{}': {} records of {} bytes are more than one fetch brings",
                    printable(akey.akey), records, fetched.record_bytes);
  overlaid.data.resize(records * fetched.record_bytes);
  fetched.checksums.clear();
  fetched.range_bytes.clear();
  std::uint64_t at = 0;
  for (const RecordRange& range : akey.ranges) {
    if (changes != nullptr) lay_over(*changes, range, at, overlaid);
    fetched.range_bytes.push_back(range.count * fetched.record_bytes);
    at += fetched.range_bytes.back();
  }
  fetched.bytes = at;
  co_return overlaid;
}

Task<Result<bool>> Transaction::exists(const ListRequest& list, const Bytes& name, Until until) {
  if (list.level == ListLevel::kAkeys) co_return co_await akey_exists(list.object, to_bytes(list.dkey), name, until);
  if (list.level == ListLevel::kDkeys) co_return co_await dkey_exists(list.object, name, until);
  const ObjectId object(load_be<std::uint64_t>(name.data()), load_be<std::uint64_t>(name.data() + 8));
  co_return co_await object_exists(object, until);
}

/// What the listing may have or lack because of the changes.
std::vector<std::pair<Bytes, ListedKey>> Transaction::changed_names(const ListRequest& request) const {
  std::vector<std::pair<Bytes, ListedKey>> names;
  const auto add = [&](Bytes name, ListedKey listed) {
    listed.key.assign(ByteView(name));
    names.emplace_back(std::move(name), std::move(listed));
  };
  if (request.level == ListLevel::kObjects) {
    for (const auto& [object, unused] : buffer_.objects()) {
      Bytes name(16);
      store_be(name.data(), object.high());
      store_be(name.data() + 8, object.low());
      add(std::move(name), {});
    }
  } else if (const WriteBuffer::Object* object = buffer_.find(request.object);
             object != nullptr && request.level == ListLevel::kDkeys) {
    for (const auto& [dkey, unused] : object->dkeys) add(dkey, {});
  } else if (const WriteBuffer::Dkey* dkey = buffer_.find(request.object, request.dkey); dkey != nullptr) {
    for (const auto& [akey, changes] : dkey->akeys)
      add(akey, {.key = {},
                 .kind = changes.kind,
                 .record_bytes = changes.kind == ValueKind::kArray ? changes.record_bytes : 0});
  }
  return names;
}

Task<Result<ListReply>> Transaction::list_names(const ListRequest& request, Until until) {
  std::vector<ListReply> pages(2);
  ListReply& stored = pages[0];
  const bool hidden = request.level == ListLevel::kDkeys   ? buffer_.hides(request.object)
                      : request.level == ListLevel::kAkeys ? buffer_.hides(request.object, request.dkey)
                                                           : false;
  if (!hidden) {
    CO_TRY(stored, co_await list_stored(request, until));
  }
  for (auto& [name, listed] : changed_names(request)) {
    const bool wanted = name.size() >= request.prefix.size() &&
                        equal(ByteView(name).first(request.prefix.size()), request.prefix) &&
                        (request.anchor.empty() || listed_before(request, request.anchor, name));
    if (!wanted) continue;
    const auto same = std::ranges::find_if(stored.keys, [&](const ListedKey& key) { return equal(key.key, name); });
    CO_TRY(const bool there, co_await exists(request, name, until));
    // What the transaction has not written is of the kind that is stored.
    const WriteBuffer::Akey* akey =
        request.level == ListLevel::kAkeys ? buffer_.find(request.object, request.dkey, name) : nullptr;
    if (there && akey != nullptr && !akey->written) continue;
    if (same != stored.keys.end()) stored.keys.erase(same);
    if (there) pages[1].keys.push_back(listed);
  }
  co_return merge_pages(std::move(pages), request);
}

Task<Result<ListReply>> Transaction::list_extents(const ListRequest& request, Until until) {
  const WriteBuffer::Akey* changes = buffer_.find(request.object, request.dkey, request.akey);
  if (changes != nullptr && changes->written && changes->kind == ValueKind::kSingle)
    co_return failf(Code::kTypeMismatch, "akey '{}': is a single value", printable(request.akey));
  ListReply reply;
  if (!buffer_.hides(request.object, request.dkey, request.akey)) {
    CO_TRY(reply, co_await list_stored(request, until));
    changes = buffer_.find(request.object, request.dkey, request.akey);
  }
  if (changes == nullptr || changes->pieces.empty()) co_return reply;
  const std::uint64_t begin = request.anchor.empty() ? 0 : load_be<std::uint64_t>(request.anchor.data());
  const std::uint64_t end = reply.anchor.empty() ? UINT64_MAX : load_be<std::uint64_t>(reply.anchor.data());
  std::vector<ListedExtent> extents;
  for (const ListedExtent& extent : reply.extents) {
    RecordRanges left = {extent.range};
    for (const auto& [first, piece] : changes->pieces) remove_range(left, {first, piece.records});
    const std::uint64_t record_bytes = extent.stored_bytes / extent.range.count;
    for (const RecordRange& range : left) extents.push_back({range, extent.epoch, range.count * record_bytes});
  }
  for (const auto& [first, piece] : changes->pieces) {
    const RecordRange part = common({first, piece.records}, {begin, end - begin});
    if (piece.data && part.count > 0) extents.push_back({part, kEpochLatest, part.count * changes->record_bytes});
  }
  std::ranges::sort(extents, {}, [](const ListedExtent& extent) { return extent.range.first; });
  reply.extents = std::move(extents);
  if (reply.extents.size() > request.limit) {
    reply.extents.resize(request.limit);
    std::byte anchor[8];
    store_be(anchor, end_of(reply.extents.back().range));
    reply.anchor.assign(anchor);
  }
  co_return reply;
}

Task<Result<ListReply>> Transaction::list(ListRequest request, Until until) {
  CO_CHECK_OK(check_open());
  request.container = container_.info().id;
  request.epoch = kEpochLatest;
  CO_CHECK_OK(validate(request));
  if (buffer_.empty()) co_return co_await list_stored(std::move(request), until);
  if (request.level == ListLevel::kExtents) co_return co_await list_extents(request, until);
  co_return co_await list_names(request, until);
}

/// The end of one array.
Task<Result<QueryReply>> Transaction::query_dkey(QueryRequest request, Until until) {
  const WriteBuffer::Akey* changes = buffer_.find(request.object, request.dkey, request.akey);
  if (changes != nullptr && changes->written && changes->kind == ValueKind::kSingle)
    co_return failf(Code::kTypeMismatch, "akey '{}': is a single value", printable(request.akey));
  QueryReply reply;
  if (!buffer_.hides(request.object, request.dkey, request.akey)) {
    CO_TRY(reply, co_await query_stored(request, until));
    changes = buffer_.find(request.object, request.dkey, request.akey);
  }
  if (changes == nullptr || (!reply.exists && !changes->written)) co_return reply;
  const auto covers_end = [&](const auto& piece) {
    return piece.first < reply.records && piece.first + piece.second.records >= reply.records;
  };
  if (std::ranges::any_of(changes->pieces, covers_end)) {
    // What was the end is written anew or punched: the end is that of the last extent that is left.
    reply.records = 0;
    ListRequest list = list_of(ListLevel::kExtents, request.object, to_bytes(request.dkey));
    list.akey = request.akey;
    list.container = request.container;
    do {
      CO_TRY(const ListReply page, co_await list_extents(list, until));
      for (const ListedExtent& extent : page.extents) reply.records = std::max(reply.records, end_of(extent.range));
      list.anchor = page.anchor;
    } while (!list.anchor.empty());
  }
  for (const auto& [first, piece] : changes->pieces)
    if (piece.data) reply.records = std::max(reply.records, first + piece.records);
  if (changes->written) reply.record_bytes = changes->record_bytes;
  reply.exists = true;
  reply.dkey = request.dkey;
  co_return reply;
}

/// The greatest dkey with data, looked for from behind. As long as it is none that the transaction has changed, what is
/// stored says it.
Task<Result<QueryReply>> Transaction::query_greatest(QueryRequest request, Until until) {
  QueryReply stored;
  if (!buffer_.hides(request.object)) {
    CO_TRY(stored, co_await query_stored(request, until));
  }
  const WriteBuffer::Object* object = buffer_.find(request.object);
  if (object == nullptr) co_return stored;
  std::vector<std::uint64_t> dkeys;
  for (const auto& [dkey, unused] : object->dkeys) dkeys.push_back(load_le<std::uint64_t>(dkey.data()));
  if (stored.exists) {
    const auto greatest = load_le<std::uint64_t>(stored.dkey.data());
    if (std::ranges::find(dkeys, greatest) == dkeys.end()) {
      dkeys.push_back(greatest);
    } else {
      // It may have lost its data, and any other one may be next.
      ListRequest list = list_of(ListLevel::kDkeys, request.object, {});
      list.container = request.container;
      do {
        CO_TRY(const ListReply page, co_await list_names(list, until));
        for (const ListedKey& dkey : page.keys) dkeys.push_back(load_le<std::uint64_t>(dkey.key.data()));
        list.anchor = page.anchor;
      } while (!list.anchor.empty());
    }
  }
  std::ranges::sort(dkeys, std::greater());
  for (const std::uint64_t dkey : dkeys) {
    request.dkey.resize(sizeof(dkey));
    store_le(request.dkey.data(), dkey);
    CO_TRY(QueryReply reply, co_await query_dkey(request, until));
    if (reply.exists && reply.records > 0) co_return reply;
  }
  co_return QueryReply();
}

Task<Result<QueryReply>> Transaction::query(QueryRequest request, Until until) {
  CO_CHECK_OK(check_open());
  request.container = container_.info().id;
  request.epoch = kEpochLatest;
  CO_CHECK_OK(validate(request));
  if (request.dkey.empty()) co_return co_await query_greatest(std::move(request), until);
  co_return co_await query_dkey(std::move(request), until);
}

Task<Result<ObjectId>> Transaction::allocate_object(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys,
                                                    Until until) {
  CO_CHECK_OK(check_open());
  co_return co_await container_.allocate_object(object_class, dkeys, akeys, until);
}

std::unexpected<Error> Transaction::restart_in_new_map() {
  return fail(Code::kTxRestart, "the map of the pool has changed since the transaction began; run it again");
}

Task<Result<UpdateReply>> Transaction::commit(Until until) {
  CO_CHECK_OK(check_open());
  over_ = true;
  CommitRequest request;
  request.container = container_.info().id;
  std::vector<ByteView> payload;
  buffer_.add_to(request, payload);
  // What is undecided at the snapshot may be decided otherwise by those who are left of a group: only in one version of
  // the map has everybody seen the same (docs/protocols/replication.md, "Reads").
  if (plan_ != nullptr && plan_ != container_.state_->routes->share_layout()) co_return restart_in_new_map();
  if (request.punches.empty() && request.updates.empty()) co_return UpdateReply{};
  request.snapshot = snapshot_.value_or(kEpochZero);
  request.reads = std::move(reads_);
  request.lists = std::move(lists_);
  request.queries = std::move(queries_);
  auto committed = co_await container_.commit(request, payload, plan_, until);
  if (!committed && committed.error() == Code::kStaleMap) co_return restart_in_new_map();
  co_return committed;
}

}  // namespace cenote::async
