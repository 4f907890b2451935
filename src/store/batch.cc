#include "cenote/store/batch.h"

#include "cenote/store/operation.h"

namespace cenote::store {
namespace {

Code key_flaw(ByteView key) { return key.size() > kMaxKeyBytes ? Code::kKeyTooLarge : Code::kOk; }

Code extent_flaw(Extent extent) {
  const bool inside = extent.blocks >= 1 && extent.blocks <= kGroupBlocks &&
                      extent.first.value() % kGroupBlocks + extent.blocks <= kGroupBlocks;
  return inside ? Code::kOk : Code::kOutOfRange;
}

}  // namespace

/// Counts an operation in, or marks the batch flawed; the first flaw is the one reported.
bool Batch::admit(Code flaw) {
  if (flaw == Code::kOk && encoded_.size() >= kMaxBatchBytes - kMaxKeyBytes - kMaxValueBytes - 16) {
    flaw = Code::kOutOfRange;
  }
  if (flaw_ == Code::kOk) flaw_ = flaw;
  if (flaw_ != Code::kOk) return false;
  ++operations_;
  return true;
}

void Batch::put(TreeId tree, ByteView key, ByteView value) {
  Code flaw = key_flaw(key);
  if (flaw == Code::kOk && value.size() > kMaxValueBytes) flaw = Code::kValueTooLarge;
  if (++entries_ > kMaxBatchEntries) flaw = Code::kOutOfRange;
  if (admit(flaw)) encode_put(encoded_, tree, key, value);
}

void Batch::erase(TreeId tree, ByteView key) {
  Code flaw = key_flaw(key);
  if (++entries_ > kMaxBatchEntries) flaw = Code::kOutOfRange;
  if (admit(flaw)) encode_erase(encoded_, tree, key);
}

void Batch::create_tree(TreeId id, std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kMaxTreeNameBytes;
  if (admit(fits ? Code::kOk : Code::kOutOfRange)) encode_create_tree(encoded_, id, name);
}

void Batch::drop_tree(TreeId id) {
  if (admit(Code::kOk)) encode_drop_tree(encoded_, id);
}

void Batch::claim(Extent extent) {
  if (!admit(extent_flaw(extent))) return;
  claims_ = true;
  encode_claim(encoded_, extent);
}

void Batch::release(Extent extent) {
  if (admit(extent_flaw(extent))) encode_release(encoded_, extent);
}

void Batch::clear() {
  encoded_.clear();
  operations_ = entries_ = 0;
  flaw_ = Code::kOk;
  claims_ = false;
  space_class_ = SpaceClass::kForeground;
}

}  // namespace cenote::store
