#include "cenote/client/array.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::async {
namespace {

constexpr std::string_view kDataKey = "d";
// At most this many chunk requests of one call are in flight together.
constexpr std::size_t kChunksInFlight = 16;

Bytes chunk_key(std::uint64_t chunk) {
  Bytes key(sizeof chunk);
  store_le(key.data(), chunk);
  return key;
}

Result<> check_range(std::uint64_t offset, std::uint64_t bytes) {
  // File offsets are signed, so nothing beyond 2^63 - 1 could ever be read back by most programs.
  constexpr std::uint64_t kMaxArrayBytes = INT64_MAX;
  if (offset > kMaxArrayBytes || bytes > kMaxArrayBytes - offset) {
    return failf(Code::kOutOfRange, "{} bytes at offset {} reach beyond the largest array of {} bytes", bytes, offset,
                 kMaxArrayBytes);
  }
  return {};
}

}  // namespace

/// The part of a byte range that lies in one chunk.
struct Array::Part {
  std::uint64_t chunk = 0;
  std::uint64_t offset = 0;  ///< in the chunk
  std::uint64_t at = 0;      ///< in the caller's buffer
  std::uint64_t bytes = 0;
};

namespace {

/// True when the last byte asked for was really written, so that the end of the array cannot lie before it.
bool reaches_last_byte(const FetchReply& reply, std::uint64_t end) {
  const AkeyFetched& data = reply.akeys[0];
  if (!data.exists) return false;
  return data.holes.empty() || data.holes.back().first + data.holes.back().count < end;
}

}  // namespace

std::vector<Array::Part> Array::split(std::uint64_t offset, std::uint64_t bytes) const {
  std::vector<Part> parts;
  for (std::uint64_t done = 0; done < bytes;) {
    Part part;
    part.chunk = (offset + done) / chunk_bytes_;
    part.offset = (offset + done) % chunk_bytes_;
    part.at = done;
    part.bytes = std::min(bytes - done, chunk_bytes_ - part.offset);
    done += part.bytes;
    parts.push_back(part);
  }
  return parts;
}

UpdateRequest Array::update_of(const Part& part) const {
  UpdateRequest request;
  request.object = object_;
  request.dkey = chunk_key(part.chunk);
  AkeyUpdate& data = request.akeys.emplace_back();
  data.akey = to_bytes(as_bytes(kDataKey));
  data.kind = ValueKind::kArray;
  data.ranges.push_back({part.offset, part.bytes});
  data.bytes = part.bytes;
  return request;
}

FetchRequest Array::fetch_of(const Part& part) const {
  FetchRequest request;
  request.object = object_;
  request.dkey = chunk_key(part.chunk);
  AkeyFetch& data = request.akeys.emplace_back();
  data.akey = to_bytes(as_bytes(kDataKey));
  data.kind = ValueKind::kArray;
  data.ranges.push_back({part.offset, part.bytes});
  data.max_bytes = part.bytes;
  return request;
}

Task<Result<std::uint64_t>> Array::read(std::uint64_t offset, MutableBytes into, Until until) {
  CO_CHECK_OK(check_range(offset, into.size()));
  if (into.empty()) co_return 0;
  const Array self = *this;  // the caller's handle may be gone before the answers are here
  Container container = self.container_;
  const std::vector<Part> parts = self.split(offset, into.size());
  bool complete = false;
  for (std::size_t first = 0; first < parts.size(); first += kChunksInFlight) {
    const std::size_t count = std::min(kChunksInFlight, parts.size() - first);
    std::vector<FetchItem> items(count);
    for (std::size_t i = 0; i < count; ++i) {
      const Part& part = parts[first + i];
      items[i].request = self.fetch_of(part);
      items[i].into = {into.subspan(part.at, part.bytes)};
    }
    co_await container.fetch_many(items, until);
    for (FetchItem& item : items) {
      if (!item.result) co_return fail(std::move(item.result).error());
    }
    const Part& last = parts[first + count - 1];
    complete = reaches_last_byte(*items.back().result, last.offset + last.bytes);
  }
  if (complete) co_return into.size();
  // Zeroes at the end of what came back are a hole inside the array or the space behind its end.
  Array again = self;
  CO_TRY(const std::uint64_t end, co_await again.size(until));
  co_return end <= offset ? 0 : std::min<std::uint64_t>(into.size(), end - offset);
}

