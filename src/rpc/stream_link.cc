#include "stream_link.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "scatter.h"

namespace cenote::rpc {
namespace {

// Leftovers up to this size are moved to the front of the staging memory before every receive; larger ones only when
// the room behind them is too small.
constexpr std::size_t kCheapMoveBytes = 4096;

std::size_t wire_bytes(const Outgoing& message) { return kHeaderBytes + message.body.size() + message.bulk.bytes(); }

/// What is left of a message whose sender wanted its memory back.
class Rescued final : public Outgoing {
 public:
  explicit Rescued(const Outgoing& message) : body_(to_bytes(message.body)) {
    bulk_.reserve(message.bulk.bytes());
    for (ByteView part : message.bulk.spans()) bulk_.insert(bulk_.end(), part.begin(), part.end());
    header = message.header;
    body = body_;
    bulk = ByteView(bulk_);
  }
  void on_released(bool) override { delete this; }

 private:
  Bytes body_;
  Bytes bulk_;
};

}  // namespace

StreamLink::StreamLink(Reactor& reactor, std::unique_ptr<ByteStream> stream, std::size_t staging_bytes,
                       Counters* counters)
    : stream_(std::move(stream)),
      counters_(counters != nullptr ? *counters : unused_counters_),
      staging_(std::max(staging_bytes, kHeaderBytes)),
      finish_later_(reactor, *this) {
  stream_->attach(*this);
  ++counters_.connections_opened;
}

StreamLink::~StreamLink() { ASSERT(!sending_ && !receiving_ && queue_.empty() && (finished_ || handler_ == nullptr)); }

void StreamLink::start(LinkHandler& handler) {
  ASSERT(handler_ == nullptr);
  handler_ = &handler;
  receive_more();
}

// ---- sending ----

void StreamLink::send(Outgoing& message) {
  ASSERT(!finished_ && message.body.size() <= kMaxBodyBytes && message.bulk.bytes() <= kMaxBulkBytes);
  ASSERT(message.bulk.kind() == MemoryKind::kHost);
  message.header.body_bytes = static_cast<std::uint32_t>(message.body.size());
  message.header.body_crc = message.body.empty() ? 0 : crc32c(message.body);
  message.header.bulk_bytes = static_cast<std::uint32_t>(message.bulk.bytes());
  encode_header(message.header, message.encoded_);
  message.abandoned_ = false;
  queue_.push_back(message);
  ++held_back_;
  held_back_bytes_ += wire_bytes(message);
  if (sending_ || reason_) return;
  if ((held_back_ >= kHurryMessages || held_back_bytes_ >= kHurryBytes) && !releasing_) {
    flush();
    stream_->hurry();
  } else if (!flush_requested_) {
    flush_requested_ = true;
    stream_->request_flush();
  }
}

void StreamLink::on_flush() {
  flush_requested_ = false;
  flush();
  finish_if_idle();
}

void StreamLink::flush() {
  if (sending_ || reason_ || queue_.empty()) return;
  part_count_ = 0;
  small_used_ = 0;
  gathered_ = 0;
  held_back_ = 0;
  held_back_bytes_ = 0;
  std::size_t skip = front_sent_;
  bool whole = true;
  for (Outgoing* message = queue_.front(); whole && message != nullptr; message = queue_.next(*message)) {
    const std::size_t added = add_message(*message, skip);
    if (added > 0) ++gathered_;
    whole = added == wire_bytes(*message) - skip;
    skip = 0;
  }
  sending_ = true;
  ++counters_.sends;
  stream_->send(std::span(parts_).first(part_count_));
}

/// Adds what fits of the message after its first `skip` bytes, and counts it.
std::size_t StreamLink::add_message(const Outgoing& message, std::size_t skip) {
  const std::size_t front_bytes = kHeaderBytes + message.body.size();
  std::size_t added = 0;
  if (skip < front_bytes) {
    if (copy_front(message, skip)) {
      added = front_bytes - skip;
    } else {
      const std::array<ByteView, 2> front{ByteView(message.encoded_), message.body};
      added = add_parts(front, skip);
      if (added < front_bytes - skip) return added;
    }
  }
  return added + add_parts(message.bulk.spans(), skip > front_bytes ? skip - front_bytes : 0);
}

/// Copies header and body together, behind what was copied before where nothing lies between; false if they are not
/// small or there is no room.
bool StreamLink::copy_front(const Outgoing& message, std::size_t skip) {
  const std::size_t bytes = kHeaderBytes + message.body.size() - skip;
  if (bytes > kSmallBytes || small_used_ + bytes > kSmallSpace) return false;
  std::byte* at = small_.data() + small_used_;
  iovec* last = part_count_ > 0 ? &parts_[part_count_ - 1] : nullptr;
  if (last != nullptr && static_cast<std::byte*>(last->iov_base) + last->iov_len == at) {
    last->iov_len += bytes;
  } else if (part_count_ < kMaxParts) {
    parts_[part_count_++] = {at, bytes};
  } else {
    return false;
  }
  small_used_ += bytes;
  const std::size_t header_skip = std::min(skip, kHeaderBytes);
  at = std::copy(message.encoded_.begin() + static_cast<std::ptrdiff_t>(header_skip), message.encoded_.end(), at);
  const ByteView body = message.body.subspan(skip - header_skip);
  std::copy(body.begin(), body.end(), at);
  return true;
}

/// Adds what there is room for of `spans` after their first `skip` bytes, and counts it.
std::size_t StreamLink::add_parts(std::span<const ByteView> spans, std::size_t skip) {
  std::size_t added = 0;
  if (part_count_ == kMaxParts) return added;
  visit_from(spans, skip, [&](ByteView part) {
    parts_[part_count_++] = to_iovec(part);
    added += part.size();
    return part_count_ < kMaxParts;
  });
  return added;
}

void StreamLink::on_sent(Result<std::size_t> bytes) {
  ASSERT(sending_);
  sending_ = false;
  gathered_ = 0;
  releasing_ = true;
  if (bytes) {
    account_sent(*bytes);
  } else if (bytes.error() != Code::kCancelled) {
    fail(std::move(bytes).error());
  }
  releasing_ = false;
  drop_abandoned();
  flush();
  finish_if_idle();
}

void StreamLink::account_sent(std::size_t bytes) {
  counters_.bytes_sent += bytes;
  while (bytes > 0) {
    Outgoing* front = queue_.front();
    ASSERT(front != nullptr);
    const std::size_t rest = wire_bytes(*front) - front_sent_;
    if (bytes < rest) {
      front_sent_ += bytes;
      return;
    }
    bytes -= rest;
    front_sent_ = 0;
    front->unlink();
    ++counters_.messages_sent;
    front->on_released(true);
  }
}

void StreamLink::abandon(Outgoing& message) {
  if (!message.linked() || message.abandoned_) return;
  message.abandoned_ = true;
  any_abandoned_ = true;
  if (releasing_) return;  // it may be among what was just sent; who releases looks again when that is settled
  if (!sending_) return drop_abandoned();
  std::size_t index = 0;
  for (Outgoing* at = queue_.front(); at != &message && index < gathered_; at = queue_.next(*at)) ++index;
  if (index < gathered_) {
    stream_->cancel_send();
    return;
  }
  message.unlink();
  message.on_released(false);
}

void StreamLink::drop_abandoned() {
  releasing_ = true;
  while (std::exchange(any_abandoned_, false)) {
    Outgoing* next = nullptr;
    for (Outgoing* message = queue_.front(); message != nullptr; message = next) {
      next = queue_.next(*message);
      if (message->abandoned_) drop(*message);
    }
  }
  releasing_ = false;
}

void StreamLink::drop(Outgoing& message) {
  if (&message == queue_.front() && front_sent_ > 0) return rescue(message);
  message.unlink();
  message.on_released(false);
}

/// The peer has the beginning, so the rest must follow: from a copy.
void StreamLink::rescue(Outgoing& message) {
  auto* copy = new Rescued(message);  // frees itself when it is released
  copy->encoded_ = message.encoded_;
  counters_.bulk_bytes_copied += message.bulk.bytes();
  message.unlink();
  queue_.push_front(*copy);
  message.on_released(true);
}

// ---- receiving ----

void StreamLink::on_received(Result<std::size_t> bytes) {
  ASSERT(receiving_);
  receiving_ = false;
  if (bytes && *bytes > 0) {
    account_received(*bytes);
  } else if (bytes) {
    fail(Error(Code::kConnectionLost, fmt::format("{} closed the connection", peer_name())));
  } else if (bytes.error() != Code::kCancelled) {
    fail(std::move(bytes).error());
  }
  if (payload_cancelled_ && payload_ != nullptr && payload_done_ < header_.bulk_bytes) {
    std::exchange(payload_, nullptr)->on_payload(cenote::fail(Code::kCancelled));
  }
  payload_cancelled_ = false;
  interpret();
  receive_more();
  finish_if_idle();
}

void StreamLink::account_received(std::size_t bytes) {
  counters_.bytes_received += bytes;
  const std::size_t direct = std::min(bytes, receive_direct_);
  if (stage_ == Stage::kBody) {
    large_body_done_ += direct;
  } else if (stage_ == Stage::kPayload) {
    payload_done_ += direct;
    counters_.bulk_bytes_direct += direct;
  }
  staged_end_ += bytes - direct;
  ASSERT(staged_end_ <= staging_.size());
}

/// Takes messages out of what has arrived, until more is needed.
void StreamLink::interpret() {
  if (interpreting_) return;
  interpreting_ = true;
  bool going = true;
  while (going && !reason_ && !paused_) {
    switch (stage_) {
      case Stage::kHeader:
        going = interpret_header();
        break;
      case Stage::kBody:
        going = interpret_body();
        break;
      case Stage::kOffer:
        going = offer();
        break;
      case Stage::kPayload:
        going = take_payload();
        break;
    }
  }
  interpreting_ = false;
}

bool StreamLink::interpret_header() {
  if (staged_end_ - staged_begin_ < kHeaderBytes) return false;
  Result<Header> header = decode_header(ByteView(staging_).subspan(staged_begin_, kHeaderBytes));
  if (!header) {
    fail(Error(Code::kProtocolError, fmt::format("{}: {}", peer_name(), header.error().message())));
    return false;
  }
  header_ = *header;
  staged_begin_ += kHeaderBytes;
  stage_ = Stage::kBody;
  large_body_done_ = 0;
  if (header_.body_bytes > staging_.size()) {
    large_body_.resize(header_.body_bytes);
    large_body_done_ = std::min<std::size_t>(staged_end_ - staged_begin_, header_.body_bytes);
    std::copy_n(staging_.begin() + static_cast<std::ptrdiff_t>(staged_begin_), large_body_done_, large_body_.begin());
    staged_begin_ += large_body_done_;
  }
  return true;
}

bool StreamLink::interpret_body() {
  const std::size_t have = large_body_.empty() ? staged_end_ - staged_begin_ : large_body_done_;
  if (have < header_.body_bytes) return false;
  const Result<> intact = check_body(header_, body());
  if (!intact) {
    fail(Error(Code::kProtocolError, fmt::format("{}: {}", peer_name(), intact.error().message())));
    return false;
  }
  stage_ = Stage::kOffer;
  return true;
}

ByteView StreamLink::body() const {
  if (!large_body_.empty()) return large_body_;
  return ByteView(staging_).subspan(staged_begin_, header_.body_bytes);
}

bool StreamLink::offer() {
  const LinkHandler::Verdict verdict = handler_->on_message(header_, body());
  if (verdict.later) {
    paused_ = true;
    ++counters_.pauses;
    return false;
  }
  ++counters_.messages_received;
  if (large_body_.empty()) staged_begin_ += header_.body_bytes;
  large_body_ = {};
  payload_done_ = 0;
  payload_ = header_.bulk_bytes > 0 ? verdict.payload : nullptr;
  stage_ = header_.bulk_bytes > 0 ? Stage::kPayload : Stage::kHeader;
  ASSERT(payload_ == nullptr || payload_->into.bytes() >= header_.bulk_bytes);
  return true;
}

bool StreamLink::take_payload() {
  const std::size_t staged = std::min<std::size_t>(staged_end_ - staged_begin_, header_.bulk_bytes - payload_done_);
  if (payload_ != nullptr) {
    scatter(payload_->into.spans(), payload_done_, ByteView(staging_).subspan(staged_begin_, staged));
    counters_.bulk_bytes_copied += staged;
  } else {
    counters_.bulk_bytes_discarded += staged;
  }
  staged_begin_ += staged;
  payload_done_ += staged;
  if (payload_done_ < header_.bulk_bytes) return false;
  stage_ = Stage::kHeader;
  if (payload_ != nullptr) std::exchange(payload_, nullptr)->on_payload({});
  return true;
}

void StreamLink::receive_more() {
  if (receiving_ || paused_ || interpreting_ || reason_) return;
  const std::size_t count = gather_receive();
  receiving_ = true;
  ++counters_.receives;
  stream_->receive(std::span(receive_parts_).first(count));
}

/// What is known to come goes to its place, what may come behind it to the staging memory.
std::size_t StreamLink::gather_receive() {
  compact();
  std::size_t count = 0;
  receive_direct_ = 0;
  const auto add = [&](MutableBytes part) {
    receive_parts_[count++] = {part.data(), part.size()};
    receive_direct_ += part.size();
    return count < kMaxReceiveParts;
  };
  if (stage_ == Stage::kBody && !large_body_.empty()) add(MutableBytes(large_body_).subspan(large_body_done_));
  if (stage_ == Stage::kPayload && payload_ != nullptr) {
    std::size_t left = header_.bulk_bytes - payload_done_;
    visit_from(payload_->into.spans(), payload_done_, [&](MutableBytes part) {
      part = part.first(std::min(part.size(), left));
      left -= part.size();
      return add(part) && left > 0;
    });
  }
  if (count == kMaxReceiveParts) return count;
  receive_parts_[count++] = {staging_.data() + staged_end_, staging_.size() - staged_end_};
  return count;
}

/// Makes room for the rest of what is staged.
void StreamLink::compact() {
  const std::size_t left = staged_end_ - staged_begin_;
  const std::size_t needed = stage_ == Stage::kBody && large_body_.empty() ? header_.body_bytes : kHeaderBytes;
  if (staged_begin_ == 0 || (left > kCheapMoveBytes && staged_begin_ + needed <= staging_.size())) return;
  std::memmove(staging_.data(), staging_.data() + staged_begin_, left);
  staged_begin_ = 0;
  staged_end_ = left;
}

void StreamLink::discard(Incoming& payload) {
  if (payload_ != &payload) return;
  if (receiving_ && receive_direct_ > 0) {
    payload_cancelled_ = true;
    stream_->cancel_receive();
    return;
  }
  std::exchange(payload_, nullptr)->on_payload(cenote::fail(Code::kCancelled));
}

void StreamLink::resume() {
  if (!paused_) return;
  paused_ = false;
  interpret();
  receive_more();
  finish_if_idle();
}

// ---- the end ----

void StreamLink::close(Error reason) {
  fail(std::move(reason));
  finish_if_idle();
}

void StreamLink::fail(Error reason) {
  if (reason_) return;
  if (reason.code() == Code::kProtocolError) ++counters_.protocol_errors;
  reason_ = std::move(reason);
  stream_->shutdown();
}

void StreamLink::finish_if_idle() {
#if defined(CENOTE_ASAN) || defined(CENOTE_TSAN)
  check_invariants();
#endif
  if (reason_ && handler_ != nullptr && !sending_ && !receiving_ && !flush_requested_ && !finished_)
    finish_later_.request();
}

void StreamLink::finish() {
  if (finished_ || sending_ || receiving_) return;
  finished_ = true;
  ++counters_.connections_lost;
  front_sent_ = 0;
  while (Outgoing* message = queue_.pop_front()) message->on_released(false);
  if (payload_ != nullptr) std::exchange(payload_, nullptr)->on_payload(cenote::fail(Code::kConnectionLost));
  handler_->on_closed(*reason_);
}

void StreamLink::check_invariants() const {
  ASSERT(staged_begin_ <= staged_end_ && staged_end_ <= staging_.size());
  ASSERT(!paused_ || !receiving_);
  ASSERT(sending_ || gathered_ == 0);
  ASSERT(!finished_ || (!sending_ && !receiving_));
  ASSERT(payload_ == nullptr || (stage_ == Stage::kPayload && payload_done_ <= header_.bulk_bytes));
}

}  // namespace cenote::rpc
