#include "cenote/object/space_account.h"

#include "cenote/base/assert.h"
#include "cenote/base/format.h"

namespace cenote::object {

bool SpaceAccount::fits(std::uint64_t used, std::uint64_t bytes) const {
  const std::uint64_t limit = limit_.load(std::memory_order_relaxed);
  return used <= limit && bytes <= limit - used;
}

Error SpaceAccount::exceeded(std::uint64_t bytes) const {
  refusals_.fetch_add(1, std::memory_order_relaxed);
  return Error(
      Code::kQuotaExceeded,
      fmt::format("{}: {} more bytes do not fit, {} of {} are used; delete something (old versions count until "
                  "they have been merged), or raise the limit",
                  name_, bytes, used(), limit_.load(std::memory_order_relaxed)));
}

Result<> SpaceAccount::check_room(std::uint64_t bytes) const {
  if (!fits(used(), bytes)) return fail(exceeded(bytes));
  return parent_ ? parent_->check_room(bytes) : Result<>();
}

Result<> SpaceAccount::charge(std::uint64_t bytes) {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (!fits(used, bytes)) return fail(exceeded(bytes));
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  if (!parent_) return {};
  auto charged = parent_->charge(bytes);
  if (!charged) used_.fetch_sub(bytes, std::memory_order_relaxed);
  return charged;
}

void SpaceAccount::add(std::uint64_t bytes) {
  used_.fetch_add(bytes, std::memory_order_relaxed);
  if (parent_) parent_->add(bytes);
}

void SpaceAccount::refund(std::uint64_t bytes) {
  const std::uint64_t before = used_.fetch_sub(bytes, std::memory_order_relaxed);
  ASSERT(before >= bytes);
  if (parent_) parent_->refund(bytes);
}

std::uint64_t SpaceAccount::refusals() const {
  return refusals_.load(std::memory_order_relaxed) + (parent_ ? parent_->refusals() : 0);
}

bool SpaceAccount::is_scarce() const {
  const std::uint64_t limit = limit_.load(std::memory_order_relaxed);
  if (limit != kNoLimit && used() > limit - limit / 8) return true;
  return parent_ && parent_->is_scarce();
}

}  // namespace cenote::object
