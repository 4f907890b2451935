#include "device_labels.h"

#include "aligned_buffer.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

std::string roles_text(bool wal, bool data) { return wal && data ? "wal and data" : wal ? "wal" : "data"; }

bool is_absent(const Result<Label>& place) { return !place && place.error() == Code::kNotFound; }
bool is_damaged(const Result<Label>& place) { return !place && place.error() == Code::kCorrupt; }

}  // namespace

std::array<media::BlockDevice*, kMaxDevices> numbered(const Devices& devices) {
  std::array<media::BlockDevice*, kMaxDevices> by_number{devices.meta, nullptr, nullptr};
  if (devices.wal != devices.meta) by_number[1] = devices.wal;
  if (devices.data != devices.meta && devices.data != devices.wal) by_number[2] = devices.data;
  return by_number;
}

std::size_t DeviceLabels::Found::newest() const {
  return places[1] && (!places[0] || places[1]->sequence > places[0]->sequence) ? 1 : 0;
}

Task<Result<DeviceLabels::Found>> DeviceLabels::read(media::BlockDevice* device) {
  Found found;
  AlignedBuffer block(media::kBlockBytes);
  for (std::size_t place = 0; place < found.places.size(); ++place) {
    if (kLabelPlaces[place] >= device->block_count()) continue;
    CO_CHECK_OK(co_await device->read(media::BlockNo(kLabelPlaces[place]), block.span()));
    found.places[place] = decode_label(block.span());
    // A newer writer's label is not read past, an older one beside it may long be out of date.
    if (!found.places[place] && found.places[place].error() == Code::kNewerFormat) {
      co_return fail(found.places[place].error().with_context(device->name()));
    }
  }
  co_return found;
}

Task<Result<Label>> DeviceLabels::read_newest(media::BlockDevice* device) {
  CO_TRY(const Found found, co_await read(device));
  const Result<Label>& label = found.places[found.newest()];
  if (label) co_return *label;
  co_return fail(is_damaged(found.places[0]) ? found.places[0].error() : found.places[1].error());
}

std::string DeviceLabels::role_of(std::uint32_t number) const {
  return roles_text(by_number_[number] == devices_.wal, by_number_[number] == devices_.data);
}

Task<Result<>> DeviceLabels::check(const Superblock& superblock) {
  for (std::uint32_t number = 1; number < kMaxDevices; ++number) {
    if (by_number_[number] == nullptr) continue;
    CO_TRY(const Found found, co_await read(by_number_[number]));
    CO_CHECK_OK(check_label(found, number, superblock));
    newest_[number] = found.newest();
  }
  co_return Result<>{};
}

Result<> DeviceLabels::check_label(const Found& found, std::uint32_t number, const Superblock& superblock) const {
  const std::string& name = by_number_[number]->name();
  if (is_absent(found.places[0]) && is_absent(found.places[1])) {
    return failf(Code::kForeign, "'{}' is not the {} device of target {}: it has no label of a store", name,
                 role_of(number), superblock.target.to_string());
  }
  const std::size_t newest = found.newest();
  if (!found.places[newest]) {
    return failf(Code::kCorrupt, "'{}', the {} device: its label is damaged in both places", name, role_of(number));
  }
  const Label& label = *found.places[newest];
  if (label.system != superblock.system || label.target != superblock.target ||
      label.incarnation != superblock.incarnation) {
    return failf(Code::kForeign, "'{}' is a {} device of another store (target {} of system {}), not of target {}",
                 name, roles_text(label.wal, label.data), label.target.to_string(), label.system.to_string(),
                 superblock.target.to_string());
  }
  const bool wal = by_number_[number] == devices_.wal, data = by_number_[number] == devices_.data;
  if (label.device != number || label.wal != wal || label.data != data) {
    return failf(Code::kForeign, "'{}' is the {} device of this store, and is given as its {} device: swapped?", name,
                 roles_text(label.wal, label.data), role_of(number));
  }
  // Written by a version whose labels did not tell how new they are.
  if (label.sequence == 0) return {};
  // The label that was newest may be the damaged one: then this one is one older.
  const std::uint64_t oldest = superblock.sequence - (is_damaged(found.places[1 - newest]) ? 1 : 0);
  if (label.sequence < oldest) {
    return failf(Code::kCorrupt,
                 "'{}' is an older copy of the {} device: it was last in use with superblock {}, the store is at {}; "
                 "nothing was changed: bring the newest one back",
                 name, role_of(number), label.sequence, superblock.sequence);
  }
  // One ahead is a crash between the labels and the superblock.
  if (label.sequence > superblock.sequence + 1) {
    return failf(Code::kCorrupt,
                 "'{}' is an older copy of the meta device, or lost its newest superblock: it is at superblock {}, the "
                 "{} device '{}' was last in use with {}; nothing was changed",
                 devices_.meta->name(), superblock.sequence, role_of(number), name, label.sequence);
  }
  return {};
}

