#include "messages.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

constexpr std::size_t kMaxMessageText = 1024;
constexpr std::size_t kDecisionBytes = 4 + 8 + 1;
constexpr std::size_t kDoneBytes = 2 + 1;
/// Of what a prepare has before its request, beside the note and the decisions.
constexpr std::size_t kPrepareBytes = 4 + 8 + 2 + 1 + 4;

void put(Encoder& to, const Uuid& id) { to.raw(id.bytes()); }
Uuid take_uuid(Decoder& in) {
  const ByteView bytes = in.raw(16);
  return bytes.size() == 16 ? Uuid::from_bytes(bytes.first<16>()) : Uuid();
}

void put(Encoder& to, const object::EntryName& name) {
  to.integer(name.leader);
  to.integer(name.epoch.value());
}
object::EntryName take_name(Decoder& in) {
  const auto leader = in.integer<std::uint32_t>();
  return {leader, Epoch(in.integer<std::uint64_t>())};
}

void put(Encoder& to, const RequestId& id) {
  to.integer(id.session);
  to.integer(id.sequence);
  to.integer(static_cast<std::uint64_t>(id.expiry.time_since_epoch().count()));
  to.integer(id.acknowledged);
}
RequestId take_request(Decoder& in) {
  RequestId id;
  id.session = in.integer<std::uint64_t>();
  id.sequence = in.integer<std::uint64_t>();
  id.expiry = WallTime(Duration(static_cast<std::int64_t>(in.integer<std::uint64_t>())));
  id.acknowledged = in.integer<std::uint64_t>();
  return id;
}

EntryState take_state(Decoder& in) {
  const auto state = in.integer<std::uint8_t>();
  in.require(state < kEntryStateNames.size());
  return static_cast<EntryState>(state);
}

Bytes take_note(Decoder& in) {
  const auto bytes = in.integer<std::uint16_t>();
  in.require(bytes <= object::kMaxEntryNoteBytes);
  return in.bad() ? Bytes() : to_bytes(in.raw(bytes));
}
void put_note(Encoder& to, ByteView note) {
  to.integer(static_cast<std::uint16_t>(note.size()));
  to.raw(note);
}

void put(Encoder& to, const object::UndecidedEntry& entry) {
  put(to, entry.name);
  put(to, entry.container);
  put(to, entry.request);
  put_note(to, entry.note);
}
object::UndecidedEntry take_entry(Decoder& in) {
  object::UndecidedEntry entry;
  entry.name = take_name(in);
  entry.container = take_uuid(in);
  entry.request = take_request(in);
  entry.note = take_note(in);
  return entry;
}
void put(Encoder& to, const std::optional<object::UndecidedEntry>& entry) {
  to.integer(static_cast<std::uint8_t>(entry.has_value()));
  if (entry) put(to, *entry);
}
std::optional<object::UndecidedEntry> take_optional_entry(Decoder& in) {
  const auto has = in.integer<std::uint8_t>();
  in.require(has <= 1);
  if (has != 1) return std::nullopt;
  return take_entry(in);
}

void put(Encoder& to, const std::vector<EntryDecision>& decisions) {
  to.integer(static_cast<std::uint32_t>(decisions.size()));
  for (const EntryDecision& decision : decisions) {
    put(to, decision.name);
    to.integer(static_cast<std::uint8_t>(decision.event));
  }
}
std::vector<EntryDecision> take_decisions(Decoder& in) {
  const auto count = in.integer<std::uint32_t>();
  in.require(count <= kMaxDecisions && count <= in.remaining() / kDecisionBytes);
  std::vector<EntryDecision> decisions;
  if (!in.bad()) decisions.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.bad(); ++i) {
    const object::EntryName name = take_name(in);
    const auto event = static_cast<EntryEvent>(in.integer<std::uint8_t>());
    in.require(event == EntryEvent::kAsk || event == EntryEvent::kCommit || event == EntryEvent::kAbort ||
               event == EntryEvent::kForget);
    decisions.push_back({name, event});
  }
  return decisions;
}

}  // namespace

void encode_prepare(object::EntryName name, ByteView note, object::Member member,
                    const std::vector<EntryDecision>& decided, Bytes& out) {
  out.reserve(out.size() + kPrepareBytes + note.size() + decided.size() * kDecisionBytes);
  Encoder to(out);
  put(to, name);
  put_note(to, note);
  to.integer(static_cast<std::uint8_t>(member));
  put(to, decided);
}

void encode(const PrepareMessage& message, Bytes& out) {
  encode_prepare(message.name, message.note, message.member, message.decided, out);
  encode(message.request, out);
}

