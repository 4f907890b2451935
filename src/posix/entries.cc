#include "entries.h"

#include "cenote/base/format.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kInodeKey = "inode";
constexpr std::size_t kMaxInodeBytes = 128 + kMaxNameBytes + kMaxPathBytes;

/// The akey that an entry on its way out has beside its inode. It names the object, so that finishing the end of one
/// object's entry, however late, cannot hit another object that has the name by then.
Bytes end_mark(const ObjectId& object) { return to_bytes(as_bytes("end." + object.to_string())); }

/// Nothing can be written, and punching works all the same.
bool no_room_to_write(const Error& error) { return error == Code::kNoSpace || error == Code::kQuotaExceeded; }

std::string describe(const EntryPlace& place) {
  return fmt::format("entry '{}' of directory {}", printable(as_bytes(place.name)), place.directory.to_string());
}

}  // namespace

Task<Result<std::optional<Inode>>> Entries::load(EntryPlace place, Until until) {
  FetchRequest request;
  request.object = place.directory;
  request.dkey = to_bytes(as_bytes(place.name));
  AkeyFetch& value = request.akeys.emplace_back();
  value.akey = to_bytes(as_bytes(kInodeKey));
  value.max_bytes = kMaxInodeBytes;
  Bytes buffer(kMaxInodeBytes);
  CO_TRY(const FetchReply reply, co_await container_.fetch(std::move(request), {MutableBytes(buffer)}, until));
  if (!reply.akeys[0].exists) co_return std::optional<Inode>();
  CO_TRY(Inode inode, decode_inode(ByteView(buffer).first(reply.akeys[0].bytes), describe(place)));
  co_return std::optional<Inode>(std::move(inode));
}

Task<Result<>> Entries::store(EntryPlace place, Inode inode, Precondition condition, Until until) {
  const Bytes encoded = encode_inode(inode);
  UpdateRequest request;
  request.object = place.directory;
  request.dkey = to_bytes(as_bytes(place.name));
  AkeyUpdate value;
  value.akey = to_bytes(as_bytes(kInodeKey));
  value.condition = condition;
  value.bytes = encoded.size();
  request.akeys.push_back(std::move(value));
  CO_CHECK_OK(co_await container_.update(std::move(request), {ByteView(encoded)}, until));
  co_return Result<>();
}

/// Writes the state that begins the end of an entry, together with its mark.
Task<Result<>> Entries::begin_end(EntryPlace place, Inode inode, Until until) {
  const Bytes encoded = encode_inode(inode);
  UpdateRequest request;
  request.object = place.directory;
  request.dkey = to_bytes(as_bytes(place.name));
  AkeyUpdate value;
  value.akey = to_bytes(as_bytes(kInodeKey));
  value.condition = Precondition::kPresent;
  value.bytes = encoded.size();
  request.akeys.push_back(std::move(value));
  request.akeys.emplace_back().akey = end_mark(inode.object);
  auto written = co_await container_.update(std::move(request), {ByteView(encoded)}, until);
  if (!written && written.error() == Code::kConditionFailed) {
    co_return failf(Code::kNotFound, "'{}' was removed by another client",
                    printable(as_bytes(place.name), kMaxNameBytes));
  }
  CO_CHECK_OK(std::move(written));
  co_return Result<>();
}

/// Clears an entry whose end has begun; nothing when somebody else has done so.
Task<Result<>> Entries::punch_ended(EntryPlace place, ObjectId object, Until until) {
  PunchRequest request;
  request.object = place.directory;
  request.level = PunchLevel::kAkey;
  request.condition = Precondition::kPresent;
  request.dkey = to_bytes(as_bytes(place.name));
  request.akeys.push_back(to_bytes(as_bytes(kInodeKey)));
  request.akeys.push_back(end_mark(object));
  auto punched = co_await container_.punch(std::move(request), until);
  if (!punched && punched.error() != Code::kConditionFailed) co_return fail(std::move(punched).error());
  co_return Result<>();
}

