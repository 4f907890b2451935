#include "file.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kDataKey = "d";
// At most this many chunk requests of one call are in flight together.
constexpr std::size_t kChunksInFlight = 16;

/// The part of a byte range that lies in one chunk.
struct ChunkPart {
  std::uint64_t chunk = 0;
  std::uint64_t offset = 0;  ///< in the chunk
  std::uint64_t at = 0;      ///< in the caller's buffer
  std::uint64_t bytes = 0;
};

Bytes chunk_key(std::uint64_t chunk) {
  Bytes key(sizeof chunk);
  store_le(key.data(), chunk);
  return key;
}

std::vector<ChunkPart> split_at_chunks(std::uint64_t offset, std::uint64_t bytes) {
  std::vector<ChunkPart> parts;
  for (std::uint64_t done = 0; done < bytes;) {
    ChunkPart part;
    part.chunk = (offset + done) / kChunkBytes;
    part.offset = (offset + done) % kChunkBytes;
    part.at = done;
    part.bytes = std::min(bytes - done, kChunkBytes - part.offset);
    done += part.bytes;
    parts.push_back(part);
  }
  return parts;
}

Result<> check_range(std::uint64_t offset, std::uint64_t bytes) {
  // off_t is signed, so nothing beyond 2^63 - 1 could ever be read back.
  constexpr std::uint64_t kMaxFileBytes = INT64_MAX;
  if (offset > kMaxFileBytes || bytes > kMaxFileBytes - offset) {
    return failf(Code::kOutOfRange, "{} bytes at offset {} reach beyond the largest file of {} bytes", bytes, offset,
                 kMaxFileBytes);
  }
  return {};
}

UpdateRequest chunk_update(const ObjectId& object, const ChunkPart& part) {
  UpdateRequest request;
  request.object = object;
  request.dkey = chunk_key(part.chunk);
  AkeyUpdate& data = request.akeys.emplace_back();
  data.akey = to_bytes(as_bytes(kDataKey));
  data.kind = ValueKind::kArray;
  data.ranges.push_back({part.offset, part.bytes});
  data.bytes = part.bytes;
  return request;
}

FetchRequest chunk_fetch(const ObjectId& object, const ChunkPart& part) {
  FetchRequest request;
  request.object = object;
  request.dkey = chunk_key(part.chunk);
  AkeyFetch& data = request.akeys.emplace_back();
  data.akey = to_bytes(as_bytes(kDataKey));
  data.kind = ValueKind::kArray;
  data.ranges.push_back({part.offset, part.bytes});
  data.max_bytes = part.bytes;
  return request;
}

/// True when the last byte asked for was really written, so that the end of the file cannot lie before it.
bool reaches_last_byte(const FetchReply& reply, const ChunkPart& part) {
  const AkeyFetched& data = reply.akeys.at(0);
  if (!data.exists) return false;
  if (data.holes.empty()) return true;
  const RecordRange& last = data.holes.back();
  return last.first + last.count < part.offset + part.bytes;
}

}  // namespace

Task<Result<std::uint64_t>> file_size(async::Container container, ObjectId object, Until until) {
  QueryRequest request;
  request.object = object;
  request.akey = to_bytes(as_bytes(kDataKey));
  CO_TRY(const QueryReply reply, co_await container.query(std::move(request), until));
  if (!reply.exists) co_return 0;
  if (reply.dkey.size() != sizeof(std::uint64_t)) {
    co_return failf(Code::kCorrupt, "file {}: a chunk key is {} bytes long", object.to_string(), reply.dkey.size());
  }
  co_return load_le<std::uint64_t>(reply.dkey.data()) * kChunkBytes + reply.records;
}

namespace {

Task<Result<>> punch_chunks_after(async::Container container, ObjectId object, std::uint64_t last_kept, Until until) {
  ListRequest list;
  list.object = object;
  list.level = ListLevel::kDkeys;
  for (;;) {
    CO_TRY(ListReply page, co_await container.list(list, until));
    for (ListedKey& listed : page.keys) {
      if (listed.key.size() != sizeof(std::uint64_t) || load_le<std::uint64_t>(listed.key.data()) <= last_kept) continue;
      PunchRequest punch;
      punch.object = object;
      punch.level = PunchLevel::kDkey;
      punch.dkey = std::move(listed.key);
      CO_CHECK_OK(co_await container.punch(std::move(punch), until));
    }
    if (page.anchor.empty()) co_return Result<>();
    list.anchor = std::move(page.anchor);
  }
}

Task<Result<>> shrink(async::Container container, ObjectId object, std::uint64_t size, Until until) {
  if (size == 0) {
    PunchRequest all;
    all.object = object;
    all.level = PunchLevel::kObject;
    CO_CHECK_OK(co_await container.punch(std::move(all), until));
    co_return Result<>();
  }
  // From the far end, so that a crash in between leaves a file that is still cut off at one place.
  const std::uint64_t last_chunk = (size - 1) / kChunkBytes;
  CO_CHECK_OK(co_await punch_chunks_after(container, object, last_chunk, until));
  const std::uint64_t kept = size - last_chunk * kChunkBytes;
  if (kept == kChunkBytes) co_return Result<>();
  PunchRequest tail;
  tail.object = object;
  tail.level = PunchLevel::kRange;
  tail.dkey = chunk_key(last_chunk);
  tail.akeys.push_back(to_bytes(as_bytes(kDataKey)));
  tail.ranges.push_back({kept, kChunkBytes - kept});
  CO_CHECK_OK(co_await container.punch(std::move(tail), until));
  co_return Result<>();
}

}  // namespace

