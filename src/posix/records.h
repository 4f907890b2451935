#pragma once

#include <optional>

#include "cenote/client/async.h"
#include "layout.h"
#include "record_cache.h"
#include "stored.h"

namespace cenote::posix {

/// An extended attribute.
struct Xattr {
  std::string name;
  Bytes value;
};

/// The records of the layout, one at a time, in a container or in a transaction's view of one. No rules here.
class Records {
 public:
  /// Goes by what `cache` has, which outlives it; nullptr: asks each time.
  explicit Records(async::Container container, RecordCache* cache = nullptr)
      : container_(std::move(container)), cache_(cache) {}

  async::Container& container() { return container_; }

  /// nullopt: nothing is there.
  Task<Result<std::optional<Entry>>> entry(Place place, Until until);
  /// A directory's inode, with the latest of its `marks`.
  Task<Result<std::optional<Stored>>> directory(ObjectId object, std::uint32_t marks, Until until);
  Task<Result<std::optional<WhereAt>>> where(ObjectId object, Until until);
  /// Of several places at a time.
  Task<Result<std::vector<std::optional<Entry>>>> entries(std::vector<Place> places, Until until);

  Task<Result<>> put_entry(Place place, Entry entry, Precondition condition, Until until);
  /// A new name with what it leads to, and the change of the directory, at one moment. kConditionFailed: the name is
  /// taken, or the directory gone.
  Task<Result<>> insert(Place name, Inode inode, std::vector<Xattr> xattrs, std::uint32_t mark, std::uint32_t marks,
                        Until until);
  /// nullopt: there is no such attribute.
  Task<Result<std::optional<Bytes>>> xattr(ObjectId object, std::string name, Until until);
  Task<Result<>> put_xattr(ObjectId object, Xattr xattr, Precondition condition, Until until);
  /// All that a new directory has of its own.
  Task<Result<>> put_directory(Inode inode, std::uint32_t marks, Until until);
  Task<Result<>> put_where(ObjectId object, WhereAt where, Until until);
  /// Of a directory that something else proves to be there, as a name in it does that is changed with this. A condition
  /// would be a read of the mark, which every other change of the directory makes outdated.
  Task<Result<>> touch(ObjectId directory, std::uint32_t mark, WallTime now, Until until);
  /// kConditionFailed: the directory is gone.
  Task<Result<>> require_directory(ObjectId directory, Until until);
  Task<Result<>> remove(Place place, Until until, Precondition condition = Precondition::kNone);
  Task<Result<>> punch_object(ObjectId object, Until until);

  /// A page of dkeys after `after`, of every kind that a directory has.
  struct Page {
    std::vector<std::string> dkeys;
    bool at_end = false;
  };
  Task<Result<Page>> list(ObjectId object, std::string prefix, std::string after, std::uint32_t limit, Until until);

 private:
  Task<Result<async::Leased<FetchReply>>> fetch(FetchRequest request, std::vector<MutableBytes> into, Until until);

  async::Container container_;
  RecordCache* cache_;
};

/// The update that puts a value under an akey.
UpdateRequest value_update(const ObjectId& object, std::string_view dkey, std::string_view akey, std::size_t bytes,
                           Precondition condition);

}  // namespace cenote::posix
