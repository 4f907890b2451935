#include "layout.h"

#include <fmt/format.h>

#include <charconv>

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::posix {
namespace {

constexpr std::uint64_t kSuperblockNumber = 0;
constexpr std::uint64_t kRootNumber = 1;
constexpr std::uint64_t kSessionsNumber = 3;  // 2 is the default map of `kv`
constexpr std::uint64_t kSnapshotsNumber = 4;
constexpr std::uint32_t kCompanionBit = 1u << 31;
constexpr std::uint32_t kTailBit = 1u << 30;
constexpr char kRemovedMark = '/';

ObjectId fixed_object(std::uint32_t redundancy, std::uint64_t number) {
  return ObjectId::make(with_redundancy(ObjectClass::kS1, redundancy), KeyFlavour::kLexical, KeyFlavour::kLexical, 0,
                        number);
}

/// What is damaged may name any class; it leads to no object then.
std::uint32_t redundancy_of(const ObjectId& object) {
  const auto parts = class_parts(object.object_class());
  return parts ? parts->redundancy_factor() : 0;
}

}  // namespace

ObjectId superblock_object(std::uint32_t redundancy) { return fixed_object(redundancy, kSuperblockNumber); }
ObjectId root_object(std::uint32_t redundancy) { return fixed_object(redundancy, kRootNumber); }
ObjectId snapshots_directory(std::uint32_t redundancy) { return fixed_object(redundancy, kSnapshotsNumber); }
ObjectId sessions_object(std::uint32_t redundancy) { return fixed_object(redundancy, kSessionsNumber); }

ObjectId companion_object(const ObjectId& object) {
  return ObjectId::make(with_redundancy(ObjectClass::kS1, redundancy_of(object)), KeyFlavour::kLexical,
                        KeyFlavour::kLexical, static_cast<std::uint32_t>(object.high()) | kCompanionBit, object.low());
}

ObjectId tail_object(const ObjectId& head) {
  return ObjectId::make(with_redundancy(ObjectClass::kSX, redundancy_of(head)), KeyFlavour::kUint64,
                        KeyFlavour::kLexical, static_cast<std::uint32_t>(head.high()) | kTailBit, head.low());
}

std::string touch_akey(std::uint32_t mark) { return fmt::format("t{:x}", mark); }

std::string removed_prefix(std::uint64_t session) { return fmt::format("{}{:016x}/", kRemovedMark, session); }

Place Place::removed(const ObjectId& directory, std::uint64_t session, const ObjectId& object) {
  return {directory, removed_prefix(session) + object.to_string()};
}

bool is_name(std::string_view dkey) { return dkey != kSelfDkey && !dkey.starts_with(kRemovedMark); }

Result<RemovedKey> parse_removed(std::string_view dkey) {
  const std::size_t begin = removed_prefix(0).size();
  if (dkey.size() <= begin || dkey.front() != kRemovedMark || dkey[begin - 1] != kRemovedMark)
    return failf(Code::kCorrupt, "'{}' is no key of something removed", printable(as_bytes(dkey)));
  const auto object = ObjectId::parse(dkey.substr(begin));
  RemovedKey key;
  const std::string_view number = dkey.substr(1, begin - 2);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), key.session, 16);
  if (!object || error != std::errc() || end != number.data() + number.size())
    return failf(Code::kCorrupt, "'{}' is no key of something removed", printable(as_bytes(dkey)));
  key.object = *object;
  return key;
}

}  // namespace cenote::posix
