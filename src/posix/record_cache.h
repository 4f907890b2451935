#pragma once

#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "cenote/client/lease.h"
#include "layout.h"
#include "stored.h"

namespace cenote::posix {

/// What a FileSystem has read lately and goes by without asking again, as long as it has leases of it. The records that
/// were read last stay. Single reactor.
///
/// Invariant: what `find` returns is as it is stored at this moment.
class RecordCache {
 public:
  static constexpr std::size_t kMaxRecords = 32768;

  using Entries = std::optional<Entry>;  ///< nullopt: there is none
  using Directory = std::optional<Stored>;
  struct Size {
    std::uint64_t bytes = 0;
  };

  /// Of an entry, or a directory's own record (Place::of_directory); of the size of a file, the place has its object
  /// and whether it is wide. Null: not known. Valid until the next suspension.
  template <typename Record>
  const Record* find(const Place& place) {
    const auto* const found = find_any(key_of(place, index_of<Record>()));
    return found == nullptr ? nullptr : &std::get<Record>(*found);
  }
  /// Without leases it is not kept.
  template <typename Record>
  void put(const Place& place, Record record, std::vector<async::Lease> leases) {
    if (!leases.empty()) put_any(key_of(place, index_of<Record>()), std::move(record), std::move(leases));
  }

 private:
  using Any = std::variant<Entries, Directory, Size>;
  struct Kept {
    std::string key;
    Any record;
    std::vector<async::Lease> leases;
  };

  template <typename Record>
  static constexpr char index_of() {
    return std::is_same_v<Record, Entries> ? 'e' : std::is_same_v<Record, Directory> ? 'd' : 's';
  }
  static std::string key_of(const Place& place, char kind);
  const Any* find_any(const std::string& key);
  void put_any(std::string key, Any record, std::vector<async::Lease> leases);

  std::list<Kept> kept_;  // the one that was used last is the first
  std::unordered_map<std::string, std::list<Kept>::iterator> by_key_;
};

}  // namespace cenote::posix
