#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "fetch_plan.h"
#include "io_group.h"

namespace cenote::object {
namespace {

constexpr std::array<std::byte, 64u << 10> kZeroes{};

/// Turns what a plan read into an answer.
class Answer {
 public:
  Answer(const FetchRequest& request, FetchPlan& plan, Fetched& fetched)
      : request_(request), plan_(plan), fetched_(fetched) {}

  /// kCorrupt names object, key and records of the first chunk that is not what was written.
  Result<> verify() const;
  /// The payload, and the checksums of what is sent.
  void build();

 private:
  /// The touched chunks of a piece, in memory.
  MutableBytes chunks_of(const FetchPiece& piece) const;
  ByteView data_of(const FetchPiece& piece) const { return chunks_of(piece).subspan(piece.lead, piece.bytes); }
  Result<> verify_piece(const FetchPiece& piece) const;
  void add_payload(const FetchPiece& piece);
  void add_checksums(std::uint32_t akey, std::size_t& next);

  const FetchRequest& request_;
  FetchPlan& plan_;
  Fetched& fetched_;
};

MutableBytes Answer::chunks_of(const FetchPiece& piece) const {
  std::byte* start = piece.from == FetchPiece::From::kInline ? fetched_.inline_data[0].data() + piece.offset
                                                             : fetched_.buffers[piece.buffer].data() + piece.offset;
  const std::uint64_t first = std::uint64_t{piece.chunk} * kChecksumChunkBytes;
  const std::uint64_t bytes = std::min(piece.value_bytes - first, std::uint64_t{piece.chunks} * kChecksumChunkBytes);
  return {start, bytes};
}

Result<> Answer::verify() const {
  for (const FetchPiece& piece : plan_.pieces)
    if (piece.checksum != UINT32_MAX) CHECK_OK(verify_piece(piece));
  return {};
}

Result<> Answer::verify_piece(const FetchPiece& piece) const {
  ByteView data = chunks_of(piece);
  for (std::uint32_t i = 0; i < piece.chunks; ++i) {
    const std::uint32_t bytes = piece.chunk_bytes(piece.chunk + i);
    if (crc32c(data.first(bytes)) != plan_.checksums[piece.checksum + i]) {
      const AkeyFetch& akey = request_.akeys[piece.akey];
      return failf(Code::kCorrupt,
                   "{}, records {} to {}: byte {} of the value and the {} after it are not what was written",
                   describe(request_.object, request_.dkey, akey.akey), piece.records.first,
                   piece.records.first + piece.records.count - 1, std::uint64_t{piece.chunk + i} * kChecksumChunkBytes,
                   bytes - 1);
    }
    data = data.subspan(bytes);
  }
  return {};
}

void Answer::build() {
  for (const FetchPiece& piece : plan_.pieces) add_payload(piece);
  fetched_.reply = std::move(plan_.reply);
  if (!plan_.checksummed) return;
  std::size_t piece = 0;
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) add_checksums(i, piece);
}

void Answer::add_payload(const FetchPiece& piece) {
  if (piece.from != FetchPiece::From::kZeroes) {
    fetched_.payload.push_back({data_of(piece)});
    return;
  }
  for (std::uint64_t left = piece.bytes; left > 0;) {
    const std::uint64_t bytes = std::min<std::uint64_t>(left, kZeroes.size());
    fetched_.payload.push_back({ByteView(kZeroes).first(bytes)});
    left -= bytes;
  }
}

/// CRC32C of a stream in chunks that begin anew at each range. A chunk that is a stored one keeps its stored checksum.
class ChunkSums {
 public:
  explicit ChunkSums(Checksums& out) : out_(out) {}
  void add(ByteView data) {
    while (!data.empty()) {
      const std::size_t bytes = std::min<std::size_t>(data.size(), kChecksumChunkBytes - filled_);
      crc_ = crc32c(data.first(bytes), crc_);
      filled_ += bytes;
      data = data.subspan(bytes);
      if (filled_ == kChecksumChunkBytes) end();
    }
  }
  bool at_start() const { return filled_ == 0; }
  void take_whole(std::uint32_t checksum) { out_.push_back(checksum); }
  void end() {
    if (filled_ > 0) out_.push_back(crc_);
    filled_ = 0;
    crc_ = 0;
  }

