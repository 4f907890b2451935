#include "cenote/etcd/etcd_coordinator.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "commit.h"
#include "etcd_watch.h"

namespace cenote::etcd {

using cluster::KeyValue;
using cluster::Lease;
using cluster::LeaseId;
using cluster::Revision;
using cluster::Watch;

struct EtcdCoordinator::Impl {
  Impl(Reactor& h, std::unique_ptr<HttpClient> client, EtcdOptions o, const Logger& logger)
      : home(h),
        options(std::move(o)),
        http(std::move(client)),
        gateway(home, *http, options, logger),
        sessions(home, gateway, options, logger),
        committer(home, gateway, sessions, options) {}

  std::string stored(std::string_view key) const { return options.root + "k/" + std::string(key); }
  /// The entries of a range, by the coordinator's keys.
  Task<Result<std::vector<KeyValue>>> read(std::string body, Until until);

  Reactor& home;
  const EtcdOptions options;
  std::unique_ptr<HttpClient> http;
  Gateway gateway;
  Sessions sessions;
  Committer committer;
  CancelSource closing;
  std::size_t watches = 0;
};

namespace {

Result<> check_options(const EtcdOptions& options) {
  if (options.endpoints.empty()) return fail(Code::kInvalidArgument, "no endpoint of etcd is named");
  for (const std::string& endpoint : options.endpoints) {
    const bool scheme = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    if (!scheme || endpoint.ends_with('/')) {
      return failf(Code::kInvalidArgument, "'{}' is no endpoint of etcd: give http://HOST:PORT or https://HOST:PORT",
                   printable(as_bytes(endpoint)));
    }
  }
  if (options.root.size() < 2 || !options.root.ends_with('/')) {
    return failf(Code::kInvalidArgument, "'{}' is no root of keys: it must end with '/'",
                 printable(as_bytes(options.root)));
  }
  return cluster::check_ttl(options.session_ttl);
}

}  // namespace

Task<Result<std::unique_ptr<EtcdCoordinator>>> EtcdCoordinator::open(Reactor& home, EtcdOptions options, Logger logger,
                                                                     Until until) {
  CO_CHECK_OK(check_options(options));
  CO_TRY(auto http, HttpClient::start(home, options.tls, options.connect_timeout));
  std::unique_ptr<EtcdCoordinator> made(
      new EtcdCoordinator(std::make_unique<Impl>(home, std::move(http), std::move(options), logger)));
  if (auto answered = co_await made->revision(until); !answered) {
    // The first failure is the one to report.
    static_cast<void>(co_await made->close());
    co_return fail(std::move(answered).error());
  }
  co_return made;
}

EtcdCoordinator::EtcdCoordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

EtcdCoordinator::~EtcdCoordinator() { ASSERT(impl_->watches == 0); }

Task<Result<std::vector<KeyValue>>> EtcdCoordinator::Impl::read(std::string body, Until until) {
  auto called = co_await gateway.call("/v3/kv/range", std::move(body), until);
  CO_TRY(const Json answer, std::move(called.answer));
  CO_TRY(auto entries, entries_of(answer));
  const std::string root = stored("");
  for (KeyValue& entry : entries) {
    if (!entry.key.starts_with(root)) co_return fail(Code::kProtocolError, "etcd answers what was not asked");
    entry.key.erase(0, root.size());
  }
  co_return entries;
}

Task<Result<std::optional<KeyValue>>> EtcdCoordinator::get(std::string key, Until until) {
  CO_TRY(auto entries, co_await impl_->read(range_request(impl_->stored(key), "", 0), until));
  if (entries.empty()) co_return std::optional<KeyValue>();
  co_return std::optional(std::move(entries.front()));
}

Task<Result<std::vector<KeyValue>>> EtcdCoordinator::range(std::string prefix, std::string after, std::size_t limit,
                                                           Until until) {
  // Zero means "all" to etcd.
  if (limit == 0) co_return std::vector<KeyValue>();
  const std::string end = end_of_prefix(impl_->stored(prefix));
  // The key right behind `after`.
  const std::string first =
      std::max(impl_->stored(prefix), impl_->stored(after) + (after.empty() ? "" : std::string(1, '\0')));
  if (first >= end) co_return std::vector<KeyValue>();
  co_return co_await impl_->read(range_request(first, end, std::min(limit, cluster::kMaxRangeEntries)), until);
}

Task<Result<Revision>> EtcdCoordinator::commit(cluster::Transaction transaction, Until until) {
  CO_CHECK_OK(check_transaction(transaction));
  co_return co_await impl_->committer.commit(std::move(transaction), until);
}

Task<Result<Revision>> EtcdCoordinator::revision(Until until) {
  auto called = co_await impl_->gateway.call("/v3/kv/range", range_request(impl_->options.root, "", 1), until);
  CO_TRY(const Json answer, std::move(called.answer));
  co_return header_of(answer).revision;
}

Result<std::unique_ptr<Watch>> EtcdCoordinator::watch(std::string prefix, Revision after) {
  if (impl_->watches >= cluster::kMaxWatches) {
    return failf(Code::kResourceExhausted, "there are {} watches", cluster::kMaxWatches);
  }
  return std::make_unique<EtcdWatch>(impl_->home, impl_->gateway, impl_->options, prefix, after, impl_->watches,
                                     impl_->closing);
}

Task<Result<Lease>> EtcdCoordinator::grant_lease(Duration ttl, Until until) {
  CO_CHECK_OK(cluster::check_ttl(ttl));
  co_return co_await impl_->sessions.grant(ttl, until);
}

Task<Result<Lease>> EtcdCoordinator::keep_alive(LeaseId lease, Until until) {
  co_return co_await impl_->sessions.keep_alive(lease, until);
}

Task<Result<>> EtcdCoordinator::revoke_lease(LeaseId lease, Until until) {
  co_return co_await impl_->sessions.revoke(lease, until);
}

Task<Result<>> EtcdCoordinator::close() {
  impl_->closing.cancel();
  co_await impl_->sessions.close(Until::at(impl_->home.now() + impl_->options.attempt_timeout));
  co_await impl_->http->close();
  co_return Result<>();
}

}  // namespace cenote::etcd
