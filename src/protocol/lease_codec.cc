#include "cenote/protocol/lease_requests.h"
#include "wire.h"

namespace cenote {
namespace {

using namespace wire;

constexpr std::size_t kTokenBytes = 8;
constexpr std::size_t kGrantBytes = 8 + 8;

void put(Encoder& out, const LeaseGrant& grant) {
  out.integer(grant.generation);
  out.integer(static_cast<std::uint64_t>(grant.valid.count()));
}

Result<LeaseGrant> take_grant(Decoder& in) {
  LeaseGrant grant;
  grant.generation = in.integer<std::uint64_t>();
  const auto valid = in.integer<std::uint64_t>();
  in.require(valid <= static_cast<std::uint64_t>(kLeaseTerm.count()));
  CHECK_OK(in.check("lease"));
  grant.valid = Duration(static_cast<Duration::rep>(valid));
  return grant;
}

Result<LeaseToken> take_token(Decoder& in) {
  const auto token = in.integer<std::uint64_t>();
  in.require(token != 0);
  CHECK_OK(in.check("lease"));
  return token;
}

void put_tokens(Encoder& out, const std::vector<LeaseToken>& tokens) {
  out.integer(static_cast<std::uint32_t>(tokens.size()));
  for (const LeaseToken token : tokens) out.integer(token);
}

Result<std::vector<LeaseToken>> take_tokens(Decoder& in) {
  const auto count = in.integer<std::uint32_t>();
  CHECK_OK(check_limit(count, kMaxLeasesPerMessage, "leases of a message"));
  in.require(count <= in.remaining() / kTokenBytes);
  CHECK_OK(in.check("leases"));
  std::vector<LeaseToken> tokens;
  tokens.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) tokens.push_back(in.integer<std::uint64_t>());
  return tokens;
}

}  // namespace

void encode(const LeasedFetchRequest& request, Bytes& out) {
  Encoder(out).integer(request.token);
  encode(request.fetch, out);
}

Result<LeasedFetchRequest> decode_leased_fetch_request(ByteView from) {
  Decoder in(from);
  TRY(const LeaseToken token, take_token(in));
  TRY(FetchRequest fetch, decode_fetch_request(in.rest()));
  return LeasedFetchRequest{token, std::move(fetch)};
}

void encode(const LeaseGrant& grant, const FetchReply& fetched, Bytes& out) {
  make_room(out, kGrantBytes);
  Encoder to(out);
  put(to, grant);
  encode(fetched, out);
}

void encode(const LeasedFetchReply& reply, Bytes& out) { encode(reply.grant, reply.fetched, out); }

Result<LeasedFetchReply> decode_leased_fetch_reply(ByteView from) {
  Decoder in(from);
  TRY(const LeaseGrant grant, take_grant(in));
  TRY(FetchReply fetched, decode_fetch_reply(in.rest()));
  return LeasedFetchReply{grant, std::move(fetched)};
}

void encode(const LeasedQueryRequest& request, Bytes& out) {
  Encoder(out).integer(request.token);
  encode(request.query, out);
}

Result<LeasedQueryRequest> decode_leased_query_request(ByteView from) {
  Decoder in(from);
  TRY(const LeaseToken token, take_token(in));
  TRY(QueryRequest query, decode_query_request(in.rest()));
  return LeasedQueryRequest{token, std::move(query)};
}

void encode(const LeasedQueryReply& reply, Bytes& out) {
  Encoder to(out);
  put(to, reply.grant);
  encode(reply.found, out);
}

Result<LeasedQueryReply> decode_leased_query_reply(ByteView from) {
  Decoder in(from);
  TRY(const LeaseGrant grant, take_grant(in));
  TRY(QueryReply found, decode_query_reply(in.rest()));
  return LeasedQueryReply{grant, std::move(found)};
}

void encode(const RenewLeasesRequest& request, Bytes& out) {
  Encoder to(out);
  to.integer(request.generation);
  put_tokens(to, request.dropped);
}

Result<RenewLeasesRequest> decode_renew_leases_request(ByteView from) {
  Decoder in(from);
  RenewLeasesRequest request;
  request.generation = in.integer<std::uint64_t>();
  TRY(request.dropped, take_tokens(in));
  CHECK_OK(in.finish("renewal of leases"));
  return request;
}

void encode(const RenewLeasesReply& reply, Bytes& out) {
  Encoder to(out);
  put(to, reply);
}

Result<RenewLeasesReply> decode_renew_leases_reply(ByteView from) {
  Decoder in(from);
  TRY(const LeaseGrant grant, take_grant(in));
  CHECK_OK(in.finish("renewal of leases"));
  return grant;
}

void encode(const RecallRequest& request, Bytes& out) {
  Encoder to(out);
  to.integer(request.generation);
  put_tokens(to, request.tokens);
}

Result<RecallRequest> decode_recall_request(ByteView from) {
  Decoder in(from);
  RecallRequest request;
  request.generation = in.integer<std::uint64_t>();
  TRY(request.tokens, take_tokens(in));
  CHECK_OK(in.finish("recall of leases"));
  return request;
}

}  // namespace cenote
