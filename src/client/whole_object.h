#pragma once

#include <vector>

#include "routes.h"

namespace cenote::async {

/// Fault domains that an object may lose and still have all its data; 0 of a class that is none.
std::uint32_t redundancy_of(const ObjectId& object);

/// Whom a read of a whole object has to ask, together, so that nothing of it is missed; what replicas hold may come
/// more than once. `object` stays the caller's. kNotReady: a part is lost. What they are asked under a newer map is
/// kStaleMap: to be done again from the beginning, with what this function says then.
Result<std::vector<Destination>> whole_object(PoolRoutes& pool, const ObjectId& object, cluster::PlacementSeed seed);

/// The same for what all targets have, of objects that all survive the loss of `redundancy` engines.
Result<std::vector<Destination>> whole_pool(PoolRoutes& pool, std::uint32_t redundancy);

}  // namespace cenote::async
