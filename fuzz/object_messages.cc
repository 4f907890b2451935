// Requests and replies about objects: what a server reads from its clients and a client from its server. The first byte
// of an input says which. What a decoder accepts has one encoding, and what `validate` accepts keeps its promises.

#include <array>
#include <cstdint>

#include "cenote/base/assert.h"
#include "cenote/protocol/lease_requests.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/protocol/transaction_requests.h"
#include "fuzz_input.h"

namespace {

using namespace cenote;

template <typename T>
Result<T> decode_and_encode(ByteView input, Result<T> (*decode)(ByteView)) {
  Result<T> decoded = decode(input);
  if (!decoded) {
    ASSERT(decoded.error() == Code::kMalformed || decoded.error() == Code::kOutOfRange);
    return decoded;
  }
  Bytes again;
  encode(*decoded, again);
  ASSERT(equal(again, input));
  return decoded;
}

void check_pieces(const AkeyUpdate& akey) {
  std::uint64_t bytes = 0;
  for (const RecordRange& range : akey.ranges) {
    std::uint64_t next = range.first;
    for (const RecordRange& piece : split_at_windows(range, akey.record_bytes)) {
      ASSERT(piece.first == next && piece.count > 0);
      ASSERT(piece.first / window_records(akey.record_bytes) ==
             (piece.first + piece.count - 1) / window_records(akey.record_bytes));
      next += piece.count;
      bytes += piece.count * akey.record_bytes;
    }
    ASSERT(next == range.first + range.count);
  }
  ASSERT(bytes == akey.bytes);
}

void check_update_request(ByteView input) {
  const auto request = decode_and_encode<UpdateRequest>(input, decode_update_request);
  if (!request || !validate(*request)) return;
  std::uint64_t bytes = 0;
  for (const AkeyUpdate& akey : request->akeys) {
    bytes += akey.bytes;
    if (akey.kind == ValueKind::kArray) check_pieces(akey);
  }
  ASSERT(bytes <= kMaxPayloadBytes);
  ASSERT(target_of(request->object, request->dkey, 7) < 7);
}

void check_update_reply(ByteView input) {
  static_cast<void>(decode_and_encode<UpdateReply>(input, decode_update_reply));
}

void check_fetch_request(ByteView input) {
  const auto request = decode_and_encode<FetchRequest>(input, decode_fetch_request);
  if (!request || !validate(*request)) return;
  ASSERT(request->akeys.size() <= kMaxAkeysPerRequest);
  std::size_t ranges = 0;
  for (const AkeyFetch& akey : request->akeys) ranges += akey.ranges.size();
  ASSERT(ranges <= kMaxRangesPerRequest);
}

void check_fetch_reply(ByteView input) { static_cast<void>(decode_and_encode<FetchReply>(input, decode_fetch_reply)); }

void check_punch_request(ByteView input) {
  const auto request = decode_and_encode<PunchRequest>(input, decode_punch_request);
  if (!request || !validate(*request)) return;
  ASSERT(request->level == PunchLevel::kObject || !request->dkey.empty());
  ASSERT(request->ranges.empty() || (request->level == PunchLevel::kRange && request->akeys.size() == 1));
}

void check_list_request(ByteView input) {
  const auto request = decode_and_encode<ListRequest>(input, decode_list_request);
  if (request && validate(*request)) ASSERT(request->limit > 0 && request->limit <= kMaxListEntries);
}

void check_list_reply(ByteView input) { static_cast<void>(decode_and_encode<ListReply>(input, decode_list_reply)); }

void check_query_request(ByteView input) {
  const auto request = decode_and_encode<QueryRequest>(input, decode_query_request);
  if (request) static_cast<void>(validate(*request));
}

void check_query_reply(ByteView input) { static_cast<void>(decode_and_encode<QueryReply>(input, decode_query_reply)); }

void check_commit_request(ByteView input) {
  const auto request = decode_and_encode<CommitRequest>(input, decode_commit_request);
  if (!request || !validate(*request)) return;
  ASSERT(transaction_entries(*request) <= kMaxTransactionEntries);
  ASSERT(payload_bytes(*request) <= kMaxPayloadBytes);
  for (const UpdateRequest& update : request->updates)
    for (const AkeyUpdate& akey : update.akeys)
      if (akey.kind == ValueKind::kArray) check_pieces(akey);
}

void check_begin_request(ByteView input) {
  static_cast<void>(decode_and_encode<BeginRequest>(input, decode_begin_request));
}

void check_pool_view_request(ByteView input) {
  static_cast<void>(decode_and_encode<PoolViewRequest>(input, decode_pool_view_request));
}

void check_pool_view(ByteView input) { static_cast<void>(decode_and_encode<PoolView>(input, decode_pool_view)); }

void check_leased_fetch_request(ByteView input) {
  const auto request = decode_and_encode<LeasedFetchRequest>(input, decode_leased_fetch_request);
  if (request) ASSERT(request->token != 0);
}

void check_leased_fetch_reply(ByteView input) {
  const auto reply = decode_and_encode<LeasedFetchReply>(input, decode_leased_fetch_reply);
  if (reply) ASSERT(reply->grant.valid <= kLeaseTerm);
}

void check_leased_query_request(ByteView input) {
  static_cast<void>(decode_and_encode<LeasedQueryRequest>(input, decode_leased_query_request));
}

void check_leased_query_reply(ByteView input) {
  static_cast<void>(decode_and_encode<LeasedQueryReply>(input, decode_leased_query_reply));
}

void check_renew_leases(ByteView input) {
  const auto request = decode_and_encode<RenewLeasesRequest>(input, decode_renew_leases_request);
  if (request) ASSERT(request->dropped.size() <= kMaxLeasesPerMessage);
  static_cast<void>(decode_and_encode<RenewLeasesReply>(input, decode_renew_leases_reply));
}

void check_recall(ByteView input) { static_cast<void>(decode_and_encode<RecallRequest>(input, decode_recall_request)); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_update_request,
                                  check_update_reply,
                                  check_fetch_request,
                                  check_fetch_reply,
                                  check_punch_request,
                                  check_list_request,
                                  check_list_reply,
                                  check_query_request,
                                  check_query_reply,
                                  check_commit_request,
                                  check_begin_request,
                                  check_pool_view_request,
                                  check_pool_view,
                                  check_leased_fetch_request,
                                  check_leased_fetch_reply,
                                  check_leased_query_request,
                                  check_leased_query_reply,
                                  check_renew_leases,
                                  check_recall};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
