// What has lost its last name is given back, in the background. Those who remove much give back many things at a time:
// what lies on one target is one message, where each alone would be two.

#include <algorithm>
#include <iterator>

#include "impl.h"

namespace cenote::posix {
namespace {

constexpr std::size_t kFreedTogether = 32;
constexpr Duration kFreeingTime = std::chrono::seconds(60);
// Two changes each, in a set.
static_assert(2 * kFreedTogether <= kMaxTransactionEntries);

/// Changes of one target, and whose they are.
struct Together {
  async::ChangeSet changes;
  std::vector<std::size_t> members;
};

/// By target.
using Sets = std::map<std::uint32_t, Together>;

PunchRequest punch_of(const ObjectId& object) {
  PunchRequest request;
  request.level = PunchLevel::kObject;
  request.object = object;
  return request;
}

/// Somebody else may have freed it, or let it wait elsewhere.
PunchRequest removal_of(const Place& place) {
  PunchRequest request;
  request.condition = Precondition::kPresent;
  request.level = PunchLevel::kDkey;
  request.object = place.object;
  request.dkey = to_bytes(as_bytes(place.dkey));
  return request;
}

void add(Sets& sets, std::uint32_t target, std::size_t member, PunchRequest punch) {
  Together& set = sets[target];
  set.changes.punches.push_back(std::move(punch));
  if (set.members.empty() || set.members.back() != member) set.members.push_back(member);
}

/// All of it lies in one object, and in its place.
bool is_plain(const Removed& removed) {
  return removed.inode.type == FileType::kFile && !removed.inode.is_wide && !removed.inode.has_companion &&
         removed.place != Place::in_companion(removed.inode.object);
}

/// What could not be done at once is noted in `apart`.
Task<> apply_each(async::Container container, Sets* sets, std::vector<bool>* apart, Until until) {
  for (auto& [target, set] : *sets) {
    if (co_await container.apply(std::move(set.changes), until)) continue;
    for (const std::size_t member : set.members) (*apart)[member] = true;
  }
}

}  // namespace

Task<> FileSystem::Impl::free_queued(Impl* self) {
  while (!self->to_free.empty()) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(self->to_free.size(), kFreedTogether));
    const auto begin = self->to_free.begin(), end = begin + count;
    std::vector<Removed> batch(std::make_move_iterator(begin), std::make_move_iterator(end));
    self->to_free.erase(begin, end);
    const Until until{.deadline = self->reactor().now() + kFreeingTime, .cancel = &self->freeing.cancel_source()};
    co_await self->free_together(std::move(batch), until);
    self->freeing_slots.release(static_cast<std::uint64_t>(count));
  }
  --self->freeing_tasks;
}

/// The places last, or with what they lead to: as long as something is there, somebody will come back to this.
Task<> FileSystem::Impl::free_together(std::vector<Removed> batch, Until until) {
  std::vector<bool> apart(batch.size());
  // Where places lie that go after the contents, as it was when these were sent.
  std::vector<std::optional<std::uint32_t>> later(batch.size());
  Sets contents, places;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto of_data = container.target_of(batch[i].inode.object);
    const auto of_place = container.target_of(batch[i].place.object);
    apart[i] = !is_plain(batch[i]) || !of_data || !of_place;
    if (apart[i]) continue;
    add(contents, *of_data, i, punch_of(batch[i].inode.object));
    if (of_data == of_place) {
      add(contents, *of_data, i, removal_of(batch[i].place));
    } else {
      later[i] = of_place;
    }
  }
  co_await apply_each(container, &contents, &apart, until);
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (!apart[i] && later[i]) add(places, *later[i], i, removal_of(batch[i].place));
  co_await apply_each(container, &places, &apart, until);
  Scope scope(reactor());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!apart[i]) continue;
    const bool started = scope.spawn(free_apart(this, std::move(batch[i]), until));
    ASSERT(started);
  }
  co_await scope.drain();
}

Task<> FileSystem::Impl::free_apart(Impl* self, Removed removed, Until until) {
  const ObjectId directory = removed.place.object;
  const auto freed = co_await self->reclaim(std::move(removed.inode), std::move(removed.place), until);
  if (!freed) self->doubt(directory);
}

}  // namespace cenote::posix
