#include "file.h"

namespace cenote::posix {

File::File(std::shared_ptr<State> state) : state_(std::move(state)) {}

const ObjectId& File::object() const { return state_->array.object(); }

Task<Result<std::uint64_t>> File::read(std::uint64_t offset, MutableBytes into, Until until) {
  const auto state = state_;
  co_return co_await state->array.read(offset, into, until);
}

Task<Result<>> File::write(std::uint64_t offset, ByteView from, Until until) {
  const auto state = state_;
  state->written = true;
  co_return co_await state->array.write(offset, from, until);
}

Task<Result<>> File::truncate(std::uint64_t size, Until until) {
  const auto state = state_;
  state->written = true;
  co_return co_await state->array.set_size(size, until);
}

Task<Result<std::uint64_t>> File::size(Until until) {
  const auto state = state_;
  co_return co_await state->array.size(until);
}

Task<Result<>> File::close(Until until) {
  const auto state = state_;
  if (!state->written) co_return Result<>();
  Entries entries(state->array.container());
  CO_TRY(std::optional<Inode> inode, co_await entries.find(state->place, until));
  // Renamed, removed or replaced meanwhile: the times of whatever has the name now are not this file's.
  if (!inode || inode->object != state->array.object()) co_return Result<>();
  inode->mtime = inode->ctime = state->array.container().client().reactor().wall_now();
  auto recorded = co_await entries.replace(state->place, *std::move(inode), until);
  if (!recorded && recorded.error() != Code::kNotFound) co_return recorded;
  state->written = false;
  co_return Result<>();
}

Task<Result<>> File::abandon(Until until) {
  const auto state = state_;
  if (!state->created) co_return Result<>();
  Entries entries(state->array.container());
  CO_TRY(std::optional<Inode> inode, co_await entries.find(state->place, until));
  // Who takes a file over changes its ctime, before anything else.
  const bool ours = inode && inode->object == state->array.object() && inode->ctime == *state->created;
  if (!ours) co_return Result<>();
  auto removed = co_await entries.remove(state->place, *std::move(inode), until);
  if (!removed && removed.error() != Code::kNotFound) co_return removed;
  co_return Result<>();
}

}  // namespace cenote::posix
