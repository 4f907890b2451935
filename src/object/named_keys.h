#pragma once

#include <optional>

#include "cenote/object/history.h"
#include "keys.h"

namespace cenote::object {

/// Which keys of a container's tree a filter names. Made for walks in the order of keys: what it said last is kept.
class NamedKeys {
 public:
  /// No filter: all.
  explicit NamedKeys(const HistoryFilter& filter) : filter_(filter) {}

  bool names(const ParsedKey& key) {
    if (object_ != key.object) {
      object_ = key.object;
      of_object_ = filter_ ? filter_(key.object, std::nullopt) : Part::kAll;
      asked_dkey_ = false;
    }
    if (of_object_ != Part::kSome) return of_object_ == Part::kAll;
    if (key.level == Level::kObject) return true;
    if (!asked_dkey_ || !equal(dkey_, key.encoded_dkey)) {
      dkey_.assign(key.encoded_dkey);
      names_dkey_ = filter_(key.object, key.dkey().view()) != Part::kNone;
      asked_dkey_ = true;
    }
    return names_dkey_;
  }

  /// Whether the key that `names` was asked about last is of an object that the filter names in part: what is of the
  /// object as a whole belongs to its other dkeys, too.
  bool is_shared(const ParsedKey& key) const { return of_object_ == Part::kSome && key.level == Level::kObject; }

  /// Where the keys end of which all is as of the one that `names` was asked about last. Empty: with the tree.
  Bytes behind(const ParsedKey& key) const {
    KeyPath path(key.object);
    if (of_object_ != Part::kSome) return after_prefix(path.object_prefix());
    if (key.level == Level::kObject) return to_bytes(path.below_object());
    path.set_encoded_dkey(key.encoded_dkey);
    return after_prefix(path.dkey_prefix());
  }

 private:
  const HistoryFilter& filter_;
  std::optional<ObjectId> object_;
  Part of_object_ = Part::kAll;
  KeyBytes dkey_;
  bool names_dkey_ = true;
  bool asked_dkey_ = false;
};

}  // namespace cenote::object
