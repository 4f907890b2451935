// Finding: from a name or a node to the inode, wherever that is by now.

#include <algorithm>

#include "cenote/base/format.h"
#include "impl.h"
#include "path.h"

namespace cenote::posix {
namespace {

// What is looked for may move while it is looked for, but not for ever.
constexpr int kAttempts = 16;

std::string shown(std::string_view name) { return printable(as_bytes(name), kMaxNameBytes); }

Error gone(const ObjectId& object) {
  return Error(Code::kGone, fmt::format("what had the number {} was removed", inode_number(object)));
}

}  // namespace

Node FileSystem::Impl::node_of(const Inode& inode, Place place) {
  Node node = nodes.get(inode.type, inode.object, std::move(place));
  if (inode.is_wide) node.state()->is_wide = true;
  if (inode.is_directory()) node.state()->parent_hint = inode.parent;
  return node;
}

Task<Result<std::optional<Stored>>> FileSystem::Impl::inode_of(Entry entry, Place place, Until until) {
  if (entry.inode) co_return std::optional<Stored>({*std::move(entry.inode), {}});
  if (entry.type == FileType::kDirectory) co_return co_await records.directory(entry.object, touch_marks, until);
  CO_TRY(auto kept, co_await records.entry(Place::in_companion(entry.object), until));
  if (!kept || !kept->inode) co_return std::optional<Stored>();
  co_return std::optional<Stored>({*std::move(kept->inode), {}});
}

Task<Result<>> FileSystem::Impl::relocate(Node node, Until until) {
  const auto& state = node.state();
  if (state->type == FileType::kDirectory) co_return fail(gone(state->object));
  const Place before = state->place;
  CO_TRY(const auto here, co_await records.entry(before, until));
  if (here && here->object == state->object && here->inode) co_return Result<>();
  CO_TRY(const auto kept, co_await records.entry(Place::in_companion(state->object), until));
  if (kept && kept->inode) {
    state->place = Place::in_companion(state->object);
    co_return Result<>();
  }
  CO_TRY(const auto where, co_await records.where(state->object, until));
  if (!where) co_return fail(gone(state->object));
  Place place = Place::of_name(where->directory, where->name);
  if (place == before) {
    // It says nothing new: it is gone, unless it came back while we looked.
    CO_TRY(const auto again, co_await records.entry(before, until));
    if (!again || again->object != state->object) co_return fail(gone(state->object));
  }
  state->place = std::move(place);
  co_return Result<>();
}

Task<Result<Stored>> FileSystem::Impl::load(Node node, Until until) {
  const auto& state = node.state();
  for (int i = 0; i < kAttempts; ++i) {
    if (state->type == FileType::kDirectory) {
      CO_TRY(auto stored, co_await records.directory(state->object, touch_marks, until));
      if (!stored) co_return fail(gone(state->object));
      state->parent_hint = stored->inode.parent;
      co_return *std::move(stored);
    }
    CO_TRY(auto entry, co_await records.entry(state->place, until));
    if (entry && entry->object == state->object && entry->inode) {
      if (entry->inode->is_wide) state->is_wide = true;
      co_return Stored{*std::move(entry->inode), {}};
    }
    CO_CHECK_OK(co_await relocate(node, until));
  }
  co_return failf(Code::kTxRestart, "what has the number {} is renamed all the time", node.number());
}

Attributes FileSystem::Impl::describe(const Stored& stored, std::uint64_t size) const {
  const Inode& inode = stored.inode;
  Attributes result{.type = inode.type,
                    .mode = inode.mode,
                    .uid = inode.uid,
                    .gid = inode.gid,
                    .links = inode.links,
                    .device = inode.device,
                    .size = size,
                    .atime = inode.atime,
                    .mtime = inode.mtime,
                    .ctime = inode.ctime,
                    .created = inode.created,
                    .has_xattrs = inode.has_xattrs,
                    .object = inode.object};
  if (stored.touched) {
    if (*stored.touched > inode.times_set) result.mtime = *stored.touched;
    result.ctime = std::max(result.ctime, *stored.touched);
  }
  if (const auto state = nodes.find(inode.object)) {
    if (state->snapshot) result.snapshot = state->snapshot->index;
    if (state->written_at && *state->written_at > inode.mtime) {
      result.mtime = *state->written_at;
      result.ctime = std::max(result.ctime, *state->written_at);
    }
    if (state->read_at) result.atime = std::max(result.atime, *state->read_at);
  }
  return result;
}

Task<Result<std::uint64_t>> FileSystem::Impl::size_of(Inode inode, Until until) {
  if (inode.type == FileType::kSymlink) co_return inode.target.size();
  if (inode.type != FileType::kFile) co_return 0;
  if (recent == nullptr) co_return co_await FileData(container, inode.object).size(inode.is_wide, until);
  // By whether it is wide: a file that others have widened has its size elsewhere.
  const Place place{.object = inode.object, .dkey = inode.is_wide ? "w" : ""};
  if (const auto* const size = recent->find<RecordCache::Size>(place)) co_return size->bytes;
  CO_TRY(auto size, co_await FileData(container, inode.object).size_leased(inode.is_wide, until));
  recent->put(place, RecordCache::Size{size.bytes}, std::move(size.leases));
  co_return size.bytes;
}

Task<Result<Found>> FileSystem::Impl::found(Stored stored, Place place, Until until) {
  Node node = node_of(stored.inode, std::move(place));
  CO_TRY(const std::uint64_t size, co_await size_of(stored.inode, until));
  co_return Found{std::move(node), describe(stored, size)};
}

Task<Result<Found>> FileSystem::lookup(Node directory, std::string name, Until until) {
  Impl& self = *impl_;
  if (directory.type() != FileType::kDirectory)
    co_return failf(Code::kNotADirectory, "no directory to find '{}' in", shown(name));
  if (directory.is_in_snapshot() && !self.container.snapshot()) {
    CO_TRY(FileSystem* const inner, co_await self.snapshots.use(directory.state()->snapshot, until));
    co_return co_await inner->lookup(std::move(directory), std::move(name), until);
  }
  if (self.is_snapshots_directory(directory)) {
    if (name == ".") co_return co_await self.find_snapshots(until);
    if (name != "..") co_return co_await self.snapshots.find(std::move(name), until);
    directory = root();
    name = ".";
  }
  if (self.is_snapshots_name(directory, name)) co_return co_await self.find_snapshots(until);
  if (name == "." || name == "..") {
    CO_TRY(Stored here, co_await self.load(directory, until));
    if (name == "..") {
      const Node parent =
          self.nodes.get(FileType::kDirectory, here.inode.parent, Place::of_directory(here.inode.parent));
      CO_TRY(here, co_await self.load(parent, until));
    }
    const ObjectId object = here.inode.object;
    co_return co_await self.found(std::move(here), Place::of_directory(object), until);
  }
  CO_CHECK_OK(validate_name(name));
  for (int i = 0; i < kAttempts; ++i) {
    const Place place = Place::of_name(directory.object(), name);
    CO_TRY(auto entry, co_await self.records.entry(place, until));
    if (!entry) co_return failf(Code::kNotFound, "no entry '{}'", shown(name));
    Place inode_place = place;
    if (!entry->inode)
      inode_place =
          entry->type == FileType::kDirectory ? Place::of_directory(entry->object) : Place::in_companion(entry->object);
    CO_TRY(auto stored, co_await self.inode_of(*std::move(entry), place, until));
    if (stored) {
      CO_TRY(Found found, co_await self.found(*std::move(stored), std::move(inode_place), until));
      // What another call has taken the last name from meanwhile is being given back, as nobody had it yet.
      const Node::State& state = *found.node.state();
      if (!state.is_removed || state.is_kept) co_return found;
    }
    // Removed between the two looks: the name is gone, or leads to something else.
  }
  co_return failf(Code::kCorrupt, "entry '{}' leads to nothing: 'cenote fs check' tells more", shown(name));
}

Task<Result<Attributes>> FileSystem::attributes(Node node, Until until) {
  if (node.is_in_snapshot() && !impl_->container.snapshot()) {
    CO_TRY(FileSystem* const inner, co_await impl_->snapshots.use(node.state()->snapshot, until));
    co_return co_await inner->attributes(std::move(node), until);
  }
  if (impl_->is_snapshots_directory(node)) co_return co_await impl_->snapshots_attributes(until);
  CO_TRY(const Stored stored, co_await impl_->load(node, until));
  CO_TRY(const std::uint64_t size, co_await impl_->size_of(stored.inode, until));
  co_return impl_->describe(stored, size);
}

Task<Result<std::string>> FileSystem::read_link(Node node, Until until) {
  if (node.type() != FileType::kSymlink) co_return fail(Code::kInvalidArgument, "no symbolic link");
  if (node.is_in_snapshot() && !impl_->container.snapshot()) {
    CO_TRY(FileSystem* const inner, co_await impl_->snapshots.use(node.state()->snapshot, until));
    co_return co_await inner->read_link(std::move(node), until);
  }
  CO_TRY(Stored stored, co_await impl_->load(node, until));
  co_return std::move(stored.inode.target);
}

}  // namespace cenote::posix
