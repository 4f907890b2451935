#include "check_objects.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/client/kv.h"
#include "records.h"
#include "session.h"

namespace cenote::posix {
namespace {

enum class Form : std::uint8_t { kFixed, kHead, kPlain, kTail, kCompanion, kForeign };

Form form_of(const ObjectId& object, std::uint32_t redundancy) {
  if (object == superblock_object(redundancy) || object == root_object(redundancy) ||
      object == sessions_object(redundancy) || object == async::Kv::default_object(redundancy))
    return Form::kFixed;
  const ObjectId head = object_of(FileType::kFile, object.low(), redundancy);
  // Of anything, the root included.
  if (object == companion_object(head)) return Form::kCompanion;
  if (object.low() < kFirstLeasedObject) return Form::kForeign;
  if (object == head) return Form::kHead;
  if (object == tail_object(head)) return Form::kTail;
  if (object == object_of(FileType::kDirectory, object.low(), redundancy)) return Form::kPlain;
  return Form::kForeign;
}

/// Whether something that was reached has an object of this form.
bool owns(const Reached& reached, Form form) {
  switch (form) {
    case Form::kHead:
      return reached.type == FileType::kFile;
    case Form::kPlain:
      return reached.how == Reached::How::kDirectory;
    case Form::kTail:
      return reached.type == FileType::kFile && reached.is_wide;
    case Form::kCompanion:
      return reached.has_companion;
    case Form::kFixed:
    case Form::kForeign:
      return false;
  }
  return false;
}

void add_foreign(CheckState& state, const ObjectId& object) {
  state.faults.add(FindingKind::kForeignObject, object, {},
                   fmt::format("object {} is none of a tree's: something else wrote it", object.to_string()));
}

enum class Plain : std::uint8_t { kDirectory, kJournal, kOther };

Task<Result<Plain>> look_at_plain(async::Container view, ObjectId object, Until until) {
  CO_TRY(const StoredValue own, co_await read_value(view, {Place::of_directory(object)}, until));
  if (!own || *own) co_return Plain::kDirectory;
  CO_TRY(const Records::Page page, co_await Records(view).list(object, {}, {}, kMaxListEntries, until));
  if (page.dkeys.empty()) co_return Plain::kOther;
  if (std::ranges::all_of(page.dkeys, Session::is_mark)) co_return Plain::kJournal;
  CO_TRY(const StoredValue first, co_await read_value(view, {{object, page.dkeys.front()}}, until));
  co_return judge_entry(first).state == ReadEntry::State::kWhole ? Plain::kDirectory : Plain::kOther;
}

/// What is there of something that no inode was found of.
struct Remains {
  bool has_head = false, has_tail = false, has_companion = false;
};

Task<Result<>> judge_remains(async::Container view, CheckState& state, std::uint64_t number, Remains remains,
                             Until until) {
  const ObjectId head = object_of(FileType::kFile, number, state.redundancy);
  ReadEntry kept;
  if (remains.has_companion) {
    CO_TRY(const StoredValue value, co_await read_value(view, {Place::in_companion(head)}, until));
    kept = judge_entry(value);
    if (kept.state == ReadEntry::State::kUnreadable) {
      state.faults.add(FindingKind::kUnreadable, head, {}, kept.what);
      co_return Result<>();
    }
  }
  const bool has_inode =
      kept.state == ReadEntry::State::kWhole && kept.entry.inode && kept.entry.object.low() == number;
  const bool has_data = remains.has_head || remains.has_tail;
  Fault* fault = nullptr;
  if (has_inode && kept.entry.inode->links == 0) {
    fault = state.faults.add(FindingKind::kStaleRemoved, kept.entry.object, {},
                             fmt::format("number {} was removed, and no session keeps it", number));
  } else if (has_inode || has_data) {
    fault = state.faults.add(FindingKind::kOrphanFile, has_inode ? kept.entry.object : head, {},
                             has_inode ? fmt::format("no name leads to number {}", number)
                                       : fmt::format("data of number {}, which has no inode", number));
  } else {
    fault = state.faults.add(FindingKind::kOrphanCompanion, companion_object(head), {},
                             fmt::format("attributes of number {}, of which nothing else is there", number));
  }
  if (fault == nullptr) co_return Result<>();
  fault->place = Place::in_companion(head);
  fault->has_inode = has_inode;
  fault->links = has_inode ? kept.entry.inode->links : 0;
  fault->has_companion = remains.has_companion;
  fault->has_tail = remains.has_tail;
  co_return Result<>();
}

}  // namespace

Task<Result<std::vector<ObjectId>>> find_strays(async::Container view, CheckState& state, Until until) {
  std::vector<ObjectId> strays;
  ListRequest request;
  request.level = ListLevel::kObjects;
  do {
    CO_TRY(ListReply page, co_await view.list(request, until));
    for (const ListedKey& listed : page.keys) {
      ++state.counts.objects;
      const ObjectId object(load_be<std::uint64_t>(listed.key.data()), load_be<std::uint64_t>(listed.key.data() + 8));
      const Form form = form_of(object, state.redundancy);
      if (form == Form::kFixed) continue;
      if (form == Form::kForeign) {
        add_foreign(state, object);
        continue;
      }
      if (form == Form::kPlain && state.sessions.contains(object.low())) continue;
      const auto is_owner = [&](const Reached& reached) { return owns(reached, form); };
      if (std::ranges::none_of(state.ledger.find(object.low()), is_owner)) strays.push_back(object);
    }
    request.anchor = std::move(page.anchor);
    state.tell_progress();
  } while (!request.anchor.empty());
  co_return strays;
}

Task<Result<>> follow_stray_directories(CheckPass& pass, async::Container view, CheckState& state,
                                        std::vector<ObjectId>& strays, Until until) {
  const auto is_plain = [&](const ObjectId& object) { return form_of(object, state.redundancy) == Form::kPlain; };
  const auto plain = std::ranges::partition(strays, [&](const ObjectId& object) { return !is_plain(object); });
  std::ranges::sort(plain);
  for (const ObjectId& object : plain) {
    CO_TRY(const Plain what, co_await look_at_plain(view, object, until));
    if (what == Plain::kDirectory && !pass.has_visited(object)) {
      CO_CHECK_OK(co_await pass.run_orphan(object, until));
    } else if (what == Plain::kJournal) {
      Fault* fault = state.faults.add(FindingKind::kStaleSession, object, {},
                                      fmt::format("the journal of session {:016x}, which is no more", object.low()));
      if (fault != nullptr) fault->session = object.low();
    } else if (what == Plain::kOther) {
      add_foreign(state, object);
    }
  }
  strays.erase(plain.begin(), strays.end());
  for (const ObjectId& top : pass.orphans()) {
    Fault* fault = state.faults.add(FindingKind::kOrphanDirectory, top, orphan_path(top.low()),
                                    fmt::format("no name leads to directory {}", top.low()));
    if (fault != nullptr) fault->directory = top;
  }
  state.ledger.sort();
  co_return Result<>();
}

Task<Result<>> judge_strays(async::Container view, CheckState& state, std::vector<ObjectId> strays,
                            std::vector<std::uint64_t> unnamed, Until until) {
  std::map<std::uint64_t, Remains> remains;
  for (const std::uint64_t number : unnamed) remains[number].has_companion = true;
  for (const ObjectId& object : strays) {
    const Form form = form_of(object, state.redundancy);
    const auto group = state.ledger.find(object.low());
    if (std::ranges::any_of(group, [&](const Reached& reached) { return owns(reached, form); })) continue;
    if (group.empty() || remains.contains(object.low())) {
      Remains& found = remains[object.low()];
      found.has_head |= form == Form::kHead;
      found.has_tail |= form == Form::kTail;
      found.has_companion |= form == Form::kCompanion;
    } else if (form == Form::kTail && group.first->type == FileType::kFile) {
      state.faults.add(
          FindingKind::kTailNotFlagged, object_of(FileType::kFile, object.low(), state.redundancy), {},
          fmt::format("the inode of number {} does not know of its data behind the first chunk", object.low()));
    } else if (form == Form::kCompanion) {
      state.faults.add(FindingKind::kCompanionNotFlagged, object_of(group.first->type, object.low(), state.redundancy),
                       {}, fmt::format("the inode of number {} does not know of its companion", object.low()));
    } else {
      add_foreign(state, object);
    }
  }
  for (const auto& [number, found] : remains) CO_CHECK_OK(co_await judge_remains(view, state, number, found, until));
  co_return Result<>();
}

}  // namespace cenote::posix
