#pragma once

#include <cstdint>
#include <vector>

#include "cenote/protocol/object_requests.h"

// Leases: promises of a target that nobody changes what a client has read before that client was asked
// (docs/protocols/leases.md).
namespace cenote {

/// How long a promise lasts from the moment it was given or renewed, at most.
inline constexpr Duration kLeaseTerm = std::chrono::milliseconds(1500);
/// Of one recall, and of one renewal.
inline constexpr std::size_t kMaxLeasesPerMessage = 4096;

/// Names a lease of a client; the client draws it, from 1 on, and never uses it twice at one target.
using LeaseToken = std::uint64_t;

/// What the target says of a lease that was asked for.
struct LeaseGrant {
  /// Of all leases that the client has at the target: with another one, earlier ones are void. 0: it was not given.
  std::uint64_t generation = 0;
  /// From when it was asked for.
  Duration valid{};
};

/// A fetch of one dkey that asks for a lease of that dkey: of all that is in it, and that it is not there.
struct LeasedFetchRequest {
  LeaseToken token = 0;
  FetchRequest fetch;
};
struct LeasedFetchReply {
  LeaseGrant grant;
  FetchReply fetched;
};

/// A query without a dkey that asks for a lease of all of the object that the target has.
struct LeasedQueryRequest {
  LeaseToken token = 0;
  QueryRequest query;
};
struct LeasedQueryReply {
  LeaseGrant grant;
  QueryReply found;
};

/// All leases of the client at a target last longer, but for those that it needs no more.
struct RenewLeasesRequest {
  std::uint64_t generation = 0;
  std::vector<LeaseToken> dropped;
};
/// Of another generation: there are none any more.
using RenewLeasesReply = LeaseGrant;

/// From the target, as a callback: these are void. The client answers when it goes by none of them any more.
struct RecallRequest {
  std::uint64_t generation = 0;
  std::vector<LeaseToken> tokens;
};

void encode(const LeasedFetchRequest& request, Bytes& out);
void encode(const LeasedFetchReply& reply, Bytes& out);
void encode(const LeasedQueryRequest& request, Bytes& out);
void encode(const LeasedQueryReply& reply, Bytes& out);
void encode(const RenewLeasesRequest& request, Bytes& out);
void encode(const RenewLeasesReply& reply, Bytes& out);
void encode(const RecallRequest& request, Bytes& out);
/// In front of the reply that was asked for.
void encode(const LeaseGrant& grant, const FetchReply& fetched, Bytes& out);
/// As those of object_requests.h.
Result<LeasedFetchRequest> decode_leased_fetch_request(ByteView from);
Result<LeasedFetchReply> decode_leased_fetch_reply(ByteView from);
Result<LeasedQueryRequest> decode_leased_query_request(ByteView from);
Result<LeasedQueryReply> decode_leased_query_reply(ByteView from);
Result<RenewLeasesRequest> decode_renew_leases_request(ByteView from);
Result<RenewLeasesReply> decode_renew_leases_reply(ByteView from);
Result<RecallRequest> decode_recall_request(ByteView from);

}  // namespace cenote
