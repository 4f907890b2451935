#include "http_client.h"

#include <curl/curl.h>

#include <array>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "cenote/base/format.h"
#include "cenote/runtime/thread_refused.h"

namespace cenote::etcd {
namespace {

/// Most exchanges at a time: watches, commits and what little else there is.
constexpr std::size_t kMaxExchanges = 512;
/// libcurl wakes up by itself when it has something to do; this only bounds the harm if it did not.
constexpr int kPollMs = 1000;

struct EasyCleanup {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiCleanup {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListCleanup {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

Code code_of(CURLcode code, bool sent) {
  if (code == CURLE_OUT_OF_MEMORY) return Code::kResourceExhausted;
  return sent ? Code::kConnectionLost : Code::kUnreachable;
}

}  // namespace

/// One exchange, shared by its owner at home and by the thread: whoever lets go last frees it. In `both`, what both
/// touch, under `mutex`, which nobody holds for longer than it takes to move a string.
struct HttpExchange::Transfer final : Mail, std::enable_shared_from_this<Transfer> {
  Transfer(Reactor& h, HttpRequest r) : home(h), request(std::move(r)), changed(h) {}

  /// On the thread, with the lock: the owner shall look.
  void tell_home() {
    if (both.mail_on_its_way) return;
    both.mail_on_its_way = true;
    both.kept_for_mail = shared_from_this();
    home.post(*this);
  }
  void deliver() override {
    std::shared_ptr<Transfer> kept;
    {
      const std::scoped_lock lock(mutex);
      both.mail_on_its_way = false;
      kept = std::move(both.kept_for_mail);
    }
    changed.notify_all();
  }
  void end(Code code, std::string message) {
    const std::scoped_lock lock(mutex);
    if (both.over) return;
    both.over = true;
    both.failure = code;
    both.message = std::move(message);
    tell_home();
  }

  Reactor& home;
  const HttpRequest request;
  Condition changed;                        // home's
  std::unique_ptr<CURL, EasyCleanup> easy;  // the thread's, like the next
  std::array<char, CURL_ERROR_SIZE> error_text{};

  std::mutex mutex;
  struct {
    std::string unread;
    bool paused = false;  // nothing more is taken from the connection until `unread` was
    bool over = false;
    Code failure = Code::kOk;
    std::string message;
    long status = 0;
    int sends = 0;
    bool mail_on_its_way = false;
    std::shared_ptr<Transfer> kept_for_mail;
  } both;
};

/// The thread and what it is told. Invariants: libcurl is touched by the thread only; a transfer is in `active_` from
/// the moment it was started to the moment its end was told.
class HttpExchange::Thread {
 public:
  Thread(Reactor& home, TlsFiles tls, Duration connect_timeout)
      : home_(home), tls_(std::move(tls)), connect_timeout_(connect_timeout), ended_(home), left_(*this) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi_.reset(curl_multi_init());
    headers_.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
    // Without these, a large request waits for a "go on" that the gateway never says.
    curl_slist_append(headers_.get(), "Expect:");
    // A member that has lost its leader ends its streams instead of leaving them silent.
    curl_slist_append(headers_.get(), "Grpc-Metadata-hasleader: true");
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() {
    ASSERT(!thread_.joinable());
    multi_.reset();
    headers_.reset();
    curl_global_cleanup();
  }

  Result<> start() {
    if (!multi_ || !headers_) return fail(Code::kResourceExhausted, "libcurl has no memory to start");
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& refused) {
      return fail(thread_refused(refused));
    }
    return {};
  }

  // Home's side.

  Reactor& home() { return home_; }