 private:
  Checksums& out_;
  std::size_t filled_ = 0;
  std::uint32_t crc_ = 0;
};

void Answer::add_checksums(std::uint32_t akey, std::size_t& next) {
  AkeyFetched& fetched = fetched_.reply.akeys[akey];
  fetched.checksums.reserve(chunk_count(fetched.bytes));  // all, unless ranges cut chunks
  ChunkSums sums(fetched.checksums);
  const auto add_piece = [&](const FetchPiece& piece, bool last) {
    if (piece.from == FetchPiece::From::kZeroes) {
      for (std::uint64_t left = piece.bytes; left > 0;) {
        const std::uint64_t bytes = std::min<std::uint64_t>(left, kZeroes.size());
        sums.add(ByteView(kZeroes).first(bytes));
        left -= bytes;
      }
      return;
    }
    ByteView data = data_of(piece);
    const bool aligned = piece.lead == 0 && piece.checksum != UINT32_MAX;
    for (std::uint32_t i = 0; !data.empty(); ++i) {
      const std::uint32_t stored = piece.chunk_bytes(piece.chunk + i);
      const bool whole = aligned && sums.at_start() && data.size() >= stored;
      const bool ends_here = stored == kChecksumChunkBytes || (last && data.size() == stored);
      if (!whole || !ends_here) return sums.add(data);
      sums.take_whole(plan_.checksums[piece.checksum + i]);
      data = data.subspan(stored);
    }
  };
  // Pieces do not cross ranges, so a range ends with a piece.
  const std::size_t ranges = fetched.range_bytes.empty() ? 1 : fetched.range_bytes.size();
  for (std::size_t range = 0; range < ranges; ++range) {
    std::uint64_t left = fetched.range_bytes.empty() ? fetched.bytes : fetched.range_bytes[range];
    while (left > 0) {
      const FetchPiece& piece = plan_.pieces[next++];
      left -= piece.bytes;
      add_piece(piece, left == 0);
    }
    sums.end();
  }
}

/// Gives the units of a semaphore back at the end.
class Units {
 public:
  explicit Units(Semaphore& semaphore) : semaphore_(semaphore) {}
  Units(const Units&) = delete;
  Units& operator=(const Units&) = delete;
  ~Units() {
    if (held_ > 0) semaphore_.release(held_);
  }
  Task<Result<>> acquire(std::uint64_t units, Until until) {
    CO_CHECK_OK(co_await semaphore_.acquire(units, until));
    held_ = units;
    co_return Result<>();
  }

 private:
  Semaphore& semaphore_;
  std::uint64_t held_ = 0;
};

/// Reads what the plan says into buffers of its own.
Task<Result<>> read_all(Core& core, FetchPlan& plan, Fetched& fetched, Until until) {
  if (!plan.inline_bytes.empty()) fetched.inline_data.push_back(std::move(plan.inline_bytes));
  if (plan.buffer_bytes.empty()) co_return Result<>();
  // A fetch that holds one buffer may wait for another only while all such fetches together fit the pool.
  Units units(core.fetch_bytes);
  if (plan.buffer_bytes.size() > 1) {
    std::uint64_t bytes = 0;
    for (std::uint32_t buffer : plan.buffer_bytes) bytes += std::bit_ceil(buffer);
    CO_CHECK_OK(co_await units.acquire(bytes, until));
  }
  for (std::uint32_t bytes : plan.buffer_bytes) {
    auto buffer = core.buffers.try_allocate(bytes);
    if (!buffer) buffer = co_await core.buffers.allocate(bytes, until);
    if (!buffer) co_return fail(buffer.error());
    fetched.buffers.push_back(std::move(*buffer));
  }
  IoGroup group(core.store.data_device());
  for (const FetchRead& read : plan.reads) {
    const media::Buffer& buffer = fetched.buffers[read.buffer];
    group.read(read.first, buffer.span().subspan(read.offset, std::size_t{read.blocks} * media::kBlockBytes),
               buffer.registered_index());
  }
  co_return co_await group.run();
}

/// Puts the packed units of a plan into the buffers, through one that holds some of them as they are stored.
class Unpacking {
 public:
  Unpacking(Core& core, const FetchRequest& request, const FetchPlan& plan, Fetched& fetched)
      : core_(core), request_(request), plan_(plan), fetched_(fetched) {}
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  Task<Result<>> run(Until until);

 private:
  static constexpr std::uint32_t kMostRoom = 480u << 10;
  static constexpr std::uint32_t kUnitsPerTurn = 4;
  static std::uint32_t room_of(const FetchUnit& unit) {
    return unit.blocks.empty() ? 0 : unit.stored.blocks() * media::kBlockBytes;
  }
  std::size_t add_reads(std::size_t next, MutableBytes room, int registered_index, IoGroup& group) const;
  Result<> unpack(const FetchUnit& unit, MutableBytes stored, MutableBytes scratch);
  Result<> open(const FetchUnit& unit, MutableBytes stored);
  std::unexpected<Error> corrupt(const FetchUnit& unit) const;

