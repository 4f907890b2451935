// What a coordinator reads back from its store: values with their revisions, and the counter of revisions. The first
// byte of an input says which.

#include <array>
#include <cstdint>

#include "cenote/base/assert.h"
#include "fuzz_input.h"
#include "state_format.h"

namespace {

using namespace cenote;
using namespace cenote::cluster;

void check_value(ByteView input) {
  const auto entry = decode_value("key", input);
  if (!entry) {
    ASSERT(entry.error() == Code::kCorrupt && entry.error().message().contains("'key'"));
    return;
  }
  ASSERT(entry->key == "key" && equal(encode_value(entry->modified, entry->value), input));
}

void check_revision(ByteView input) {
  const auto revision = decode_revision(input);
  if (!revision) {
    ASSERT(revision.error() == Code::kCorrupt);
    return;
  }
  ASSERT(equal(encode_revision(*revision), input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_value, check_revision};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
