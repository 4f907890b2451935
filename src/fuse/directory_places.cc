#include "directory_places.h"

#include <algorithm>

namespace cenote::fuse {

std::uint64_t DirectoryPlaces::place(std::uint64_t previous, const std::string& name) {
  const std::uint64_t first_recent = count_ - recent_.size() + 1;
  const std::uint64_t expected = previous + 1;
  if (expected >= first_recent && expected <= count_ && recent_[expected - first_recent] == name) return expected;
  recent_.push_back(name);
  if (recent_.size() > kRecent) recent_.pop_front();
  if (++count_ % kStride == 0) strides_.push_back(name);
  return count_;
}

DirectoryPlaces::Continuation DirectoryPlaces::behind(std::uint64_t place) const {
  place = std::min(place, count_);
  if (place == 0) return {};
  const std::uint64_t first_recent = count_ - recent_.size() + 1;
  if (place >= first_recent) return {.after = recent_[place - first_recent]};
  const std::uint64_t stride = place / kStride;
  return {.after = stride == 0 ? std::string() : strides_[stride - 1], .skip = place % kStride};
}

}  // namespace cenote::fuse
