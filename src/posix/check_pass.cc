#include "check_pass.h"

#include "cenote/base/format.h"
#include "session.h"

namespace cenote::posix {
namespace {

constexpr std::uint64_t kNamesPerProgress = 1024;

Place entry_of(const Walked& directory) {
  return directory.above ? Place::of_name(directory.above->object, directory.name) : Place();
}

}  // namespace

std::string orphan_name(std::uint64_t number) { return fmt::format("#{}", number); }
std::string orphan_path(std::uint64_t number) { return "/lost+found/" + orphan_name(number); }

Task<Result<>> CheckPass::run_orphan(ObjectId directory, Until until) {
  orphans_.insert(directory);
  current_orphan_ = directory;
  co_return co_await run(directory, orphan_path(directory.low()), until);
}

std::vector<ObjectId> CheckPass::orphans() const { return {orphans_.begin(), orphans_.end()}; }

void CheckPass::unreadable(const ObjectId& object, std::string path, std::string detail) {
  state_.incomplete = true;
  state_.faults.add(FindingKind::kUnreadable, object, std::move(path), std::move(detail));
}

void CheckPass::on_directory(const WalkedPointer& directory, const ReadEntry& own) {
  ++state_.counts.directories;
  const bool whole = own.state == ReadEntry::State::kWhole;
  state_.ledger.add({.number = directory->object.low(),
                     .type = FileType::kDirectory,
                     .how = Reached::How::kDirectory,
                     .has_companion = !whole || own.entry.inode->has_companion});
  if (own.state == ReadEntry::State::kUnreadable)
    state_.faults.add(FindingKind::kUnreadable, directory->object, path_of(*directory), own.what);
}

void CheckPass::on_directory_end(const WalkedPointer& directory, const ReadEntry& own, bool has_dkeys) {
  using enum ReadEntry::State;
  if (own.state != kAbsent && own.state != kDamaged) return;
  const bool is_missing = own.state == kAbsent && !has_dkeys && directory->above;
  Fault* fault = state_.faults.add(is_missing ? FindingKind::kMissingDirectory : FindingKind::kDamagedDirectory,
                                   directory->object, path_of(*directory),
                                   is_missing ? "nothing is there of the directory" : "its own record: " + own.what);
  if (fault == nullptr) return;
  fault->place = entry_of(*directory);
  fault->directory = directory->above ? directory->above->object : directory->object;
}

void CheckPass::on_parent(const WalkedPointer& directory, const ObjectId& parent) {
  Fault* fault = state_.faults.add(FindingKind::kWrongParent, directory->object, path_of(*directory),
                                   fmt::format("it says that it is in directory {}", parent.to_string()));
  if (fault == nullptr) return;
  fault->place = entry_of(*directory);
  fault->directory = parent;
}

void CheckPass::on_second_name(const WalkedPointer& directory, const ReadEntry& own) {
  const ObjectId& object = directory->object;
  if (object != current_orphan_ && orphans_.erase(object) > 0) {
    // It was taken for the top of what is lost, and is below another one that is.
    const bool whole = own.state == ReadEntry::State::kWhole;
    if (whole && own.entry.inode->parent != directory->above->object) on_parent(directory, own.entry.inode->parent);
    return;
  }
  Fault* fault = state_.faults.add(FindingKind::kSecondName, object, path_of(*directory),
                                   fmt::format("directory {} has another name", object.low()));
  if (fault != nullptr) fault->place = entry_of(*directory);
}

void CheckPass::on_name(const WalkedPointer& directory, const std::string& name, const ReadEntry& read,
                        const Beside& beside) {
  if (++state_.counts.names % kNamesPerProgress == 0) state_.tell_progress();
  const Place place = Place::of_name(directory->object, name);
  if (read.state == ReadEntry::State::kUnreadable)
    return unreadable(directory->object, path_of(*directory, name), read.what);
  if (read.state == ReadEntry::State::kDamaged) {
    Fault* fault =
        state_.faults.add(FindingKind::kDamagedEntry, directory->object, path_of(*directory, name), read.what);
    if (fault != nullptr) fault->place = place;
    return;
  }
  const Entry& entry = read.entry;
  if (entry.type == FileType::kDirectory) return;  // which tells of itself
  Reached reached{.number = entry.object.low(), .type = entry.type, .how = Reached::How::kReference};
  if (entry.inode) {
    reached.how = Reached::How::kHere;
    reached.is_wide = entry.inode->is_wide;
    reached.has_companion = entry.inode->has_companion;
    reached.is_odd = entry.inode->links != 1 || beside.has_inode;
  }
  state_.ledger.add(reached);
  if (!entry.inode || !beside.where) return;
  const auto where = decode_where(*beside.where, "it");
  if (where && *where == WhereAt{directory->object, name}) return;
  Fault* fault = state_.faults.add(FindingKind::kWrongPlaceHint, entry.object, path_of(*directory, name),
                                   where ? fmt::format("the place on record is '{}' in directory {}",
                                                       printable(as_bytes(where->name)), where->directory.to_string())
                                         : "the place on record is damaged");
  if (fault != nullptr) fault->place = place;
}

Task<Result<>> CheckPass::on_removed(WalkedPointer directory, std::string dkey, ReadEntry read, Until until) {
  ++state_.counts.removed;
  const std::string path = path_of(*directory, printable(as_bytes(dkey)));
  if (read.state == ReadEntry::State::kUnreadable) {
    unreadable(directory->object, path, read.what);
    co_return Result<>();
  }
  const auto key = parse_removed(dkey);
  const bool whole =
      key && read.state == ReadEntry::State::kWhole && read.entry.inode && read.entry.object == key->object;
  const Place place{directory->object, dkey};
  if (key) {
    const bool is_file = key->object.dkey_flavour() == KeyFlavour::kUint64;
    state_.ledger.add({.number = key->object.low(),
                       .type = whole     ? read.entry.type
                               : is_file ? FileType::kFile
                                         : FileType::kSymlink,
                       .how = Reached::How::kRemoved,
                       .is_wide = !whole || read.entry.inode->is_wide,
                       .has_companion = !whole || read.entry.inode->has_companion});
  }
  if (!whole) {
    Fault* fault = state_.faults.add(FindingKind::kDamagedRemoved, key ? key->object : ObjectId(), path,
                                     read.what.empty() ? "its key and its record differ" : read.what);
    if (fault != nullptr) fault->place = place;
    co_return Result<>();
  }
  Fault* fault = nullptr;
  if (!state_.sessions.contains(key->session)) {
    fault = state_.faults.add(FindingKind::kStaleRemoved, key->object, path,
                              fmt::format("session {:016x}, which removed it, is no more", key->session));
  } else {
    const Place mark = Session::directory_mark(key->session, directory->object, redundancy());
    CO_TRY(const StoredValue marked, co_await read_value(container(), {mark, Session::kMarkAkey}, until));
    if (marked && !*marked) {
      fault = state_.faults.add(FindingKind::kUnlistedRemoved, key->object, path,
                                fmt::format("session {:016x} has no record of it", key->session));
    }
  }
  if (fault == nullptr) co_return Result<>();
  fault->place = place;
  fault->directory = directory->object;
  fault->session = key->session;
  co_return Result<>();
}

void CheckPass::on_unlisted(const WalkedPointer& directory, const Error& error) {
  unreadable(directory->object, path_of(*directory), error.to_string());
}

}  // namespace cenote::posix
