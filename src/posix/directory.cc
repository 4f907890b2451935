// Listing directories.

#include "impl.h"

namespace cenote::posix {
namespace {

constexpr std::uint32_t kNamesPerPage = 256;

struct NamedEntry {
  std::string name;
  Entry entry;
};

/// The next names, with what they lead to; empty at the end only.
Task<Result<std::vector<NamedEntry>>> next_entries(Records records, ObjectId directory, std::string after,
                                                   Until until) {
  std::vector<NamedEntry> result;
  for (bool at_end = false; result.empty() && !at_end;) {
    CO_TRY(Records::Page page, co_await records.list(directory, {}, after, kNamesPerPage, until));
    at_end = page.at_end || page.dkeys.empty();
    if (!page.dkeys.empty()) after = page.dkeys.back();
    std::erase_if(page.dkeys, [](const std::string& dkey) { return !is_name(dkey); });
    std::vector<Place> places;
    for (const std::string& name : page.dkeys) places.push_back(Place::of_name(directory, name));
    CO_TRY(auto entries, co_await records.entries(std::move(places), until));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i]) result.push_back({std::move(page.dkeys[i]), *std::move(entries[i])});
    }
  }
  co_return result;
}

/// Attributes of one entry of a page; none if it is gone meanwhile.
Task<> describe_entry(FileSystem* self, Node directory, std::string name, Semaphore* slots,
                      std::optional<Result<Found>>* into, Until until) {
  *into = co_await self->lookup(directory, std::move(name), until);
  slots->release();
}

}  // namespace

Task<Result<std::vector<DirectoryEntry>>> FileSystem::read_directory(Node directory, std::string after, Until until) {
  Impl& self = *impl_;
  if (directory.type() != FileType::kDirectory) co_return fail(Code::kNotADirectory, "no directory to list");
  if (directory.is_in_snapshot() && !self.container.snapshot()) {
    CO_TRY(FileSystem* const inner, co_await self.snapshots.use(directory.state()->snapshot, until));
    co_return co_await inner->read_directory(std::move(directory), std::move(after), until);
  }
  if (self.is_snapshots_directory(directory)) {
    CO_TRY(const auto names, co_await self.snapshots.list(std::move(after), until));
    std::vector<DirectoryEntry> snapshots;
    for (const std::string& name : names) snapshots.push_back({name, FileType::kDirectory, root().object()});
    co_return snapshots;
  }
  CO_TRY(auto entries, co_await next_entries(self.records, directory.object(), std::move(after), until));
  std::vector<DirectoryEntry> page;
  page.reserve(entries.size());
  const auto& tree = directory.state()->snapshot;
  const std::uint16_t snapshot = tree ? tree->index : std::uint16_t{0};
  for (NamedEntry& named : entries)
    page.push_back({std::move(named.name), named.entry.type, named.entry.object, snapshot});
  co_return page;
}

Task<Result<std::vector<NamedNode>>> FileSystem::read_directory_plus(Node directory, std::string after, Until until) {
  constexpr std::uint64_t kAtATime = 64;
  Impl& self = *impl_;
  std::vector<NamedNode> page;
  for (;;) {
    CO_TRY(auto names, co_await read_directory(directory, after, until));
    if (names.empty()) co_return page;
    after = names.back().name;
    std::vector<std::optional<Result<Found>>> found(names.size());
    Semaphore slots(self.reactor(), kAtATime);
    Scope scope(self.reactor());
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!co_await slots.acquire(1, until)) break;
      scope.spawn(describe_entry(this, directory, names[i].name, &slots, &found[i], until));
    }
    co_await scope.drain();
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!found[i]) co_return fail(Code::kDeadlineExceeded, "the directory was not read in time");
      if (*found[i]) {
        page.push_back({std::move(names[i].name), **std::move(found[i])});
      } else if (found[i]->error() != Code::kNotFound) {
        co_return fail(std::move(*found[i]).error());
      }
    }
    if (!page.empty()) co_return page;
  }
}

}  // namespace cenote::posix
