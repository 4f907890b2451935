#pragma once

#include <sys/socket.h>

#include <string>

#include "cenote/rpc/address.h"

namespace cenote::rpc {

/// An address as the kernel takes it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// Never blocks: kNotFound for a host that is a name.
Result<SocketAddress> numeric_address(const Address& address);

/// "10.0.0.1:7777" or "[::1]:7777".
Address to_address(const SocketAddress& address);

/// The kernel's word for an error number ("connection refused").
std::string system_reason(int error);

}  // namespace cenote::rpc