Result<PrepareMessage> decode_prepare_message(ByteView from) {
  Decoder in(from);
  PrepareMessage message;
  message.name = take_name(in);
  message.note = take_note(in);
  message.member = static_cast<object::Member>(in.integer<std::uint8_t>());
  in.require(message.member <= object::Member::kChecking);
  message.decided = take_decisions(in);
  CHECK_OK(in.check("prepare"));
  TRY(message.request, decode_commit_request(in.raw(in.remaining())));
  return message;
}

void encode(const PrepareAnswer& answer, Bytes& out) {
  Encoder to(out);
  to.integer(static_cast<std::uint8_t>(answer.state));
  to.integer(static_cast<std::uint16_t>(answer.reason));
  to.text(std::string_view(answer.message).substr(0, kMaxMessageText));
  to.integer(answer.clock.value());
  put(to, answer.other);
}

Result<PrepareAnswer> decode_prepare_answer(ByteView from) {
  Decoder in(from);
  PrepareAnswer answer;
  answer.state = take_state(in);
  answer.reason = code_from_wire(in.integer<std::uint16_t>());
  answer.message = in.text(kMaxMessageText);
  answer.clock = Epoch(in.integer<std::uint64_t>());
  answer.other = take_optional_entry(in);
  in.require((answer.state == EntryState::kRefused) == (answer.reason != Code::kOk));
  CHECK_OK(in.finish("answer to prepare"));
  return answer;
}

void encode(const DecideMessage& message, Bytes& out) {
  Encoder to(out);
  put(to, message.container);
  put(to, message.decisions);
}

Result<DecideMessage> decode_decide_message(ByteView from) {
  Decoder in(from);
  DecideMessage message;
  message.container = take_uuid(in);
  message.decisions = take_decisions(in);
  CHECK_OK(in.finish("decisions"));
  return message;
}

void encode(const DecideAnswer& answer, Bytes& out) {
  Encoder to(out);
  to.integer(static_cast<std::uint32_t>(answer.done.size()));
  for (const DecideAnswer::Done& done : answer.done) {
    to.integer(static_cast<std::uint16_t>(done.code));
    to.integer(static_cast<std::uint8_t>(done.state));
  }
}

Result<DecideAnswer> decode_decide_answer(ByteView from) {
  Decoder in(from);
  DecideAnswer answer;
  const auto count = in.integer<std::uint32_t>();
  in.require(count <= kMaxDecisions && count <= in.remaining() / kDoneBytes);
  for (std::uint32_t i = 0; i < count && !in.bad(); ++i) {
    const Code code = code_from_wire(in.integer<std::uint16_t>());
    answer.done.push_back({code, take_state(in)});
  }
  CHECK_OK(in.finish("answers to decisions"));
  return answer;
}

void encode(const SettleMessage& message, Bytes& out) {
  Encoder to(out);
  put(to, message.entry);
}

Result<SettleMessage> decode_settle_message(ByteView from) {
  Decoder in(from);
  SettleMessage message{take_entry(in)};
  CHECK_OK(in.finish("settle"));
  return message;
}

void encode(const SettleAnswer& answer, Bytes& out) { Encoder(out).integer(static_cast<std::uint8_t>(answer.outcome)); }

Result<SettleAnswer> decode_settle_answer(ByteView from) {
  Decoder in(from);
  const SettleAnswer answer{take_state(in)};
  in.require(answer.outcome == EntryState::kCommitted || answer.outcome == EntryState::kRefused);
  CHECK_OK(in.finish("outcome of an entry"));
  return answer;
}

void encode(const AskMessage& message, Bytes& out) {
  Encoder to(out);
  put(to, message.container);
  put(to, message.request);
}

Result<AskMessage> decode_ask_message(ByteView from) {
  Decoder in(from);
  AskMessage message;
  message.container = take_uuid(in);
  message.request = take_request(in);
  CHECK_OK(in.finish("question about a request"));
  return message;
}

void encode(const AskAnswer& answer, Bytes& out) {
  Encoder to(out);
  to.integer(static_cast<std::uint8_t>(answer.result.has_value()));
  if (answer.result) to.integer(answer.result->epoch.value());
  put(to, answer.attempt);
}

Result<AskAnswer> decode_ask_answer(ByteView from) {
  Decoder in(from);
  AskAnswer answer;
  const auto has = in.integer<std::uint8_t>();
  in.require(has <= 1);
  if (has == 1) answer.result = UpdateReply{Epoch(in.integer<std::uint64_t>())};
  answer.attempt = take_optional_entry(in);
  CHECK_OK(in.finish("answer about a request"));
  return answer;
}

}  // namespace cenote::engine
