#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"

namespace cenote::rpc {

/// Port of an engine where none is named.
inline constexpr std::uint16_t kDefaultPort = 7777;

/// Where a peer listens: a host (name, IPv4 or IPv6 literal without brackets; a node's name in the simulator) and a
/// port.
struct Address {
  std::string host;
  std::uint16_t port = 0;

  /// "host:port", "host" (default port), "10.0.0.1:7777", "[::1]:7777" or "[::1]". kInvalidArgument says what is wrong
  /// and how it should look. Port 0 is accepted (a listener then picks one).
  static Result<Address> parse(std::string_view text, std::uint16_t default_port = kDefaultPort);
  /// The inverse; IPv6 literals in brackets.
  std::string to_string() const;
  friend auto operator<=>(const Address&, const Address&) = default;
};

/// Several, comma-separated; at least one.
Result<std::vector<Address>> parse_addresses(std::string_view text, std::uint16_t default_port = kDefaultPort);

/// The numeric addresses of `address`, in the resolver's order; a numeric one is itself, "localhost" is both
/// loopback addresses whatever the resolver says. Blocks (getaddrinfo): for the edge of a client or a tool, never on a
/// reactor. kUnreachable "cannot resolve 'name': ...".
Result<std::vector<Address>> resolve_blocking(const Address& address);

}  // namespace cenote::rpc
