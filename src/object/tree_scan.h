#pragma once

#include "core.h"

namespace cenote::object {

/// Gives every entry of a tree, from `position` on, to `take` (a plain function of key and value returning Result<>),
/// in slices between which others run. An entry is given once, also when a page is missing in the middle.
template <typename Take>
Task<Result<>> scan_tree(Core& core, store::TreeId tree, Bytes position, Take take) {
  constexpr std::uint32_t kEntriesPerAttempt = 256;
  for (bool done = false; !done;) {
    CO_TRY(done, co_await core.store.run([tree, &position, &take](store::View& view) -> Result<bool> {
      store::Cursor cursor(view, tree);
      TRY(bool more, cursor.seek(position));
      for (std::uint32_t i = 0; more && i < kEntriesPerAttempt; ++i) {
        CHECK_OK(take(cursor.key(), cursor.value()));
        position.assign(cursor.key().begin(), cursor.key().end());
        position.push_back(std::byte{0});  // the next key is greater than this one
        TRY(more, cursor.next());
      }
      return !more;
    }));
    if (!done) co_await core.reactor.yield();
  }
  co_return Result<>();
}

}  // namespace cenote::object
