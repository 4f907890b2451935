#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/object/history.h"
#include "cenote/object/replica_entry.h"
#include "cenote/protocol/transaction_requests.h"

// What members of redundancy groups tell each other (docs/protocols/entries.md).
namespace cenote::engine {

/// Decisions that one message carries at most.
inline constexpr std::size_t kMaxDecisions = 1024;

/// What becomes of an entry, told by its leader: commit, abort, forget; or its question, ask.
struct EntryDecision {
  object::EntryName name;
  EntryEvent event = EntryEvent::kAsk;
  friend bool operator==(const EntryDecision&, const EntryDecision&) = default;
};

/// kPrepareEntry; the payload of the updates is the bulk of the message.
struct PrepareMessage {
  object::EntryName name;
  Bytes note;
  object::Member member = object::Member::kComplete;  ///< who is asked
  std::vector<EntryDecision> decided;                 ///< to be done before
  CommitRequest request;
  // Not on the wire: from the leader to itself, when nobody else has heard of the entry, so that a refusal need not be
  // kept.
  bool unheard = false;
};

struct PrepareAnswer {
  EntryState state = EntryState::kNone;  ///< prepared, committed or refused
  Code reason = Code::kOk;               ///< of a refusal
  std::string message;
  Epoch clock;                                  ///< of the member: a later attempt needs a later epoch
  std::optional<object::UndecidedEntry> other;  ///< of a refusal for kUndecided: what was in the way
};

/// kDecideEntries. All of one container's pool.
struct DecideMessage {
  Uuid container;
  std::vector<EntryDecision> decisions;
};
struct DecideAnswer {
  struct Done {
    Code code = Code::kOk;
    EntryState state = EntryState::kNone;  ///< where the code is kOk
  };
  std::vector<Done> done;  ///< one for each decision
};

/// kSettleEntry, to the leader of an entry in the present version: what is its outcome?
struct SettleMessage {
  object::UndecidedEntry entry;
};
struct SettleAnswer {
  EntryState outcome = EntryState::kNone;  ///< committed or refused
};

/// kAskRequest: is anything held of the request?
struct AskMessage {
  Uuid container;
  RequestId request;
};
struct AskAnswer {
  std::optional<UpdateReply> result;  ///< it took effect
  std::optional<object::UndecidedEntry> attempt;
};

// `encode` appends. Decoders accept any bytes: kMalformed, kOutOfRange.
void encode(const PrepareMessage& message, Bytes& out);
/// All of a PrepareMessage that comes before its request.
void encode_prepare(object::EntryName name, ByteView note, object::Member member,
                    const std::vector<EntryDecision>& decided, Bytes& out);
void encode(const PrepareAnswer& answer, Bytes& out);
void encode(const DecideMessage& message, Bytes& out);
void encode(const DecideAnswer& answer, Bytes& out);
void encode(const SettleMessage& message, Bytes& out);
void encode(const SettleAnswer& answer, Bytes& out);
void encode(const AskMessage& message, Bytes& out);
void encode(const AskAnswer& answer, Bytes& out);
Result<PrepareMessage> decode_prepare_message(ByteView from);
Result<PrepareAnswer> decode_prepare_answer(ByteView from);
Result<DecideMessage> decode_decide_message(ByteView from);
Result<DecideAnswer> decode_decide_answer(ByteView from);
Result<SettleMessage> decode_settle_message(ByteView from);
Result<SettleAnswer> decode_settle_answer(ByteView from);
Result<AskMessage> decode_ask_message(ByteView from);
Result<AskAnswer> decode_ask_answer(ByteView from);

}  // namespace cenote::engine
