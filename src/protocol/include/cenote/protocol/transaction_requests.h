#pragma once

#include <vector>

#include "cenote/protocol/object_requests.h"

namespace cenote {

/// Entries that the changes of one transaction cost at most, as `transaction_entries` counts them: together they are
/// one atomic batch of the target's store. Their payload is bounded by kMaxPayloadBytes.
inline constexpr std::uint32_t kMaxTransactionEntries = 240;
/// Akeys, lists and queries that one transaction remembers having read.
inline constexpr std::uint32_t kMaxTransactionReads = 1024;

/// An akey that was read: its value, or, of an array, these ranges. That it was not there counts as a value, too.
struct AkeyRead {
  ObjectId object;
  KeyBytes dkey;
  KeyBytes akey;
  RecordRanges ranges;  ///< none: whether it exists, and its single value
};

/// A page of a list that was read.
struct ListRead {
  ListRequest request;
  std::uint64_t digest = 0;  ///< of the reply
};

/// The end of an array that was asked for.
struct QueryRead {
  QueryRequest request;
  QueryReply reply;
};

/// All that a transaction changes, and what it read to decide on that.
///
/// Its parts name the same container, the latest epoch and no request id: what counts is given once, for the whole.
/// Changes are in normal form, so that their order does not matter: a punch hides what was there before the
/// transaction and nothing of the transaction itself, no two changes touch the same thing, and conditions are about
/// what was there before all of them.
struct CommitRequest {
  Uuid container;
  /// What was read was of this epoch. Zero: nothing was read.
  Epoch snapshot;
  std::vector<AkeyRead> reads;
  std::vector<ListRead> lists;
  std::vector<QueryRead> queries;
  std::vector<PunchRequest> punches;
  /// Their payloads follow each other.
  std::vector<UpdateRequest> updates;
  RequestId id;

  bool has_reads() const { return !reads.empty() || !lists.empty() || !queries.empty(); }
};

struct BeginRequest {
  Uuid container;
};
/// What a transaction that begins now reads at: everything that was answered for is in it.
struct BeginReply {
  Epoch snapshot;
};

/// Wire forms (docs/protocols/object.md), as those of the other object requests.
void encode(const BeginRequest& request, Bytes& out);
void encode(const BeginReply& reply, Bytes& out);
void encode(const CommitRequest& request, Bytes& out);
Result<BeginRequest> decode_begin_request(ByteView from);
Result<BeginReply> decode_begin_reply(ByteView from);
Result<CommitRequest> decode_commit_request(ByteView from);

/// Whether there may be nothing to change: a member of a group that a transaction only read has nothing to change, and
/// holds what must not, if it can.
enum class Changes : std::uint8_t { kSome, kMayBeNone };

/// Also that the changes are in normal form (kInvalidArgument) and not too many (kOutOfRange).
Result<> validate(const CommitRequest& request, Changes changes = Changes::kSome);

/// Whether something has to be there, or not to be there, for any of it to take effect.
bool is_conditional(const UpdateRequest& update);
bool is_conditional(const PunchRequest& punch);
bool is_conditional(const CommitRequest& request);

/// Bytes of all payloads.
std::uint64_t payload_bytes(const CommitRequest& request);
/// Entries that the changes cost at most.
std::uint64_t transaction_entries(const CommitRequest& request);
/// The same of a list at the same state of the container, and of hardly any other.
std::uint64_t digest_of(const ListReply& reply);

}  // namespace cenote
