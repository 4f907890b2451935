#include <algorithm>
#include <utility>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "history.h"

namespace cenote::object {
namespace {

constexpr std::uint32_t kMagic = 0x53524e43;  // "CNRS"
constexpr std::uint8_t kVersion = 1;
constexpr std::uint32_t kResultsPerPage = 4096;
constexpr std::uint32_t kResultsPerRun = 256;
constexpr std::uint32_t kResultsPerBatch = 128;
constexpr std::size_t kChecksumBytes = sizeof(std::uint32_t);
constexpr std::size_t kKeyBytes = 16, kValueBytes = 33;  // as the tree has them

using KeptResult = std::pair<RequestKey, RequestRecord>;

std::unexpected<Error> malformed() { return fail(Code::kMalformed, "results of requests that are none"); }

Bytes encode(const std::vector<std::pair<RecordBytes, RecordBytes>>& results) {
  Bytes out;
  Encoder encoder(out);
  encoder.integer(kMagic);
  encoder.integer(kVersion);
  encoder.zeros(3);
  encoder.integer(static_cast<std::uint32_t>(results.size()));
  for (const auto& [key, value] : results) {
    encoder.raw(key);
    encoder.raw(value);
  }
  encoder.integer(crc32c(out));
  return out;
}

Result<std::vector<KeptResult>> decode(ByteView bytes) {
  Decoder head(bytes);
  const auto magic = head.integer<std::uint32_t>();
  const auto version = head.integer<std::uint8_t>();
  if (head.bad() || magic != kMagic) return malformed();
  if (version != kVersion)
    return failf(Code::kUnsupported, "results of requests have version {}, this build knows {}: use a newer Cenote",
                 version, kVersion);
  if (bytes.size() < kChecksumBytes) return malformed();
  const ByteView body = bytes.first(bytes.size() - kChecksumBytes);
  if (crc32c(body) != load_le<std::uint32_t>(bytes.data() + body.size())) return malformed();
  Decoder in(body);
  static_cast<void>(in.raw(5));
  in.zeros(3);
  const auto count = in.integer<std::uint32_t>();
  std::vector<KeptResult> entries;
  for (std::uint32_t i = 0; i < count && !in.bad(); ++i) {
    const auto key = parse_request_key(in.raw(kKeyBytes));
    const auto record = decode_request(in.raw(kValueBytes));
    if (!key || !record || key->session == 0 || record->epoch.value() > INT64_MAX) return malformed();
    entries.emplace_back(*key, *record);
  }
  if (!in.finish("results of requests")) return malformed();
  return entries;
}

Result<> put_some(Core& core, std::span<const KeptResult> entries, store::View& view, store::Lsn& seen) {
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  std::vector<KeptResult> put;
  Epoch newest;
  for (const auto& [key, record] : entries) {
    if (record.keep_until + core.options.max_clock_offset < core.wall_now()) continue;
    if (const auto known = core.sessions.find_taken(key)) {
      seen = std::max(seen, *known);
      continue;
    }
    RequestRecord merged = core.sessions.merged(key, record);
    for (const auto& [other, before] : put) {
      if (other.session != key.session) continue;
      merged.keep_until = std::max(merged.keep_until, before.keep_until);
      merged.acknowledged = std::max(merged.acknowledged, before.acknowledged);
    }
    core.batch.put(core.request_tree, request_key(key.session, key.sequence), encode_request(merged));
    put.emplace_back(key, merged);
    newest = std::max(newest, merged.epoch);
  }
  if (put.empty()) return {};
  core.clock.observe(newest);
  const std::optional<Epoch> ceiling = core.clock.raise_for(newest);
  if (ceiling) core.batch.put(core.system_tree, ceiling_key(), encode_number(ceiling->value()));
  TRY(const store::Lsn lsn, view.apply(core.batch));
  seen = std::max(seen, lsn);
  if (ceiling) {
    core.clock.raised(*ceiling);
    core.ceiling_lsn = lsn;
  }
  for (const auto& [key, record] : put) core.sessions.take(key, record, lsn);
  return {};
}

}  // namespace

Task<Result<ResultsPage>> read_results(Core& core, const Bytes& from, Until until, store::Lsn& seen) {
  if (!from.empty() && from.size() != kKeyBytes + 1) co_return malformed();
  std::vector<std::pair<RecordBytes, RecordBytes>> results;
  Bytes position = from;
  for (bool end = false; !end && results.size() < kResultsPerPage;) {
    std::uint32_t left = kResultsPerRun;
    const auto read = [&](store::View& view) -> Result<bool> {
      store::Cursor cursor(view, core.request_tree);
      TRY(bool more, cursor.seek(position));
      while (more && left > 0) {
        CHECK_OK(parse_request_key(cursor.key()));
        CHECK_OK(decode_request(cursor.value()));
        results.emplace_back(RecordBytes(cursor.key()), RecordBytes(cursor.value()));
        --left;
        position = to_bytes(cursor.key());
        position.push_back(std::byte{0});
        TRY(more, cursor.next());
      }
      seen = std::max(seen, view.seen());
      return !more;
    };
    CO_TRY(end, co_await core.store.run(read, until));
    if (end) position.clear();
    co_await core.reactor.yield();
  }
  co_return ResultsPage{encode(results), position};
}

Task<Result<>> put_results(Core& core, const Bytes& results, Until until, store::Lsn& seen) {
  CO_TRY(const std::vector<KeptResult> entries, decode(results));
  for (std::span<const KeptResult> left(entries); !left.empty();) {
    const auto some = left.first(std::min<std::size_t>(left.size(), kResultsPerBatch));
    left = left.subspan(some.size());
    CO_CHECK_OK(co_await core.store.run(
        [&core, some, &seen](store::View& view) { return put_some(core, some, view, seen); }, until));
    co_await core.reactor.yield();
  }
  co_return Result<>();
}

}  // namespace cenote::object
