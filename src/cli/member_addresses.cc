#include "member_addresses.h"

#include "cenote/base/format.h"
#include "cenote/rpc/address.h"

namespace cenote::cli {
namespace {

/// Beside the ports of the engine: 7777 for clients, 7778 for control.
constexpr std::uint32_t kPortsBehind = 2;
constexpr std::uint32_t kMaxPort = 65535;

bool is_literal(const std::string& host) {
  return host.contains(':') || host.find_first_not_of("0123456789.") == std::string::npos;
}

/// "0.0.0.0", or zeros in any form of IPv6.
bool is_everywhere(const std::string& host) {
  return host == "0.0.0.0" || (host.contains(':') && host.find_first_not_of("0:") == std::string::npos);
}

Result<rpc::Address> address_in(const Settings& settings, const char* key) {
  auto address = rpc::Address::parse(settings.text(key));
  if (!address) return fail(settings.wrong(key, address.error().message()));
  return address;
}

}  // namespace

Result<MemberAddresses> member_addresses(const Settings& settings) {
  TRY(const rpc::Address listen, address_in(settings, "server.listen"));
  std::string host = listen.host;
  if (!settings.text("server.advertise").empty()) {
    TRY(const rpc::Address advertised, address_in(settings, "server.advertise"));
    host = advertised.host;
  } else if (is_everywhere(host)) {
    return fail(settings.wrong("server.advertise",
                               fmt::format("the engine listens at all addresses ({}): say with --advertise HOST at "
                                           "which one the others of its system find it",
                                           listen.to_string())));
  }
  TRY(std::uint32_t port, settings.number("server.etcd-port"));
  if (listen.port == 0)
    return fail(
        settings.wrong("server.listen", "name a port: one that the kernel chooses is another one after each start"));
  if (port == 0) port = listen.port + kPortsBehind;
  if (port >= kMaxPort)
    return fail(settings.wrong("server.etcd-port", fmt::format("{} and the one behind it are needed", port)));
  const auto url = [&](std::uint32_t at) {
    return "http://" + rpc::Address{host, static_cast<std::uint16_t>(at)}.to_string();
  };
  // etcd listens at literals only.
  const std::string listens = is_literal(listen.host)      ? listen.host
                              : listen.host == "localhost" ? "127.0.0.1"
                                                           : "0.0.0.0";
  return MemberAddresses{url(port), url(port + 1), listens};
}

Result<> adopt_address(const Settings& settings) {
  const std::string data = settings.text("server.data");
  TRY(auto joined, etcd::load_joined(data));
  if (!joined || !joined->member || !joined->member->runs()) return {};
  TRY(const MemberAddresses addresses, member_addresses(settings));
  etcd::OwnMember& member = *joined->member;
  // One of several leaves and enters anew by itself.
  if (member.client_url == addresses.client_url || joined->endpoints != std::vector(1, member.client_url)) return {};
  if (somebody_listens_at(member.client_url)) {
    return fail(
        Code::kLocked,
        fmt::format("the etcd of '{}' runs at {} already, and this server is to run at {}: two directories with "
                    "one identity must never run at once; stop that one, and remove the copy",
                    data, member.client_url, addresses.client_url));
  }
  member.client_url = addresses.client_url;
  member.peer_url = addresses.peer_url;
  joined->endpoints = {addresses.client_url};
  return etcd::save_joined(data, *joined);
}

Result<EtcdProcessOptions> etcd_process_options(const Settings& settings) {
  TRY(const MemberAddresses addresses, member_addresses(settings));
  const std::string log = settings.text("server.log-file");
  return EtcdProcessOptions{.program = settings.text("server.etcd"),
                            .data_directory = settings.text("server.data"),
                            .client_url = addresses.client_url,
                            .listen_host = addresses.listen_host,
                            .log_file = log.empty() ? "" : log + ".etcd"};
}

}  // namespace cenote::cli
