#include "cenote/object/space_account.h"

#include <algorithm>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"

namespace cenote::object {

bool SpaceAccount::Count::fits(std::uint64_t now, std::uint64_t added) const {
  const std::uint64_t most = limit.load(std::memory_order_relaxed);
  return now <= most && added <= most - now;
}

/// What adds nothing always fits, also where more is used than a later limit allows.
bool SpaceAccount::Count::take(std::uint64_t added) {
  if (added == 0) return true;
  std::uint64_t before = now();
  do {
    if (!fits(before, added)) return false;
  } while (!used.compare_exchange_weak(before, before + added, std::memory_order_relaxed));
  return true;
}

void SpaceAccount::Count::give(std::uint64_t removed) {
  if (removed == 0) return;
  const std::uint64_t before = used.fetch_sub(removed, std::memory_order_relaxed);
  ASSERT(before >= removed);
}

bool SpaceAccount::Count::is_scarce() const {
  const std::uint64_t most = limit.load(std::memory_order_relaxed);
  if (most == kNoLimit || most == 0) return false;
  const std::uint64_t left = most - std::min(now(), most);
  return left < (most - 1) / 8 + 1;  // of few, the last one is an eighth, too
}

Error SpaceAccount::exceeded(const Count& count, const char* unit, std::uint64_t added) const {
  refusals_.fetch_add(1, std::memory_order_relaxed);
  return Error(Code::kQuotaExceeded,
               fmt::format("{}: {} more {} do not fit, {} of {} are used; delete something (old versions count until "
                           "they have been merged), or raise the limit",
                           name_, added, unit, count.now(), count.limit.load(std::memory_order_relaxed)));
}

Result<> SpaceAccount::check_room(Usage added) const {
  if (!bytes_.has_room(added.bytes)) return fail(exceeded(bytes_, "bytes", added.bytes));
  if (!objects_.has_room(added.objects)) return fail(exceeded(objects_, "objects", added.objects));
  return parent_ ? parent_->check_room(added) : Result<>();
}

Result<> SpaceAccount::take(Usage added) {
  if (!bytes_.take(added.bytes)) return fail(exceeded(bytes_, "bytes", added.bytes));
  if (objects_.take(added.objects)) return {};
  bytes_.give(added.bytes);
  return fail(exceeded(objects_, "objects", added.objects));
}

void SpaceAccount::give(Usage removed) {
  bytes_.give(removed.bytes);
  objects_.give(removed.objects);
}

Result<> SpaceAccount::charge(Usage added) {
  CHECK_OK(take(added));
  if (!parent_) return {};
  auto charged = parent_->charge(added);
  if (!charged) give(added);
  return charged;
}

void SpaceAccount::add(Usage stored) {
  bytes_.used.fetch_add(stored.bytes, std::memory_order_relaxed);
  objects_.used.fetch_add(stored.objects, std::memory_order_relaxed);
  if (parent_) parent_->add(stored);
}

void SpaceAccount::refund(Usage removed) {
  give(removed);
  if (parent_) parent_->refund(removed);
}

std::uint64_t SpaceAccount::refusals() const {
  return refusals_.load(std::memory_order_relaxed) + (parent_ ? parent_->refusals() : 0);
}

bool SpaceAccount::is_scarce() const {
  if (bytes_.is_scarce() || objects_.is_scarce()) return true;
  return parent_ && parent_->is_scarce();
}

}  // namespace cenote::object