  Core& core_;
  const FetchRequest& request_;
  const FetchPlan& plan_;
  Fetched& fetched_;
};

Task<Result<>> Unpacking::run(Until until) {
  std::uint32_t wanted = 0;
  for (const FetchUnit& unit : plan_.units) wanted = std::min(kMostRoom, wanted + room_of(unit));
  CO_TRY(const media::Buffer buffer, co_await core_.bounce.allocate(kUnitBytes + wanted, until));
  const MutableBytes scratch = buffer.span().first(kUnitBytes);
  const MutableBytes room = buffer.span().subspan(kUnitBytes, wanted);
  for (std::size_t next = 0; next < plan_.units.size();) {
    IoGroup group(core_.store.data_device());
    const std::size_t end = add_reads(next, room, buffer.registered_index(), group);
    CO_CHECK_OK(co_await group.run());
    for (std::size_t offset = 0; next < end; ++next) {
      const FetchUnit& unit = plan_.units[next];
      CO_CHECK_OK(unpack(unit, room.subspan(offset), scratch));
      offset += room_of(unit);
      if (next % kUnitsPerTurn == kUnitsPerTurn - 1) co_await core_.reactor.yield();
    }
  }
  co_return Result<>();
}

/// As many as there is room for, from `next` on: at least one. Returns the first that has none.
std::size_t Unpacking::add_reads(std::size_t next, MutableBytes room, int registered_index, IoGroup& group) const {
  for (; next < plan_.units.size(); ++next) {
    const FetchUnit& unit = plan_.units[next];
    if (room_of(unit) > room.size()) break;
    for (const store::Extent& extent : unit.blocks) {
      const std::size_t bytes = std::size_t{extent.blocks} * media::kBlockBytes;
      group.read(extent.first, room.first(bytes), registered_index);
      room = room.subspan(bytes);
    }
  }
  return next;
}

Result<> Unpacking::unpack(const FetchUnit& unit, MutableBytes stored, MutableBytes scratch) {
  if (unit.blocks.empty()) stored = MutableBytes(fetched_.inline_data[0]).subspan(unit.inline_offset);
  stored = stored.first(unit.stored.bytes);
  if (crc32c(stored) != unit.stored.checksum) return corrupt(unit);
  if (unit.is_sealed) CHECK_OK(open(unit, stored));
  const MutableBytes into = fetched_.buffers[unit.buffer].span().subspan(unit.offset, unit.bytes);
  if (unit.bytes == unit.plain_bytes) {
    if (!core_.packer.unpack(unit.compression, stored, into)) return corrupt(unit);
    return {};
  }
  const MutableBytes plain = scratch.first(unit.plain_bytes);
  if (!core_.packer.unpack(unit.compression, stored, plain)) return corrupt(unit);
  std::memcpy(into.data(), plain.data() + unit.from, unit.bytes);
  return {};
}

/// In place.
Result<> Unpacking::open(const FetchUnit& unit, MutableBytes stored) {
  std::array<std::byte, kEnvelopeBytes> envelope;
  copy_bytes(unit.nonce, envelope);
  copy_bytes(unit.stored.tag, MutableBytes(envelope).subspan(kSealNonceBytes));
  const std::shared_ptr<Sealer>& sealer = plan_.sealer_of(unit.layer);
  if (sealer && sealer->open({}, stored, envelope, stored)) return {};
  return corrupt(unit);
}

std::unexpected<Error> Unpacking::corrupt(const FetchUnit& unit) const {
  const FetchPiece& piece = plan_.pieces[unit.piece];
  return failf(Code::kCorrupt, "{}, records {} to {}: {} packed bytes of the value are not what was written",
               describe(request_.object, request_.dkey, request_.akeys[piece.akey].akey), piece.records.first,
               piece.records.first + piece.records.count - 1, unit.stored.bytes);
}

}  // namespace

Task<Result<>> fetch(Core& core, const FetchRequest& request, Epoch epoch, Fetched& into, Until until,
                     store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  CO_CHECK_OK(co_await admit_epoch(core, epoch, until, seen));
  ++core.counters.fetches;
  co_return co_await fetch_admitted(core, request, epoch, into, until, seen);
}

Task<Result<>> fetch_admitted(Core& core, const FetchRequest& request, Epoch epoch, Fetched& into, Until until,
                              store::Lsn& seen) {
  FetchPlan plan(request, epoch);
  // Before the lookup: what it finds must still be there when it is read.
  const store::ExtentGuard guard = core.store.guard_extents();
  CO_CHECK_OK(co_await core.store.run(
      [&core, &plan, &seen](store::View& view) {
        auto result = plan.look_up(core, view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until));
  co_return co_await read_planned(core, request, plan, into, until);
}

Task<Result<>> read_planned(Core& core, const FetchRequest& request, FetchPlan& plan, Fetched& into, Until until) {
  if (const auto read = co_await read_all(core, plan, into, until); !read)
    co_return fail(read.error().with_context("object " + request.object.to_string()));
  if (!plan.units.empty()) {
    Unpacking unpacking(core, request, plan, into);
    CO_CHECK_OK(co_await unpacking.run(until));
  }
  Answer answer(request, plan, into);
  CO_CHECK_OK(answer.verify());
  answer.build();
  co_return Result<>();
}

}  // namespace cenote::object
