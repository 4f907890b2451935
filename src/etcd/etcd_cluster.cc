#include "cenote/etcd/etcd_cluster.h"

#include "gateway.h"

namespace cenote::etcd {

struct EtcdCluster::Impl {
  Impl(Reactor& home, EtcdOptions o, std::unique_ptr<HttpClient> client, Logger logger)
      : options(std::move(o)), http(std::move(client)), gateway(home, *http, options, std::move(logger)) {}

  const EtcdOptions options;
  std::unique_ptr<HttpClient> http;
  Gateway gateway;
};

Result<std::unique_ptr<EtcdCluster>> EtcdCluster::open(Reactor& home, EtcdOptions options, Logger logger) {
  if (options.endpoints.empty() && options.changing == nullptr)
    return fail(Code::kInvalidArgument, "no endpoint of etcd is named");
  TRY(auto http, HttpClient::start(home, options.tls, options.connect_timeout));
  auto impl = std::make_unique<Impl>(home, std::move(options), std::move(http), std::move(logger));
  return std::unique_ptr<EtcdCluster>(new EtcdCluster(std::move(impl)));
}

EtcdCluster::EtcdCluster(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

EtcdCluster::~EtcdCluster() = default;

Task<Result<std::vector<ClusterMember>>> EtcdCluster::members(Until until) {
  auto called = co_await impl_->gateway.call("/v3/cluster/member/list", "{}", until);
  CO_TRY(const Json answer, std::move(called.answer));
  co_return members_of(answer);
}

Task<bool> EtcdCluster::answers(std::string endpoint, Until until) {
  auto exchange = impl_->http->send({.url = endpoint + "/v3/maintenance/status", .body = "{}"});
  if (!exchange) co_return false;
  for (;;) {
    const auto piece = co_await exchange->read(until);
    if (!piece) co_return false;
    if (piece->empty()) co_return exchange->status() == 200;
  }
}

Task<Result<>> EtcdCluster::add_learner(std::string peer_url, Until until) {
  const Json request{{"peerURLs", {peer_url}}, {"isLearner", true}};
  co_return co_await change("/v3/cluster/member/add", request.dump(), until);
}

Task<Result<>> EtcdCluster::promote(std::uint64_t id, Until until) {
  co_return co_await change("/v3/cluster/member/promote", member_request(id), until);
}

Task<Result<>> EtcdCluster::remove(std::uint64_t id, Until until) {
  co_return co_await change("/v3/cluster/member/remove", member_request(id), until);
}

Task<Result<>> EtcdCluster::change(std::string path, std::string body, Until until) {
  auto called = co_await impl_->gateway.call(std::move(path), std::move(body), until);
  if (!called.answer) co_return fail(std::move(called.answer).error());
  co_return Result<>();
}

Task<> EtcdCluster::close() { co_await impl_->http->close(); }

}  // namespace cenote::etcd
