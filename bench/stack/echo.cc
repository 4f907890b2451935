#include <algorithm>

#include "cenote/rpc/wire.h"
#include "harness/machine.h"
#include "rpc/bare_echo.h"
#include "stack/cenote_stack.h"
#include "stack/object_io.h"

namespace cenote::bench {
namespace {

template <typename Message>
std::uint32_t message_bytes(const Message& message) {
  Bytes body;
  encode(message, body);
  return static_cast<std::uint32_t>(rpc::kHeaderBytes + body.size());
}

// What the client sends and the engine answers for one operation, payload included.
EchoShape shape_of(const ObjectPattern& pattern) {
  const auto chunks = static_cast<std::uint32_t>(chunk_count(pattern.bytes));
  if (pattern.kind == ObjectPattern::Kind::kUpdate) {
    UpdateRequest request = update_request(pattern, 1);
    for (std::uint32_t i = 0; i < chunks; ++i) request.akeys[0].checksums.push_back(i);
    return {.request_bytes = message_bytes(request) + pattern.bytes,
            .reply_bytes = message_bytes(UpdateReply{}),
            .depth = pattern.depth};
  }
  FetchReply reply;
  AkeyFetched& fetched = reply.akeys.emplace_back();
  fetched.exists = true;
  fetched.range_bytes.push_back(pattern.bytes);
  for (std::uint32_t i = 0; i < chunks; ++i) fetched.checksums.push_back(i);
  return {.request_bytes = message_bytes(fetch_request(pattern, 1)),
          .reply_bytes = message_bytes(reply) + pattern.bytes,
          .depth = pattern.depth};
}

class BareEcho final : public Side {
 public:
  BareEcho(EchoShape shape, ObjectPattern pattern, Figure figure) : shape_(shape), pattern_(pattern), figure_(figure) {}

  // The echo runs a number of round trips, so the last run's rate says how many fill the window.
  Result<Measured> measure(Duration window) override {
    const double wanted = rate_ * std::chrono::duration<double>(window).count();
    const auto round_trips =
        std::max<std::uint64_t>(static_cast<std::uint64_t>(wanted), std::uint64_t{4} * shape_.depth);
    const EchoCost cost = run_bare_echo(shape_, round_trips, kClientCpu, kServerCpu);
    rate_ = double(round_trips) / cost.seconds;
    return Measured{.value = figure_of(figure_, rate_, pattern_.bytes),
                    .details = {{"client_calls/op", cost.system_calls},
                                {"request_bytes", shape_.request_bytes},
                                {"reply_bytes", shape_.reply_bytes}}};
  }

 private:
  EchoShape shape_;
  ObjectPattern pattern_;
  Figure figure_;
  double rate_ = 2000;
};

}  // namespace

Result<std::unique_ptr<Side>> make_echo(const Setting& /*setting*/, ObjectPattern pattern, Figure figure) {
  return std::make_unique<BareEcho>(shape_of(pattern), pattern, figure);
}

}  // namespace cenote::bench
