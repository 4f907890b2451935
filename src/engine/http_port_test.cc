#include "http_port.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <nlohmann/json.hpp>

#include "admin_api.h"
#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

class FakeBackend final : public HttpBackend {
 public:
  Result<std::string> admin(AdminMethod method, std::string path, std::string body) override {
    if (path == "/v1/missing") return fail(Code::kPoolNotFound, "no such pool");
    return nlohmann::json{{"method", static_cast<int>(method)}, {"path", path}, {"body", body}}.dump();
  }
  std::string metrics() override { return "cenote_test 1\n"; }
  bool ready() override { return is_ready; }

  std::atomic<bool> is_ready = false;
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

TEST_F(HttpPortTest, StopsWithConnectionsOpen) {
  client_.set_keep_alive(true);
  EXPECT_EQ(client_.Get("/healthz")->status, 200);
  port_.reset();
  EXPECT_FALSE(client_.Get("/healthz"));
}

}  // namespace
}  // namespace cenote::engine
