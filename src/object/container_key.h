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

}  // namespace cenote::object
