#include "history_removal.h"

namespace cenote::object {

void HistoryRemoval::begin() {
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  entries_ = extents_ = 0;
  bytes_ = 0;
  punches_ = false;
  emptied_.clear();
  akeys_.clear();
}

void HistoryRemoval::note(const ParsedKey& at, ByteView key) {
  ++entries_;
  if (at.level != Level::kAkey) return;
  const ByteView akey = key.first(at.akey_end);
  if (akeys_.empty() || !equal(akeys_.back(), akey)) akeys_.emplace_back(akey);
}

void HistoryRemoval::erase(const Container& container, const ParsedKey& at, ByteView key, const Entry& entry) {
  note(at, key);
  core_.batch.erase(container.tree, key);
  emptied_.removed(key);
  if (entry.type == EntryType::kPunch) punches_ = true;
  if (!entry.holds_data()) return;
  bytes_ += entry.bytes;
  for (const store::Extent& extent : entry.extents()) {
    core_.batch.release(extent);
    ++extents_;
  }
}

void HistoryRemoval::put(const Container& container, const ParsedKey& at, ByteView key, ByteView value) {
  note(at, key);
  core_.batch.put(container.tree, key, value);
  emptied_.stays(key);
}

Result<> HistoryRemoval::apply(Container& container, store::View& view) {
  TRY(const std::uint64_t objects, emptied_.count(view, container.tree));
  CHECK_OK(core_.apply_refunded(container, {.bytes = bytes_, .objects = objects}, view));
  if (punches_) ++container.punches;
  for (const PathBytes& akey : akeys_) core_.akeys.forget(container.tree, akey);
  return {};
}

}  // namespace cenote::object
