#include "connection.h"

#include "cancellation.h"
#include "cenote/base/format.h"
#include "in_process.h"

namespace cenote {

Cancellation::Cancellation() : state_(std::make_shared<State>()) {}

void Cancellation::cancel() {
  std::shared_ptr<detail::Connection> connection;
  {
    const std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->cancelled, true)) return;
    connection = state_->connection.lock();
  }
  if (!connection) return;
  state_->delivery.state = state_;
  connection->thread().reactor().post(state_->delivery);
}

namespace detail {

Connection::Connection() = default;

Result<std::shared_ptr<Connection>> Connection::to_addresses(std::vector<rpc::Address> addresses,
                                                             async::ConnectOptions options) {
  std::shared_ptr<Connection> connection(new Connection());
  TRY(connection->thread_, ReactorThread::start());
  connection->thread_->run_plain(
      [&connection] { connection->transport_ = std::make_unique<rpc::TcpTransport>(connection->thread_->reactor()); });
  CHECK_OK(connection->connect(std::move(addresses), std::move(options)));
  return connection;
}

Result<std::shared_ptr<Connection>> Connection::to_directory(std::string directory, OpenOptions options) {
  std::shared_ptr<Connection> connection(new Connection());
  TRY(connection->engine_, InProcess::start(std::move(directory), options));
  TRY(connection->thread_, ReactorThread::start());
  connection->thread_->run_plain([&connection] {
    connection->transport_ =
        std::make_unique<rpc::InprocTransport>(connection->engine_->network(), connection->thread_->reactor());
  });
  CHECK_OK(connection->connect({connection->engine_->address()}, {.name = "embedded"}));
  return connection;
}

Result<> Connection::connect(std::vector<rpc::Address> addresses, async::ConnectOptions options) {
  TRY(client_, thread_->run([&] {
    return async::Client::connect(thread_->reactor(), *transport_, std::move(addresses), std::move(options));
  }));
  return {};
}

Connection::~Connection() {
  if (!thread_) return;
  if (client_) thread_->run([this] { return client_->close(); });
  // Both belong to the reactor and go there.
  thread_->run_plain([this] {
    client_.reset();
    transport_.reset();
  });
}

Until Connection::begin(CallBounds bounds, std::weak_ptr<Connection> self) {
  Until until;
  if (bounds.timeout < std::chrono::nanoseconds::max()) until.deadline = thread_->reactor().now() + bounds.timeout;
  if (bounds.cancellation == nullptr) return until;
  const auto& state = bounds.cancellation->state_;
  const std::lock_guard lock(state->mutex);
  state->connection = std::move(self);
  if (state->cancelled && !state->source.cancelled()) state->source.cancel();
  until.cancel = &state->source;
  return until;
}

}  // namespace detail
}  // namespace cenote
