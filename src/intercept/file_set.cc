#include "file_set.h"

#include <algorithm>
#include <mutex>

namespace cenote::intercept {

Target* FileSet::find(Target target) {
  const auto end = targets_.begin() + static_cast<std::ptrdiff_t>(count_.load());
  const auto found = std::find(targets_.begin(), end, target);
  return found == end ? nullptr : &*found;
}

void FileSet::insert(Target target) {
  const std::lock_guard held(lock_);
  if (find(target) != nullptr) return;
  const std::size_t count = count_.load();
  if (count == kRoom) {
    holds_all_.store(true);
    return;
  }
  targets_[count] = target;
  count_.store(count + 1);
}

void FileSet::erase(Target target) {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard held(lock_);
  Target* found = find(target);
  if (found == nullptr) return;
  *found = targets_[count_.load() - 1];
  count_.fetch_sub(1);
}

bool FileSet::contains(Target target) {
  if (holds_all_.load(std::memory_order_relaxed)) return true;
  if (count_.load(std::memory_order_relaxed) == 0) return false;
  const std::lock_guard held(lock_);
  return find(target) != nullptr;
}

}  // namespace cenote::intercept