Task<Result<>> Array::write(std::uint64_t offset, ByteView from, Until until) {
  CO_CHECK_OK(check_range(offset, from.size()));
  const Array self = *this;
  Container container = self.container_;
  const std::vector<Part> parts = self.split(offset, from.size());
  for (std::size_t first = 0; first < parts.size(); first += kChunksInFlight) {
    const std::size_t count = std::min(kChunksInFlight, parts.size() - first);
    std::vector<UpdateItem> items(count);
    for (std::size_t i = 0; i < count; ++i) {
      const Part& part = parts[first + i];
      items[i].request = self.update_of(part);
      items[i].payload = {from.subspan(part.at, part.bytes)};
    }
    co_await container.update_many(items, until);
    for (UpdateItem& item : items) CO_CHECK_OK(std::move(item.result));
  }
  co_return Result<>();
}

QueryRequest Array::size_query() const {
  QueryRequest request;
  request.object = object_;
  request.akey = to_bytes(as_bytes(kDataKey));
  return request;
}

Result<std::uint64_t> Array::size_of(const QueryReply& reply) const {
  if (!reply.exists) return 0;
  if (reply.dkey.size() != sizeof(std::uint64_t))
    return failf(Code::kCorrupt, "array {}: a chunk key is {} bytes long", object_.to_string(), reply.dkey.size());
  return load_le<std::uint64_t>(reply.dkey.data()) * chunk_bytes_ + reply.records;
}

Task<Result<std::uint64_t>> Array::size(Until until) {
  const Array self = *this;
  Container container = container_;
  CO_TRY(const QueryReply reply, co_await container.query(self.size_query(), until));
  co_return self.size_of(reply);
}

Task<Result<Leased<std::uint64_t>>> Array::size_leased(Until until) {
  const Array self = *this;
  Container container = container_;
  CO_TRY(auto read, co_await container.query_leased(self.size_query(), until));
  CO_TRY(const std::uint64_t bytes, self.size_of(read.reply));
  co_return Leased<std::uint64_t>{bytes, std::move(read.lease)};
}

Task<Result<>> Array::set_size(std::uint64_t size, Until until) {
  CO_CHECK_OK(check_range(size, 0));
  Array self = *this;
  CO_TRY(const std::uint64_t before, co_await self.size(until));
  if (size == before) co_return Result<>();
  // The last byte carries the size: it must exist after an extension, and also where a cut leaves a hole at the end. It
  // comes first, so that a cut that ends half-way leaves a size between the two.
  bool at_hole = size > before;
  if (!at_hole && size > 0) {
    CO_TRY(const bool data, co_await self.holds(size - 1, until));
    at_hole = !data;
  }
  if (at_hole) {
    const Bytes zero(1);
    CO_CHECK_OK(co_await self.write(size - 1, zero, until));
  }
  if (size < before) CO_CHECK_OK(co_await self.cut(size, until));
  co_return Result<>();
}

/// Whether a byte is data; false in a hole and behind the end.
Task<Result<bool>> Array::holds(std::uint64_t offset, Until until) {
  Array self = *this;
  const Part part = self.split(offset, 1).front();
  Bytes byte(1);
  CO_TRY(const FetchReply reply, co_await self.container_.fetch(self.fetch_of(part), {MutableBytes(byte)}, until));
  co_return reaches_last_byte(reply, part.offset + 1);
}

Task<Result<>> Array::cut(std::uint64_t size, Until until) {
  Array self = *this;
  if (size == 0) {
    PunchRequest all;
    all.object = self.object_;
    all.level = PunchLevel::kObject;
    CO_CHECK_OK(co_await self.container_.punch(std::move(all), until));
    co_return Result<>();
  }
  const std::uint64_t last_chunk = (size - 1) / self.chunk_bytes_;
  CO_CHECK_OK(co_await self.punch_chunks_after(last_chunk, until));
  const std::uint64_t kept = size - last_chunk * self.chunk_bytes_;
  if (kept == self.chunk_bytes_) co_return Result<>();
  co_return co_await self.punch_part({.chunk = last_chunk, .offset = kept, .bytes = self.chunk_bytes_ - kept}, until);
}

