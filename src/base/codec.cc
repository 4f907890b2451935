#include "cenote/base/codec.h"

#include "cenote/base/format.h"

namespace cenote {

Result<> Decoder::finish(std::string_view what) const {
  CHECK_OK(check(what));
  if (!rest_.empty()) return failf(Code::kMalformed, "{}: {} bytes too many", what, rest_.size());
  return {};
}

Result<> Decoder::check(std::string_view what) const {
  if (bad_) return failf(Code::kMalformed, "{}: truncated or out of range", what);
  return {};
}

}  // namespace cenote
