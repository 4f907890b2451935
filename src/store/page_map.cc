#include "page_map.h"

#include <algorithm>
#include <utility>

#include "cenote/base/codec.h"

namespace cenote::store {

PageMap::PageMap(std::uint64_t page_limit)
    : free_(page_limit),
      used_(page_limit),
      dirty_chunks_((page_limit + kMapEntriesPerChunk - 1) / kMapEntriesPerChunk) {
  free_.add_all();
  free_.remove(0);  // no page has this number
}

void PageMap::grow(std::uint64_t page_limit) {
  const std::uint64_t before = free_.limit();
  free_.grow(page_limit);
  used_.grow(page_limit);
  dirty_chunks_.grow((page_limit + kMapEntriesPerChunk - 1) / kMapEntriesPerChunk);
  free_.add_all(before);
}

void PageMap::set_entry(std::uint64_t number, Entry entry) {
  if (number >= entries_.size()) entries_.resize(std::max(number + 1, entries_.size() * 2));
  entries_[number] = entry;
}

void PageMap::load_chunk(std::uint64_t chunk, ByteView bytes) {
  for (std::uint32_t i = 0; i < kMapEntriesPerChunk; ++i) {
    const std::uint64_t number = chunk * kMapEntriesPerChunk + i;
    const Entry entry{load_le<std::uint32_t>(bytes.data() + i * 8), load_le<std::uint32_t>(bytes.data() + i * 8 + 4)};
    if (entry.slot == 0 || number == 0) continue;
    set_entry(number, entry);
    free_.remove(number);
    used_.add(number);
  }
}

Bytes PageMap::chunk_bytes(std::uint64_t chunk) const {
  Bytes bytes(media::kBlockBytes);
  for (std::uint32_t i = 0; i < kMapEntriesPerChunk; ++i) {
    const Entry entry = find(PageId(chunk * kMapEntriesPerChunk + i));
    store_le(bytes.data() + i * 8, entry.slot);
    store_le(bytes.data() + i * 8 + 4, entry.crc);
  }
  return bytes;
}

PageId PageMap::allocate() {
  const auto number = free_.first();
  ASSERT(number);
  free_.remove(*number);
  used_.add(*number);
  set_entry(*number, {});
  return PageId(*number);
}

void PageMap::release(PageId id) {
  ASSERT(in_use(id));
  used_.remove(id.value());
  if (find(id).slot == 0 && !in_checkpoint_.contains(id)) {
    free_.add(id.value());
  } else {
    released_.push_back(id);
  }
}

std::vector<std::uint32_t> PageMap::freeze(const std::vector<PageId>& written) {
  ASSERT(thawing_.empty() && in_checkpoint_.empty());
  std::vector<std::uint32_t> slots;
  for (PageId id : released_) {
    ASSERT(find(id).slot != 0);
    slots.push_back(find(id).slot);
    set_entry(id.value(), {});
    dirty_chunks_.add(id.value() / kMapEntriesPerChunk);
  }
  thawing_ = std::exchange(released_, {});
  in_checkpoint_.insert(written.begin(), written.end());
  return slots;
}

void PageMap::place(PageId id, Entry entry) {
  ASSERT(in_checkpoint_.contains(id) && entry.slot != 0);
  set_entry(id.value(), entry);
  dirty_chunks_.add(id.value() / kMapEntriesPerChunk);
}

void PageMap::thaw() {
  for (PageId id : thawing_) free_.add(id.value());
  thawing_.clear();
  in_checkpoint_.clear();
}

void PageMap::check_invariants() const {
  ASSERT(free_.count() + used_.count() + released_.size() + thawing_.size() + 1 == free_.limit());
  for (PageId id : released_) ASSERT(!free_.contains(id.value()) && !used_.contains(id.value()));
  for (PageId id : thawing_) ASSERT(find(id).slot == 0 && !free_.contains(id.value()));
  for (std::uint64_t number = 0; number < entries_.size(); ++number) {
    if (entries_[number].slot != 0) ASSERT(!free_.contains(number));
  }
}

}  // namespace cenote::store