  Result<> add(const std::shared_ptr<Transfer>& transfer) {
    if (stopping_) return fail(Code::kStopped, "the connection to etcd is being closed");
    {
      const std::scoped_lock lock(mutex_);
      if (running_ >= kMaxExchanges) return failf(Code::kResourceExhausted, "{} requests to etcd run", kMaxExchanges);
      ++running_;
      orders_.push_back({Order::kBegin, transfer});
    }
    curl_multi_wakeup(multi_.get());
    return {};
  }
  void resume(const std::shared_ptr<Transfer>& transfer) { order(Order::kResume, transfer); }
  void abandon(const std::shared_ptr<Transfer>& transfer) { order(Order::kAbandon, transfer); }
  Task<> close() {
    if (!thread_.joinable()) co_return;
    stopping_ = true;
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    curl_multi_wakeup(multi_.get());
    // Only then the join takes no time: the thread may be inside a name resolution.
    static_cast<void>(co_await ended_.wait(Until::forever()));
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Order {
    enum What { kBegin, kResume, kAbandon };
    What what;
    std::shared_ptr<Transfer> transfer;
  };
  struct Left final : Mail {
    Thread& thread;
    explicit Left(Thread& t) : thread(t) {}
    void deliver() override { thread.ended_.set(); }
  };

  void order(Order::What what, const std::shared_ptr<Transfer>& transfer) {
    {
      const std::scoped_lock lock(mutex_);
      orders_.push_back({what, transfer});
    }
    curl_multi_wakeup(multi_.get());
  }

  // The thread's side.

  void obey(const Order& order) {
    switch (order.what) {
      case Order::kBegin:
        return begin(order.transfer);
      case Order::kResume:
        if (order.transfer->easy) curl_easy_pause(order.transfer->easy.get(), CURLPAUSE_CONT);
        return;
      case Order::kAbandon:
        return finish(order.transfer, Code::kCancelled, "given up");
    }
  }

  void run() {
    bool stop = false;
    while (!stop) {
      std::deque<Order> orders;
      {
        const std::scoped_lock lock(mutex_);
        orders.swap(orders_);
        stop = stop_;
      }
      for (const Order& order : orders) obey(order);
      if (stop) break;
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      take_ends();
      curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr);
    }
    while (!active_.empty()) finish(*active_.begin(), Code::kStopped, "the connection to etcd is being closed");
    // The last thing this thread does at home: all it posted before is delivered before.
    home_.post(left_);
  }

  void begin(const std::shared_ptr<Transfer>& transfer) {
    active_.insert(transfer);
    transfer->easy.reset(curl_easy_init());
    if (!transfer->easy) return finish(transfer, Code::kResourceExhausted, "libcurl has no memory");
    set_up(*transfer);
    curl_multi_add_handle(multi_.get(), transfer->easy.get());
  }

  void set_up(Transfer& transfer) {
    CURL* easy = transfer.easy.get();
    const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
    set(CURLOPT_PRIVATE, &transfer);
    set(CURLOPT_URL, transfer.request.url.c_str());
    set(CURLOPT_POSTFIELDS, transfer.request.body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.request.body.size()));
    set(CURLOPT_HTTPHEADER, headers_.get());
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    // Not what the environment says: settings come from the configuration.
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_TCP_KEEPIDLE, 10L);
    set(CURLOPT_TCP_KEEPINTVL, 5L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_timeout_ / std::chrono::milliseconds(1)));
    set(CURLOPT_ERRORBUFFER, transfer.error_text.data());
    set(CURLOPT_WRITEFUNCTION, &Thread::on_data);
    set(CURLOPT_WRITEDATA, &transfer);
    set(CURLOPT_PREREQFUNCTION, &Thread::on_send);
    set(CURLOPT_PREREQDATA, &transfer);
    if (!tls_.authorities.empty()) {
      set(CURLOPT_CAINFO, tls_.authorities.c_str());
      // These, and not the system's as well.
      set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    if (!tls_.certificate.empty()) set(CURLOPT_SSLCERT, tls_.certificate.c_str());
    if (!tls_.key.empty()) set(CURLOPT_SSLKEY, tls_.key.c_str());
  }

  // Connected, and about to send; also when libcurl by itself sends again what a kept connection did not take.
  static int on_send(void* user, char*, char*, int, int) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::scoped_lock lock(transfer.mutex);
    ++transfer.both.sends;
    return CURL_PREREQFUNC_OK;
  }

  static std::size_t on_data(char* data, std::size_t, std::size_t bytes, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::scoped_lock lock(transfer.mutex);
    if (!transfer.both.unread.empty() && transfer.both.unread.size() + bytes > transfer.request.unread_bytes_max) {
      transfer.both.paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    if (transfer.both.status == 0) {
      curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &transfer.both.status);
    }
    transfer.both.unread.append(data, bytes);
    transfer.tell_home();
    return bytes;
  }