Task<Result<>> set_file_size(async::Container container, ObjectId object, std::uint64_t size, Until until) {
  CO_CHECK_OK(check_range(size, 0));
  CO_TRY(const std::uint64_t before, co_await file_size(container, object, until));
  if (size < before) CO_CHECK_OK(co_await shrink(container, object, size, until));
  // The last byte carries the size: it must exist after an extension, and also where the cut left a hole at the end.
  CO_TRY(const std::uint64_t now, co_await file_size(container, object, until));
  if (now < size) {
    const ChunkPart last{.chunk = (size - 1) / kChunkBytes, .offset = (size - 1) % kChunkBytes, .at = 0, .bytes = 1};
    const Bytes zero(1);
    CO_CHECK_OK(co_await container.update(chunk_update(object, last), {ByteView(zero)}, until));
  }
  co_return Result<>();
}

File::File(std::shared_ptr<State> state) : state_(std::move(state)) {}

const ObjectId& File::object() const { return state_->object; }

Task<Result<std::uint64_t>> File::read(std::uint64_t offset, MutableBytes into, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_range(offset, into.size()));
  if (into.empty()) co_return 0;
  const std::vector<ChunkPart> parts = split_at_chunks(offset, into.size());
  bool complete = false;
  for (std::size_t first = 0; first < parts.size(); first += kChunksInFlight) {
    const std::size_t count = std::min(kChunksInFlight, parts.size() - first);
    std::vector<async::FetchItem> items(count);
    for (std::size_t i = 0; i < count; ++i) {
      const ChunkPart& part = parts[first + i];
      items[i].request = chunk_fetch(state->object, part);
      items[i].into = {into.subspan(part.at, part.bytes)};
    }
    co_await state->container.fetch_many(items, until);
    for (async::FetchItem& item : items) {
      if (!item.result) co_return fail(std::move(item.result).error());
    }
    complete = reaches_last_byte(*items.back().result, parts[first + count - 1]);
  }
  if (complete) co_return into.size();
  // Zeroes at the end of what came back are a hole inside the file or the space behind its end.
  CO_TRY(const std::uint64_t size, co_await file_size(state->container, state->object, until));
  co_return size <= offset ? 0 : std::min<std::uint64_t>(into.size(), size - offset);
}

Task<Result<>> File::write(std::uint64_t offset, ByteView from, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_range(offset, from.size()));
  state->written = true;
  const std::vector<ChunkPart> parts = split_at_chunks(offset, from.size());
  for (std::size_t first = 0; first < parts.size(); first += kChunksInFlight) {
    const std::size_t count = std::min(kChunksInFlight, parts.size() - first);
    std::vector<async::UpdateItem> items(count);
    for (std::size_t i = 0; i < count; ++i) {
      const ChunkPart& part = parts[first + i];
      items[i].request = chunk_update(state->object, part);
      items[i].payload = {from.subspan(part.at, part.bytes)};
    }
    co_await state->container.update_many(items, until);
    for (async::UpdateItem& item : items) CO_CHECK_OK(std::move(item.result));
  }
  co_return Result<>();
}

Task<Result<>> File::truncate(std::uint64_t size, Until until) {
  const auto state = state_;
  state->written = true;
  co_return co_await set_file_size(state->container, state->object, size, until);
}

Task<Result<std::uint64_t>> File::size(Until until) {
  const auto state = state_;
  co_return co_await file_size(state->container, state->object, until);
}

Task<Result<>> File::close(Until until) {
  const auto state = state_;
  if (!state->written) co_return Result<>();
  Entries entries(state->container);
  CO_TRY(std::optional<Inode> inode, co_await entries.find(state->place, until));
  // Renamed, removed or replaced meanwhile: the times of whatever has the name now are not this file's.
  if (!inode || inode->object != state->object) co_return Result<>();
  inode->mtime = inode->ctime = state->container.client().reactor().wall_now();
  CO_CHECK_OK(co_await entries.replace(state->place, *std::move(inode), until));
  state->written = false;
  co_return Result<>();
}

}  // namespace cenote::posix
