#include "cenote/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace cenote {

void assertion_failed(std::string_view expression, std::string_view file, int line) {
  std::fprintf(stderr, "cenote: assertion failed: %.*s (%.*s:%d)\n", static_cast<int>(expression.size()),
               expression.data(), static_cast<int>(file.size()), file.data(), line);
  std::abort();
}

}  // namespace cenote