  void take_ends() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      char* user = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
      auto transfer = reinterpret_cast<Transfer*>(user)->shared_from_this();
      if (code == CURLE_OK) {
        note_status(*transfer);
        finish(transfer, Code::kOk, "");
      } else {
        const char* detail = transfer->error_text.front() != 0 ? transfer->error_text.data() : curl_easy_strerror(code);
        finish(transfer, code_of(code, was_sent(*transfer)), detail);
      }
    }
  }
  static void note_status(Transfer& transfer) {
    const std::scoped_lock lock(transfer.mutex);
    curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &transfer.both.status);
  }
  static bool was_sent(Transfer& transfer) {
    const std::scoped_lock lock(transfer.mutex);
    return transfer.both.sends > 0;
  }

  // NOLINTNEXTLINE(performance-unnecessary-value-param): the set's own element may be what is given.
  void finish(std::shared_ptr<Transfer> transfer, Code code, std::string message) {
    if (active_.erase(transfer) == 0) return;
    if (transfer->easy) {
      curl_multi_remove_handle(multi_.get(), transfer->easy.get());
      transfer->easy.reset();
    }
    transfer->end(code, std::move(message));
    const std::scoped_lock lock(mutex_);
    --running_;
  }

  Reactor& home_;
  const TlsFiles tls_;
  const Duration connect_timeout_;
  std::unique_ptr<CURLM, MultiCleanup> multi_;
  std::unique_ptr<curl_slist, ListCleanup> headers_;
  std::set<std::shared_ptr<Transfer>> active_;  // the thread's

  bool stopping_ = false;  // home's
  Event ended_;
  Left left_;

  std::mutex mutex_;
  std::deque<Order> orders_;
  std::size_t running_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

HttpExchange::HttpExchange(std::shared_ptr<Thread> thread, std::shared_ptr<Transfer> transfer)
    : thread_(std::move(thread)), transfer_(std::move(transfer)) {}
HttpExchange::HttpExchange(HttpExchange&&) noexcept = default;

HttpExchange& HttpExchange::operator=(HttpExchange&& other) noexcept {
  std::swap(thread_, other.thread_);
  std::swap(transfer_, other.transfer_);
  return *this;
}

HttpExchange::~HttpExchange() {
  if (transfer_) thread_->abandon(transfer_);
}

Task<Result<std::string>> HttpExchange::read(Until until) {
  for (;;) {
    if (auto found = take()) co_return *std::move(found);
    CO_CHECK_OK(co_await transfer_->changed.wait(until));
  }
}

std::optional<Result<std::string>> HttpExchange::take() {
  std::string piece;
  bool paused = false;
  {
    const std::scoped_lock lock(transfer_->mutex);
    auto& both = transfer_->both;
    if (both.unread.empty() && !both.over) return std::nullopt;
    if (both.unread.empty() && both.failure != Code::kOk) return fail(both.failure, both.message);
    piece = std::exchange(both.unread, {});
    paused = std::exchange(both.paused, false);
  }
  if (paused) thread_->resume(transfer_);
  return piece;
}

long HttpExchange::status() const {
  const std::scoped_lock lock(transfer_->mutex);
  return transfer_->both.status;
}

int HttpExchange::sends() const {
  const std::scoped_lock lock(transfer_->mutex);
  return transfer_->both.sends;
}

Result<std::unique_ptr<HttpClient>> HttpClient::start(Reactor& home, TlsFiles tls, Duration connect_timeout) {
  auto thread = std::make_shared<HttpExchange::Thread>(home, std::move(tls), connect_timeout);
  CHECK_OK(thread->start());
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(thread)));
}

HttpClient::~HttpClient() = default;

Result<HttpExchange> HttpClient::send(HttpRequest request) {
  auto transfer = std::make_shared<HttpExchange::Transfer>(thread_->home(), std::move(request));
  CHECK_OK(thread_->add(transfer));
  return HttpExchange(thread_, std::move(transfer));
}

Task<> HttpClient::close() { co_await thread_->close(); }

}  // namespace cenote::etcd