Task<Result<>> Entries::punch_entry(EntryPlace place, Until until) {
  PunchRequest request;
  request.object = place.directory;
  request.level = PunchLevel::kDkey;
  request.dkey = to_bytes(as_bytes(place.name));
  CO_CHECK_OK(co_await container_.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<>> Entries::punch_object(ObjectId object, bool has_xattrs, Until until) {
  if (object == ObjectId()) co_return Result<>();
  PunchRequest request;
  request.level = PunchLevel::kObject;
  if (has_xattrs) {
    request.object = xattr_object(object);
    CO_CHECK_OK(co_await container_.punch(request, until));
  }
  request.object = object;
  CO_CHECK_OK(co_await container_.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<std::optional<Inode>>> Entries::find(EntryPlace place, Until until) {
  CO_TRY(std::optional<Inode> inode, co_await load(place, until));
  if (!inode || inode->state == EntryState::kLive) co_return inode;
  // A snapshot may show a chain half done for ever: its visitors see the end of it and write nothing.
  const bool frozen = container_.snapshot().has_value();
  if (inode->state == EntryState::kRemoved) {
    if (!frozen) CO_CHECK_OK(co_await finish_removal(std::move(place), *std::move(inode), until));
    co_return std::optional<Inode>();
  }
  if (inode->state == EntryState::kMoving) {
    CO_TRY(const bool moved, co_await has_moved(*inode, until));
    if (moved) {
      if (!frozen) CO_CHECK_OK(co_await punch_ended(std::move(place), inode->object, until));
      co_return std::optional<Inode>();
    }
  } else if (!frozen) {
    CO_CHECK_OK(co_await finish_arrival(std::move(place), *inode, until));
  }
  inode->settle();
  co_return inode;
}

Task<Result<Inode>> Entries::get(EntryPlace place, Until until) {
  CO_TRY(std::optional<Inode> inode, co_await find(place, until));
  if (!inode) co_return failf(Code::kNotFound, "no entry '{}'", printable(as_bytes(place.name), kMaxNameBytes));
  co_return *std::move(inode);
}

Task<Result<>> Entries::insert(EntryPlace place, Inode inode, Until until) {
  auto inserted = co_await store(place, inode, Precondition::kAbsent, until);
  if (inserted || inserted.error() != Code::kConditionFailed) co_return inserted;
  // Something is there: a live entry, or the rest of a removal that `find` clears away.
  CO_TRY(const std::optional<Inode> present, co_await find(place, until));
  if (present) co_return failf(Code::kExists, "'{}' exists already", printable(as_bytes(place.name), kMaxNameBytes));
  inserted = co_await store(place, inode, Precondition::kAbsent, until);
  if (!inserted && inserted.error() == Code::kConditionFailed) {
    co_return failf(Code::kExists, "'{}' was created by another client at the same moment",
                    printable(as_bytes(place.name), kMaxNameBytes));
  }
  co_return inserted;
}

Task<Result<>> Entries::replace(EntryPlace place, Inode inode, Until until) {
  // Only what is there: written without the condition, attributes would bring back a name that is gone.
  auto replaced = co_await store(place, std::move(inode), Precondition::kPresent, until);
  if (!replaced && replaced.error() == Code::kConditionFailed) {
    co_return failf(Code::kNotFound, "'{}' was removed by another client",
                    printable(as_bytes(place.name), kMaxNameBytes));
  }
  co_return replaced;
}

Task<Result<>> Entries::remove(EntryPlace place, Inode inode, Until until) {
  inode.state = EntryState::kRemoved;
  auto begun = co_await begin_end(place, inode, until);
  if (!begun && no_room_to_write(begun.error())) {
    // The object goes first then, and an interruption leaves an empty file under the name instead of an object without
    // one.
    CO_CHECK_OK(co_await punch_object(inode.object, inode.has_xattrs, until));
    co_return co_await punch_entry(std::move(place), until);
  }
  CO_CHECK_OK(std::move(begun));
  co_return co_await finish_removal(std::move(place), std::move(inode), until);
}

Task<Result<>> Entries::finish_removal(EntryPlace place, Inode inode, Until until) {
  CO_CHECK_OK(co_await punch_object(inode.object, inode.has_xattrs, until));
  co_return co_await punch_ended(std::move(place), inode.object, until);
}

Task<Result<bool>> Entries::has_moved(Inode inode, Until until) {
  CO_TRY(const auto target, co_await load({inode.other_directory, inode.other_name}, until));
  // Object ids are never reused, so a mark that an abandoned move left behind cannot match by accident.
  co_return target && target->object == inode.object;
}

/// Takes away the old name of an object that has arrived at its new one.
Task<Result<>> Entries::clear_source(EntryPlace from, ObjectId object, Until until) {
  CO_TRY(const auto source, co_await load(from, until));
  if (!source || source->object != object || source->state != EntryState::kMoving) co_return Result<>();
  co_return co_await punch_ended(std::move(from), object, until);
}

/// Everything that must be true before anything else may happen to an entry that a rename wrote: once its old name is
/// gone, no later visitor there can take the move for one that never happened.
Task<Result<>> Entries::finish_arrival(EntryPlace place, Inode inode, Until until) {
  CO_CHECK_OK(co_await clear_source({inode.other_directory, inode.other_name}, inode.object, until));
  if (inode.object_to_remove != ObjectId()) {
    CO_CHECK_OK(co_await punch_object(inode.object_to_remove, inode.removed_has_xattrs, until));
    // An abandoned move of what was replaced may have left its mark.
    PunchRequest mark;
    mark.object = place.directory;
    mark.level = PunchLevel::kAkey;
    mark.dkey = to_bytes(as_bytes(place.name));
    mark.akeys.push_back(end_mark(inode.object_to_remove));
    CO_CHECK_OK(co_await container_.punch(std::move(mark), until));
  }
  inode.settle();
  auto settled = co_await store(std::move(place), std::move(inode), Precondition::kPresent, until);
  // Removed meanwhile by another client; or nothing can be written, and the next visitor finds nothing left to do.
  if (!settled && (settled.error() == Code::kConditionFailed || no_room_to_write(settled.error())))
    co_return Result<>();
  co_return settled;
}

Task<Result<>> Entries::move(EntryPlace from, Inode inode, EntryPlace to, std::optional<Inode> replaced, Until until) {
  Inode leaving = inode;
  leaving.state = EntryState::kMoving;
  leaving.other_directory = to.directory;
  leaving.other_name = to.name;
  CO_CHECK_OK(co_await begin_end(from, std::move(leaving), until));

  Inode arriving = std::move(inode);
  arriving.state = EntryState::kArrived;
  arriving.other_directory = from.directory;
  arriving.other_name = from.name;
  if (replaced) {
    arriving.object_to_remove = replaced->object;
    arriving.removed_has_xattrs = replaced->has_xattrs;
  }
  auto stored = co_await store(to, arriving, replaced ? Precondition::kPresent : Precondition::kAbsent, until);
  if (!stored && stored.error() == Code::kConditionFailed) {
    co_return failf(Code::kTxRestart, "another client changed '{}'", printable(as_bytes(to.name), kMaxNameBytes));
  }
  CO_CHECK_OK(std::move(stored));
  co_return co_await finish_arrival(std::move(to), std::move(arriving), until);
}

Task<Result<bool>> Entries::is_empty(ObjectId directory, Until until) {
  ListRequest request;
  request.object = directory;
  request.level = ListLevel::kDkeys;
  for (;;) {
    CO_TRY(ListReply page, co_await container_.list(request, until));
    for (const ListedKey& listed : page.keys) {
      CO_TRY(const auto live, co_await find({directory, to_text(listed.key)}, until));
      if (live) co_return false;
    }
    if (page.anchor.empty()) co_return true;
    request.anchor = std::move(page.anchor);
  }
}

}  // namespace cenote::posix
