#include <array>

#include "admin_api.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {
namespace {

// Every retry of a request makes the same id, so that a creation whose answer was lost with the engine is found again.
Uuid id_of_request(const rpc::Request& request) {
  std::array<std::byte, 16> name;
  store_le(name.data(), request.session_id().value());
  store_le(name.data() + 8, request.sequence().value());
  return Uuid::from_random(hash64(name, 1), hash64(name, 2));
}

}  // namespace

Task<rpc::Response> ObjectService::admin(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kAdmin, reactor_);
  auto outcome = co_await run_admin(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return succeeded(as_bytes(*outcome));
}

Task<Result<std::string>> ObjectService::run_admin(rpc::Request& request) {
  Decoder decoder(request.body());
  const auto number = decoder.integer<std::uint8_t>();
  std::string path = decoder.text(kMaxAdminPathBytes);
  std::string body = decoder.text(kMaxAdminBodyBytes);
  // Another engine that passes a client's request on says which id that has.
  const bool forwarded = decoder.remaining() > 0;
  const ByteView given = forwarded ? decoder.raw(Uuid().bytes().size()) : ByteView();
  CO_CHECK_OK(decoder.finish("admin request"));
  const auto method = static_cast<AdminMethod>(number);
  if (method < AdminMethod::kGet || method > AdminMethod::kDelete) {
    co_return failf(Code::kMalformed, "admin request: there is no method {}", number);
  }
  const Uuid id = forwarded ? Uuid::from_bytes(std::span<const std::byte, 16>(given)) : id_of_request(request);
  // A cancellation does not cross reactors; the deadline bounds the wait.
  const Until until = Until::at(deadline(request));
  AdminRequest wanted{method, std::move(path), std::move(body), id, forwarded};
  co_return co_await call_on(reactor_, services_.control_reactor(),
                             [&] { return services_.admin(std::move(wanted), until); });
}

}  // namespace cenote::engine
