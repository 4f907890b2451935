#include "history.h"
#include "history_removal.h"
#include "named_keys.h"

namespace cenote::object {
namespace {

// What one run looks at; the store keeps all pages that it met until it ends.
constexpr std::uint32_t kLookedAt = 256;
constexpr std::uint64_t kLookedAtBytes = 256u << 10;
/// Runs of one call, so that it ends also where hardly anything goes.
constexpr std::uint32_t kRuns = 64;

/// Gives back what is not kept, some entries at a time.
///
/// Invariant: all before the position is kept, or was put there after the walk had passed.
class Discard {
 public:
  Discard(Core& core, const Uuid& id, Bytes from, const HistoryFilter& kept, store::Lsn& seen)
      : core_(core), id_(id), position_(std::move(from)), kept_(kept), removal_(core), seen_(seen) {}

  /// True: the end of the tree.
  Result<bool> slice(store::View& view);
  const Bytes& position() const { return position_; }

 private:
  Result<bool> collect(store::View& view, const Container& container, Bytes& position);

  Core& core_;
  const Uuid id_;
  Bytes position_;
  NamedKeys kept_;
  HistoryRemoval removal_;
  store::Lsn& seen_;
};

Result<bool> Discard::collect(store::View& view, const Container& container, Bytes& position) {
  store::Cursor cursor(view, container.tree);
  TRY(bool more, cursor.seek(position));
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; more && i < kLookedAt && bytes < kLookedAtBytes && !removal_.full(); ++i) {
    bytes += cursor.key().size() + cursor.value().size();
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (kept_.names(key)) {
      position = kept_.behind(key);
      if (position.empty()) return true;
      TRY(more, cursor.seek(position));
      continue;
    }
    TRY(const Entry entry, decode_entry(cursor.value()));
    removal_.erase(container, key, cursor.key(), entry);
    position = to_bytes(cursor.key());
    position.push_back(std::byte{0});  // the next key is greater than this one
    TRY(more, cursor.next());
  }
  return !more;
}

Result<bool> Discard::slice(store::View& view) {
  seen_ = std::max(seen_, core_.containers_lsn);
  const auto found = core_.containers.find(id_);
  if (found == core_.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id_.to_string());
  Container& container = found->second;
  removal_.begin();
  Bytes position = position_;
  TRY(const bool end, collect(view, container, position));
  if (!removal_.empty()) CHECK_OK(removal_.apply(container, view));
  seen_ = std::max(seen_, container.lsn);
  position_ = std::move(position);
  return end;
}

}  // namespace

Task<Result<Bytes>> discard_history(Core& core, Uuid container, const Bytes& from, const HistoryFilter& kept,
                                    Until until, store::Lsn& seen) {
  if (from.size() > store::kMaxKeyBytes + 1) co_return fail(Code::kMalformed, "this is no place in a container");
  Discard discard(core, container, from, kept, seen);
  for (std::uint32_t run = 0; run < kRuns; ++run) {
    if (run > 0) co_await core.reactor.yield();
    CO_TRY(const bool end,
           co_await core.store.run([&discard](store::View& view) { return discard.slice(view); }, until));
    if (end) co_return Bytes();
  }
  co_return discard.position();
}

}  // namespace cenote::object
