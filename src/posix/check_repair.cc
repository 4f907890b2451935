#include "check_repair.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "impl.h"
#include "session.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kLostAndFound = "lost+found";

}  // namespace

Task<Result<>> Repairer::run(Until until) {
  Result<> outcome;
  for (Fault& fault : state_.faults.all()) {
    Finding& finding = fault.finding;
    if (repair_of(finding.kind).empty()) continue;
    auto repaired = co_await repair(fault, until);
    if (repaired) {
      finding.repair = *repaired ? RepairState::kDone : RepairState::kChanged;
      continue;
    }
    finding.repair = RepairState::kFailed;
    finding.failure = repaired.error().to_string();
    if (repaired.error() == Code::kCancelled) {
      outcome = fail(std::move(repaired).error());
      break;
    }
  }
  if (files_) co_await files_->close(until);
  co_return outcome;
}

Repairer::Body Repairer::body_of(FindingKind kind) {
  switch (kind) {
    case FindingKind::kDamagedDirectory:
      return rebuild_directory;
    case FindingKind::kMissingDirectory:
      return remove_missing;
    case FindingKind::kSecondName:
      return remove_second;
    case FindingKind::kWrongParent:
      return set_parent;
    case FindingKind::kMissingInode:
    case FindingKind::kWrongLinkCount:
    case FindingKind::kSeveralInodes:
    case FindingKind::kRemovedAndNamed:
      return unite;
    case FindingKind::kWrongPlaceHint:
      return set_hint;
    case FindingKind::kTailNotFlagged:
    case FindingKind::kCompanionNotFlagged:
      return set_flags;
    case FindingKind::kOrphanDirectory:
      return name_directory;
    case FindingKind::kOrphanFile:
      return name_file;
    case FindingKind::kOrphanCompanion:
      return drop_companion;
    default:
      return nullptr;
  }
}

Task<Result<bool>> Repairer::repair(const Fault& fault, Until until) {
  switch (fault.finding.kind) {
    case FindingKind::kDamagedEntry:
      co_return co_await keep_damaged_entry(fault, until);
    case FindingKind::kStaleRemoved:
      co_return co_await free_stale(fault, until);
    case FindingKind::kDamagedRemoved:
      co_return co_await free_damaged(fault, until);
    case FindingKind::kStaleSession:
      co_return co_await end_session(fault, until);
    case FindingKind::kUnlistedRemoved:
      CO_CHECK_OK(co_await Session::put_directory(records_, fault.session, fault.directory, until));
      co_return true;
    case FindingKind::kOrphanDirectory:
    case FindingKind::kOrphanFile:
      CO_CHECK_OK(co_await find_lost_and_found(until));
      break;
    default:
      break;
  }
  co_return co_await in_transaction(body_of(fault.finding.kind), fault, until);
}

Task<Result<bool>> Repairer::in_transaction(Body body, const Fault& fault, Until until) {
  bool still_so = false;
  auto done = co_await container_.transact(
      [&](async::Container& view) {
        still_so = false;
        return body(view, this, &fault, &still_so, until);
      },
      until);
  // Somebody has put another thing where it was to go.
  if (!done && done.error() == Code::kConditionFailed) co_return false;
  CO_CHECK_OK(std::move(done));
  co_return still_so;
}

Inode Repairer::new_inode(FileType type, const ObjectId& object) {
  const WallTime now = container_.client().reactor().wall_now();
  Inode inode{.type = type, .object = object, .atime = now, .mtime = now, .ctime = now, .created = now};
  inode.mode = type == FileType::kDirectory ? 0700 : 0600;
  inode.has_companion = inode.has_xattrs = true;  // which may be
  inode.is_wide = type == FileType::kFile;
  return inode;
}

Task<Result<>> Repairer::find_lost_and_found(Until until) {
  if (lost_and_found_) co_return Result<>();
  if (!files_) {
    CO_TRY(files_, co_await FileSystem::open(container_, until));
  }
  auto found = co_await files_->lookup(files_->root(), std::string(kLostAndFound), until);
  if (!found && found.error() == Code::kNotFound)
    found = co_await files_->make_directory(files_->root(), std::string(kLostAndFound), {.mode = 0700}, until);
  CO_TRY(const Found directory, std::move(found));
  if (directory.node.type() != FileType::kDirectory)
    co_return fail(Code::kNotADirectory, "'/lost+found' is no directory: rename it, and check again");
  lost_and_found_ = directory.node.object();
  co_return Result<>();
}

