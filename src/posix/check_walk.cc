#include "check_walk.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "records.h"

namespace cenote::posix {
namespace {

/// Of an entry's most bytes each: a megabyte at a time.
constexpr std::uint32_t kNamesPerPage = 256;

}  // namespace

std::string path_of(const Walked& directory) {
  std::vector<const Walked*> way;
  for (const Walked* at = &directory; at != nullptr; at = at->above.get()) way.push_back(at);
  std::string path = way.back()->name;
  for (auto next = way.rbegin() + 1; next != way.rend(); ++next) {
    if (!path.ends_with('/')) path += '/';
    path += (*next)->name;
  }
  return path;
}

std::string path_of(const Walked& directory, std::string_view name) {
  std::string path = path_of(directory);
  if (!path.ends_with('/')) path += '/';
  return path.append(name);
}

Task<Result<>> Walk::run(ObjectId root, std::string shown, Until until) {
  Reactor& reactor = container_.client().reactor();
  Scope scope(reactor);
  Semaphore ended(reactor, 0);
  std::uint32_t running = 0;
  outcome_ = {};
  pending_.push_back(std::make_shared<const Walked>(nullptr, std::move(shown), root));
  for (;;) {
    const bool has_room = running < parallel_ && outcome_;
    if (has_room && !pending_.empty()) {
      Pending next{std::move(pending_.back())};
      pending_.pop_back();
      ++running;
      scope.spawn(visit(this, std::move(next), until, &ended));
    } else if (has_room && running == 0 && !put_off_.empty()) {
      Pending next{std::move(put_off_.back()), true};
      put_off_.pop_back();
      ++running;
      scope.spawn(visit(this, std::move(next), until, &ended));
    } else if (running > 0) {
      // The visits have the deadline.
      static_cast<void>(co_await ended.acquire(1, Until::forever()));
      --running;
    } else {
      break;
    }
  }
  co_await scope.drain();
  pending_.clear();
  put_off_.clear();
  co_return outcome_;
}

Task<> Walk::visit(Walk* self, Pending pending, Until until, Semaphore* ended) {
  auto looked = co_await self->look_at(std::move(pending), until);
  if (!looked && self->outcome_) self->outcome_ = std::move(looked);
  ended->release();
}

Task<Result<>> Walk::look_at(Pending pending, Until until) {
  const WalkedPointer directory = pending.directory;
  const ObjectId object = directory->object;
  if (directory->depth > kMostDepth) {
    on_unlisted(directory, Error(Code::kOutOfRange, fmt::format("it is more than {} directories deep", kMostDepth)));
    co_return Result<>();
  }
  CO_TRY(const StoredValue own, co_await read_value(container_, {Place::of_directory(object)}, until));
  const ReadEntry record = judge_directory(own, object);
  const bool is_own = record.state == ReadEntry::State::kWhole;
  const bool is_elsewhere = is_own && directory->above && record.entry.inode->parent != directory->above->object;
  if (is_elsewhere && !pending.is_late && !has_visited(object)) {
    put_off_.push_back(directory);
    co_return Result<>();
  }
  if (!visited_.insert(object.low()).second) {
    on_second_name(directory, record);
    co_return Result<>();
  }
  if (is_elsewhere) on_parent(directory, record.entry.inode->parent);
  on_directory(directory, record);
  CO_TRY(const bool has_dkeys, co_await look_at_names(directory, until));
  on_directory_end(directory, record, has_dkeys);
  co_return Result<>();
}

Task<Result<bool>> Walk::look_at_names(WalkedPointer directory, Until until) {
  Records records(container_);
  std::string after;
  bool any = false;
  for (bool at_end = false; !at_end;) {
    auto listed = co_await records.list(directory->object, {}, after, kNamesPerPage, until);
    if (!listed) {
      if (!tells_of_damage(listed.error())) co_return fail(std::move(listed).error());
      on_unlisted(directory, listed.error());
      co_return true;
    }
    at_end = listed->at_end || listed->dkeys.empty();
    if (listed->dkeys.empty()) break;
    after = listed->dkeys.back();
    any = true;
    std::erase(listed->dkeys, kSelfDkey);
    CO_CHECK_OK(co_await look_at_page(directory, std::move(listed->dkeys), until));
  }
  co_return any;
}

Task<Result<>> Walk::look_at_page(WalkedPointer directory, std::vector<std::string> dkeys, Until until) {
  std::vector<ValueName> names;
  names.reserve(dkeys.size());
  for (const std::string& dkey : dkeys) names.push_back({{directory->object, dkey}});
  CO_TRY(const auto values, co_await read_values(container_, std::move(names), until));
  std::vector<ReadEntry> entries;
  entries.reserve(values.size());
  for (const StoredValue& value : values) entries.push_back(judge_name(value, redundancy_));
  CO_TRY(const auto beside, co_await companions(entries, until));
  for (std::size_t i = 0; i < dkeys.size(); ++i) {
    if (!is_name(dkeys[i])) {
      CO_CHECK_OK(co_await on_removed(directory, dkeys[i], entries[i], until));
      continue;
    }
    const auto companion = beside.find(i);
    on_name(directory, dkeys[i], entries[i], companion == beside.end() ? Beside{} : companion->second);
    const Entry& entry = entries[i].entry;
    if (entries[i].state == ReadEntry::State::kWhole && entry.type == FileType::kDirectory)
      pending_.push_back(std::make_shared<const Walked>(directory, dkeys[i], entry.object, directory->depth + 1));
  }
  co_return Result<>();
}

Task<Result<std::map<std::size_t, Walk::Beside>>> Walk::companions(const std::vector<ReadEntry>& entries, Until until) {
  std::map<std::size_t, Beside> beside;
  if (!wants_companions()) co_return beside;
  std::vector<std::size_t> indexes;
  std::vector<ValueName> names;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i].entry;
    if (entries[i].state != ReadEntry::State::kWhole || !entry.inode || !entry.inode->has_companion) continue;
    indexes.push_back(i);
    names.push_back({Place::in_companion(entry.object)});
    names.push_back({Place::in_companion(entry.object), kWhereAkey});
  }
  CO_TRY(const auto values, co_await read_values(container_, std::move(names), until));
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    Beside& companion = beside[indexes[i]];
    const StoredValue &inode = values[2 * i], &where = values[2 * i + 1];
    companion.has_inode = inode && inode->has_value();
    // What cannot be read says nothing, which is no right place either.
    companion.where = where ? *where : std::optional<Bytes>(Bytes());
  }
  co_return beside;
}

}  // namespace cenote::posix
