// What an engine reads back at its start: the identity file, the records of the control state, and copies of it. The
// first byte of an input says which.

#include <array>
#include <cstdint>

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/engine/control_recovery.h"
#include "cenote/engine/identity.h"
#include "control_records.h"
#include "fuzz_input.h"

namespace {

using namespace cenote;
using namespace cenote::engine;

const Uuid kId = Uuid::from_random(1, 2);

void check_identity(std::string_view text) {
  const auto identity = decode_identity(text);
  if (!identity) {
    ASSERT(identity.error() == Code::kCorrupt || identity.error() == Code::kNewerFormat);
    return;
  }
  ASSERT(decode_identity(encode_identity(*identity)) == *identity);
}

void check_pool(std::string_view text) {
  const auto record = decode_pool(kId, text);
  if (record) ASSERT(decode_pool(kId, encode(*record)) == *record);
}

void check_container(std::string_view text) {
  const auto record = decode_container(kId, text);
  if (record) ASSERT(decode_container(kId, encode(*record)) == *record);
}

void check_snapshot(std::string_view text) {
  const std::string key = snapshot_key(kId, "s");
  const auto record = decode_snapshot(key, text);
  if (record) ASSERT(decode_snapshot(key, encode(*record)) == *record);
}

void check_snapshot_key(std::string_view text) {
  static const std::string value = encode(SnapshotRecord{.container = kId, .name = "s", .id = kId, .epoch = Epoch(1)});
  const auto record = decode_snapshot(text, value);
  if (record) ASSERT(decode_snapshot(snapshot_key(record->container, record->name), value) == *record);
}

void check_rollback(std::string_view text) {
  const auto record = decode_rollback(kId, text);
  if (record) ASSERT(decode_rollback(kId, encode(*record)) == *record);
}

void check_number(std::string_view text) {
  const auto number = decode_number("promised", text);
  if (number) ASSERT(decode_number("promised", std::to_string(*number)) == *number);
}

void check_key(std::string_view text) {
  const auto id = id_of_key(text);
  if (!id) return;
  ASSERT(id_of_key(pool_key(*id)) == *id && id_of_key(container_key(*id)) == *id);
  ASSERT(id_of_key(member_key(kId, *id)) == *id);
}

void check_recovered(std::string_view text) {
  const auto record = decode_recovery(text);
  if (record) ASSERT(decode_recovery(encode(*record)) == *record);
}

/// With the right checksums; a plan of it is made, too, as whoever recovers a system does.
void check_control_copy(std::string_view text) {
  Bytes bytes = to_bytes(as_bytes(text));
  static const std::size_t head = control_copy_bytes_at_least();
  if (bytes.size() >= head) {
    store_le(bytes.data() + 64, std::uint64_t{bytes.size() - head});
    store_le(bytes.data() + 76, crc32c(ByteView(bytes).subspan(head)));
    store_le(bytes.data() + 80, crc32c(ByteView(bytes).first(80)));
  }
  const auto file = decode_control_copy(bytes);
  if (!file) return;
  ControlCopyEncoder encoder(file->head);
  for (const cluster::KeyValue& entry : file->entries) encoder.add(entry);
  ASSERT(decode_control_copy(std::move(encoder).finish())->entries.size() == file->entries.size());
  const std::array copies{GivenCopy{"copy", *file}};
  static_cast<void>(plan_recovery(copies));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_identity,  check_pool,        check_container,    check_number,
                                  check_key,       check_snapshot,    check_snapshot_key, check_rollback,
                                  check_recovered, check_control_copy};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
