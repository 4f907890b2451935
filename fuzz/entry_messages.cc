// What members of redundancy groups say to each other, and who copies data to whom. The first byte of an input says
// which message it is. What a decoder accepts has one encoding, but for error codes that it does not know.

#include <array>
#include <cstdint>

#include "cenote/base/assert.h"
#include "fuzz_input.h"
#include "replication/entry_note.h"
#include "replication/messages.h"
#include "replication/rebuild_messages.h"

namespace {

using namespace cenote;
using namespace cenote::engine;

void check_error(const Error& error) {
  ASSERT(error == Code::kMalformed || error == Code::kOutOfRange || error == Code::kUnsupported ||
         error == Code::kInvalidArgument || error == Code::kNewerFormat);
}

template <auto decode>
void check(ByteView input) {
  const auto message = decode(input);
  if (!message) return check_error(message.error());
  Bytes again;
  encode(*message, again);
  ASSERT(equal(again, input));
}

/// Of answers with error codes: one that this version does not know is taken for another.
template <auto decode>
void check_answer(ByteView input) {
  const auto message = decode(input);
  if (!message) return check_error(message.error());
  Bytes once, twice;
  encode(*message, once);
  encode(*decode(once), twice);
  ASSERT(once.size() == input.size() && equal(twice, once));
}

void check_entry_note(ByteView input) {
  const auto note = decode_entry_note(input);
  if (!note) return check_error(note.error());
  const auto again = encode(*note);
  ASSERT(again ? equal(*again, input) : again.error() == Code::kOutOfRange);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check<decode_prepare_message>, check_answer<decode_prepare_answer>,
                                  check<decode_decide_message>,  check_answer<decode_decide_answer>,
                                  check<decode_settle_message>,  check<decode_settle_answer>,
                                  check<decode_ask_message>,     check<decode_ask_answer>,
                                  check<decode_read_history>,    check<decode_read_results>,
                                  check<decode_page_answer>,     check<decode_await_settled>,
                                  check<decode_read_entry>,      check_entry_note};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
