#include "harness/goal.h"

#include <fmt/format.h>

namespace cenote::bench {

bool Goal::met_by(double value) const {
  switch (kind) {
    case Kind::kNone:
      return true;
    case Kind::kAtLeast:
      return value >= bound;
    case Kind::kAtMost:
      return value <= bound;
  }
  return false;
}

std::string Goal::to_string() const {
  if (kind == Kind::kNone) return "";
  return fmt::format("{} {:g}", kind == Kind::kAtLeast ? ">=" : "<=", bound);
}

}  // namespace cenote::bench
