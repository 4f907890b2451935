#include "file_data.h"

#include <algorithm>

namespace cenote::posix {

Task<Result<std::uint64_t>> FileData::size(bool wide, Until until) {
  FileData self = *this;
  if (wide) {
    CO_TRY(const std::uint64_t size, co_await self.tail_.size(until));
    if (size > 0) co_return size;
  }
  co_return co_await self.head_.size(until);
}

Task<Result<FileData::LeasedSize>> FileData::size_leased(bool wide, Until until) {
  FileData self = *this;
  LeasedSize size;
  bool leased = true;
  const auto add = [&](async::Leased<std::uint64_t>&& part) {
    size.bytes = part.reply;
    leased = leased && part.lease.has_value();
    if (part.lease) size.leases.push_back(*std::move(part.lease));
  };
  if (wide) {
    CO_TRY(auto tail, co_await self.tail_.size_leased(until));
    add(std::move(tail));
  }
  if (size.bytes == 0) {
    CO_TRY(auto head, co_await self.head_.size_leased(until));
    add(std::move(head));
  }
  if (!leased) size.leases.clear();
  co_return size;
}

Task<Result<std::uint64_t>> FileData::read(std::uint64_t offset, MutableBytes into, bool wide, Until until) {
  FileData self = *this;
  const std::uint64_t in_head = offset >= kChunkBytes ? 0 : std::min<std::uint64_t>(into.size(), kChunkBytes - offset);
  std::uint64_t from_head = 0;
  if (in_head > 0) {
    CO_TRY(from_head, co_await self.head_.read(offset, into.first(in_head), until));
    if (!wide || (from_head == in_head && in_head == into.size())) co_return from_head;
  }
  if (!wide) co_return 0;
  std::uint64_t from_tail = 0;
  if (in_head < into.size()) {
    CO_TRY(from_tail, co_await self.tail_.read(offset + in_head, into.subspan(in_head), until));
  }
  if (from_head == in_head) co_return in_head + from_tail;
  // The first chunk ends early: that is a hole if anything follows, and the end of the file otherwise.
  bool goes_on = from_tail > 0;
  if (!goes_on) {
    CO_TRY(const std::uint64_t end, co_await self.tail_.size(until));
    goes_on = end > 0;
  }
  if (!goes_on) co_return from_head;
  std::ranges::fill(into.subspan(from_head, in_head - from_head), std::byte{});
  co_return in_head + from_tail;
}

Task<Result<>> FileData::write(std::uint64_t offset, ByteView from, Until until) {
  FileData self = *this;
  const std::uint64_t in_head = offset >= kChunkBytes ? 0 : std::min<std::uint64_t>(from.size(), kChunkBytes - offset);
  if (in_head > 0) CO_CHECK_OK(co_await self.head_.write(offset, from.first(in_head), until));
  if (in_head < from.size()) {
    CO_CHECK_OK(co_await self.tail_.write(offset + in_head, from.subspan(in_head), until));
  }
  co_return Result<>();
}

Task<Result<>> FileData::set_size(std::uint64_t size, bool wide, Until until) {
  FileData self = *this;
  if (size > kChunkBytes) co_return co_await self.tail_.set_size(size, until);
  if (wide) {
    // When the rest is gone the first chunk has the size: in a cut that ends half-way, no less than the new one.
    CO_TRY(const std::uint64_t head_bytes, co_await self.head_.size(until));
    if (head_bytes < size) CO_CHECK_OK(co_await self.head_.set_size(size, until));
    CO_CHECK_OK(co_await self.tail_.set_size(0, until));
  }
  co_return co_await self.head_.set_size(size, until);
}

Task<Result<>> FileData::punch(std::uint64_t offset, std::uint64_t bytes, bool wide, Until until) {
  FileData self = *this;
  CO_TRY(const std::uint64_t end, co_await self.size(wide, until));
  if (offset >= end || bytes == 0) co_return Result<>();
  bytes = std::min(bytes, end - offset);
  if (offset + bytes == end) {
    // The last byte carries the size, so a hole at the end has to end in one.
    const Bytes zero(1);
    CO_CHECK_OK(co_await self.write(end - 1, zero, until));
    if (--bytes == 0) co_return Result<>();
  }
  const std::uint64_t in_head = offset >= kChunkBytes ? 0 : std::min(bytes, kChunkBytes - offset);
  if (in_head > 0) CO_CHECK_OK(co_await self.head_.punch(offset, in_head, until));
  if (in_head < bytes) CO_CHECK_OK(co_await self.tail_.punch(offset + in_head, bytes - in_head, until));
  co_return Result<>();
}

Task<Result<std::optional<std::uint64_t>>> FileData::find_data(std::uint64_t offset, bool wide, Until until) {
  FileData self = *this;
  if (offset < kChunkBytes) {
    CO_TRY(const auto found, co_await self.head_.find_data(offset, until));
    if (found || !wide) co_return found;
  }
  if (!wide) co_return std::optional<std::uint64_t>();
  co_return co_await self.tail_.find_data(std::max<std::uint64_t>(offset, kChunkBytes), until);
}

Task<Result<std::uint64_t>> FileData::find_hole(std::uint64_t offset, bool wide, Until until) {
  FileData self = *this;
  std::uint64_t at = offset;
  if (at < kChunkBytes) {
    CO_TRY(at, co_await self.head_.find_hole(at, until));
    if (at < kChunkBytes || !wide) co_return at;
  }
  co_return co_await self.tail_.find_hole(at, until);
}

}  // namespace cenote::posix
