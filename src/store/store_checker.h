#pragma once

#include "cenote/store/store.h"

namespace cenote::store {

/// The way into an open store for those who prove it; nobody else gets past its interface.
class StoreChecker {
 public:
  static StoreImpl& inside(Store& store) { return *store.impl_; }
  static const StoreImpl& inside(const Store& store) { return *store.impl_; }
};

}  // namespace cenote::store
