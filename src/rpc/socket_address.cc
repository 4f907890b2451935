#include "socket_address.h"

#include <netdb.h>

#include <cstring>
#include <memory>
#include <system_error>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"

namespace cenote::rpc {

Result<SocketAddress> numeric_address(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found) != 0) {
    return failf(Code::kNotFound, "'{}' is no numeric address", address.host);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  SocketAddress result;
  ASSERT(found->ai_addrlen <= sizeof result.storage);
  std::memcpy(&result.storage, found->ai_addr, found->ai_addrlen);
  result.bytes = found->ai_addrlen;
  return result;
}

Address to_address(const SocketAddress& address) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  const int problem =
      getnameinfo(address.get(), address.bytes, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  if (problem != 0) return Address{"unknown", 0};
  return Address{host, static_cast<std::uint16_t>(std::stoul(port))};
}

std::string system_reason(int error) {
  std::string text = std::generic_category().message(error);
  // Parts of sentences begin small.
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

}  // namespace cenote::rpc
