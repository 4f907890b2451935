#pragma once

#include "cenote/cenote.hpp"
#include "cenote/embedded/reactor_thread.h"
#include "cenote/rpc/inproc.h"
#include "cenote/rpc/tcp.h"

namespace cenote::detail {

class InProcess;

/// What a Client and everything opened through it share: the reactor thread, the transport, the coroutine client, and,
/// for a system inside this process, its engine.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  static Result<std::shared_ptr<Connection>> to_addresses(std::vector<rpc::Address> addresses,
                                                          async::ConnectOptions options);
  static Result<std::shared_ptr<Connection>> to_directory(std::string directory, OpenOptions options);
  ~Connection();

  /// Runs `make_task(client, until)` on the reactor and returns its value.
  template <typename MakeTask>
  auto call(CallBounds bounds, MakeTask make_task) {
    return thread_->run([&, this] { return run_bounded(this, bounds, &make_task); });
  }
  async::Client& client() { return *client_; }
  ReactorThread& thread() { return *thread_; }

 private:
  Connection();

  template <typename MakeTask>
  static auto run_bounded(Connection* self, CallBounds bounds, MakeTask* make_task)
      -> std::invoke_result_t<MakeTask&, async::Client&, Until> {
    const Until until = self->begin(bounds, self->weak_from_this());
    co_return co_await (*make_task)(*self->client_, until);
  }
  /// On the reactor.
  Until begin(CallBounds bounds, std::weak_ptr<Connection> self);
  Result<> connect(std::vector<rpc::Address> addresses, async::ConnectOptions options);

  std::unique_ptr<InProcess> engine_;
  std::unique_ptr<ReactorThread> thread_;
  std::unique_ptr<rpc::Transport> transport_;
  std::unique_ptr<async::Client> client_;
};

}  // namespace cenote::detail
