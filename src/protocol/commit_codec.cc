#include "cenote/base/checksum.h"
#include "cenote/protocol/transaction_requests.h"
#include "wire.h"

namespace cenote {
namespace {

using namespace wire;

// Bounds what a count may claim before anything is allocated for it.
constexpr std::size_t kAkeyReadBytes = 16 + 2 + 2 + 4;
constexpr std::size_t kPartBytes = 4;

void put(Encoder& out, const AkeyRead& read) {
  wire::put(out, read.object);
  put_key(out, read.dkey);
  put_key(out, read.akey);
  out.integer(static_cast<std::uint32_t>(read.ranges.size()));
  put_ranges(out, read.ranges);
}

Result<> take(Decoder& in, AkeyRead& read) {
  read.object = take_object(in);
  read.dkey = take_key(in);
  read.akey = take_key(in);
  const auto ranges = in.integer<std::uint32_t>();
  CHECK_OK(in.check("commit request"));
  CHECK_OK(check_limit(read.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  CHECK_OK(check_limit(read.akey.size(), kMaxAkeyBytes, "bytes of an akey"));
  CHECK_OK(check_limit(ranges, kMaxRangesPerRequest, "ranges of an akey"));
  take_ranges(in, ranges, read.ranges);
  return {};
}

/// A whole message as a part of another one.
template <typename Message>
void put_part(Encoder& out, const Message& message) {
  Bytes part;
  encode(message, part);
  out.integer(static_cast<std::uint32_t>(part.size()));
  out.raw(part);
}

template <typename Message>
Result<Message> take_part(Decoder& in, Result<Message> (*decode)(ByteView)) {
  const auto bytes = in.integer<std::uint32_t>();
  const ByteView part = in.raw(bytes);
  CHECK_OK(in.check("commit request"));
  return decode(part);
}

template <typename Message>
Result<> take_parts(Decoder& in, std::uint32_t count, std::vector<Message>& parts,
                    Result<Message> (*decode)(ByteView)) {
  in.require(count <= in.remaining() / kPartBytes);
  CHECK_OK(in.check("commit request"));
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(Message part, take_part(in, decode));
    parts.push_back(std::move(part));
  }
  return {};
}

Result<> take_reads(Decoder& in, std::uint32_t count, CommitRequest& request) {
  in.require(count <= in.remaining() / kAkeyReadBytes);
  CHECK_OK(in.check("commit request"));
  for (std::uint32_t i = 0; i < count; ++i) CHECK_OK(take(in, request.reads.emplace_back()));
  return {};
}

Result<> take_lists(Decoder& in, std::uint32_t count, CommitRequest& request) {
  in.require(count <= in.remaining() / kPartBytes);
  CHECK_OK(in.check("commit request"));
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(ListRequest list, take_part(in, decode_list_request));
    request.lists.push_back({std::move(list), in.integer<std::uint64_t>()});
  }
  return {};
}

Result<> take_queries(Decoder& in, std::uint32_t count, CommitRequest& request) {
  in.require(count <= in.remaining() / kPartBytes);
  CHECK_OK(in.check("commit request"));
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(QueryRequest query, take_part(in, decode_query_request));
    TRY(QueryReply reply, take_part(in, decode_query_reply));
    request.queries.push_back({std::move(query), std::move(reply)});
  }
  return {};
}

}  // namespace

void encode(const BeginRequest& request, Bytes& out) {
  Encoder to(out);
  wire::put(to, request.container);
}

Result<BeginRequest> decode_begin_request(ByteView from) {
  Decoder in(from);
  const BeginRequest request{take_uuid(in)};
  CHECK_OK(in.finish("begin request"));
  return request;
}

void encode(const BeginReply& reply, Bytes& out) { Encoder(out).integer(reply.snapshot.value()); }

Result<BeginReply> decode_begin_reply(ByteView from) {
  Decoder in(from);
  const BeginReply reply{Epoch(in.integer<std::uint64_t>())};
  CHECK_OK(in.finish("begin reply"));
  return reply;
}

void encode(const CommitRequest& request, Bytes& out) {
  Encoder to(out);
  wire::put(to, request.container);
  to.integer(request.snapshot.value());
  wire::put(to, request.id);
  to.integer(static_cast<std::uint32_t>(request.reads.size()));
  to.integer(static_cast<std::uint32_t>(request.lists.size()));
  to.integer(static_cast<std::uint32_t>(request.queries.size()));
  to.integer(static_cast<std::uint32_t>(request.punches.size()));
  to.integer(static_cast<std::uint32_t>(request.updates.size()));
  for (const AkeyRead& read : request.reads) put(to, read);
  for (const ListRead& list : request.lists) {
    put_part(to, list.request);
    to.integer(list.digest);
  }
  for (const QueryRead& query : request.queries) {
    put_part(to, query.request);
    put_part(to, query.reply);
  }
  for (const PunchRequest& punch : request.punches) put_part(to, punch);
  for (const UpdateRequest& update : request.updates) put_part(to, update);
}

Result<CommitRequest> decode_commit_request(ByteView from) {
  Decoder in(from);
  Result<CommitRequest> result(std::in_place);
  CommitRequest& request = *result;
  request.container = take_uuid(in);
  request.snapshot = Epoch(in.integer<std::uint64_t>());
  request.id = take_request_id(in);
  const auto reads = in.integer<std::uint32_t>();
  const auto lists = in.integer<std::uint32_t>();
  const auto queries = in.integer<std::uint32_t>();
  const auto punches = in.integer<std::uint32_t>();
  const auto updates = in.integer<std::uint32_t>();
  CHECK_OK(in.check("commit request"));
  CHECK_OK(check_limit(std::uint64_t{reads} + lists + queries, kMaxTransactionReads, "reads of a transaction"));
  CHECK_OK(check_limit(std::uint64_t{punches} + updates, kMaxTransactionEntries, "changes of a transaction"));
  CHECK_OK(take_reads(in, reads, request));
  CHECK_OK(take_lists(in, lists, request));
  CHECK_OK(take_queries(in, queries, request));
  CHECK_OK(take_parts(in, punches, request.punches, decode_punch_request));
  CHECK_OK(take_parts(in, updates, request.updates, decode_update_request));
  CHECK_OK(in.finish("commit request"));
  return result;
}

std::uint64_t digest_of(const ListReply& reply) {
  Bytes encoded;
  encode(reply, encoded);
  return hash64(encoded);
}

}  // namespace cenote
