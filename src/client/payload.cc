#include "payload.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"

namespace cenote::async {
namespace {

/// CRC32C of the parts of one chunk.
template <typename Byte>
std::uint32_t chunk_checksum(const Scattered<Byte>& data, std::uint64_t offset, std::uint64_t bytes) {
  std::uint32_t checksum = 0;
  data.for_each(offset, bytes, [&checksum](std::span<Byte> part) { checksum = crc32c(part, checksum); });
  return checksum;
}

template <typename Byte, typename Visit>
void for_each_chunk(const Scattered<Byte>& data, std::uint64_t offset, std::uint64_t bytes, Visit visit) {
  for (std::uint64_t done = 0; done < bytes; done += kChecksumChunkBytes) {
    visit(chunk_checksum(data, offset + done, std::min<std::uint64_t>(bytes - done, kChecksumChunkBytes)));
  }
}

/// One value or range of a fetch: where it was received and where it belongs.
struct Segment {
  std::uint64_t received_at = 0;
  std::uint64_t sent = 0;
  std::uint64_t belongs_at = 0;
  std::uint64_t room = 0;
};

/// One range is the usual case and costs no allocation.
using Segments = SmallVector<Segment, 2>;

Result<Segments> segments_of(const FetchRequest& request, const FetchReply& reply) {
  if (reply.akeys.size() != request.akeys.size()) {
    return failf(Code::kMalformed, "fetch reply has {} akeys, asked were {}", reply.akeys.size(), request.akeys.size());
  }
  Segments segments;
  std::uint64_t received = 0;
  std::uint64_t belongs = 0;
  const auto add = [&](std::uint64_t sent, std::uint64_t room) {
    segments.push_back({received, sent, belongs, room});
    received += sent;
    belongs += room;
  };
  for (std::size_t i = 0; i < request.akeys.size(); ++i) {
    const AkeyFetch& asked = request.akeys[i];
    const AkeyFetched& fetched = reply.akeys[i];
    if (asked.kind == ValueKind::kSingle) {
      add(fetched.bytes, asked.max_bytes);
      continue;
    }
    if (!fetched.exists) {
      add(0, asked.max_bytes);
      continue;
    }
    if (fetched.range_bytes.size() != asked.ranges.size()) return fail(Code::kMalformed, "fetch reply lacks ranges");
    for (std::size_t r = 0; r < asked.ranges.size(); ++r) {
      // Both factors are checked, so that no room is a wrapped product.
      const std::uint64_t records_max = fetched.record_bytes == 0 ? 0 : kMaxPayloadBytes / fetched.record_bytes;
      if (asked.ranges[r].count > records_max) {
        return failf(Code::kOutOfRange, "akey '{}': {} records of {} bytes are more than one fetch brings",
                     printable(asked.akey), asked.ranges[r].count, fetched.record_bytes);
      }
      add(fetched.range_bytes[r], asked.ranges[r].count * fetched.record_bytes);
    }
  }
  for (const Segment& segment : segments) {
    if (segment.sent > segment.room) return fail(Code::kMalformed, "fetch reply is larger than what was asked for");
  }
  return segments;
}

/// Compares the checksums of one akey's segments, in order.
Result<> verify_segments(std::span<const Segment> segments, const AkeyFetch& asked, const AkeyFetched& fetched,
                         const Scattered<std::byte>& into) {
  std::size_t next = 0;
  std::optional<std::size_t> damaged;
  for (const Segment& segment : segments) {
    for_each_chunk(into, segment.received_at, segment.sent, [&](std::uint32_t checksum) {
      const bool good = next < fetched.checksums.size() && fetched.checksums[next] == checksum;
      if (!good && !damaged) damaged = next;
      ++next;
    });
  }
  if (!damaged && next == fetched.checksums.size()) return {};
  return failf(Code::kChecksumMismatch,
               "akey '{}': the data arrived damaged and was not returned (chunk {} of {}, {} checksums)",
               printable(asked.akey), damaged.value_or(next), next, fetched.checksums.size());
}

Result<> verify(const FetchRequest& request, const FetchReply& reply, std::span<const Segment> segments,
                const Scattered<std::byte>& into) {
  std::size_t first = 0;
  for (std::size_t i = 0; i < request.akeys.size(); ++i) {
    const AkeyFetch& asked = request.akeys[i];
    const bool ranges = asked.kind == ValueKind::kArray && reply.akeys[i].exists;
    const std::size_t count = ranges ? asked.ranges.size() : 1;
    CHECK_OK(verify_segments(segments.subspan(first, count), asked, reply.akeys[i], into));
    first += count;
  }
  return {};
}

}  // namespace

namespace {

Result<> check_ranges(const UpdateRequest& request) {
  for (const AkeyUpdate& akey : request.akeys) {
    if (akey.kind != ValueKind::kArray) continue;
    std::uint64_t left = akey.bytes;
    for (const RecordRange& range : akey.ranges) {
      const bool fits = akey.record_bytes > 0 && range.count <= left / akey.record_bytes;
      if (!fits)
        return failf(Code::kInvalidArgument, "akey '{}': its ranges are longer than its {} bytes", printable(akey.akey),
                     akey.bytes);
      left -= range.count * akey.record_bytes;
    }
    if (left != 0)
      return failf(Code::kInvalidArgument, "akey '{}': {} bytes are in none of its ranges", printable(akey.akey), left);
  }
  return {};
}

}  // namespace

Result<> check_payload(const UpdateRequest& request, std::uint64_t payload_bytes) {
  std::uint64_t announced = 0;
  for (const AkeyUpdate& akey : request.akeys) announced += akey.bytes;
  if (announced != payload_bytes)
    return failf(Code::kInvalidArgument, "the akeys announce {} bytes and the payload has {}", announced,
                 payload_bytes);
  return check_ranges(request);
}

void fill_checksums(UpdateRequest& request, const Scattered<const std::byte>& payload) {
  std::uint64_t at = 0;
  for (AkeyUpdate& akey : request.akeys) {
    akey.checksums.clear();
    // All, unless ranges cut chunks. What is larger than any payload is refused later, by `validate`.
    akey.checksums.reserve(chunk_count(std::min<std::uint64_t>(akey.bytes, kMaxPayloadBytes)));
    const auto add = [&akey](std::uint32_t checksum) { akey.checksums.push_back(checksum); };
    if (akey.kind == ValueKind::kSingle) {
      for_each_chunk(payload, at, akey.bytes, add);
      at += akey.bytes;
      continue;
    }
    for (const RecordRange& range : akey.ranges) {
      for (const RecordRange& piece : split_at_windows(range, akey.record_bytes)) {
        for_each_chunk(payload, at, piece.count * akey.record_bytes, add);
        at += piece.count * akey.record_bytes;
      }
    }
  }
}

Result<> settle_payload(const FetchRequest& request, const FetchReply& reply, std::uint64_t received,
                        const Scattered<std::byte>& into, bool verify_checksums) {
  TRY(const auto segments, segments_of(request, reply));
  // A fetch that only asks whether a dkey exists has no akeys.
  const Segment last = segments.empty() ? Segment() : segments.back();
  if (last.received_at + last.sent != received) {
    return failf(Code::kMalformed, "fetch reply announces {} bytes and {} came", last.received_at + last.sent,
                 received);
  }
  if (last.belongs_at + last.room > into.bytes()) {
    return failf(Code::kInvalidArgument, "the fetch needs {} bytes of memory and was given {}",
                 last.belongs_at + last.room, into.bytes());
  }
  if (verify_checksums) CHECK_OK(verify(request, reply, segments.view(), into));

  // From the back, so that nothing is overwritten before it has moved; in the usual case nothing moves at all.
  const std::span<const Segment> in_order = segments.view();
  for (auto segment = in_order.rbegin(); segment != in_order.rend(); ++segment) {
    if (segment->received_at != segment->belongs_at && segment->sent > 0) {
      Bytes moved;
      moved.reserve(segment->sent);
      into.for_each(segment->received_at, segment->sent,
                    [&moved](MutableBytes part) { moved.insert(moved.end(), part.begin(), part.end()); });
      const std::byte* from = moved.data();
      into.for_each(segment->belongs_at, segment->sent, [&from](MutableBytes part) {
        std::memcpy(part.data(), from, part.size());
        from += part.size();
      });
    }
    into.for_each(segment->belongs_at + segment->sent, segment->room - segment->sent,
                  [](MutableBytes part) { std::ranges::fill(part, std::byte{0}); });
  }
  return {};
}

}  // namespace cenote::async
