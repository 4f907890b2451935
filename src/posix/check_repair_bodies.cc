// Repairs that are one transaction each. What they read decides whether they change anything.

#include <algorithm>

#include "check_repair.h"
#include "impl.h"

namespace cenote::posix {
namespace {

/// Whether a name leads to an object, by what is newest.
Task<Result<bool>> leads_to(Records records, Place name, ObjectId object, Until until) {
  CO_TRY(const StoredValue value, co_await read_value(records.container(), {std::move(name)}, until));
  const ReadEntry read = judge_entry(value);
  co_return read.state == ReadEntry::State::kWhole&& read.entry.object == object;
}

/// A directory's own record; nullopt: there is none that is one.
Task<Result<std::optional<Inode>>> own_record(Records records, ObjectId object, Until until) {
  CO_TRY(const StoredValue value, co_await read_value(records.container(), {Place::of_directory(object)}, until));
  ReadEntry read = judge_directory(value, object);
  if (read.state != ReadEntry::State::kWhole) co_return std::optional<Inode>();
  co_return std::move(read.entry.inode);
}

Task<Result<>> put_own_record(Records records, Inode inode, Until until) {
  Place place = Place::of_directory(inode.object);
  co_return co_await records.put_entry(std::move(place), Entry::of(std::move(inode)), Precondition::kNone, until);
}

Place inode_place(const Place& name, const Entry& entry) {
  if (entry.inode) return name;
  return entry.type == FileType::kDirectory ? Place::of_directory(entry.object) : Place::in_companion(entry.object);
}

/// What all names of something have, read anew.
struct Names {
  bool as_found = false;
  std::vector<Entry> entries;
  std::optional<Inode> kept;  ///< in the companion
};

Task<Result<Names>> read_names(Records records, const Fault* fault, std::vector<Place> places, Until until) {
  Names names;
  for (const Place& place : places) {
    CO_TRY(auto entry, co_await records.entry(place, until));
    if (!entry || entry->object.low() != fault->finding.object.low()) co_return names;
    names.entries.push_back(*std::move(entry));
  }
  const Place place = Place::in_companion(fault->finding.object);
  CO_TRY(const StoredValue value, co_await read_value(records.container(), {place}, until));
  ReadEntry read = judge_entry(value);
  if (read.state == ReadEntry::State::kUnreadable) co_return names;
  if (read.state == ReadEntry::State::kWhole && read.entry.object == fault->finding.object)
    names.kept = std::move(read.entry.inode);
  names.as_found = fault->names > 0 && places.size() == fault->names && names.kept.has_value() == fault->has_inode &&
                   (!names.kept || names.kept->links == fault->links);
  co_return names;
}

}  // namespace

Task<Result<>> Repairer::rebuild_directory(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                           Until until) {
  Records records(std::move(view));
  const ObjectId object = fault->finding.object;
  CO_TRY(const auto own, co_await own_record(records, object, until));
  *still_so = !own;
  if (*still_so && fault->place != Place()) {
    CO_TRY(*still_so, co_await leads_to(records, fault->place, object, until));
  }
  if (!*still_so) co_return Result<>();
  Inode inode = self->new_inode(FileType::kDirectory, object);
  inode.parent = fault->directory;
  co_return co_await records.put_directory(std::move(inode), self->marks_, until);
}

Task<Result<>> Repairer::remove_missing(async::Container view, Repairer*, const Fault* fault, bool* still_so,
                                        Until until) {
  Records records(std::move(view));
  const ObjectId object = fault->finding.object;
  CO_TRY(*still_so, co_await leads_to(records, fault->place, object, until));
  CO_TRY(const Records::Page page, co_await records.list(object, {}, {}, 1, until));
  *still_so &= page.dkeys.empty();
  if (!*still_so) co_return Result<>();
  co_return co_await records.remove(fault->place, until);
}

Task<Result<>> Repairer::remove_second(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                       Until until) {
  Records records(std::move(view));
  const ObjectId object = fault->finding.object;
  CO_TRY(const bool leads, co_await leads_to(records, fault->place, object, until));
  const auto located = self->located_.find(object.low());
  if (!leads || located == self->located_.end()) co_return Result<>();
  for (const Place& other : located->second.names) {
    if (other == fault->place) continue;
    CO_TRY(const bool other_leads, co_await leads_to(records, other, object, until));
    if (!other_leads) continue;
    CO_TRY(auto own, co_await own_record(records, object, until));
    *still_so = true;
    CO_CHECK_OK(co_await records.remove(fault->place, until));
    if (!own || own->parent != fault->place.object || own->parent == other.object) co_return Result<>();
    own->parent = other.object;
    co_return co_await put_own_record(records, *std::move(own), until);
  }
  co_return Result<>();
}

Task<Result<>> Repairer::set_parent(async::Container view, Repairer*, const Fault* fault, bool* still_so, Until until) {
  Records records(std::move(view));
  const ObjectId object = fault->finding.object;
  CO_TRY(const bool leads, co_await leads_to(records, fault->place, object, until));
  CO_TRY(auto own, co_await own_record(records, object, until));
  *still_so = leads && own && own->parent == fault->directory;
  if (!*still_so) co_return Result<>();
  own->parent = fault->place.object;
  co_return co_await put_own_record(records, *std::move(own), until);
}

/// One inode for all names.
Task<Result<>> Repairer::unite(async::Container view, Repairer* self, const Fault* fault, bool* still_so, Until until) {
  Records records(std::move(view));
  const auto located = self->located_.find(fault->finding.object.low());
  if (located == self->located_.end()) co_return Result<>();
  const auto& [places, removed, path] = located->second;
  CO_TRY(Names names, co_await read_names(records, fault, places, until));
  *still_so = names.as_found;
  if (!*still_so) co_return Result<>();
  std::optional<Inode> inode = names.kept;
  const auto here = std::ranges::find_if(names.entries, [](const Entry& entry) { return entry.inode.has_value(); });
  if (!inode && here != names.entries.end()) inode = here->inode;
  for (const Place& place : removed) {
    CO_TRY(auto waiting, co_await records.entry(place, until));
    if (!inode && waiting) inode = std::move(waiting->inode);
    CO_CHECK_OK(co_await records.remove(place, until));
  }
  if (!inode && fault->finding.object.dkey_flavour() == KeyFlavour::kUint64)
    inode = self->new_inode(FileType::kFile, fault->finding.object);
  if (!inode) {
    // Of what is no file, the inode was all there was.
    for (const Place& place : places) CO_CHECK_OK(co_await records.remove(place, until));
    co_return co_await records.punch_object(companion_object(fault->finding.object), until);
  }
  inode->links = fault->names;
  if (places.size() == 1 && !names.kept && names.entries.front().inode)
    co_return co_await records.put_entry(places.front(), Entry::of(*std::move(inode)), Precondition::kNone, until);
  inode->has_companion = true;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!names.entries[i].inode) continue;
    CO_CHECK_OK(co_await records.put_entry(places[i], Entry::reference(*inode), Precondition::kNone, until));
  }
  const Place kept = Place::in_companion(inode->object);
  co_return co_await records.put_entry(kept, Entry::of(*std::move(inode)), Precondition::kNone, until);
}

