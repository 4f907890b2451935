#include "snapshot_trees.h"

#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::posix {
namespace {

constexpr std::uint16_t kMostTrees = 65535;
constexpr std::size_t kNamesPerPage = 256;

}  // namespace

Task<Result<SnapshotTreePointer>> SnapshotTrees::open(std::string name, Until until) {
  Reactor& reactor = container_.client().reactor();
  if (const auto known = trees_.find(name);
      known != trees_.end() && reactor.now() < known->second->verified + kVerifiedFor)
    co_return known->second;
  const Instant asked = reactor.now();
  auto view = co_await container_.at_snapshot(name, until);
  const auto known = trees_.find(name);
  if (!view) {
    const bool none = view.error() == Code::kNotFound || view.error() == Code::kInvalidArgument;
    if (none && known != trees_.end()) {
      known->second->is_gone = true;
      trees_.erase(known);
    }
    if (none) co_return failf(Code::kNotFound, "no snapshot '{}'", printable(as_bytes(name)));
    co_return fail(std::move(view).error());
  }
  if (known != trees_.end() && known->second->info.epoch == view->snapshot()->epoch) {
    known->second->verified = asked;
    co_return known->second;
  }
  CO_TRY(auto files, co_await FileSystem::open(*view, until));
  if (const auto faster = trees_.find(name); faster != trees_.end()) {
    if (faster->second->info.epoch == view->snapshot()->epoch) co_return faster->second;
    // One of the same name that is no more.
    faster->second->is_gone = true;
    trees_.erase(faster);
  }
  if (next_index_ == kMostTrees) co_return fail(Code::kResourceExhausted, "too many snapshots were opened: open anew");
  auto tree = std::make_shared<SnapshotTree>();
  tree->info = *view->snapshot();
  tree->index = next_index_++;
  tree->files = std::move(files);
  tree->verified = asked;
  tree->files->impl().nodes.belong_to(tree);
  trees_.emplace(std::move(name), tree);
  co_return tree;
}

Task<Result<Found>> SnapshotTrees::find(std::string name, Until until) {
  CO_TRY(const SnapshotTreePointer tree, co_await open(std::move(name), until));
  co_return co_await tree->files->lookup(tree->files->root(), ".", until);
}

Task<Result<std::vector<std::string>>> SnapshotTrees::list(std::string after, Until until) {
  CO_TRY(const auto snapshots, co_await container_.snapshots(until));
  std::vector<std::string> names;
  for (const SnapshotInfo& snapshot : snapshots) {
    if (snapshot.name > after && names.size() < kNamesPerPage) names.push_back(snapshot.name);
  }
  co_return names;
}

Task<Result<FileSystem*>> SnapshotTrees::use(SnapshotTreePointer tree, Until until) {
  Reactor& reactor = container_.client().reactor();
  if (!tree->is_gone && reactor.now() >= tree->verified + kVerifiedFor) {
    const auto now = co_await open(tree->info.name, until);
    // That it cannot be asked says nothing; what is read of it will.
    if (now && *now != tree) tree->is_gone = true;
  }
  if (tree->is_gone) co_return failf(Code::kGone, "snapshot '{}' was destroyed", tree->info.name);
  co_return tree->files.get();
}

// ---- the directory of them ----

bool FileSystem::Impl::is_snapshots_directory(const Node& node) const {
  return !container.snapshot() && node.object() == snapshots_directory(container.redundancy());
}

bool FileSystem::is_in_present(const Node& node) const {
  return !node.is_in_snapshot() && !impl_->is_snapshots_directory(node);
}

bool FileSystem::Impl::is_snapshots_name(const Node& directory, std::string_view name) const {
  return name == kSnapshotsName && !container.snapshot() && !directory.is_in_snapshot() &&
         directory.object() == root_object(container.redundancy());
}

Result<> FileSystem::Impl::check_changes(const Node& node) const {
  if (!node.is_in_snapshot() && !is_snapshots_directory(node)) return {};
  return fail(Code::kReadOnly, "a snapshot never changes");
}

Result<> FileSystem::Impl::check_changes(const Node& directory, std::string_view name) const {
  CHECK_OK(check_changes(directory));
  if (!is_snapshots_name(directory, name)) return {};
  return fail(Code::kReadOnly, "the directory of snapshots is there always: 'cenote container snapshot' changes them");
}

Task<Result<Attributes>> FileSystem::Impl::snapshots_attributes(Until until) {
  const ObjectId root = root_object(container.redundancy());
  CO_TRY(const auto stored, co_await records.directory(root, touch_marks, until));
  if (!stored) co_return fail(Code::kGone, "the root directory is gone");
  constexpr std::uint32_t kEverybodyReads = 0555;
  co_return Attributes{.type = FileType::kDirectory,
                       .mode = kEverybodyReads,
                       .uid = stored->inode.uid,
                       .gid = stored->inode.gid,
                       .atime = stored->inode.created,
                       .mtime = stored->inode.created,
                       .ctime = stored->inode.created,
                       .created = stored->inode.created,
                       .object = snapshots_directory(container.redundancy())};
}

Task<Result<Found>> FileSystem::Impl::find_snapshots(Until until) {
  CO_TRY(const Attributes attributes, co_await snapshots_attributes(until));
  const ObjectId object = snapshots_directory(container.redundancy());
  co_return Found{nodes.get(FileType::kDirectory, object, Place::of_directory(object)), attributes};
}

}  // namespace cenote::posix
