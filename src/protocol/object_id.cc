#include "cenote/protocol/object_id.h"

#include <charconv>

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote {
namespace {

constexpr std::size_t kHalfDigits = 16;

Result<std::uint64_t> parse_half(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  const bool lower = digits.find_first_of("ABCDEF") == std::string_view::npos;
  if (error != std::errc() || end != digits.data() + digits.size() || !lower) return fail(Code::kInvalidArgument);
  return value;
}

}  // namespace

Result<> ObjectId::validate() const {
  const auto parts = class_parts(object_class());
  const bool single = object_class() == ObjectClass::kS1 || object_class() == ObjectClass::kSX;
  if (!parts || (!single && parts->redundancy != Redundancy::kReplicated))
    return failf(Code::kInvalidArgument, "object {}: {} is unknown to this version", to_string(),
                 class_name(object_class()));
  if (dkey_flavour() > KeyFlavour::kUint64 || akey_flavour() > KeyFlavour::kUint64)
    return failf(Code::kInvalidArgument, "object {}: unknown key flavour", to_string());
  if (((high_ >> 32) & 0xff) != 0)
    return failf(Code::kInvalidArgument, "object {}: reserved bits are set", to_string());
  return {};
}

std::string ObjectId::to_string() const { return fmt::format("{:016x}.{:016x}", high_, low_); }

Result<ObjectId> ObjectId::parse(std::string_view text) {
  if (text.size() == 2 * kHalfDigits + 1 && text[kHalfDigits] == '.') {
    const auto high = parse_half(text.substr(0, kHalfDigits));
    const auto low = parse_half(text.substr(kHalfDigits + 1));
    if (high && low) return ObjectId(*high, *low);
  }
  return failf(Code::kInvalidArgument, "'{}' is no object id: 16 lower-case hexadecimal digits, a dot, 16 more",
               printable(as_bytes(text)));
}

}  // namespace cenote
