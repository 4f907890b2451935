#pragma once

#include <optional>
#include <vector>

#include "cenote/client/async.h"

namespace cenote::async {

/// An object used as one long array of bytes: cut into chunks, one uint64 dkey each, spread over the targets. Cheap to
/// copy. What two calls in flight write to the same bytes ends up in either order.
class Array {
 public:
  static constexpr std::uint32_t kDefaultChunkBytes = 1u << 20;

  /// `object` has uint64 dkeys; every user of one array must use the same chunk size (at most kMaxPayloadBytes).
  Array(Container container, ObjectId object, std::uint32_t chunk_bytes = kDefaultChunkBytes)
      : container_(std::move(container)), object_(object), chunk_bytes_(chunk_bytes) {}

  /// Bytes read: less than `into` only at the end of the array. Holes read as zeroes.
  Task<Result<std::uint64_t>> read(std::uint64_t offset, MutableBytes into, Until until = {});
  /// Durable when it returns. Each chunk is written atomically, the whole is not.
  Task<Result<>> write(std::uint64_t offset, ByteView from, Until until = {});
  /// One more than the highest byte ever written and not cut off.
  Task<Result<std::uint64_t>> size(Until until = {});
  /// With a lease of it, where one target has all of the array.
  Task<Result<Leased<std::uint64_t>>> size_leased(Until until = {});
  /// Cuts off everything from `size` on, or extends with a hole (one zero byte is written at the end). After a failure
  /// the size lies between the old and the new one, and what lies before both is as it was; only a cut to 0 may have
  /// removed any part.
  Task<Result<>> set_size(std::uint64_t size, Until until = {});
  /// Punches [offset, offset + bytes); the size stays unless that was the end.
  Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes, Until until = {});
  /// The first byte from `offset` on that was written and not punched; nullopt: none.
  Task<Result<std::optional<std::uint64_t>>> find_data(std::uint64_t offset, Until until = {});
  /// The first one that was not; behind the end, all are.
  Task<Result<std::uint64_t>> find_hole(std::uint64_t offset, Until until = {});

  const ObjectId& object() const { return object_; }
  const Container& container() const { return container_; }

 private:
  struct Part;
  std::vector<Part> split(std::uint64_t offset, std::uint64_t bytes) const;
  UpdateRequest update_of(const Part& part) const;
  FetchRequest fetch_of(const Part& part) const;
  Task<Result<std::vector<RecordRange>>> extents(std::uint64_t chunk, std::uint64_t from, Until until);
  Task<Result<bool>> holds(std::uint64_t offset, Until until);
  Task<Result<>> punch_chunks_after(std::uint64_t last_kept, Until until);
  Task<Result<>> punch_part(Part part, Until until);
  Task<Result<>> cut(std::uint64_t size, Until until);
  QueryRequest size_query() const;
  Result<std::uint64_t> size_of(const QueryReply& reply) const;

  Container container_;
  ObjectId object_;
  std::uint32_t chunk_bytes_;
};

}  // namespace cenote::async
