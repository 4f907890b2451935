#pragma once

#include <set>
#include <utility>
#include <vector>

#include "cenote/base/assert.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/object_id.h"

namespace cenote::object {

class Watches;

/// Notices that an object of one container is changed while it stands: what a commit has checked of it may no longer
/// hold.
class Watch {
 public:
  Watch(Watches& watches, const Uuid& container) : watches_(watches), container_(container) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  void add(const ObjectId& object) {
    begin();
    objects_.insert(object);
  }
  /// Every object, those that do not exist yet included.
  void add_all() {
    begin();
    all_ = true;
  }
  bool changed() const { return changed_; }

 private:
  friend class Watches;
  void begin();
  bool covers(const ObjectId& object) const { return all_ || objects_.contains(object); }

  Watches& watches_;
  Uuid container_;
  std::set<ObjectId> objects_;
  bool active_ = false;  ///< it has something to look at
  bool all_ = false;
  bool changed_ = false;
};

/// The watches of a target. Every change of an object is told right after its batch was applied; where nobody watches,
/// that costs a look at an empty list.
class Watches {
 public:
  void note(const Uuid& container, const ObjectId& object) {
    for (Watch* watch : active_)
      if (watch->container_ == container && watch->covers(object)) watch->changed_ = true;
  }
  /// What changes all of it at once, such as a rollback.
  void note_all(const Uuid& container) {
    for (Watch* watch : active_)
      if (watch->container_ == container) watch->changed_ = true;
  }

 private:
  friend class Watch;
  std::vector<Watch*> active_;
};

inline Watch::~Watch() {
  if (!active_) return;
  const auto removed = std::erase(watches_.active_, this);
  ASSERT(removed == 1);
}
inline void Watch::begin() {
  if (!std::exchange(active_, true)) watches_.active_.push_back(this);
}

}  // namespace cenote::object