Task<Result<>> Array::punch_chunks_after(std::uint64_t last_kept, Until until) {
  Array self = *this;
  ListRequest list;
  list.object = self.object_;
  list.level = ListLevel::kDkeys;
  list.anchor = chunk_key(last_kept);
  std::vector<std::uint64_t> chunks;
  do {
    CO_TRY(ListReply page, co_await self.container_.list(list, until));
    for (const ListedKey& listed : page.keys) {
      if (listed.key.size() != sizeof(std::uint64_t)) continue;
      const auto chunk = load_le<std::uint64_t>(listed.key.data());
      if (chunk > last_kept) chunks.push_back(chunk);
    }
    list.anchor = std::move(page.anchor);
  } while (!list.anchor.empty());
  // The last one first: a cut that ends half-way then leaves the front of the array as it was.
  std::ranges::sort(chunks, std::greater());
  for (const std::uint64_t chunk : chunks) {
    CO_CHECK_OK(co_await self.punch_part({.chunk = chunk, .bytes = self.chunk_bytes_}, until));
  }
  co_return Result<>();
}

Task<Result<>> Array::punch_part(Part part, Until until) {
  Array self = *this;
  PunchRequest request;
  request.object = self.object_;
  request.dkey = chunk_key(part.chunk);
  request.level = part.bytes == self.chunk_bytes_ ? PunchLevel::kDkey : PunchLevel::kRange;
  if (request.level == PunchLevel::kRange) {
    request.akeys.push_back(to_bytes(as_bytes(kDataKey)));
    request.ranges.push_back({part.offset, part.bytes});
  }
  CO_CHECK_OK(co_await self.container_.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<>> Array::punch(std::uint64_t offset, std::uint64_t bytes, Until until) {
  CO_CHECK_OK(check_range(offset, bytes));
  Array self = *this;
  // Behind the end nothing is to be punched, however long the range is.
  CO_TRY(const std::uint64_t end, co_await self.size(until));
  if (offset >= end) co_return Result<>();
  for (const Part& part : self.split(offset, std::min(bytes, end - offset))) {
    CO_CHECK_OK(co_await self.punch_part(part, until));
  }
  co_return Result<>();
}

/// What is written in a chunk from byte `from` of it on, ascending.
Task<Result<std::vector<RecordRange>>> Array::extents(std::uint64_t chunk, std::uint64_t from, Until until) {
  Array self = *this;
  ListRequest list;
  list.object = self.object_;
  list.level = ListLevel::kExtents;
  list.dkey = chunk_key(chunk);
  list.akey = to_bytes(as_bytes(kDataKey));
  std::vector<RecordRange> ranges;
  do {
    CO_TRY(ListReply page, co_await self.container_.list(list, until));
    for (const ListedExtent& extent : page.extents) {
      if (extent.range.first + extent.range.count > from) ranges.push_back(extent.range);
    }
    list.anchor = std::move(page.anchor);
  } while (!list.anchor.empty());
  co_return ranges;
}

Task<Result<std::optional<std::uint64_t>>> Array::find_data(std::uint64_t offset, Until until) {
  CO_CHECK_OK(check_range(offset, 0));
  Array self = *this;
  const std::uint64_t chunk_bytes = self.chunk_bytes_;
  ListRequest chunks;
  chunks.object = self.object_;
  chunks.level = ListLevel::kDkeys;
  chunks.limit = 1;
  for (std::uint64_t chunk = offset / chunk_bytes, from = offset % chunk_bytes;; from = 0) {
    CO_TRY(const auto ranges, co_await self.extents(chunk, from, until));
    if (!ranges.empty()) co_return std::optional(chunk * chunk_bytes + std::max(from, ranges.front().first));
    chunks.anchor = chunk_key(chunk);
    CO_TRY(const ListReply next, co_await self.container_.list(chunks, until));
    if (next.keys.empty() || next.keys.front().key.size() != sizeof chunk) co_return std::optional<std::uint64_t>();
    chunk = load_le<std::uint64_t>(next.keys.front().key.data());
  }
}

Task<Result<std::uint64_t>> Array::find_hole(std::uint64_t offset, Until until) {
  CO_CHECK_OK(check_range(offset, 0));
  Array self = *this;
  const std::uint64_t chunk_bytes = self.chunk_bytes_;
  for (std::uint64_t chunk = offset / chunk_bytes, at = offset % chunk_bytes;; ++chunk, at = 0) {
    CO_TRY(const auto ranges, co_await self.extents(chunk, at, until));
    for (const RecordRange& range : ranges) {
      if (range.first > at) break;
      at = range.first + range.count;
    }
    if (at < chunk_bytes) co_return chunk* chunk_bytes + at;
  }
}

}  // namespace cenote::async
