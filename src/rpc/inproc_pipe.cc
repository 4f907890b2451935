#include "inproc_pipe.h"

#include "scatter.h"

namespace cenote::rpc {

InprocEnd::InprocEnd(Reactor& reactor, std::string peer_name, Counters* counters)
    : reactor_(reactor),
      peer_name_(std::move(peer_name)),
      counters_(counters != nullptr ? *counters : unused_counters_) {}

void InprocEnd::open(std::shared_ptr<InprocPipe> pipe) {
  pipe_ = std::move(pipe);
  opened_ = true;
  ++counters_.connections_opened;
}

void InprocEnd::start(LinkHandler& handler) {
  handler_ = &handler;
  take_messages();
}

// ---- sending ----

void InprocEnd::send(Outgoing& message) {
  ASSERT(!over_ && message.body.size() <= kMaxBodyBytes && message.bulk.bytes() <= kMaxBulkBytes);
  ASSERT(message.bulk.kind() == MemoryKind::kHost);
  message.header.body_bytes = static_cast<std::uint32_t>(message.body.size());
  message.header.bulk_bytes = static_cast<std::uint32_t>(message.bulk.bytes());
  message.abandoned_ = message.away_ = false;
  queue_.push_back(message);
  if (parcel_out_ || flush_requested_) return;
  flush_requested_ = true;
  reactor_.post(flush_);
}

void InprocEnd::on_flush() {
  flush_requested_ = false;
  flush();
  finish_if_over();
}

void InprocEnd::flush() {
  if (parcel_out_ || reason_ || queue_.empty()) return;
  while (Outgoing* message = queue_.pop_front()) {
    message->away_ = true;
    parcel_.todo.push_back(*message);
  }
  parcel_out_ = true;
  parcel_.returning = false;
  ++counters_.sends;
  other_->reactor_.post(parcel_);
}

void InprocEnd::Parcel::deliver() {
  if (returning) {
    home.on_parcel_home();
  } else {
    home.other_->on_parcel(*this);
  }
}

void InprocEnd::on_parcel_home() {
  parcel_out_ = false;
  while (Outgoing* message = parcel_.done.pop_front()) {
    message->away_ = false;
    ++counters_.messages_sent;
    counters_.bytes_sent += kHeaderBytes + message->body.size() + message->bulk.bytes();
    message->on_released(true);
  }
  // What was not taken goes first in the next parcel; from the back, so that the order stays.
  while (Outgoing* message = parcel_.todo.back()) {
    message->unlink();
    message->away_ = false;
    if (message->abandoned_) {
      message->on_released(false);
    } else {
      queue_.push_front(*message);
    }
  }
  recall_wanted_ = false;
  flush();
  finish_if_over();
}

void InprocEnd::abandon(Outgoing& message) {
  if (message.abandoned_) return;
  if (!message.away_) {
    if (!message.linked()) return;
    message.unlink();
    message.on_released(false);
    return;
  }
  message.abandoned_ = true;
  recall_wanted_ = true;
  send_recall();
}

void InprocEnd::send_recall() {
  if (recall_out_ || reason_ || !parcel_out_ || !recall_wanted_) return;
  recall_out_ = true;
  recall_.returning = false;
  other_->reactor_.post(recall_);
}

void InprocEnd::Recall::deliver() {
  if (returning) {
    home.recall_out_ = false;
    home.send_recall();
    home.finish_if_over();
  } else {
    home.other_->on_recall(*this);
  }
}

// ---- receiving ----

void InprocEnd::on_parcel(Parcel& parcel) {
  ASSERT(held_ == nullptr);
  held_ = &parcel;
  paused_ = false;
  ++counters_.receives;
  take_messages();
}

void InprocEnd::take_messages() {
  if (held_ == nullptr || taking_ || paused_) return;
  taking_ = true;
  while (handler_ != nullptr && !reason_ && !held_->todo.empty() && !paused_) {
    Outgoing& message = *held_->todo.front();
    if (!take(message)) break;
    message.unlink();
    held_->done.push_back(message);
  }
  taking_ = false;
  const bool waiting = !reason_ && (handler_ == nullptr || paused_);
  if (!waiting || held_->todo.empty()) return_parcel();
}

/// False if the message is to be offered again.
bool InprocEnd::take(Outgoing& message) {
  const LinkHandler::Verdict verdict = handler_->on_message(message.header, message.body);
  if (verdict.later) {
    paused_ = true;
    ++counters_.pauses;
    return false;
  }
  ++counters_.messages_received;
  const std::size_t bulk_bytes = message.bulk.bytes();
  counters_.bytes_received += kHeaderBytes + message.body.size() + bulk_bytes;
  if (bulk_bytes == 0) return true;
  if (verdict.payload == nullptr) {
    counters_.bulk_bytes_discarded += bulk_bytes;
    return true;
  }
  std::size_t offset = 0;
  for (ByteView part : message.bulk.spans()) {
    scatter(verdict.payload->into.spans(), offset, part);
    offset += part.size();
  }
  counters_.bulk_bytes_direct += bulk_bytes;
  verdict.payload->on_payload({});
  return true;
}

void InprocEnd::return_parcel() {
  Parcel& parcel = *std::exchange(held_, nullptr);
  paused_ = false;
  parcel.returning = true;
  other_->reactor_.post(parcel);
}

void InprocEnd::on_recall(Recall& recall) {
  if (held_ != nullptr && !taking_) return_parcel();
  recall.returning = true;
  other_->reactor_.post(recall);
}

void InprocEnd::resume() {
  if (!paused_) return;
  paused_ = false;
  take_messages();
}

// ---- the end ----

void InprocEnd::close(Error reason) { begin_close(std::move(reason)); }

void InprocEnd::begin_close(Error reason) {
  if (reason_) return;
  reason_ = std::move(reason);
  if (held_ != nullptr && !taking_) return_parcel();
  other_->reactor_.post(close_);
}

void InprocEnd::on_close() {
  close_received_ = true;
  begin_close(Error(Code::kConnectionLost, peer_name_ + " closed the connection"));
  finish_if_over();
}

void InprocEnd::finish_if_over() {
  if (over_ || !reason_ || !close_received_ || parcel_out_ || recall_out_ || flush_requested_ || held_ != nullptr)
    return;
  over_ = true;
  ++counters_.connections_lost;
  while (Outgoing* message = queue_.pop_front()) message->on_released(false);
  const std::shared_ptr<InprocPipe> last = std::move(pipe_);
  if (handler_ != nullptr) handler_->on_closed(*reason_);
}

void InprocEnd::release() {
  ASSERT(over_ || handler_ == nullptr);
  if (!over_) begin_close(Error(Code::kConnectionLost, "not wanted"));
}

}  // namespace cenote::rpc
