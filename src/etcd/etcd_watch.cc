#include "etcd_watch.h"

#include "cenote/base/format.h"

namespace cenote::etcd {
namespace {

using cluster::Revision;
using cluster::WatchEvent;

/// Longest message; etcd cuts them to about what one request may hold.
constexpr std::size_t kMaxLineBytes = 16u << 20;

}  // namespace

EtcdWatch::EtcdWatch(Reactor& home, Gateway& gateway, const EtcdOptions& options, std::string_view prefix,
                     Revision after, std::size_t& count, const CancelSource& closing)
    : home_(home),
      gateway_(gateway),
      options_(options),
      keys_root_(options.root + "k/"),
      prefix_(keys_root_ + std::string(prefix)),
      after_(after),
      count_(count),
      closing_(closing) {
  ++count_;
}

EtcdWatch::~EtcdWatch() { --count_; }

Task<Result<std::vector<WatchEvent>>> EtcdWatch::next(Until until) {
  for (;;) {
    if (!ready_.empty()) co_return batch();
    if (ended_) co_return fail(*ended_);
    if (closing_.cancelled()) co_return fail(Code::kStopped, "the connection to etcd is being closed");
    auto heard = co_await hear(until);
    if (heard) continue;
    const Code code = heard.error().code();
    if (code == Code::kDeadlineExceeded || code == Code::kCancelled || code == Code::kStopped) {
      co_return fail(std::move(heard).error());
    }
    if (code == Code::kCompacted || code == Code::kForeign || code == Code::kPermissionDenied) {
      ended_ = heard.error();
      stream_.reset();
      continue;
    }
    drop(heard.error());
    CO_CHECK_OK(co_await gateway_.pause(failures_++, until));
  }
}

// One piece of the stream, or the proof that the silent endpoint still belongs to the cluster. A failure is the
// stream's, unless it is the end of the wait.
Task<Result<>> EtcdWatch::hear(Until until) {
  if (!stream_) CO_CHECK_OK(open());
  const Until patience = until.no_later_than(home_.now() + options_.watch_silence);
  auto piece = co_await stream_->exchange.read(patience);
  if (!piece && piece.error() == Code::kDeadlineExceeded) {
    if (home_.now() >= until.deadline) co_return fail(piece.error());
    const Until attempt = until.no_later_than(home_.now() + options_.attempt_timeout);
    auto alive = co_await gateway_.probe(stream_->endpoint, attempt);
    if (!alive && alive.error() == Code::kDeadlineExceeded && home_.now() < until.deadline) {
      co_return fail(Code::kConnectionLost, "the endpoint of a watch is silent");
    }
    co_return alive;
  }
  CO_CHECK_OK(piece);
  if (stream_->exchange.status() != 200) {
    Refusal refusal = refusal_of(stream_->exchange.status(), *piece);
    co_return fail(std::move(refusal.error));
  }
  if (piece->empty()) co_return fail(Code::kConnectionLost, "etcd ended a watch");
  co_return take(*piece);
}

Result<> EtcdWatch::open() {
  TRY(stream_, gateway_.open_stream("/v3/watch", watch_request(prefix_, Revision(after_.value() + 1))));
  return {};
}

void EtcdWatch::drop(const Error& why) {
  if (stream_) gateway_.turn_from(stream_->endpoint, why);
  stream_.reset();
  unfinished_.clear();
  parts_.clear();
}

Result<> EtcdWatch::take(std::string_view piece) {
  unfinished_.append(piece);
  std::size_t at = 0;
  for (;;) {
    const std::size_t end = unfinished_.find('\n', at);
    if (end == std::string::npos) break;
    TRY(WatchMessage message, parse_watch_message(std::string_view(unfinished_).substr(at, end - at)));
    CHECK_OK(take_message(std::move(message)));
    at = end + 1;
  }
  unfinished_.erase(0, at);
  if (unfinished_.size() > kMaxLineBytes) return fail(Code::kProtocolError, "a message of etcd's watch has no end");
  return {};
}

Result<> EtcdWatch::take_message(WatchMessage message) {
  if (!message.error.empty()) return fail(Code::kConnectionLost, std::move(message.error));
  CHECK_OK(gateway_.check_cluster(message.header));
  if (message.compacted != Revision(0)) {
    return failf(Code::kCompacted,
                 "etcd has forgotten changes after revision {} up to {}: read everything again, then watch from there",
                 after_.value(), message.compacted.value());
  }
  if (message.cancelled) return fail(Code::kConnectionLost, "etcd cancelled a watch");
  failures_ = 0;
  for (WatchEvent& event : message.events) {
    if (!event.key.starts_with(prefix_)) return fail(Code::kProtocolError, "etcd shows what was not asked for");
    // What a stream that was opened again repeats was given before.
    if (event.revision <= after_) continue;
    event.key.erase(0, keys_root_.size());
    parts_.push_back(std::move(event));
  }
  if (!message.more) {
    give(parts_.size());
    // Etcd tells now and then how far the stream is; the next one can begin there.
    if (message.events.empty() && !message.created) after_ = std::max(after_, message.header.revision);
    return {};
  }
  // The transaction at the end may go on in the next part.
  std::size_t whole = parts_.size();
  while (whole > 0 && parts_[whole - 1].revision == parts_.back().revision) --whole;
  give(whole);
  return {};
}

void EtcdWatch::give(std::size_t count) {
  if (count == 0) return;
  after_ = parts_[count - 1].revision;
  const auto end = parts_.begin() + static_cast<std::ptrdiff_t>(count);
  ready_.insert(ready_.end(), std::make_move_iterator(parts_.begin()), std::make_move_iterator(end));
  parts_.erase(parts_.begin(), end);
}

std::vector<WatchEvent> EtcdWatch::batch() {
  std::vector<WatchEvent> events;
  while (!ready_.empty() &&
         (events.size() < cluster::kMaxWatchBatch || ready_.front().revision == events.back().revision)) {
    events.push_back(std::move(ready_.front()));
    ready_.pop_front();
  }
  return events;
}

}  // namespace cenote::etcd
