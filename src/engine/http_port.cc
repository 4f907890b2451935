#include "http_port.h"

#include <httplib.h>
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "admin_api.h"
#include "cenote/base/format.h"
#include "cenote/base/metrics.h"
#include "cenote/runtime/thread_refused.h"
#include "http_stream.h"

namespace cenote::engine {
namespace {

constexpr std::size_t kWaitingConnectionsMax = 64;
constexpr const char* kJson = "application/json";

/// Connections wait here for a thread. When too many do, the accepting thread waits, and further ones stay in the
/// kernel's bounded queue: nothing grows without a limit.
class BoundedQueue final : public httplib::TaskQueue {
 public:
  /// Throws what std::thread throws, with no thread left behind.
  explicit BoundedQueue(std::size_t threads) {
    try {
      for (std::size_t count = 0; count < threads; ++count) threads_.emplace_back([this] { work(); });
    } catch (...) {
      shutdown();
      throw;
    }
  }
  ~BoundedQueue() override { shutdown(); }

  void enqueue(std::function<void()> job) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return jobs_.size() < kWaitingConnectionsMax; });
    jobs_.push_back(std::move(job));
    changed_.notify_all();
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      changed_.notify_all();
      job();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

/// The library's server, with streams that end.
class BoundedServer final : public httplib::Server {
 public:
  explicit BoundedServer(const HttpLimits& limits) : limits_(limits) {}

  /// Once bound: the library lets five connections wait in the kernel, and the next one loses a second to a dropped
  /// SYN.
  void widen_backlog() { ::listen(svr_sock_, static_cast<int>(kWaitingConnectionsMax)); }

 private:
  bool process_and_close_socket(socket_t socket) override {
    HttpStream stream(socket, limits_);
    bool served = false;
    for (std::size_t left = limits_.requests; left > 0 && svr_sock_ != INVALID_SOCKET; --left) {
      if (!stream.next_request()) break;
      bool closed = false;
      served = process_request(stream, left == 1, closed, nullptr);
      if (!served || closed) break;
    }
    return served;
  }

  HttpLimits limits_;
};

void answer(httplib::Response& response, Result<std::string> outcome) {
  response.status = outcome ? 200 : http_status(outcome.error());
  response.set_content(outcome ? *outcome : error_json(outcome.error()), kJson);
}

// What the library refuses by itself (too long, unparsable, no such route) gets the form of our errors.
Error refusal(int status) {
  switch (status) {
    case 404:
      return Error(Code::kNotFound, "there is no such path: /v1/..., /metrics, /healthz, /readyz");
    case 413:
      return Error(Code::kOutOfRange, fmt::format("the body is longer than {} bytes", kMaxAdminBodyBytes));
    case 414:
      return Error(Code::kOutOfRange, "the path is too long");
    case 400:
      return Error(Code::kMalformed, "not a valid HTTP request");
    default:
      return Error(Code::kInternal, "the request failed");
  }
}

}  // namespace

struct HttpPort::Impl {
  Impl(HttpBackend& b, const HttpLimits& l) : backend(b), limits(l), server(l) {}

  void set_limits();
  void add_routes();

  HttpBackend& backend;
  HttpLimits limits;
  std::unique_ptr<BoundedQueue> queue;
  BoundedServer server;
  rpc::Address address;
  std::thread thread;
};

void HttpPort::Impl::set_limits() {
  // The library asks once, on the listening thread, and owns what it gets.
  server.new_task_queue = [this] { return queue.release(); };
  server.set_payload_max_length(kMaxAdminBodyBytes);
  // What an answer's "Keep-Alive" header promises; the times that count are those of the streams.
  server.set_keep_alive_timeout(std::chrono::floor<std::chrono::seconds>(limits.keep_alive).count());
  server.set_keep_alive_max_count(limits.requests);
  // The library's default lets a second process share the port unnoticed.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty()) response.set_content(error_json(refusal(response.status)), kJson);
  });
  server.set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
    response.status = 500;
    response.set_content(error_json(Error(Code::kInternal, "the request failed")), kJson);
  });
}

void HttpPort::Impl::add_routes() {
  server.Get("/healthz",
             [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", "text/plain"); });
  server.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
    const bool ready = backend.ready();
    response.status = ready ? 200 : 503;
    response.set_content(ready                      ? "ready\n"
                         : backend.system_stopped() ? "the system is stopped\n"
                                                    : "starting or stopping\n",
                         "text/plain");
  });
  server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(backend.metrics(), std::string(MetricRegistry::kContentType));
  });
  const auto admin = [this](AdminMethod method) {
    return [this, method](const httplib::Request& request, httplib::Response& response) {
      answer(response, backend.admin(method, request.target, request.body));
    };
  };
  server.Get("/v1/.*", admin(AdminMethod::kGet));
  server.Post("/v1/.*", admin(AdminMethod::kPost));
  server.Patch("/v1/.*", admin(AdminMethod::kPatch));
  server.Delete("/v1/.*", admin(AdminMethod::kDelete));
  server.Put("/v1/.*", [](const httplib::Request&, httplib::Response& response) {
    answer(response, failf(Code::kUnsupported, "the control API has no PUT: use POST or PATCH"));
  });
}

HttpPort::HttpPort(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpPort>> HttpPort::start(const rpc::Address& address, HttpBackend& backend,
                                                  const HttpLimits& limits) {
  auto impl = std::make_unique<Impl>(backend, limits);
  impl->set_limits();
  impl->add_routes();
  impl->address = address;
  int port = address.port;
  if (port == 0) {
    port = impl->server.bind_to_any_port(address.host);
  } else if (!impl->server.bind_to_port(address.host, port)) {
    port = -1;
  }
  if (port <= 0) {
    return failf(Code::kExists,
                 "the control port cannot listen on {}: the address is in use, or not of this machine; choose another",
                 address.to_string());
  }
  impl->server.widen_backlog();
  impl->address.port = static_cast<std::uint16_t>(port);
  try {
    impl->queue = std::make_unique<BoundedQueue>(limits.threads);
    impl->thread = std::thread([server = &impl->server] { server->listen_after_bind(); });
  } catch (const std::system_error& refused) {
    return fail(thread_refused(refused));
  }
  // Until the loop runs, stopping it would have no effect.
  while (!impl->server.is_running()) std::this_thread::yield();
  return std::unique_ptr<HttpPort>(new HttpPort(std::move(impl)));
}

HttpPort::~HttpPort() {
  impl_->server.stop();
  impl_->thread.join();
}

const rpc::Address& HttpPort::address() const { return impl_->address; }

}  // namespace cenote::engine