Task<Result<>> DeviceLabels::refuse_others(Uuid system, Uuid target) {
  AlignedBuffer block(kSuperblockBytes);
  for (std::uint32_t number = 0; number < kMaxDevices; ++number) {
    media::BlockDevice* device = by_number_[number];
    if (device == nullptr) continue;
    CO_TRY(const Found found, co_await read(device));
    for (const Result<Label>& place : found.places) {
      // What an interrupted format of this very store left.
      if (is_absent(place) || (place && number > 0 && place->system == system && place->target == target)) continue;
      co_return failf(Code::kExists, "'{}' is part of a store already", device->name());
    }
    for (std::uint64_t first : kSuperblockPlaces) {
      if (number == 0 || first + kSuperblockBlocks > device->block_count()) continue;
      CO_CHECK_OK(co_await device->read(media::BlockNo(first), block.span()));
      const auto superblock = decode_superblock(block.span());
      if (!superblock && superblock.error() == Code::kNotFound) continue;
      co_return failf(Code::kExists, "'{}' holds a store already", device->name());
    }
  }
  co_return Result<>{};
}

Task<Result<>> DeviceLabels::put(media::BlockDevice* device, std::size_t place, ByteView block) {
  const bool durable = device->prefers_durable_writes();
  const auto how = durable ? media::Durability::kDurable : media::Durability::kCached;
  CO_CHECK_OK(co_await device->write(media::BlockNo(kLabelPlaces[place]), block, how));
  if (!durable) CO_CHECK_OK(co_await device->flush());
  co_return Result<>{};
}

Task<Result<>> DeviceLabels::write(const Superblock& superblock) {
  AlignedBuffer block(media::kBlockBytes);
  for (std::uint32_t number = 1; number < kMaxDevices; ++number) {
    media::BlockDevice* device = by_number_[number];
    if (device == nullptr) continue;
    Label label;
    label.system = superblock.system;
    label.target = superblock.target;
    label.incarnation = superblock.incarnation;
    label.device = number;
    label.wal = device == devices_.wal;
    label.data = device == devices_.data;
    label.blocks = superblock.geometry.device_blocks[number];
    label.sequence = superblock.sequence;
    encode_label(label, block.span());
    const std::size_t place = 1 - newest_[number];
    CO_CHECK_OK(co_await put(device, place, block.span()));
    newest_[number] = place;
  }
  co_return Result<>{};
}

Task<Result<>> DeviceLabels::wipe() {
  AlignedBuffer zeroes(media::kBlockBytes);
  for (std::uint32_t number = 1; number < kMaxDevices; ++number) {
    if (by_number_[number] == nullptr) continue;
    for (std::size_t place = 0; place < kLabelPlaces.size(); ++place) {
      CO_CHECK_OK(co_await put(by_number_[number], place, zeroes.span()));
    }
    newest_[number] = 1;
  }
  co_return Result<>{};
}

}  // namespace cenote::store
