#include "entry_note.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/object/replica_entry.h"

namespace cenote::engine {
namespace {

constexpr std::uint8_t kVersion = 1;

bool was_excluded_since(const cluster::MapTarget& target, cluster::MapVersion version) {
  if (target.left > version) return true;
  // It left without ever having been complete, and is back.
  return target.state == cluster::ComponentState::kUp && target.changed > version;
}

}  // namespace

std::vector<cluster::TargetId> EntryNote::members() const {
  std::vector<cluster::TargetId> all;
  for (const auto& group : groups) all.insert(all.end(), group.begin(), group.end());
  std::ranges::sort(all);
  const auto repeated = std::ranges::unique(all);
  all.erase(repeated.begin(), repeated.end());
  return all;
}

Result<Bytes> encode(const EntryNote& note) {
  Bytes bytes;
  Encoder to(bytes);
  to.integer(kVersion);
  to.raw(note.pool.bytes());
  to.integer(note.begun.value());
  to.integer(note.leader.object.high());
  to.integer(note.leader.object.low());
  to.integer(note.leader.seed.value());
  to.integer(note.leader.group);
  to.integer(note.leader.dkey_hash);
  to.integer(static_cast<std::uint16_t>(note.groups.size()));
  for (const auto& group : note.groups) {
    to.integer(static_cast<std::uint16_t>(group.size()));
    for (const cluster::TargetId member : group) to.integer(member.value());
  }
  if (bytes.size() > object::kMaxEntryNoteBytes)
    return failf(Code::kOutOfRange, "one change over {} groups of replicas: that is too many members to be settled",
                 note.groups.size());
  return bytes;
}

Result<EntryNote> decode_entry_note(ByteView bytes) {
  if (!bytes.empty() && static_cast<std::uint8_t>(bytes[0]) > kVersion)
    return fail(Code::kNewerFormat, "the note of an entry was written by a newer version");
  Decoder from(bytes);
  EntryNote note;
  from.require(from.integer<std::uint8_t>() == kVersion);
  const ByteView pool = from.raw(16);
  if (pool.size() == 16) note.pool = Uuid::from_bytes(pool.first<16>());
  note.begun = cluster::MapVersion(from.integer<std::uint64_t>());
  const auto high = from.integer<std::uint64_t>();
  note.leader.object = ObjectId(high, from.integer<std::uint64_t>());
  note.leader.seed = cluster::PlacementSeed(from.integer<std::uint64_t>());
  note.leader.group = from.integer<std::uint32_t>();
  note.leader.dkey_hash = from.integer<std::uint64_t>();
  const auto groups = from.integer<std::uint16_t>();
  from.require(groups > 0);
  for (std::uint32_t i = 0; i < groups && !from.bad(); ++i) {
    const auto members = from.integer<std::uint16_t>();
    from.require(members > 0 && members <= from.remaining() / sizeof(std::uint32_t));
    auto& group = note.groups.emplace_back();
    for (std::uint32_t member = 0; member < members && !from.bad(); ++member)
      group.emplace_back(from.integer<std::uint32_t>());
  }
  CHECK_OK(from.finish("note of an entry"));
  return note;
}

Result<> check_note(const EntryNote& note, const cluster::PoolLayout& layout) {
  const auto refuse = [](const char* why) {
    return fail(Code::kInvalidArgument, std::string("note of an entry: ") + why);
  };
  if (layout.map() == nullptr || note.pool != layout.map()->pool()) return refuse("of another pool");
  TRY(const ClassParts parts, class_parts(note.leader.object.object_class()));
  if (parts.redundancy == Redundancy::kErasureCoded) return refuse("of a class that keeps no replicas");
  if (!parts.spreads_over_all() && note.leader.group >= parts.groups) return refuse("a group that the class has not");
  for (const auto& group : note.groups)
    for (const cluster::TargetId member : group)
      if (member.value() >= layout.target_count()) return refuse("a target that the pool has not");
  return {};
}

std::vector<std::vector<cluster::TargetId>> voters_of(const EntryNote& note, const cluster::PoolMap& map) {
  std::vector<std::vector<cluster::TargetId>> voters;
  for (const auto& group : note.groups) {
    auto& remaining = voters.emplace_back();
    for (const cluster::TargetId member : group) {
      if (member.value() >= map.targets().size()) continue;
      const cluster::MapTarget& target = map.target(member);
      const bool up = target.state == cluster::ComponentState::kUp || cluster::PoolMap::is_complete(target);
      if (up && !was_excluded_since(target, note.begun)) remaining.push_back(member);
    }
  }
  return voters;
}

}  // namespace cenote::engine