Task<Result<>> Repairer::set_hint(async::Container view, Repairer*, const Fault* fault, bool* still_so, Until until) {
  Records records(std::move(view));
  CO_TRY(const auto entry, co_await records.entry(fault->place, until));
  *still_so = entry && entry->inode && entry->object == fault->finding.object;
  if (!*still_so) co_return Result<>();
  co_return co_await records.put_where(entry->object, {fault->place.object, fault->place.dkey}, until);
}

Task<Result<>> Repairer::set_flags(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                   Until until) {
  Records records(std::move(view));
  const ObjectId object = fault->finding.object;
  const auto located = self->located_.find(object.low());
  if (located == self->located_.end()) co_return Result<>();
  Place place = Place::of_directory(object);
  if (!located->second.names.empty()) {
    const Place name = located->second.names.front();
    CO_TRY(const auto entry, co_await records.entry(name, until));
    if (!entry || entry->object.low() != object.low()) co_return Result<>();
    place = inode_place(name, *entry);
  } else if (!located->second.removed.empty()) {
    place = located->second.removed.front();
  } else if (object == root_object(self->state_.redundancy)) {
    place = Place::of_directory(object);
  }
  CO_TRY(auto entry, co_await records.entry(place, until));
  *still_so = entry && entry->inode && entry->object.low() == object.low();
  if (!*still_so) co_return Result<>();
  if (fault->finding.kind == FindingKind::kTailNotFlagged) {
    entry->inode->is_wide = true;
  } else {
    entry->inode->has_companion = entry->inode->has_xattrs = true;
  }
  co_return co_await records.put_entry(place, *std::move(entry), Precondition::kNone, until);
}

Task<Result<>> Repairer::name_directory(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                        Until until) {
  Records records(std::move(view));
  CO_TRY(auto own, co_await own_record(records, fault->finding.object, until));
  *still_so = own.has_value();
  if (!*still_so) co_return Result<>();
  own->parent = *self->lost_and_found_;
  Entry entry = Entry::reference(*own);
  CO_CHECK_OK(co_await put_own_record(records, *std::move(own), until));
  co_return co_await self->put_into_lost_and_found(records, std::move(entry), until);
}

Task<Result<>> Repairer::name_file(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                   Until until) {
  Records records(std::move(view));
  const ObjectId object = fault->finding.object;
  CO_TRY(const StoredValue value, co_await read_value(records.container(), {fault->place}, until));
  ReadEntry read = judge_entry(value);
  const bool has_inode = read.state == ReadEntry::State::kWhole && read.entry.inode && read.entry.object == object;
  *still_so = has_inode == fault->has_inode && (!has_inode || read.entry.inode->links == fault->links);
  if (!*still_so) co_return Result<>();
  if (has_inode) {
    read.entry.inode->links = 1;
    Entry reference = Entry::reference(*read.entry.inode);
    CO_CHECK_OK(co_await records.put_entry(fault->place, std::move(read.entry), Precondition::kNone, until));
    co_return co_await self->put_into_lost_and_found(records, std::move(reference), until);
  }
  Inode inode = self->new_inode(FileType::kFile, object);
  inode.has_companion = inode.has_xattrs = fault->has_companion;
  inode.is_wide = fault->has_tail;
  if (fault->has_companion) {
    // An inode that is damaged must not stay beside the new one.
    CO_CHECK_OK(co_await records.remove(fault->place, until));
    CO_CHECK_OK(co_await records.put_where(object, {*self->lost_and_found_, orphan_name(object.low())}, until));
  }
  co_return co_await self->put_into_lost_and_found(records, Entry::of(std::move(inode)), until);
}

Task<Result<>> Repairer::drop_companion(async::Container view, Repairer*, const Fault* fault, bool* still_so,
                                        Until until) {
  Records records(std::move(view));
  CO_TRY(const StoredValue value, co_await read_value(records.container(), {fault->place}, until));
  *still_so = value && judge_entry(value).state != ReadEntry::State::kWhole;
  if (!*still_so) co_return Result<>();
  co_return co_await records.punch_object(fault->finding.object, until);
}

}  // namespace cenote::posix
