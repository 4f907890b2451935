#pragma once

#include <memory>
#include <string>

#include "cenote/base/log.h"
#include "cenote/runtime/cancel.h"
#include "http_client.h"
#include "messages.h"

namespace cenote::etcd {

/// Calls to an etcd cluster: which endpoint, how often, for how long. One endpoint is used until it fails; all go
/// through the same leader in the end.
///
/// Invariant: an answer is only taken from the cluster that answered first: endpoints of two clusters would be two
/// truths.
class Gateway {
 public:
  /// `home` outlives it, and so do `http` and `options`.
  Gateway(Reactor& home, HttpClient& http, const EtcdOptions& options, Logger logger);

  struct Called {
    Result<Json> answer;
    /// When the attempt that was answered was sent.
    Instant sent{};
    /// An attempt went out whose outcome nobody knows: it may have taken effect, and may yet.
    bool uncertain = false;
  };
  /// Gives a request to endpoint after endpoint until one answers for good, until `until`, at most for the request
  /// timeout. Whoever gives one that changes something makes sure that it may come several times. kUnreachable when
  /// nobody answered.
  Task<Called> call(std::string path, std::string body, Until until);

  /// A stream from the present endpoint.
  struct Stream {
    HttpExchange exchange;
    std::string endpoint;
  };
  Result<Stream> open_stream(std::string_view path, std::string body);
  /// The endpoint failed: another one is next.
  void turn_from(const std::string& endpoint, const Error& why);
  /// One attempt at one endpoint; ok when the cluster, through it, answers.
  Task<Result<>> probe(std::string endpoint, Until until);
  /// kForeign unless what was heard is of the cluster that answered first.
  Result<> check_cluster(const Header& header);

  /// Waits before the next of a row of attempts that failed; some milliseconds first, then longer.
  Task<Result<>> pause(std::size_t failures, Until until);

 private:
  struct Attempt {
    Result<Json> answer;
    bool again = false;
    bool may_count = false;
  };
  Task<Attempt> attempt(std::string endpoint, std::string path, std::string body, Until until);
  /// Takes over what has become of the list of endpoints; the present one stays if it is on it.
  void follow_list();
  Task<Result<std::string>> read_all(HttpExchange& exchange, Until until);
  Error gave_up(const Error& last, Instant deadline, const Until& until) const;

  Reactor& home_;
  HttpClient& http_;
  const EtcdOptions& options_;
  Logger logger_;
  std::vector<std::string> endpoints_;
  std::uint64_t list_version_ = 0;
  std::size_t current_ = 0;
  std::uint64_t cluster_ = 0;
};

}  // namespace cenote::etcd
