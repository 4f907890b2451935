#include "clock_check.h"

#include <chrono>
#include <cmath>

#include "cenote/base/format.h"
#include "cenote/rpc/address.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/tcp.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(3);
/// Of what two engines may be apart: as each of several has to be near to most of them.
constexpr Duration kApartMax = rpc::kClockOffsetMax / 2;

Task<Result<rpc::Peer::ClockOffset>> ask(UringReactor& reactor, std::vector<rpc::Address> addresses) {
  rpc::TcpTransport transport(reactor);
  rpc::ClientSession session(reactor, {.identity = {}, .name = "cenote-join"});
  rpc::PeerOptions options;
  options.addresses = std::move(addresses);
  options.keep_connected = false;
  rpc::Peer peer(reactor, transport, session, std::move(options));
  auto offset = co_await peer.ask_clock(Until::at(reactor.now() + kPatience));
  co_await peer.stop();
  co_return offset;
}

}  // namespace

Result<> check_clock(const std::string& system) {
  TRY(auto addresses, rpc::parse_addresses(system));
  TRY(const auto reactor, UringReactor::create({.queue_entries = 16, .spin = Duration(0)}));
  const auto offset = reactor->block_on(ask(*reactor, std::move(addresses)));
  if (!offset || (offset->least <= kApartMax && offset->most >= -kApartMax)) return {};
  const double ahead = std::chrono::duration<double>((offset->least + offset->most) / 2).count();
  return failf(Code::kClockOff,
               "the clock of this machine is {:.1f} s {} that of the engine there: set it, and keep it set (chrony, "
               "ntpd), then start again",
               std::abs(ahead), ahead < 0 ? "ahead of" : "behind");
}

}  // namespace cenote::cli
