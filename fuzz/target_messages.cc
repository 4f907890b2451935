// What engines say to each other about their targets. The first byte of an input says which call a reply is to, or, if
// it is none, that the rest is a request. What a decoder accepts has one encoding.

#include "target_messages.h"

#include <cstdint>

#include "cenote/base/assert.h"
#include "fuzz_input.h"

namespace {

using namespace cenote;
using namespace cenote::engine;

void check_error(const Error& error) {
  ASSERT(error == Code::kMalformed || error == Code::kOutOfRange || error == Code::kUnsupported);
}

void check_request(ByteView input) {
  const auto request = decode_targets_request(input);
  if (!request) return check_error(request.error());
  Bytes again;
  encode(*request, again);
  ASSERT(equal(again, input));
}

void check_reply(TargetsOp op, ByteView input) {
  const auto reply = decode_targets_reply(op, input);
  if (!reply) return check_error(reply.error());
  Bytes again;
  encode(op, *reply, again);
  ASSERT(equal(again, input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto op = static_cast<TargetsOp>(input.byte());
  if (op >= TargetsOp::kDescribe && op <= TargetsOp::kKeepCopy) {
    check_reply(op, input.rest());
  } else {
    check_request(input.rest());
  }
  return 0;
}
