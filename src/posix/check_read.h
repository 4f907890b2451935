#pragma once

#include <optional>
#include <vector>

#include "cenote/client/async.h"
#include "layout.h"

// Reads of a check, which goes on where something is damaged.
namespace cenote::posix {

/// One single value.
struct ValueName {
  Place place;
  std::string_view akey = kInodeAkey;
};
/// As it is stored; nullopt: nothing is. An error says that it is there and cannot be read.
using StoredValue = Result<std::optional<Bytes>>;

/// Whether a failure says that what is stored is damaged, and not that it was not to be had.
bool tells_of_damage(const Error& error);

/// All of them. Fails where the reason is none of what is stored.
Task<Result<std::vector<StoredValue>>> read_values(async::Container container, std::vector<ValueName> names,
                                                   Until until);
Task<Result<StoredValue>> read_value(async::Container container, ValueName name, Until until);

/// What becomes of an entry that was read.
struct ReadEntry {
  enum class State : std::uint8_t { kAbsent, kWhole, kDamaged, kUnreadable };
  State state = State::kAbsent;
  Entry entry;       ///< whole
  std::string what;  ///< what is wrong with it
};
ReadEntry judge_entry(const StoredValue& value);
/// The same of what a name has, or what waits to be freed: damaged, too, is what leads to an object that it cannot
/// have.
ReadEntry judge_name(const StoredValue& value, std::uint32_t redundancy);
/// The same of a directory's own record.
ReadEntry judge_directory(const StoredValue& value, const ObjectId& object);

/// Whether an entry of this type can be of this object, in a container of this redundancy.
bool is_object_of(FileType type, const ObjectId& object, std::uint32_t redundancy);
/// The object of something, by its number.
ObjectId object_of(FileType type, std::uint64_t number, std::uint32_t redundancy);

}  // namespace cenote::posix
