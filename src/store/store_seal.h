#pragma once

#include <memory>
#include <string_view>

#include "cenote/base/sealer.h"
#include "cenote/runtime/reactor.h"
#include "superblock.h"

namespace cenote::store {

/// What an open store seals pages and log with: a key of its own, drawn once, which its superblock holds wrapped under
/// the master key (docs/formats/store.md, "Sealing"). So the master key can be replaced without writing anything again.
///
/// Invariant: nothing sealed is written before a durable superblock holds the wrapped key.
class StoreSeal {
 public:
  /// Draws the key of a store that is not sealed, and puts it into `superblock`, which the caller writes. `mixed`: the
  /// store holds something already.
  static Result<std::unique_ptr<StoreSeal>> begin(Reactor& reactor, Superblock& superblock, const SecretKey& master,
                                                  bool mixed);
  /// Of a store that is sealed. kWrongKey with the fingerprints of both keys; kCorrupt: the wrapped key is damaged.
  static Result<std::unique_ptr<StoreSeal>> unlock(Reactor& reactor, const Superblock& superblock,
                                                   const SecretKey& master);
  /// Puts another master key in the place of one. The caller writes the superblock, to both places.
  static Result<> rewrap(Reactor& reactor, Superblock& superblock, const SecretKey& from, const SecretKey& to);

  Sealer& sealer() { return sealer_; }
  /// What is not sealed may be older than the sealing; in a store that is not mixed it is damage.
  bool mixed() const { return mixed_; }
  /// True: `begin` made it.
  bool fresh() const { return fresh_; }
  /// A key of this store for the purpose that `label` names.
  SecretKey derive(std::string_view label) const { return key_.derive("cenote store use", as_bytes(label)); }

 private:
  StoreSeal(const SecretKey& key, Sealer sealer, bool mixed, bool fresh)
      : key_(key), sealer_(std::move(sealer)), mixed_(mixed), fresh_(fresh) {}
  static Result<std::unique_ptr<StoreSeal>> make(Reactor& reactor, const SecretKey& key, bool mixed, bool fresh);

  SecretKey key_;
  Sealer sealer_;
  bool mixed_;
  bool fresh_;
};

/// The seal of a store that is opened with `master`, or without one: null, if it is not to be sealed. May change the
/// superblock in memory, see `StoreSeal::begin`. kKeyNeeded and kWrongKey name `device`.
Result<std::unique_ptr<StoreSeal>> seal_of(Reactor& reactor, Superblock& superblock,
                                           const std::optional<SecretKey>& master, bool read_only,
                                           std::string_view device);

}  // namespace cenote::store
