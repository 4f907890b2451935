#pragma once

#include <cstdint>
#include <span>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/rpc/wire.h"
#include "sequence_map.h"

namespace cenote::rpc {

class IncomingRequest;

/// What one session's requests did, as long as a retry may still ask: the memory that makes a retried request take
/// effect once while this server runs.
///
/// Invariants (check_invariants): `kept_` entries are answered, with `kept_bytes_` in their bodies; the others are
/// running. An entry leaves when its answer is acknowledged, or has expired.
class DuplicateWindow {
 public:
  struct Limits {
    std::uint32_t kept_max = 1024;
    std::uint32_t kept_bytes_max = 1u << 20;
  };
  struct Answer {
    std::uint16_t status = 0;
    std::uint32_t map_version = 0;
    ReplyBody body;
    /// The reply had a payload, which is not kept.
    bool had_payload = false;
  };
  struct Entry {
    /// Null once it is answered.
    IncomingRequest* running = nullptr;
    std::uint64_t expiry = 0;
    /// Acknowledged while it was running.
    bool forget = false;
    Answer answer;
  };

  explicit DuplicateWindow(Limits limits) : limits_(limits) {}

  /// Everything up to here was acknowledged.
  std::uint64_t acknowledged() const { return acknowledged_; }
  Entry* find(std::uint64_t sequence) { return entries_.find(sequence); }
  /// kBusy when too many answers are kept that the client has not acknowledged. `now` is wall time in ns.
  Result<> check_room(std::uint64_t now);
  /// A request, not in the window yet, begins to run.
  void begin(std::uint64_t sequence, std::uint64_t expiry, IncomingRequest& running);
  /// The request has ended; its answer is kept unless `forget`, or acknowledged meanwhile.
  void answer(std::uint64_t sequence, Answer answer, bool forget);
  void acknowledge(std::uint64_t up_to, std::span<const std::uint64_t> ended);

  void forget_all();

  std::size_t size() const { return entries_.size(); }
  std::uint32_t kept() const { return kept_; }
  void check_invariants();

 private:
  bool full() const { return kept_ >= limits_.kept_max || kept_bytes_ >= limits_.kept_bytes_max; }
  bool remove(Entry& entry);
  void drop_expired(std::uint64_t now);

  Limits limits_;
  SequenceMap<Entry> entries_;
  std::uint64_t acknowledged_ = 0;
  std::uint32_t kept_ = 0;
  std::uint64_t kept_bytes_ = 0;
  std::uint64_t next_sweep_ = 0;
};

}  // namespace cenote::rpc
