#pragma once

#include "records.h"

// Parts of transactions that take names away.
namespace cenote::posix {

/// What a transaction took the last name of.
struct Removed {
  Inode inode;
  Place place;  ///< where it waits
};

/// Takes the name of something that is no directory. nullopt: it has others.
Task<Result<std::optional<Removed>>> remove_name(Records records, Place name, Entry entry, std::uint64_t session,
                                                 WallTime now, Until until);

/// What keeps a directory from being removed.
struct Contents {
  bool has_names = false;
  std::vector<std::string> removed;  ///< dkeys of what waits in it
};
Task<Result<Contents>> contents_of(Records records, ObjectId directory, Until until);

/// Takes an empty directory away; not its name. kNotEmpty; kTxRestart, outside of what the transaction can do something
/// about: something waits in it, which is in `waiting` then.
Task<Result<>> remove_empty(Records records, ObjectId directory, std::vector<std::string>* waiting, Until until);

}  // namespace cenote::posix
