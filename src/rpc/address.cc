#include "cenote/rpc/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <charconv>
#include <memory>

#include "cenote/base/bytes.h"
#include "cenote/base/format.h"

namespace cenote::rpc {
namespace {

constexpr std::size_t kMaxHostBytes = 253;  // the longest DNS name

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size()) {
    return failf(Code::kInvalidArgument, "address '{}': '{}' is no port; write HOST:PORT with a port of 0 to 65535",
                 whole, text);
  }
  return port;
}

bool is_ipv6(const std::string& host) {
  in6_addr parsed;
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &parsed) == 1;
}

bool valid_name(std::string_view host) {
  for (char c : host) {
    const bool ok =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!ok) return false;
  }
  return !host.empty() && host.size() <= kMaxHostBytes;
}

Result<Address> parse_bracketed(std::string_view text, std::uint16_t default_port) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return failf(Code::kInvalidArgument, "address '{}': ']' is missing", text);
  Address address{std::string(text.substr(1, close - 1)), default_port};
  if (!is_ipv6(address.host)) {
    return failf(Code::kInvalidArgument, "address '{}': '{}' is no IPv6 address", text, address.host);
  }
  const std::string_view rest = text.substr(close + 1);
  if (rest.empty()) return address;
  if (rest.front() != ':') return failf(Code::kInvalidArgument, "address '{}': expected ':PORT' after ']'", text);
  TRY(address.port, parse_port(rest.substr(1), text));
  return address;
}

}  // namespace

Result<Address> Address::parse(std::string_view text, std::uint16_t default_port) {
  if (text.starts_with('[')) return parse_bracketed(text, default_port);
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) {
    return failf(Code::kInvalidArgument, "address '{}': put an IPv6 address in brackets, as in [::1]:{}", text,
                 default_port);
  }
  Address address{std::string(text.substr(0, colon)), default_port};
  if (!valid_name(address.host)) {
    return failf(Code::kInvalidArgument, "address '{}': '{}' is no host name or IP address; write HOST:PORT", text,
                 printable(as_bytes(address.host)));
  }
  if (colon != std::string_view::npos) {
    TRY(address.port, parse_port(text.substr(colon + 1), text));
  }
  return address;
}

std::string Address::to_string() const {
  const bool brackets = host.find(':') != std::string::npos;
  return brackets ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<std::vector<Address>> parse_addresses(std::string_view text, std::uint16_t default_port) {
  std::vector<Address> all;
  while (true) {
    const std::size_t comma = text.find(',');
    TRY(Address address, Address::parse(text.substr(0, comma), default_port));
    all.push_back(std::move(address));
    if (comma == std::string_view::npos) return all;
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<Address>> resolve_blocking(const Address& address) {
  // RFC 6761: always this machine, also where no hosts file says so, as in minimal containers.
  if (address.host == "localhost") return std::vector<Address>{{"127.0.0.1", address.port}, {"::1", address.port}};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int problem = getaddrinfo(address.host.c_str(), nullptr, &hints, &found);
  if (problem != 0) {
    return failf(Code::kUnreachable, "cannot resolve '{}': {}; check the name, or write an IP address", address.host,
                 gai_strerror(problem));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<Address> all;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    all.push_back(Address{host, address.port});
  }
  if (all.empty()) return failf(Code::kUnreachable, "cannot resolve '{}': no address", address.host);
  return all;
}

}  // namespace cenote::rpc
