#include "rebuild_messages.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

Uuid take_uuid(Decoder& in) {
  const ByteView bytes = in.raw(16);
  return bytes.size() == 16 ? Uuid::from_bytes(bytes.first<16>()) : Uuid();
}
void put_place(Encoder& to, ByteView place) { to.blob(place); }
Bytes take_place(Decoder& in) {
  const auto bytes = in.integer<std::uint32_t>();
  in.require(bytes <= kMaxPlaceBytes);
  return in.bad() ? Bytes() : to_bytes(in.raw(bytes));
}

}  // namespace

void encode(const ReadHistoryMessage& message, Bytes& out) {
  Encoder to(out);
  to.raw(message.container.bytes());
  to.raw(message.tree.bytes());
  to.integer(message.asker.value());
  to.integer(message.have.value());
  put_place(to, message.from);
}
Result<ReadHistoryMessage> decode_read_history(ByteView from) {
  Decoder in(from);
  ReadHistoryMessage message;
  message.container = take_uuid(in);
  message.tree = take_uuid(in);
  message.asker = cluster::TargetId(in.integer<std::uint32_t>());
  message.have = Epoch(in.integer<std::uint64_t>());
  message.from = take_place(in);
  CHECK_OK(in.finish("request for history"));
  return message;
}

void encode(const ReadEntryMessage& message, Bytes& out) {
  Encoder to(out);
  to.raw(message.container.bytes());
  to.raw(message.tree.bytes());
  put_place(to, message.key);
}
Result<ReadEntryMessage> decode_read_entry(ByteView from) {
  Decoder in(from);
  ReadEntryMessage message;
  message.container = take_uuid(in);
  message.tree = take_uuid(in);
  message.key = take_place(in);
  CHECK_OK(in.finish("request for an entry"));
  return message;
}

void encode(const ReadResultsMessage& message, Bytes& out) {
  Encoder to(out);
  to.raw(message.container.bytes());
  put_place(to, message.from);
}
Result<ReadResultsMessage> decode_read_results(ByteView from) {
  Decoder in(from);
  ReadResultsMessage message;
  message.container = take_uuid(in);
  message.from = take_place(in);
  CHECK_OK(in.finish("request for results"));
  return message;
}

void encode(const PageAnswer& answer, Bytes& out) {
  Encoder to(out);
  put_place(to, answer.next);
  put_place(to, answer.again);
  put_place(to, answer.resume);
  to.integer(answer.bytes);
  to.integer(answer.objects);
  to.integer(answer.stubs);
}
Result<PageAnswer> decode_page_answer(ByteView from) {
  Decoder in(from);
  PageAnswer answer;
  answer.next = take_place(in);
  answer.again = take_place(in);
  answer.resume = take_place(in);
  answer.bytes = in.integer<std::uint64_t>();
  answer.objects = in.integer<std::uint64_t>();
  answer.stubs = in.integer<std::uint64_t>();
  CHECK_OK(in.finish("page"));
  return answer;
}

void encode(const CopyProgress& progress, Bytes& out) {
  Encoder to(out);
  to.integer(progress.version.value());
  to.integer(progress.sources);
  put_place(to, progress.resume);
  to.integer(progress.bytes);
  to.integer(progress.objects);
}
Result<CopyProgress> decode_copy_progress(ByteView from) {
  Decoder in(from);
  CopyProgress progress;
  progress.version = cluster::MapVersion(in.integer<std::uint64_t>());
  progress.sources = in.integer<std::uint32_t>();
  progress.resume = take_place(in);
  progress.bytes = in.integer<std::uint64_t>();
  progress.objects = in.integer<std::uint64_t>();
  CHECK_OK(in.finish("note of a copy"));
  return progress;
}

void encode(const AwaitSettledMessage& message, Bytes& out) { Encoder(out).raw(message.container.bytes()); }
Result<AwaitSettledMessage> decode_await_settled(ByteView from) {
  Decoder in(from);
  AwaitSettledMessage message{take_uuid(in)};
  CHECK_OK(in.finish("question whether all is settled"));
  return message;
}

}  // namespace cenote::engine
