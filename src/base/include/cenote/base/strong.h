#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace cenote {

/// An integer that mixes with no other: `using PageId = Strong<struct PageIdTag>`. Comparison and hashing only;
/// arithmetic is spelled out with `value()`, so that adding two addresses cannot happen by accident.
template <typename Tag, typename Rep = std::uint64_t>
class Strong {
 public:
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(Strong, Strong) = default;

 private:
  Rep value_ = 0;
};

}  // namespace cenote

template <typename Tag, typename Rep>
struct std::hash<cenote::Strong<Tag, Rep>> {
  std::size_t operator()(cenote::Strong<Tag, Rep> id) const noexcept { return std::hash<Rep>{}(id.value()); }
};
