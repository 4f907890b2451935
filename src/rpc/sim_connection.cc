#include "sim_connection.h"

#include <algorithm>
#include <cstring>

#include "cenote/base/format.h"

namespace cenote::rpc {

const SimLinkRules& SimNetwork::Impl::rules_for(const std::string& from, const std::string& to) const {
  const auto found = rules.find({from, to});
  return found == rules.end() ? default_rules : found->second;
}

Duration SimNetwork::Impl::draw_delay(const std::string& from, const std::string& to) {
  const SimLinkRules& link = rules_for(from, to);
  const auto spread = static_cast<std::uint64_t>((link.delay_max - link.delay_min).count());
  Duration delay = link.delay_min + Duration(static_cast<std::int64_t>(world.random_below(spread + 1)));
  ++faults.pieces;
  if (link.stall_ppm > 0 && world.chance(link.stall_ppm, 1'000'000)) {
    ++faults.stalls;
    delay +=
        Duration(static_cast<std::int64_t>(world.random_below(static_cast<std::uint64_t>(link.stall_max.count()))));
  }
  return delay;
}

SimConnection::SimConnection(std::shared_ptr<SimNetwork::Impl> network, SimReactor& first, SimReactor& second)
    : network_(std::move(network)) {
  sides_[0].node = &first;
  sides_[1].node = &second;
}

/// Runs a step of the connection as a part of the side's node.
void SimConnection::later(int side, Duration delay, void (SimConnection::*step)(int)) {
  network_->world.at(*sides_[side].node, network_->world.now() + delay,
                     [self = shared_from_this(), side, step] { ((*self).*step)(side); });
}

void SimConnection::request_flush(int side) {
  network_->world.at(*sides_[side].node, network_->world.now(),
                     [self = shared_from_this(), side] { self->sides_[side].events->on_flush(); });
}

void SimConnection::complete_send(int side, Result<std::size_t> result) {
  sides_[side].send_pending = false;
  network_->world.at(*sides_[side].node, network_->world.now(),
                     [self = shared_from_this(), side, result] { self->sides_[side].events->on_sent(result); });
}

void SimConnection::complete_receive(int side, Result<std::size_t> result) {
  sides_[side].receive_pending = false;
  network_->world.at(*sides_[side].node, network_->world.now(),
                     [self = shared_from_this(), side, result] { self->sides_[side].events->on_received(result); });
}

void SimConnection::fail_pending(int side) {
  const auto lost = fail(Code::kConnectionLost, fmt::format("connection to {} lost", node_name(1 - side)));
  if (sides_[side].send_pending) complete_send(side, lost);
  if (sides_[side].receive_pending) complete_receive(side, lost);
}

// ---- sending ----

void SimConnection::send(int side, std::span<const iovec> parts) {
  sides_[side].sending = parts;
  sides_[side].send_pending = true;
  try_send(side);
}

void SimConnection::try_send(int side) {
  Side& sender = sides_[side];
  if (!sender.send_pending) return;
  if (sender.dead) return fail_pending(side);
  const SimLinkRules& rules = network_->rules_for(node_name(side), node_name(1 - side));
  if (flows_[side].in_window >= rules.window_bytes) return;  // goes on when the receiver has read
  std::size_t room = std::min<std::size_t>(rules.window_bytes - flows_[side].in_window,
                                           1 + network_->world.random_below(rules.piece_bytes_max));
  Bytes piece;
  for (const iovec& part : sender.sending) {
    const std::size_t count = std::min(room, part.iov_len);
    const auto* from = static_cast<const std::byte*>(part.iov_base);
    piece.insert(piece.end(), from, from + count);
    room -= count;
  }
  const std::size_t count = piece.size();
  put_under_way(side, std::move(piece), false);
  complete_send(side, count);
  if (rules.reset_ppm > 0 && network_->world.chance(rules.reset_ppm, 1'000'000)) {
    ++network_->faults.resets;
    reset(side, true);
  }
}

void SimConnection::put_under_way(int side, Bytes bytes, bool end) {
  Flow& flow = flows_[side];
  const Duration delay = network_->draw_delay(node_name(side), node_name(1 - side));
  Instant arrives = network_->world.now() + delay;
  if (!flow.under_way.empty()) arrives = std::max(arrives, flow.under_way.back().arrives);
  flow.in_window += bytes.size();
  flow.under_way.push_back({arrives, std::move(bytes), end});
  later(1 - side, arrives - network_->world.now(), &SimConnection::deliver);
}

void SimConnection::cancel_send(int side) {
  if (sides_[side].send_pending) complete_send(side, fail(Code::kCancelled));
}

// ---- receiving ----

/// What should have arrived at `side` by now does.
void SimConnection::deliver(int side) {
  Flow& flow = flows_[1 - side];
  if (network_->is_cut(node_name(1 - side), node_name(side))) return check_blocked(1 - side);
  flow.blocked_since.reset();
  while (!flow.under_way.empty() && flow.under_way.front().arrives <= network_->world.now()) {
    Piece piece = std::move(flow.under_way.front());
    flow.under_way.pop_front();
    if (sides_[side].dead && !piece.end) {
      flow.in_window -= piece.bytes.size();
      reset(side, true);  // the kernel answers bytes for a socket that is no more
      continue;
    }
    flow.arrived.insert(flow.arrived.end(), piece.bytes.begin(), piece.bytes.end());
    flow.ended = flow.ended || piece.end;
  }
  try_receive(side);
}

void SimConnection::receive(int side, std::span<const iovec> parts) {
  sides_[side].receiving = parts;
  sides_[side].receive_pending = true;
  try_receive(side);
}

void SimConnection::try_receive(int side) {
  Side& receiver = sides_[side];
  Flow& flow = flows_[1 - side];
  if (!receiver.receive_pending) return;
  if (receiver.dead) return fail_pending(side);
  if (flow.arrived.empty()) {
    if (flow.ended) complete_receive(side, std::size_t{0});
    return;
  }
  std::size_t taken = 0;
  for (const iovec& part : receiver.receiving) {
    const std::size_t count = std::min(part.iov_len, flow.arrived.size());
    std::copy_n(flow.arrived.begin(), count, static_cast<std::byte*>(part.iov_base));
    flow.arrived.erase(flow.arrived.begin(), flow.arrived.begin() + static_cast<std::ptrdiff_t>(count));
    taken += count;
  }
  flow.in_window -= taken;
  complete_receive(side, taken);
  later(1 - side, network_->draw_delay(node_name(side), node_name(1 - side)), &SimConnection::try_send);
}

void SimConnection::cancel_receive(int side) {
  if (sides_[side].receive_pending) complete_receive(side, fail(Code::kCancelled));
}

// ---- trouble ----

/// A sender whose bytes do not get through gives up after a while.
void SimConnection::check_blocked(int side) {
  Flow& flow = flows_[side];
  if (!network_->is_cut(node_name(side), node_name(1 - side)) || flow.under_way.empty()) return;
  const Instant now = network_->world.now();
  if (!flow.blocked_since) {
    flow.blocked_since = now;
    later(side, network_->dead_after, &SimConnection::check_blocked);
  } else if (now - *flow.blocked_since >= network_->dead_after) {
    reset(side, false);
  }
}

void SimConnection::cuts_changed() {
  for (int side = 0; side < 2; ++side) later(side, Duration(0), &SimConnection::deliver);
}

void SimConnection::kill(int side) {
  if (sides_[side].dead) return;
  sides_[side].dead = true;
  fail_pending(side);
}

void SimConnection::reset(int side, bool tell_other) {
  kill(side);
  if (!tell_other || network_->is_cut(node_name(side), node_name(1 - side))) return;
  later(1 - side, network_->draw_delay(node_name(side), node_name(1 - side)), &SimConnection::kill);
}

void SimConnection::shutdown(int side) {
  if (sides_[side].dead) return;
  put_under_way(side, {}, true);
  kill(side);
}

void SimConnection::release(int side) {
  ASSERT(!sides_[side].send_pending && !sides_[side].receive_pending);
  shutdown(side);
  sides_[side].gone = true;
}

}  // namespace cenote::rpc
