#pragma once

#include <vector>

#include "cenote/base/checksum.h"
#include "lookup.h"

namespace cenote::object {

/// Remembers what akeys are like at the latest epoch, so that updating or reading one again needs no lookup of the
/// punches above it, of its birth and its flags. A fixed number of places; a newcomer takes the place of another.
///
/// What is remembered holds until the akey's type, birth or flags change (`put` or `forget` follows the batch that does
/// it) or until anything is punched at the object, dkey or akey level in its container (the caller's `generation`
/// counts those). Aggregation changes nothing of it: it removes only what is hidden.
class AkeyCache {
 public:
  AkeyCache() : places_(kPlaces) {}

  struct Known {
    AkeyState state;
    store::Lsn lsn;  ///< a reply that depends on the state waits until this is durable
  };

  /// `path`: the akey's prefix. Null: not remembered. Valid until the next call.
  const Known* find(store::TreeId tree, std::uint64_t generation, ByteView path) const {
    const Place& place = place_of(tree, path);
    const bool same = place.tree == tree && place.generation == generation && equal(place.path, path);
    return same ? &place.known : nullptr;
  }
  /// Only akeys that exist are worth a place.
  void put(store::TreeId tree, std::uint64_t generation, ByteView path, const AkeyState& state, store::Lsn lsn) {
    Place& place = places_[index_of(tree, path)];
    place.tree = tree;
    place.generation = generation;
    place.path.assign(path);
    place.known = {state, lsn};
  }
  void forget(store::TreeId tree, ByteView path) {
    Place& place = places_[index_of(tree, path)];
    if (place.tree == tree && equal(place.path, path)) place.path.clear();
  }

 private:
  static constexpr std::size_t kPlaces = 4096;
  struct Place {
    store::TreeId tree;
    std::uint64_t generation = 0;
    PathBytes path;  // empty: nobody's
    Known known;
  };
  static std::size_t index_of(store::TreeId tree, ByteView path) { return hash64(path, tree.value()) % kPlaces; }
  const Place& place_of(store::TreeId tree, ByteView path) const { return places_[index_of(tree, path)]; }

  std::vector<Place> places_;
};

}  // namespace cenote::object
