// What an etcd, or whatever listens there instead, may answer: ranges, messages of a watch, refusals. The first byte of
// an input says which.

#include <array>
#include <cstdint>

#include "base64.h"
#include "cenote/base/assert.h"
#include "fuzz_input.h"
#include "messages.h"

namespace {

using namespace cenote;
using namespace cenote::etcd;

void check_range(ByteView input) {
  const auto answer = parse_answer(as_text(input));
  if (!answer) {
    ASSERT(answer.error() == Code::kProtocolError);
    return;
  }
  static_cast<void>(header_of(*answer));
  const auto entries = entries_of(*answer);
  if (!entries) {
    ASSERT(entries.error() == Code::kProtocolError);
    return;
  }
  for (const auto& entry : *entries) ASSERT(!entry.key.empty() && entry.modified > cluster::Revision(0));
}

void check_watch(ByteView input) {
  const auto message = parse_watch_message(as_text(input));
  if (!message) {
    ASSERT(message.error() == Code::kProtocolError);
    return;
  }
  cluster::Revision last(0);
  for (const auto& event : message->events) {
    ASSERT(event.revision > cluster::Revision(0) && event.revision >= last && !event.key.empty());
    last = event.revision;
  }
}

void check_refusal(ByteView input) {
  const Refusal refusal = refusal_of(500, as_text(input));
  ASSERT(!(refusal.error == Code::kOk));
}

void check_base64(ByteView input) {
  const auto bytes = from_base64(as_text(input));
  if (bytes) ASSERT(to_base64(*bytes) == as_text(input));
  ASSERT(from_base64(to_base64(as_text(input))) == as_text(input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_range, check_watch, check_refusal, check_base64};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
