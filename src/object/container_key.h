#pragma once

#include <memory>

#include "core.h"

namespace cenote::object {

/// What seals the data of a container: a key of its own, drawn once, which its record holds sealed under a key that
/// only this store knows. When the container is destroyed the key goes with the record.
struct ContainerKey {
  SealedKey sealed;
  std::shared_ptr<Sealer> sealer;
};

/// Draws the key of a new container. kKeyNeeded unless the store is sealed.
Result<ContainerKey> draw_container_key(Core& core, const Uuid& container);
/// kCorrupt: not the key of this container, or not of this store.
Result<std::shared_ptr<Sealer>> open_container_key(Core& core, const Uuid& container, const SealedKey& sealed);

/// The same key, sealed for another store. kCorrupt: not the key of this container, or not sealed under `from`.
Result<SealedKey> rewrap_container_key(const Uuid& container, const SealedKey& sealed, const SecretKey& from,
                                       const SecretKey& to, Reactor& reactor);
/// What stores derive the keys from that seal those of containers (store::Store::derive_key).
inline constexpr std::string_view kContainerKeyLabel = "container keys";

}  // namespace cenote::object
