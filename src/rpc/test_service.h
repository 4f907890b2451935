#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/rpc/service.h"
#include "cenote/runtime/sync.h"

namespace cenote::rpc::testing {

/// What the tests' server can do.
enum TestOpcode : Opcode {
  kEcho = 1,      ///< a read: body back
  kApply = 2,     ///< counts the request by (session, sequence); answers with a hash of its body
  kStore = 3,     ///< pulls a payload; answers with its CRC32C
  kFetch = 4,     ///< a read: body u32 bytes, u32 seed; answers with that many bytes of a pattern
  kWait = 5,      ///< waits until `release` (or the server stops), then answers
  kFail = 6,      ///< kConditionFailed
  kCallBack = 7,  ///< asks the client (kEcho) with the body and answers with its answer
  kSleep = 8,     ///< body u64: waits that many ns, then as kApply
};

inline Bytes pattern(std::size_t bytes, std::uint32_t seed) {
  Bytes data(bytes);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (std::byte& value : data) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<std::byte>(state >> 56);
  }
  return data;
}

template <typename T>
Bytes integer_body(T value) {
  Bytes body;
  Encoder(body).integer(value);
  return body;
}
template <typename T>
T body_integer(ByteView body) {
  Decoder decoder(body);
  return decoder.integer<T>();
}

class TestService final : public Service {
 public:
  TestService(Reactor& reactor, media::BufferPool& pool) : reactor_(reactor), pool_(pool), released(reactor) {}

  Task<Response> handle(Request& request) override {
    ++handled;
    max_running = std::max(max_running, ++running);
    Response response = co_await answer(request);
    --running;
    co_return response;
  }
  bool is_read(Opcode opcode) const override { return opcode == kEcho || opcode == kFetch; }
  void on_session(Session& session, bool resumed) override {
    if (!resumed) live_sessions.insert(session.id().value());
    resumptions += resumed ? 1 : 0;
  }
  void on_session_end(Session& session) override { live_sessions.erase(session.id().value()); }

  /// How often each request took effect.
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> effects;
  std::set<std::uint64_t> live_sessions;
  std::uint64_t handled = 0;
  std::uint32_t running = 0, max_running = 0;
  std::uint32_t resumptions = 0;
  std::uint32_t retries = 0;

 private:
  Reactor& reactor_;
  media::BufferPool& pool_;

 public:
  Event released;

 private:
  Task<Response> answer(Request& request) {
    retries += request.is_retry() ? 1 : 0;
    switch (request.opcode()) {
      case kEcho:
        co_return Response(to_bytes(request.body()));
      case kApply:
        co_return apply(request);
      case kSleep:
        if (!co_await sleep_for(reactor_, Duration(body_integer<std::uint64_t>(request.body())),
                                request.cancel_source())) {
          co_return Response(Error(Code::kStopped));
        }
        co_return apply(request);
      case kStore:
        co_return co_await store(request);
      case kFetch:
        co_return fetch(request);
      case kWait:
        (void)co_await released.wait(Until{kNoDeadline, &request.cancel_source()});
        co_return Response(to_bytes(request.body()));
      case kFail:
        co_return Response(Error(Code::kConditionFailed, "as it was asked to"));
      case kCallBack:
        co_return co_await call_back(request);
      default:
        co_return Response(Error(Code::kUnknownOpcode, "the test service does not know this"));
    }
  }

  Response apply(Request& request) {
    ++effects[{request.session_id().value(), request.sequence().value()}];
    return Response(integer_body(hash64(request.body(), 7)));
  }

  Task<Response> store(Request& request) {
    Result<PulledBulk> bulk = co_await request.pull(Until::forever());
    if (!bulk) co_return Response(bulk.error());
    std::uint32_t crc = 0;
    for (std::size_t i = 0; i < bulk->count(); ++i) {
      ASSERT(reinterpret_cast<std::uintptr_t>(bulk->span(i).data()) % media::kBlockBytes == 0);
      crc = crc32c(bulk->span(i), crc);
    }
    ++effects[{request.session_id().value(), request.sequence().value()}];
    co_return Response(integer_body(crc));
  }

  Response fetch(Request& request) {
    Decoder decoder(request.body());
    const auto bytes = decoder.integer<std::uint32_t>();
    const Bytes data = pattern(bytes, decoder.integer<std::uint32_t>());
    Response response;
    for (std::size_t at = 0; at < data.size();) {
      const auto piece = static_cast<std::uint32_t>(std::min<std::size_t>(data.size() - at, 256u << 10));
      Result<media::Buffer> buffer = pool_.try_allocate(piece);
      if (!buffer) return Response(buffer.error());
      std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), piece, buffer->data());
      response.payload.add(std::move(*buffer), 0, piece);
      at += piece;
    }
    return response;
  }

  Task<Response> call_back(Request& request) {
    CallOptions options;
    options.until = Until{reactor_.now() + std::chrono::seconds(30), &request.cancel_source()};
    Result<Reply> reply = co_await request.session()->call(kEcho, request.body(), options);
    if (!reply) co_return Response(reply.error());
    co_return Response(std::move(reply->body));
  }
};

}  // namespace cenote::rpc::testing
