#pragma once

#include <cstdint>
#include <string_view>

#include "cenote/object/object_store.h"
#include "cenote/runtime/reactor.h"

namespace cenote::bench {

inline constexpr std::uint32_t kObjectDepth = 32;
inline constexpr std::uint64_t kObjectDkeys = 256;  ///< one window of 1 MiB each

enum class What : std::uint8_t {
  kSequentialUpdate,
  kUpdate,
  kSmallUpdate,
  kLargeUpdate,
  kValueUpdate,
  kEntry,  ///< as kValueUpdate, but prepared, committed and forgotten, as in a redundancy group
  kFetch,
  kSmallFetch,
  kLargeFetch
};

struct Workload {
  std::string_view name;
  What what = What::kUpdate;
  std::uint32_t bytes = 4096;
  std::uint64_t operations = 0;
};

/// A store of objects under load, without client or network: requests as an engine would hand them over, with
/// checksums and request ids.
struct ObjectLoad {
  store::Store& store;
  object::ObjectStore& objects;
  media::BufferPool& buffers;
  Uuid container;
  Bytes data = Bytes(1u << 20);  ///< what is written
  std::uint64_t random = 88172645463325252ull;
  std::uint64_t sequence = 0;

  /// Operation number `index` of the workload.
  Task<Result<>> one(const Workload& workload, std::uint64_t index);

 private:
  RequestId next_id();
  std::uint64_t next_random();
  std::pair<std::uint64_t, RecordRange> place_of(const Workload& workload, std::uint64_t index);
  Task<Result<>> update(const Workload& workload, std::uint64_t index);
  Task<Result<>> fetch(const Workload& workload, std::uint64_t index);
  Task<Result<>> apply(const Workload& workload, UpdateRequest request, media::Buffer payload);
  Task<Result<>> apply_update(UpdateRequest request, media::Buffer payload, std::uint64_t payload_bytes);
  Task<Result<>> apply_entry(UpdateRequest request, media::Buffer payload, std::uint64_t payload_bytes);
};

}  // namespace cenote::bench
