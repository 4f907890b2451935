#include "leader_link.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/rpc/peer.h"

namespace cenote::engine {
namespace {

std::unexpected<Error> no_leader() {
  return fail(Code::kNotReady, "no engine leads the control service at the moment: try again");
}

Bytes encode_request(const AdminRequest& request) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(static_cast<std::uint8_t>(request.method));
  encoder.text(request.path);
  encoder.text(request.body);
  encoder.raw(request.new_id.bytes());
  return bytes;
}

}  // namespace

struct LeaderLink::Connection {
  Connection(Reactor& reactor, rpc::Transport& transport, rpc::ClientSession& session, rpc::PeerOptions options)
      : peer(reactor, transport, session, std::move(options)) {}
  rpc::Peer peer;
};

LeaderLink::LeaderLink(Reactor& reactor, cluster::Coordinator& coordinator, rpc::Transport& transport, Options options,
                       Logger logger)
    : reactor_(reactor),
      transport_(transport),
      options_(options),
      logger_(std::move(logger)),
      election_(coordinator, kLeaderKey),
      session_(reactor, {.identity = options.engine, .name = "engine", .incarnation = 1}),
      background_(reactor),
      dropping_(reactor),
      callers_(reactor) {}

LeaderLink::~LeaderLink() { ASSERT(background_.running() == 0 && dropping_.running() == 0 && connection_ == nullptr); }

void LeaderLink::start() {
  const bool started = background_.spawn(run(*this));
  ASSERT(started);
}

Task<> LeaderLink::stop() {
  co_await background_.stop();
  take(std::nullopt);
  co_await callers_.close();
  co_await dropping_.drain();
}

Task<> LeaderLink::run(LeaderLink& self) {
  CancelSource& stopping = self.background_.cancel_source();
  cluster::Revision seen(0);
  while (!stopping.cancelled()) {
    auto leader = co_await self.election_.changed(seen, {kNoDeadline, &stopping});
    if (stopping.cancelled()) co_return;
    if (!leader) {
      self.logger_.warn("cannot follow who leads the control service", {{"error", leader.error()}});
      static_cast<void>(co_await sleep_for(self.reactor_, self.options_.retry_pause, stopping));
      continue;
    }
    seen = *leader ? (*leader)->revision : cluster::Revision(0);
    self.take(*std::move(leader));
  }
}

void LeaderLink::take(std::optional<cluster::Leader> leader) {
  leader_.reset();
  if (leader) {
    auto record = decode_leader(leader->value);
    if (record) {
      leader_ = *std::move(record);
    } else {
      logger_.error("nobody can be asked for pools and containers", {{"error", record.error()}});
    }
  }
  if (connection_ != nullptr) {
    const bool dropped = dropping_.spawn(drop(std::exchange(connection_, nullptr)));
    ASSERT(dropped);
  }
}

Task<> LeaderLink::drop(std::shared_ptr<Connection> connection) { co_await connection->peer.stop(); }

Result<std::shared_ptr<LeaderLink::Connection>> LeaderLink::connection() {
  if (!leader_) return no_leader();
  if (connection_ != nullptr) return connection_;
  rpc::PeerOptions peer;
  for (const std::string& text : leader_->addresses) {
    TRY(auto address, rpc::Address::parse(text));
    peer.addresses.push_back(std::move(address));
  }
  if (peer.addresses.empty()) return no_leader();
  peer.system = options_.system;
  peer.keep_connected = false;
  connection_ = std::make_shared<Connection>(reactor_, transport_, session_, std::move(peer));
  return connection_;
}

Task<Result<std::string>> LeaderLink::forward(AdminRequest request, Until until) {
  if (!callers_.enter()) co_return fail(Code::kNotReady, "the engine is stopping");
  auto answer = co_await call(std::move(request), until);
  callers_.leave();
  co_return answer;
}

Task<Result<std::string>> LeaderLink::call(AdminRequest request, Until until) {
  CO_TRY(const auto connection, this->connection());
  const cluster::Rank rank = leader_->rank;
  const Bytes body = encode_request(request);
  rpc::ReplyInfo info;
  rpc::CallOptions options;
  options.until = until.no_later_than(reactor_.now() + options_.call_timeout);
  options.info = &info;
  const auto reply = co_await connection->peer.call(static_cast<rpc::Opcode>(Opcode::kAdmin), body, options);
  if (reply) co_return to_text(reply->body);
  if (info.received || reply.error() == Code::kDeadlineExceeded || reply.error() == Code::kCancelled)
    co_return fail(reply.error());
  co_return failf(Code::kNotReady, "engine {}, which led the control service, does not answer ({}): try again",
                  rank.value(), reply.error().message());
}

}  // namespace cenote::engine
