#include "http_get.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace cenote::cli {
namespace {

using namespace std::chrono_literals;

/// Takes one connection and does with it what it is told.
class OneServer {
 public:
  explicit OneServer(std::function<void(int)> serve) : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const at = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listening_, at, length), 0);
    EXPECT_EQ(::listen(listening_, 1), 0);
    EXPECT_EQ(::getsockname(listening_, at, &length), 0);
    address_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
    thread_ = std::jthread([this, serve = std::move(serve)] {
      const int connection = ::accept(listening_, nullptr, nullptr);
      serve(connection);
      ::close(connection);
    });
  }
  OneServer(const OneServer&) = delete;
  OneServer& operator=(const OneServer&) = delete;
  ~OneServer() {
    thread_.join();
    ::close(listening_);
  }
  const std::string& address() const { return address_; }

 private:
  int listening_;
  std::string address_;
  std::jthread thread_;
};

bool send_all(int connection, std::string_view text) {
  return ::send(connection, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

/// Until the other side has had enough.
void read_all(int connection) {
  char part[256];
  while (::recv(connection, part, sizeof part, 0) > 0) {
  }
}

TEST(HttpGet, GivesStatusAndBody) {
  const OneServer server([](int connection) {
    char request[256];
    EXPECT_GT(::recv(connection, request, sizeof request, 0), 0);
    EXPECT_TRUE(send_all(connection, "HTTP/1.1 503 Not Now\r\nA: b\r\n\r\nbody\n"));
  });
  const auto answer = http_get(server.address(), "/x", 2min);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "body\n");
}

TEST(HttpGet, WhatIsNoHttpIsRefused) {
  const OneServer server([](int connection) { EXPECT_TRUE(send_all(connection, "SSH-2.0\r\n")); });
  EXPECT_FALSE(http_get(server.address(), "/", 2min));
}

TEST(HttpGet, SilenceEnds) {
  const OneServer server(read_all);
  const auto answer = http_get(server.address(), "/", 50ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), Code::kDeadlineExceeded);
}

TEST(HttpGet, AnAnswerWithoutEndEnds) {
  const OneServer server([](int connection) {
    while (send_all(connection, "HTTP/1.1 200 OK\r\n\r\n")) {
    }
  });
  const auto answer = http_get(server.address(), "/", 100ms);
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error() == Code::kDeadlineExceeded || answer.error() == Code::kOutOfRange);
}

TEST(HttpGet, NobodyListens) {
  const auto answer = http_get("127.0.0.1:1", "/", 1s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), Code::kUnreachable);
}

}  // namespace
}  // namespace cenote::cli
