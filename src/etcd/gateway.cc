#include "gateway.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/runtime/sync.h"

namespace cenote::etcd {
namespace {

constexpr std::size_t kMaxAnswerBytes = 32u << 20;
constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::milliseconds(250);

}  // namespace

Gateway::Gateway(Reactor& home, HttpClient& http, const EtcdOptions& options, Logger logger)
    : home_(home), http_(http), options_(options), logger_(std::move(logger)), endpoints_(options.endpoints) {
  follow_list();
  ASSERT(!endpoints_.empty());
  // Not everybody the first one.
  current_ = home_.random() % endpoints_.size();
}

void Gateway::follow_list() {
  const EndpointList* const list = options_.changing.get();
  if (list == nullptr || list->version() == list_version_) return;
  const std::string present = endpoints_.empty() ? std::string() : endpoints_[current_];
  list_version_ = list->version();
  endpoints_ = list->get();
  const auto found = std::ranges::find(endpoints_, present);
  current_ = found == endpoints_.end() ? 0 : static_cast<std::size_t>(found - endpoints_.begin());
}

Task<Gateway::Called> Gateway::call(std::string path, std::string body, Until until) {
  const Until whole = until.no_later_than(home_.now() + options_.request_timeout);
  Called called{.answer = fail(Code::kUnreachable, "not asked")};
  for (std::size_t failures = 0;; ++failures) {
    follow_list();
    const std::string endpoint = endpoints_[current_];
    called.sent = home_.now();
    Attempt made = co_await attempt(endpoint, path, body, whole.no_later_than(home_.now() + options_.attempt_timeout));
    called.uncertain = called.uncertain || made.may_count;
    called.answer = std::move(made.answer);
    if (!made.again) co_return called;
    const Error last = called.answer.error();
    // An endpoint that had less than its time has not failed.
    const bool in_a_hurry = last == Code::kDeadlineExceeded && home_.now() < called.sent + options_.attempt_timeout;
    if (!in_a_hurry) turn_from(endpoint, last);
    // Once round, then with pauses.
    const std::size_t rounds = (failures + 1) / endpoints_.size();
    if (rounds == 0 && home_.now() < whole.deadline) continue;
    if (auto waited = co_await pause(rounds, whole); !waited) {
      called.answer = fail(waited.error() == Code::kCancelled ? waited.error() : gave_up(last, whole.deadline, until));
      co_return called;
    }
  }
}

Error Gateway::gave_up(const Error& last, Instant deadline, const Until& until) const {
  const Code code = deadline == until.deadline ? Code::kDeadlineExceeded : Code::kUnreachable;
  return Error(
      code, fmt::format("etcd does not answer: see that it runs, and is reached at its endpoints; of {} the last one "
                        "asked: {}",
                        endpoints_.size(), last.to_string()));
}

Task<Gateway::Attempt> Gateway::attempt(std::string endpoint, std::string path, std::string body, Until until) {
  auto exchange = http_.send({.url = endpoint + path, .body = std::move(body)});
  if (!exchange) co_return Attempt{.answer = fail(std::move(exchange).error())};
  auto text = co_await read_all(*exchange, until);
  if (!text) {
    const Code code = text.error().code();
    const bool ends = code == Code::kCancelled || code == Code::kStopped;
    if (code == Code::kDeadlineExceeded) text = fail(Code::kDeadlineExceeded, endpoint + " is silent");
    co_return Attempt{fail(std::move(text).error()), !ends, exchange->sends() > 0};
  }
  const bool sent_twice = exchange->sends() > 1;
  if (exchange->status() != 200) {
    Refusal refusal = refusal_of(exchange->status(), *text);
    co_return Attempt{fail(std::move(refusal.error)), refusal.again, refusal.may_count || sent_twice};
  }
  auto answer = parse_answer(*text);
  if (!answer) co_return Attempt{fail(std::move(answer).error()), true, true};
  // One message of a streaming call is wrapped.
  if (answer->contains("result")) answer = Json(member_of(*answer, "result"));
  if (auto ours = check_cluster(header_of(*answer)); !ours)
    co_return Attempt{fail(std::move(ours).error()), false, true};
  co_return Attempt{std::move(answer), false, sent_twice};
}

Task<Result<std::string>> Gateway::read_all(HttpExchange& exchange, Until until) {
  std::string whole;
  for (;;) {
    CO_TRY(const std::string piece, co_await exchange.read(until));
    if (piece.empty()) co_return whole;
    whole += piece;
    if (whole.size() > kMaxAnswerBytes) co_return fail(Code::kProtocolError, "etcd's answer has no end");
  }
}

Result<> Gateway::check_cluster(const Header& header) {
  const std::uint64_t cluster = header.cluster;
  if (cluster == 0) return fail(Code::kProtocolError, "etcd's answer names no cluster");
  if (cluster_ == 0) cluster_ = cluster;
  if (cluster == cluster_) return {};
  return failf(Code::kForeign, "the endpoints of etcd belong to two clusters, {:x} and {:x}: name those of one",
               cluster_, cluster);
}

Result<Gateway::Stream> Gateway::open_stream(std::string_view path, std::string body) {
  follow_list();
  const std::string endpoint = endpoints_[current_];
  TRY(auto exchange, http_.send({.url = endpoint + std::string(path), .body = std::move(body)}));
  return Stream{std::move(exchange), endpoint};
}

void Gateway::turn_from(const std::string& endpoint, const Error& why) {
  if (endpoint != endpoints_[current_]) return;
  current_ = (current_ + 1) % endpoints_.size();
  logger_.warn("etcd does not answer", {{"endpoint", endpoint}, {"error", why}});
}

Task<Result<>> Gateway::probe(std::string endpoint, Until until) {
  auto probed = co_await attempt(endpoint, "/v3/kv/range", range_request(options_.root, "", 1), until);
  if (!probed.answer) co_return fail(std::move(probed.answer).error());
  co_return Result<>();
}

Task<Result<>> Gateway::pause(std::size_t failures, Until until) {
  Duration pause = kFirstPause;
  for (std::size_t i = 0; i < failures && pause < kLongestPause; ++i) pause = std::min(2 * pause, kLongestPause);
  // Between half and the whole, so that many who failed together do not come back together.
  const auto half = static_cast<std::uint64_t>(pause.count()) / 2;
  const Instant at = home_.now() + Duration(half + home_.random() % (half + 1));
  // `never` is set by nobody.
  Event never(home_);
  const auto ended = co_await never.wait(until.no_later_than(at));
  if (ended.error() == Code::kDeadlineExceeded && home_.now() < until.deadline) co_return Result<>();
  co_return ended;
}

}  // namespace cenote::etcd
