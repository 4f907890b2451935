#pragma once

#include <cstdint>
#include <memory>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/object/object_store.h"
#include "cenote/object/space_account.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

/// What the control state needs of the targets, all of them together. Called on the control reactor.
class ContainerTargets {
 public:
  /// Makes the container known to every target, durably. A target that has it already is no error.
  /// Its bytes are charged to `account` from the first one on.
  virtual Task<Result<>> create(Uuid container, object::ContainerProperties properties,
                                std::shared_ptr<object::SpaceAccount> account) = 0;
  /// The same for a container that every target has, with what it holds already.
  virtual Task<Result<>> charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) = 0;
  /// Ends the container: no request that arrives after this returned finds it. A target without it is no error.
  virtual Task<Result<>> destroy(Uuid container) = 0;
  /// Bytes stored in the container, over all targets.
  virtual Task<Result<std::uint64_t>> used_bytes(Uuid container) = 0;
  /// What pools may promise in all.
  virtual std::uint64_t capacity_bytes() const = 0;

 protected:
  ~ContainerTargets() = default;
};

}  // namespace cenote::engine
