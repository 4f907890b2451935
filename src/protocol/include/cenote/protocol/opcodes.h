#pragma once

#include <cstdint>

namespace cenote {

/// Requests of the services above rpc; numbers are stable. Below 16: the rpc layer's own.
enum class Opcode : std::uint16_t {
  kAdmin = 16,     ///< JSON control request: u8 method, text path, text body -> text JSON (docs/protocols/admin.md)
  kOidRange = 17,  ///< lease a range of object ids of a container: uuid -> u64 first, u64 count
  kPoolView = 18,  ///< where the data of a pool is (pool_requests.h)
  kUpdate = 32,
  kFetch = 33,
  kPunch = 34,
  kList = 35,
  kQuery = 36,
  kBegin = 37,   ///< where a transaction reads
  kCommit = 38,  ///< all changes of a transaction
  // Leases (docs/protocols/leases.md).
  kLeasedFetch = 40,
  kLeasedQuery = 41,
  kRenewLeases = 42,
  kRecallLeases = 43,  ///< a callback
  // Between engines: what the leader of the control state asks of an engine's targets (docs/protocols/targets.md).
  kTargets = 48,       ///< changes
  kTargetsQuery = 49,  ///< questions, whose answers are not kept
  // Between engines: members of redundancy groups (docs/protocols/entries.md). All can be repeated.
  kPrepareEntry = 50,   ///< from the leader of a change
  kDecideEntries = 51,  ///< what became of entries, and the question what is held
  kSettleEntry = 52,    ///< to the leader: what became of an entry?
  kAskRequest = 53,     ///< is anything held of a request?
  kReadHistory = 54,    ///< of a container, what the asker should hold and does not
  kReadResults = 55,    ///< results of requests that are kept
  kAwaitSettled = 56,   ///< that nothing is undecided of earlier versions of the map
  kReadEntry = 57,      ///< one entry with its data, which is damaged at the asker
};

}  // namespace cenote
