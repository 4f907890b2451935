#include "batch_apply.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::store {

bool BatchApply::made_here(TreeId tree) const {
  return std::ranges::find(creates_, tree, &Operation::tree) != creates_.end();
}

Result<> BatchApply::require_tree(TreeId tree) const {
  const bool exists = state_.catalog.find(tree) != nullptr && std::ranges::find(drops_, tree) == drops_.end();
  if (!exists && !made_here(tree)) return failf(Code::kNotFound, "there is no tree {}", tree.value());
  return {};
}

Result<> BatchApply::count_put(TreeId tree, ByteView key, std::size_t value_bytes, Need& need) {
  const std::uint64_t before = need.frames;
  CHECK_OK(state_.trees.prepare_put(tree, key, value_bytes, need.frames));
  need.created += need.frames - before;
  return {};
}

Result<BatchApply::Need> BatchApply::prepare(ByteView encoded) {
  creates_.clear();
  drops_.clear();
  state_.trees.begin_batch();
  Need need;
  OperationReader operations(encoded);
  for (Operation operation; operations.next(operation);) CHECK_OK(prepare_operation(operation, need));
  if (operations.bad()) return fail(Code::kCorrupt, "a batch of the log does not decode");
  return need;
}

Result<> BatchApply::prepare_operation(const Operation& operation, Need& need) {
  switch (operation.kind) {
    case OperationKind::kPut:
      return prepare_put(operation, need);
    case OperationKind::kErase:
      CHECK_OK(require_tree(operation.tree));
      if (made_here(operation.tree)) return {};
      return state_.trees.prepare_erase(operation.tree, operation.key, need.frames);
    case OperationKind::kCreateTree:
      return prepare_create(operation, need);
    case OperationKind::kDropTree:
      return prepare_drop(operation, need);
    case OperationKind::kClaim:
      ASSERT(mode_ == Mode::kReplay || state_.allocator.is_reserved(operation.extent));
      return {};
    case OperationKind::kRelease:
      ASSERT(mode_ == Mode::kReplay || state_.allocator.is_owned(operation.extent));
      return {};
  }
  return fail(Code::kInternal);
}

Result<> BatchApply::prepare_put(const Operation& operation, Need& need) {
  CHECK_OK(require_tree(operation.tree));
  if (!made_here(operation.tree)) return count_put(operation.tree, operation.key, operation.value.size(), need);
  const std::uint64_t frames = Trees::frames_for_new_tree(1) - Trees::frames_for_new_tree(0);
  need.frames += frames;
  need.created += frames;
  return {};
}

Result<> BatchApply::prepare_create(const Operation& operation, Need& need) {
  if (operation.tree == kCatalogTree || (mode_ == Mode::kLive && operation.tree >= state_.catalog.next_id())) {
    return failf(Code::kOutOfRange, "tree id {} was not handed out by next_tree_id", operation.tree.value());
  }
  const auto name_taken = state_.catalog.find(operation.name());
  const bool name_freed = name_taken && std::ranges::find(drops_, *name_taken) != drops_.end();
  const bool twice =
      std::ranges::any_of(creates_, [&](const Operation& other) { return other.name() == operation.name(); });
  if ((name_taken && !name_freed) || twice) return failf(Code::kExists, "there is a tree '{}'", operation.name());
  if (state_.catalog.find(operation.tree) != nullptr || made_here(operation.tree)) {
    return failf(Code::kExists, "there is a tree {}", operation.tree.value());
  }
  creates_.push_back(operation);
  need.frames += Trees::frames_for_new_tree(0);
  need.created += Trees::frames_for_new_tree(0);
  return count_put(kCatalogTree, Catalog::name_key(operation.name()), Catalog::kTreeValueBytes, need);
}

Result<> BatchApply::prepare_drop(const Operation& operation, Need& need) {
  CHECK_OK(require_tree(operation.tree));
  if (made_here(operation.tree)) return fail(Code::kInvalidArgument, "a batch drops the tree that it creates");
  drops_.push_back(operation.tree);
  const Catalog::Entry& entry = *state_.catalog.find(operation.tree);
  CHECK_OK(state_.trees.prepare_erase(kCatalogTree, Catalog::name_key(entry.name), need.frames));
  return count_put(kCatalogTree, Catalog::dropped_key(operation.tree), Catalog::kDroppedValueBytes, need);
}

Result<> BatchApply::apply(ByteView encoded, Lsn lsn) {
  OperationReader operations(encoded);
  for (Operation operation; operations.next(operation);) CHECK_OK(apply_operation(operation, lsn));
  state_.trees.finish_batch();
  state_.applied = lsn;
  return {};
}

Result<> BatchApply::apply_operation(const Operation& operation, Lsn lsn) {
  switch (operation.kind) {
    case OperationKind::kPut:
      state_.trees.put(operation.tree, operation.key, operation.value, lsn);
      return {};
    case OperationKind::kErase:
      state_.trees.erase(operation.tree, operation.key, lsn);
      return {};
    case OperationKind::kCreateTree:
      create_tree(operation, lsn);
      return {};
    case OperationKind::kDropTree:
      drop_tree(operation.tree, lsn);
      return {};
    case OperationKind::kClaim:
    case OperationKind::kRelease:
      return apply_extent(operation, lsn);
  }
  return fail(Code::kInternal);
}

Result<> BatchApply::apply_extent(const Operation& operation, Lsn lsn) {
  Allocator& allocator = state_.allocator;
  const bool claim = operation.kind == OperationKind::kClaim;
  if (mode_ == Mode::kReplay) {
    return claim ? allocator.replay_claim(operation.extent) : allocator.replay_release(operation.extent);
  }
  if (claim) {
    allocator.claim(operation.extent);
  } else {
    allocator.release(operation.extent, lsn);
  }
  return {};
}

void BatchApply::create_tree(const Operation& operation, Lsn lsn) {
  const PageId root = state_.trees.create(operation.tree, lsn);
  state_.trees.put(kCatalogTree, Catalog::name_key(operation.name()), Catalog::tree_value(operation.tree, root), lsn);
  state_.catalog.add(operation.tree, operation.name(), root);
}

/// Unlinks the tree; its pages are given back in the background.
void BatchApply::drop_tree(TreeId tree, Lsn lsn) {
  const PageId root = state_.trees.detach(tree, lsn);
  state_.trees.erase(kCatalogTree, Catalog::name_key(state_.catalog.find(tree)->name), lsn);
  state_.trees.put(kCatalogTree, Catalog::dropped_key(tree), Catalog::dropped_value(root), lsn);
  state_.catalog.drop(tree);
}

}  // namespace cenote::store
