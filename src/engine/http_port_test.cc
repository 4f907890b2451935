#include "http_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "admin_api.h"
#include "cenote/base/format.h"
#include "core_thread.h"

namespace cenote::engine {
namespace {

class FakeBackend final : public HttpBackend {
 public:
  Result<std::string> admin(AdminMethod method, std::string path, std::string body) override {
    if (path == "/v1/missing") return fail(Code::kPoolNotFound, "no such pool");
    return nlohmann::json{{"method", static_cast<int>(method)}, {"path", path}, {"body", body}}.dump();
  }
  std::string metrics() override { return text; }
  bool ready() override { return is_ready; }

  std::atomic<bool> is_ready = false;
  std::string text = "cenote_test 1\n";
};

class HttpPortTest : public testing::Test {
 protected:
  HttpPortTest() : port_(*HttpPort::start({"127.0.0.1", 0}, backend_)), client_("127.0.0.1", port_->address().port) {}

  FakeBackend backend_;
  std::unique_ptr<HttpPort> port_;
  httplib::Client client_;
};

TEST_F(HttpPortTest, HealthReadinessAndMetrics) {
  EXPECT_EQ(client_.Get("/healthz")->status, 200);
  EXPECT_EQ(client_.Get("/readyz")->status, 503);
  backend_.is_ready = true;
  EXPECT_EQ(client_.Get("/readyz")->status, 200);
  const auto metrics = client_.Get("/metrics");
  EXPECT_EQ(metrics->body, "cenote_test 1\n");
  EXPECT_NE(metrics->get_header_value("Content-Type").find("version=0.0.4"), std::string::npos);
}

TEST_F(HttpPortTest, PassesRequestsOn) {
  const auto got = nlohmann::json::parse(client_.Get("/v1/pools/p?force=true")->body);
  EXPECT_EQ(got["method"], static_cast<int>(AdminMethod::kGet));
  EXPECT_EQ(got["path"], "/v1/pools/p?force=true");
  const auto posted = nlohmann::json::parse(client_.Post("/v1/pools", "{\"a\":1}", "application/json")->body);
  EXPECT_EQ(posted["method"], static_cast<int>(AdminMethod::kPost));
  EXPECT_EQ(posted["body"], "{\"a\":1}");
  EXPECT_EQ(nlohmann::json::parse(client_.Patch("/v1/x", "{}", "application/json")->body)["method"],
            static_cast<int>(AdminMethod::kPatch));
  EXPECT_EQ(nlohmann::json::parse(client_.Delete("/v1/x")->body)["method"], static_cast<int>(AdminMethod::kDelete));
}

TEST_F(HttpPortTest, FailuresHaveStatusAndForm) {
  const auto missing = client_.Get("/v1/missing");
  EXPECT_EQ(missing->status, 404);
  EXPECT_EQ(nlohmann::json::parse(missing->body)["error"]["code"], "pool_not_found");
  const auto unknown = client_.Get("/nowhere");
  EXPECT_EQ(unknown->status, 404);
  EXPECT_EQ(nlohmann::json::parse(unknown->body)["error"]["code"], "not_found");
  EXPECT_EQ(client_.Put("/v1/pools", "{}", "application/json")->status, 405);
  const auto large = client_.Post("/v1/pools", std::string(kMaxAdminBodyBytes + 1, 'x'), "application/json");
  ASSERT_TRUE(large);
  EXPECT_EQ(large->status, 413);
  EXPECT_EQ(client_.Get("/healthz")->status, 200) << "it goes on";
}

TEST_F(HttpPortTest, APortInUseIsRefused) {
  const auto second = HttpPort::start(port_->address(), backend_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error(), Code::kExists);
  EXPECT_NE(second.error().message().find(port_->address().to_string()), std::string::npos);
}

TEST_F(HttpPortTest, WithoutThreadsItIsAnError) {
  pthread_attr_t usual, huge;
  ASSERT_EQ(::pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(::pthread_getattr_default_np(&huge), 0);
  // No address space holds such a stack, so the system refuses every thread.
  ASSERT_EQ(::pthread_attr_setstacksize(&huge, 1ull << 47), 0);
  ASSERT_EQ(::pthread_setattr_default_np(&huge), 0);
  const auto port = HttpPort::start({"127.0.0.1", 0}, backend_);
  const auto core = CoreThread::start({});
  ::pthread_setattr_default_np(&usual);
  ASSERT_FALSE(port.has_value());
  EXPECT_EQ(port.error(), Code::kResourceExhausted);
  ASSERT_FALSE(core.has_value());
  EXPECT_EQ(core.error(), Code::kResourceExhausted);
}

TEST_F(HttpPortTest, StopsWithConnectionsOpen) {
  client_.set_keep_alive(true);
  EXPECT_EQ(client_.Get("/healthz")->status, 200);
  port_.reset();
  EXPECT_FALSE(client_.Get("/healthz"));
}

// A connection that speaks HTTP only as far as a test wants.
class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  RawConnection(RawConnection&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~RawConnection() {
    if (socket_ >= 0) ::close(socket_);
  }

  bool connected() const { return connected_; }
  bool send(std::string_view text) const {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  /// Whether the server says something, or hangs up, in that time.
  bool hears(std::chrono::milliseconds patience) const {
    pollfd polled{.fd = socket_, .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, static_cast<int>(patience.count())) > 0;
  }
  /// False when the server has hung up.
  bool receive(std::string& into) const { return ::recv(socket_, into.data(), into.size(), 0) > 0; }

 private:
  int socket_;
  bool connected_ = false;
};

constexpr std::chrono::milliseconds kNever = std::chrono::hours(1);

TEST_F(HttpPortTest, HalfOpenConnectionsDoNotKeepOthersOut) {
  const auto port = *HttpPort::start({"127.0.0.1", 0}, backend_, {.silence = kNever, .request = kNever});
  std::vector<RawConnection> silent;
  // All threads but one.
  for (std::size_t count = 1; count < HttpLimits{}.threads; ++count) {
    ASSERT_TRUE(silent.emplace_back(port->address().port).send("GET /healthz HTT"));
  }
  httplib::Client client("127.0.0.1", port->address().port);
  const auto answer = client.Get("/healthz");
  ASSERT_TRUE(answer) << "the silent ones have all threads";
  EXPECT_EQ(answer->status, 200);
  silent.clear();
}

TEST_F(HttpPortTest, SilenceEndsARequest) {
  const auto port = *HttpPort::start(
      {"127.0.0.1", 0}, backend_, {.silence = std::chrono::milliseconds(10), .request = kNever, .keep_alive = kNever});
  const RawConnection silent(port->address().port);
  ASSERT_TRUE(silent.send("GET /healthz HTT"));
  EXPECT_TRUE(silent.hears(std::chrono::seconds(60)));
}

TEST_F(HttpPortTest, ARequestThatTricklesEnds) {
  const auto port =
      *HttpPort::start({"127.0.0.1", 0}, backend_, {.silence = kNever, .request = std::chrono::milliseconds(200)});
  const RawConnection trickling(port->address().port);
  ASSERT_TRUE(trickling.send("GET /healthz HTTP/1.1\r\nX: "));
  const auto begun = std::chrono::steady_clock::now();
  while (trickling.send("x") && !trickling.hears(std::chrono::milliseconds(5))) {
    ASSERT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(60)) << "it may go on for ever";
  }
}

TEST_F(HttpPortTest, AnOldConnectionGetsNoFurtherRequest) {
  const auto port = *HttpPort::start({"127.0.0.1", 0}, backend_,
                                     {.requests = SIZE_MAX, .connection = std::chrono::milliseconds(100)});
  const RawConnection busy(port->address().port);
  std::string heard(4096, '\0');
  const auto begun = std::chrono::steady_clock::now();
  while (busy.send("GET /healthz HTTP/1.1\r\n\r\n") && busy.receive(heard)) {
    ASSERT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(60)) << "it may go on for ever";
  }
}

TEST_F(HttpPortTest, AnAnswerThatIsReadSlowlyEnds) {
  backend_.text = std::string(64u << 20, 'm');  // more than socket buffers hold
  auto port = *HttpPort::start({"127.0.0.1", 0}, backend_, {.answer = std::chrono::milliseconds(10)});
  const RawConnection lazy(port->address().port);
  ASSERT_TRUE(lazy.send("GET /metrics HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(lazy.hears(std::chrono::seconds(60)));
  port.reset();  // waits for the requests that run: for ever, if this one did
}

}  // namespace
}  // namespace cenote::engine
