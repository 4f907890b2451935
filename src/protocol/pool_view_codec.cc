#include "cenote/protocol/pool_requests.h"
#include "wire.h"

namespace cenote {

using namespace wire;

namespace {

// Smallest encoded forms; a count that needs more than what is left is refused before anything is reserved.
constexpr std::size_t kEngineBytes = 8;

Result<PoolEngine> take_engine(Decoder& in) {
  PoolEngine engine;
  engine.rank = in.integer<std::uint32_t>();
  const auto addresses = in.integer<std::uint32_t>();
  in.require(addresses <= kMaxEngineAddresses);
  CHECK_OK(in.check("pool view"));
  for (std::uint32_t i = 0; i < addresses; ++i) {
    const auto bytes = in.integer<std::uint16_t>();
    const ByteView address = in.raw(bytes);
    CHECK_OK(in.check("pool view"));
    CHECK_OK(check_limit(address.size(), kMaxEngineAddressBytes, "bytes of an address"));
    engine.addresses.push_back(to_text(address));
  }
  return engine;
}

}  // namespace

void encode(const PoolViewRequest& request, Bytes& out) {
  Encoder to(out);
  put(to, request.pool);
}

Result<PoolViewRequest> decode_pool_view_request(ByteView from) {
  Decoder in(from);
  const PoolViewRequest request{take_uuid(in)};
  CHECK_OK(in.finish("pool view request"));
  return request;
}

void encode(const PoolView& view, Bytes& out) {
  ASSERT(view.map.size() <= kMaxPoolMapBytes && view.engines.size() <= kMaxPoolEngines);
  Encoder to(out);
  to.integer(static_cast<std::uint32_t>(view.map.size()));
  to.integer(view.targets);
  to.integer(static_cast<std::uint32_t>(view.engines.size()));
  to.zeros(4);
  to.raw(view.map);
  for (const PoolEngine& engine : view.engines) {
    ASSERT(engine.addresses.size() <= kMaxEngineAddresses);
    to.integer(engine.rank);
    to.integer(static_cast<std::uint32_t>(engine.addresses.size()));
    for (const std::string& address : engine.addresses) put_key(to, as_bytes(address));
  }
}

Result<PoolView> decode_pool_view(ByteView from) {
  Decoder in(from);
  PoolView view;
  const auto map_bytes = in.integer<std::uint32_t>();
  view.targets = in.integer<std::uint32_t>();
  const auto engines = in.integer<std::uint32_t>();
  in.zeros(4);
  CHECK_OK(in.check("pool view"));
  CHECK_OK(check_limit(map_bytes, kMaxPoolMapBytes, "bytes of a pool map"));
  CHECK_OK(check_limit(engines, kMaxPoolEngines, "engines of a pool"));
  const ByteView map = in.raw(map_bytes);
  in.require((map_bytes == 0) == (view.targets != 0));
  in.require(engines <= in.remaining() / kEngineBytes);
  CHECK_OK(in.check("pool view"));
  view.map.assign(map.begin(), map.end());
  view.engines.reserve(engines);
  for (std::uint32_t i = 0; i < engines; ++i) {
    TRY(PoolEngine engine, take_engine(in));
    view.engines.push_back(std::move(engine));
  }
  CHECK_OK(in.finish("pool view"));
  return view;
}

}  // namespace cenote
