#include "entries.h"

#include "cenote/base/format.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kInodeKey = "inode";
constexpr std::size_t kMaxInodeBytes = 128 + kMaxNameBytes + kMaxPathBytes;

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
  if (!inode) co_return inode;
  if (inode->state == EntryState::kRemoved) {
    CO_CHECK_OK(co_await finish_removal(place, *inode, until));
    co_return std::optional<Inode>();
  }
  if (inode->state == EntryState::kMoving) {
    CO_TRY(const bool moved, co_await has_moved(*inode, until));
    if (moved) {
      CO_CHECK_OK(co_await punch_entry(place, until));
      co_return std::optional<Inode>();
    }
  }
  if (inode->object_to_remove != ObjectId()) {
    CO_CHECK_OK(co_await finish_replacement(place, *inode, until));
    inode->object_to_remove = {};
    inode->removed_has_xattrs = false;
  }
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
  co_return co_await store(std::move(place), std::move(inode), Precondition::kNone, until);
}

Task<Result<>> Entries::remove(EntryPlace place, Inode inode, Until until) {
  inode.state = EntryState::kRemoved;
  auto removed = co_await store(place, inode, Precondition::kPresent, until);
  if (!removed && removed.error() == Code::kConditionFailed) {
    co_return failf(Code::kNotFound, "'{}' was removed by another client",
                    printable(as_bytes(place.name), kMaxNameBytes));
  }
  CO_CHECK_OK(std::move(removed));
  co_return co_await finish_removal(std::move(place), std::move(inode), until);
}

Task<Result<>> Entries::finish_removal(EntryPlace place, Inode inode, Until until) {
  CO_CHECK_OK(co_await punch_object(inode.object, inode.has_xattrs, until));
  CO_CHECK_OK(co_await punch_object(inode.object_to_remove, inode.removed_has_xattrs, until));
  co_return co_await punch_entry(std::move(place), until);
}

Task<Result<bool>> Entries::has_moved(Inode inode, Until until) {
  CO_TRY(const auto target, co_await load({inode.moving_to_directory, inode.moving_to_name}, until));
  // Object ids are never reused, so a mark that an abandoned move left behind cannot match by accident.
  co_return target && target->state == EntryState::kLive && target->object == inode.object;
}

Task<Result<>> Entries::finish_replacement(EntryPlace place, Inode inode, Until until) {
  CO_CHECK_OK(co_await punch_object(inode.object_to_remove, inode.removed_has_xattrs, until));
  inode.object_to_remove = {};
  inode.removed_has_xattrs = false;
  co_return co_await store(std::move(place), std::move(inode), Precondition::kPresent, until);
}

Task<Result<>> Entries::move(EntryPlace from, Inode inode, EntryPlace to, std::optional<Inode> replaced, Until until) {
  Inode leaving = inode;
  leaving.state = EntryState::kMoving;
  leaving.moving_to_directory = to.directory;
  leaving.moving_to_name = to.name;
  CO_CHECK_OK(co_await store(from, std::move(leaving), Precondition::kPresent, until));

  Inode arriving = std::move(inode);
  arriving.state = EntryState::kLive;
  arriving.moving_to_directory = {};
  arriving.moving_to_name.clear();
  if (replaced) {
    arriving.object_to_remove = replaced->object;
    arriving.removed_has_xattrs = replaced->has_xattrs;
  }
  CO_CHECK_OK(co_await store(to, arriving, Precondition::kNone, until));
  CO_CHECK_OK(co_await punch_entry(std::move(from), until));
  if (arriving.object_to_remove != ObjectId()) {
    CO_CHECK_OK(co_await finish_replacement(std::move(to), std::move(arriving), until));
  }
  co_return Result<>();
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