Task<Result<>> Repairer::put_into_lost_and_found(Records records, Entry entry, Until until) const {
  const ObjectId directory = *lost_and_found_;
  const WallTime now = records.container().client().reactor().wall_now();
  Place place = Place::of_name(directory, orphan_name(entry.object.low()));
  CO_CHECK_OK(co_await records.put_entry(std::move(place), std::move(entry), Precondition::kAbsent, until));
  co_return co_await records.touch(directory, 0, now, until);
}

/// What decides is read in the transaction that removes the name; until then the bytes are in two places.
Task<Result<bool>> Repairer::keep_damaged_entry(const Fault& fault, Until until) {
  struct Removing {
    static Task<Result<>> run(async::Container view, const Fault* fault, std::optional<Bytes> seen, bool* still_so,
                              Until until) {
      CO_TRY(const StoredValue value, co_await read_value(view, {fault->place}, until));
      *still_so = value && *value == seen;
      if (!*still_so) co_return Result<>();
      co_return co_await Records(view).remove(fault->place, until);
    }
  };
  CO_TRY(const StoredValue value, co_await read_value(container_, {fault.place}, until));
  if (!value || judge_name(value, state_.redundancy).state != ReadEntry::State::kDamaged) co_return false;
  const std::optional<Bytes>& seen = *value;
  if (seen) {
    CO_CHECK_OK(co_await find_lost_and_found(until));
    const std::string path = fmt::format("/{}/damaged-{}-{:08x}", kLostAndFound, fault.place.object.low(),
                                         crc32c(as_bytes(fault.place.dkey)));
    CO_TRY(File file, co_await files_->create(path, {.mode = 0600, .truncate = true}, until));
    CO_CHECK_OK(co_await file.write(0, *seen, until));
    CO_CHECK_OK(co_await file.close(until));
  }
  bool still_so = false;
  CO_CHECK_OK(co_await container_.transact(
      [&](async::Container& view) { return Removing::run(view, &fault, seen, &still_so, until); }, until));
  co_return still_so;
}

Task<Result<bool>> Repairer::free_stale(const Fault& fault, Until until) {
  if (has_names(state_.ledger, fault.finding.object.low())) co_return false;
  if (fault.session != 0) {
    CO_TRY(const bool known, co_await Session::is_known(records_, fault.session, until));
    if (known) co_return false;
  }
  CO_TRY(auto entry, co_await records_.entry(fault.place, until));
  if (!entry || !entry->inode || entry->inode->links > 0 || entry->object != fault.finding.object) co_return false;
  CO_CHECK_OK(co_await FileSystem::Impl::free_removed(records_, *std::move(entry->inode), fault.place, until));
  co_return true;
}

Task<Result<bool>> Repairer::free_damaged(const Fault& fault, Until until) {
  CO_TRY(const StoredValue value, co_await read_value(container_, {fault.place}, until));
  const auto key = parse_removed(fault.place.dkey);
  if (!value || !*value) co_return false;
  const ReadEntry read = judge_name(value, state_.redundancy);
  if (key && read.state == ReadEntry::State::kWhole && read.entry.inode && read.entry.object == key->object)
    co_return false;
  const bool is_ours = key && (is_object_of(FileType::kFile, key->object, state_.redundancy) ||
                               is_object_of(FileType::kSymlink, key->object, state_.redundancy));
  if (is_ours && !has_names(state_.ledger, key->object.low())) {
    // That it was removed is all that is left to know.
    Inode inode = new_inode(key->object.dkey_flavour() == KeyFlavour::kUint64 ? FileType::kFile : FileType::kSymlink,
                            key->object);
    CO_CHECK_OK(co_await FileSystem::Impl::punch_contents(records_, std::move(inode), until));
  }
  CO_CHECK_OK(co_await records_.remove(fault.place, until));
  co_return true;
}

Task<Result<bool>> Repairer::end_session(const Fault& fault, Until until) {
  CO_TRY(const bool known, co_await Session::is_known(records_, fault.session, until));
  if (known) co_return false;
  CO_TRY(const Session::Journal journal, co_await Session::read(records_, fault.session, until));
  for (const ObjectId& object : journal.open_files) {
    const Place place = Place::in_companion(object);
    CO_TRY(auto entry, co_await records_.entry(place, until));
    if (!entry || !entry->inode || entry->inode->links > 0 || has_names(state_.ledger, object.low())) continue;
    CO_CHECK_OK(co_await FileSystem::Impl::free_removed(records_, *std::move(entry->inode), place, until));
  }
  CO_CHECK_OK(co_await Session::erase(records_, fault.session, until));
  co_return true;
}

}  // namespace cenote::posix
