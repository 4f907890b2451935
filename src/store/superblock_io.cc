#include "superblock_io.h"

#include "aligned_buffer.h"
#include "cenote/base/format.h"

namespace cenote::store {

Task<Result<Superblock>> SuperblockIo::read(std::size_t place) {
  const std::uint64_t first = kSuperblockPlaces[place];
  if (first + kSuperblockBlocks > meta_->block_count()) co_return fail(Code::kNotFound, "device too small");
  AlignedBuffer buffer(kSuperblockBytes);
  CO_CHECK_OK(co_await meta_->read(media::BlockNo(first), buffer.span()));
  co_return decode_superblock(buffer.span());
}

Task<Result<Superblock>> SuperblockIo::read_newest() {
  auto a = co_await read(0);
  auto b = co_await read(1);
  if (a && b && a->incarnation != b->incarnation) {
    co_return failf(Code::kCorrupt, "the superblocks of '{}' belong to two different stores", meta_->name());
  }
  if (a || b) {
    newest_ = a && (!b || a->sequence > b->sequence) ? 0 : 1;
    // A newer writer's superblock is not read past, an older one beside it may long be out of date.
    const auto& other = newest_ == 0 ? b : a;
    if (!other && other.error() == Code::kNewerFormat) co_return fail(other.error());
    co_return newest_ == 0 ? std::move(a) : std::move(b);
  }
  if (a.error() == Code::kNotFound && b.error() == Code::kNotFound) {
    co_return failf(Code::kNotFound, "there is no store on '{}'", meta_->name());
  }
  const Error& worst = a.error() == Code::kNotFound ? b.error() : a.error();
  co_return fail(worst.with_context(fmt::format("both superblocks of '{}' are unusable", meta_->name())));
}

Task<Result<>> SuperblockIo::write_durably(std::size_t place, ByteView bytes) {
  const media::BlockNo first(kSuperblockPlaces[place]);
  const bool durable = meta_->prefers_durable_writes();
  CO_CHECK_OK(co_await meta_->write(first, bytes, durable ? media::Durability::kDurable : media::Durability::kCached));
  if (!durable) CO_CHECK_OK(co_await meta_->flush());
  co_return Result<>{};
}

Task<Result<>> SuperblockIo::write(const Superblock& superblock) {
  CO_CHECK_OK(co_await labels_.write(superblock));
  const std::size_t place = 1 - newest_;
  AlignedBuffer buffer(kSuperblockBytes);
  encode_superblock(superblock, buffer.span());
  CO_CHECK_OK(co_await write_durably(place, buffer.span()));
  AlignedBuffer found(kSuperblockBytes);
  CO_CHECK_OK(co_await meta_->read(media::BlockNo(kSuperblockPlaces[place]), found.span()));
  if (!equal(found.span(), buffer.span())) {
    co_return failf(Code::kIoError, "'{}' acknowledged superblock {} and does not hold it", meta_->name(),
                    superblock.sequence);
  }
  newest_ = place;
  co_return Result<>{};
}

Task<Result<>> SuperblockIo::wipe() {
  AlignedBuffer zeroes(kSuperblockBytes);
  CO_CHECK_OK(co_await write_durably(0, zeroes.span()));
  CO_CHECK_OK(co_await write_durably(1, zeroes.span()));
  CO_CHECK_OK(co_await labels_.wipe());
  newest_ = 1;
  co_return Result<>{};
}

}  // namespace cenote::store
