#pragma once

#include <memory>

#include "cenote/client/async.h"
#include "cenote/posix/node.h"

namespace cenote::posix {

enum class SeekTarget : std::uint8_t { kData, kHole };

/// An open regular file. Reads and writes at any offset; every write is durable when it returns. Cheap to copy; the
/// last copy is to be closed. Its data stays until then, also when all its names are removed.
class File {
 public:
  Task<Result<std::uint64_t>> read(std::uint64_t offset, MutableBytes into,
                                   Until until = {});  ///< bytes read; short only at the end
  /// Each chunk (kChunkBytes) is written atomically, the whole is not. kOutOfRange beyond kMaxFileBytes.
  Task<Result<>> write(std::uint64_t offset, ByteView from, Until until = {});
  /// Writes at the end, wherever that is by then: appends of several clients do not overlap, as long as the file has
  /// one chunk, or there is one target. Where it was written; at most kMaxPayloadBytes.
  Task<Result<std::uint64_t>> append(ByteView from, Until until = {});
  Task<Result<>> truncate(std::uint64_t size, Until until = {});
  /// A hole, which reads as zeroes; the size stays.
  Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes, Until until = {});
  /// The size becomes at least `size`. No space is reserved.
  Task<Result<>> extend(std::uint64_t size, Until until = {});
  Task<Result<std::uint64_t>> size(Until until = {});
  /// The first place of data or of a hole from `offset` on; there is a hole at the end. kOutOfRange: none, or `offset`
  /// is beyond the end.
  Task<Result<std::uint64_t>> seek(std::uint64_t offset, SeekTarget target, Until until = {});
  /// Makes known to all when it was written and read last, which other clients see a second late otherwise.
  Task<Result<>> sync(Until until = {});
  /// `sync`, then the handle and its copies are of no use any more. Frees what has no name, when it is the last one.
  Task<Result<>> close(Until until = {});
  /// Takes back the `create` that made the file, instead of `close`: the name goes, and what was written. Left alone is
  /// a file that was there before, one that somebody has truncated, closed or changed since, and whatever else has the
  /// name by now.
  Task<Result<>> abandon(Until until = {});
  Node node() const;

  struct State;
  explicit File(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace cenote::posix
