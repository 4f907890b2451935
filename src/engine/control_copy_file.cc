#include "cenote/engine/control_copy_file.h"

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

constexpr std::string_view kMagic = "CENOTECC";
constexpr std::uint16_t kFormat = 1;
constexpr std::uint16_t kOldestReader = 1;
// Magic, formats, padding, system, engine, revision, time, bytes, count and checksum of the entries, own checksum.
constexpr std::size_t kHeadBytes = 8 + 2 + 2 + 4 + 16 + 16 + 8 + 8 + 8 + 4 + 4 + 4;
constexpr std::size_t kHeadChecked = kHeadBytes - 4;
constexpr std::size_t kEntriesBytesAt = 64;
constexpr std::size_t kEntryHeadBytes = 4 + 4 + 8;
static_assert(kHeadBytes == 84);

Uuid take_uuid(Decoder& in) {
  const ByteView bytes = in.raw(16);
  return in.bad() ? Uuid() : Uuid::from_bytes(bytes.first<16>());
}

struct EntriesHead {
  std::uint64_t bytes = 0;
  std::uint32_t count = 0;
  std::uint32_t checksum = 0;
};

Result<std::pair<ControlCopyHead, EntriesHead>> decode_head(ByteView bytes) {
  Decoder in(bytes.first(std::min(bytes.size(), kHeadBytes)));
  if (as_text(in.raw(kMagic.size())) != kMagic) return fail(Code::kCorrupt, "it is no control copy");
  in.integer<std::uint16_t>();
  const auto oldest = in.integer<std::uint16_t>();
  if (!in.bad() && oldest > kFormat)
    return failf(Code::kNewerFormat, "the control copy needs a Cenote that reads format {}", oldest);
  in.integer<std::uint32_t>();
  std::pair<ControlCopyHead, EntriesHead> heads;
  auto& [head, entries] = heads;
  head.system = take_uuid(in);
  head.engine = take_uuid(in);
  head.revision = cluster::Revision(in.integer<std::uint64_t>());
  head.written = WallTime(Duration(static_cast<std::int64_t>(in.integer<std::uint64_t>())));
  entries.bytes = in.integer<std::uint64_t>();
  entries.count = in.integer<std::uint32_t>();
  entries.checksum = in.integer<std::uint32_t>();
  const auto checksum = in.integer<std::uint32_t>();
  if (in.bad()) return fail(Code::kCorrupt, "the control copy is cut");
  if (checksum != crc32c(bytes.first(kHeadChecked)))
    return fail(Code::kCorrupt, "the head of the control copy is damaged");
  return heads;
}

Result<std::vector<cluster::KeyValue>> decode_entries(ByteView bytes, std::uint32_t count) {
  Decoder in(bytes);
  std::vector<cluster::KeyValue> entries;
  for (std::uint32_t i = 0; i < count && !in.bad(); ++i) {
    cluster::KeyValue& entry = entries.emplace_back();
    entry.modified = cluster::Revision(in.integer<std::uint64_t>());
    entry.key = in.text(cluster::kMaxStateKeyBytes);
    entry.value = in.text(cluster::kMaxStateValueBytes);
    in.require(!entry.key.empty() && (i == 0 || entries[i - 1].key < entry.key));
  }
  if (!in.finish("control copy")) return fail(Code::kCorrupt, "the entries of the control copy contradict its rules");
  return entries;
}

}  // namespace

ControlCopyEncoder::ControlCopyEncoder(const ControlCopyHead& head) {
  Encoder to(bytes_);
  to.raw(as_bytes(kMagic));
  to.integer(kFormat);
  to.integer(kOldestReader);
  to.zeros(4);
  to.raw(head.system.bytes());
  to.raw(head.engine.bytes());
  to.integer(head.revision.value());
  to.integer(static_cast<std::uint64_t>(head.written.time_since_epoch().count()));
  ASSERT(to.size() == kEntriesBytesAt);
  to.zeros(kHeadBytes - kEntriesBytesAt);
}

void ControlCopyEncoder::add(const cluster::KeyValue& entry) {
  Encoder to(bytes_);
  to.integer(entry.modified.value());
  to.text(entry.key);
  to.text(entry.value);
  ++count_;
}

Bytes ControlCopyEncoder::finish() && {
  std::byte* const at = bytes_.data() + kEntriesBytesAt;
  const ByteView entries = ByteView(bytes_).subspan(kHeadBytes);
  store_le(at, std::uint64_t{entries.size()});
  store_le(at + 8, count_);
  store_le(at + 12, crc32c(entries));
  store_le(at + 16, crc32c(ByteView(bytes_).first(kHeadChecked)));
  return std::move(bytes_);
}

std::size_t control_copy_bytes(const cluster::KeyValue& entry) {
  return kEntryHeadBytes + entry.key.size() + entry.value.size();
}
std::size_t control_copy_bytes_at_least() { return kHeadBytes; }

Result<ControlCopyFile> decode_control_copy(ByteView bytes) {
  TRY(const auto heads, decode_head(bytes));
  const auto& [head, entries] = heads;
  const ByteView rest = bytes.subspan(kHeadBytes);
  if (rest.size() != entries.bytes)
    return failf(Code::kCorrupt, "the control copy has {} bytes of entries, not the {} that its head names",
                 rest.size(), entries.bytes);
  if (crc32c(rest) != entries.checksum) return fail(Code::kCorrupt, "the entries of the control copy are damaged");
  ControlCopyFile file{.head = head, .entries = {}};
  TRY(file.entries, decode_entries(rest, entries.count));
  return file;
}

}  // namespace cenote::engine
