#include "object/object_load.h"

#include <cstring>
#include <utility>

#include "cenote/base/codec.h"

namespace cenote::bench {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);

KeyBytes number_key(std::uint64_t number) {
  KeyBytes key;
  key.resize(8);
  store_le(key.data(), number);
  return key;
}

bool is_small(What what) { return what == What::kSmallUpdate || what == What::kSmallFetch; }

}  // namespace

/// As a client numbers its requests: its result is kept until a later request says that it arrived; so far behind that
/// none is still under way, even if it waits for pages.
RequestId ObjectLoad::next_id() {
  ++sequence;
  return {.session = 1,
          .sequence = sequence,
          .expiry = store.reactor().wall_now() + std::chrono::seconds(30),
          .acknowledged = sequence > 32 * kObjectDepth ? sequence - 32 * kObjectDepth : 0};
}

std::uint64_t ObjectLoad::next_random() {
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return random;
}

Task<Result<>> ObjectLoad::one(const Workload& workload, std::uint64_t index) {
  return workload.what < What::kFetch ? update(workload, index) : fetch(workload, index);
}

/// Where operation number `index` of a workload goes.
std::pair<std::uint64_t, RecordRange> ObjectLoad::place_of(const Workload& workload, std::uint64_t index) {
  const std::uint64_t per_dkey = kArrayWindowBytes / workload.bytes;
  const std::uint64_t at = workload.what == What::kSequentialUpdate || workload.what == What::kLargeUpdate
                               ? index % (kObjectDkeys * per_dkey)
                               : next_random() % (kObjectDkeys * per_dkey);
  return {at / per_dkey, {at % per_dkey * workload.bytes, workload.bytes}};
}

Task<Result<>> ObjectLoad::update(const Workload& workload, std::uint64_t index) {
  const auto [dkey, range] = place_of(workload, index);
  UpdateRequest request{
      .container = container, .object = kObject, .dkey = number_key(dkey), .akeys = {}, .id = next_id()};
  AkeyUpdate& akey = request.akeys.emplace_back();
  akey.bytes = workload.bytes;
  if (is_small(workload.what)) {
    request.dkey = number_key(1'000'000 + next_random() % 100'000);
    akey.akey.assign(as_bytes("v"));
  } else if (workload.what == What::kValueUpdate || workload.what == What::kEntry) {
    request.dkey = number_key(2'000'000 + index % 100'000);  // nobody else has it at the moment
    akey.akey.assign(as_bytes("v"));
  } else {
    akey.akey.assign(as_bytes("data"));
    akey.kind = ValueKind::kArray;
    akey.ranges.push_back(range);
  }
  CO_TRY(media::Buffer buffer, buffers.try_allocate(workload.bytes));
  std::memcpy(buffer.data(), data.data(), workload.bytes);
  append_checksums(akey, {buffer.data(), workload.bytes}, akey.checksums);
  co_return co_await apply(workload, std::move(request), std::move(buffer));
}

Task<Result<>> ObjectLoad::apply(const Workload& workload, UpdateRequest request, media::Buffer payload) {
  if (workload.what == What::kEntry) return apply_entry(std::move(request), std::move(payload), workload.bytes);
  return apply_update(std::move(request), std::move(payload), workload.bytes);
}

Task<Result<>> ObjectLoad::apply_update(UpdateRequest request, media::Buffer payload, std::uint64_t payload_bytes) {
  CO_CHECK_OK(co_await objects.update(request, std::move(payload), payload_bytes, Until::forever()));
  co_return Result<>();
}

Task<Result<>> ObjectLoad::apply_entry(UpdateRequest request, media::Buffer payload, std::uint64_t payload_bytes) {
  CommitRequest commit;
  commit.container = request.container;
  commit.id = request.id;
  request.id = {};
  commit.updates.push_back(std::move(request));
  CO_TRY(const Epoch epoch, co_await objects.draw_epoch(Until::forever()));
  const object::EntryName name{.leader = 0, .epoch = epoch};
  CO_CHECK_OK(co_await objects.prepare(commit, name, {}, std::move(payload), payload_bytes, Until::forever()));
  CO_CHECK_OK(co_await objects.change_entry(name, EntryEvent::kCommit));
  CO_CHECK_OK(co_await objects.change_entry(name, EntryEvent::kForget));
  co_return Result<>();
}

Task<Result<>> ObjectLoad::fetch(const Workload& workload, std::uint64_t index) {
  const auto [dkey, range] = place_of(workload, index);
  FetchRequest request{.container = container, .object = kObject, .dkey = number_key(dkey), .akeys = {}};
  AkeyFetch& akey = request.akeys.emplace_back();
  akey.max_bytes = workload.bytes;
  if (is_small(workload.what)) {
    request.dkey = number_key(1'000'000 + next_random() % 100'000);
    akey.akey.assign(as_bytes("v"));
  } else {
    akey.akey.assign(as_bytes("data"));
    akey.kind = ValueKind::kArray;
    akey.ranges.push_back(range);
  }
  object::Fetched fetched;
  co_return co_await objects.fetch(request, fetched, Until::forever());
}

}  // namespace cenote::bench
