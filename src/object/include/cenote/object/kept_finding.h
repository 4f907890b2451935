#pragma once

#include "cenote/base/time.h"
#include "cenote/object/examine.h"

namespace cenote::object {

/// Damage that a scrub found, until a later pass finds the thing whole or gone.
struct KeptFinding {
  TargetFinding finding;
  WallTime found{};  ///< for the first time
  WallTime seen{};   ///< begin of the last pass that found it
};

}  // namespace cenote::object
