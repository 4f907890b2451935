#include "salvage_source.h"

#include <algorithm>

#include "cenote/base/bytes.h"

namespace cenote::object {

Task<Result<std::unique_ptr<SalvageSource>>> SalvageSource::open(Reactor& reactor, store::Devices devices,
                                                                 store::ExamineOptions options) {
  auto source = std::make_unique<SalvageSource>();
  const std::optional<SecretKey> key = options.key;
  CO_TRY(source->examination_, co_await store::Examination::open(reactor, devices, std::move(options)));
  for (const store::TreeReport& tree : source->examination_->trees()) source->trees_[tree.id] = tree.name;
  if (!source->examination_->recovered()) {
    if (auto read = co_await source->read_log(reactor, devices, key); !read) {
      co_await source->close();
      co_return fail(std::move(read).error());
    }
  }
  co_return source;
}

Task<Result<>> SalvageSource::read_log(Reactor& reactor, store::Devices devices, std::optional<SecretKey> key) {
  store::LogListingOptions options;
  options.key = key;
  options.operation = [this](const store::LogOperation& operation) { take(operation); };
  options.group = [this](const store::LogGroup& group) { batches_ += group.batches; };
  CO_TRY(log_, co_await store::list_log(reactor, devices, std::move(options)));
  co_return Result<>();
}

/// The log begins with what the checkpoint holds already, which changes nothing: the last word on every key is the
/// same.
void SalvageSource::take(const store::LogOperation& operation) {
  if (operation.kind == "put") {
    changes_[operation.tree][to_bytes(operation.key)] = to_bytes(operation.value);
  } else if (operation.kind == "erase") {
    changes_[operation.tree][to_bytes(operation.key)] = std::nullopt;
  } else if (operation.kind == "create_tree") {
    trees_.emplace(operation.tree, as_text(operation.key));
  } else if (operation.kind == "drop_tree") {
    trees_.erase(operation.tree);
    changes_.erase(operation.tree);
  }
}

std::optional<store::TreeId> SalvageSource::find_tree(std::string_view name) const {
  for (const auto& [id, tree_name] : trees_)
    if (tree_name == name) return id;
  return std::nullopt;
}

const SalvageSource::Changes& SalvageSource::changes_of(store::TreeId tree) const {
  static const Changes none;
  const auto found = changes_.find(tree);
  return found == changes_.end() ? none : found->second;
}

SalvageWalk::SalvageWalk(SalvageSource& source, store::TreeId tree)
    : change_(source.changes_of(tree).begin()), last_change_(source.changes_of(tree).end()) {
  const auto& known = source.examination().trees();
  if (std::ranges::find(known, tree, &store::TreeReport::id) == known.end()) return;
  walk_.emplace(source.examination(), tree, store::TreeWalk::Purpose::kSalvage);
}

Task<bool> SalvageWalk::next() {
  for (;;) {
    while (walk_ && index_ == count_) {
      index_ = 0;
      if (co_await walk_->next()) {
        count_ = walk_->count();
      } else {
        walk_.reset();
      }
    }
    const bool changed = change_ != last_change_;
    if (!walk_ && !changed) co_return false;
    if (walk_) key_ = to_bytes(walk_->key(index_));
    if (!changed || (walk_ && key_ < change_->first)) {
      value_ = walk_->value(index_++);
      page_ = walk_->page();
      co_return true;
    }
    if (walk_ && key_ == change_->first) ++index_;
    const auto& [key, value] = *change_++;
    if (!value) continue;
    key_ = key;
    value_ = *value;
    page_ = 0;
    co_return true;
  }
}

}  // namespace cenote::object
