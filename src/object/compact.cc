#include <algorithm>
#include <optional>
#include <vector>

#include "core.h"
#include "io_group.h"
#include "value_check.h"

/// Compaction. Pages of the trees come in whole groups of blocks, which run short where all that is free lies in holes
/// between extents that stay. The store chooses the groups that hold least; a pass walks the containers' trees for what
/// lies there and moves it into holes of other groups: read and verified, written, and then, in one batch, the entry
/// names its new extents, which are claimed, and the old ones are released. Whoever looked the entry up before reads
/// the old ones, which stay as they are until his guard is gone.
///
/// What a pass moves it moves once, since it never moves anything into the groups it empties; so a pass ends. A group
/// in which something cannot be moved is left alone until something in it is released; where there is no group to
/// choose, none is looked for until some blocks became free. So it goes on only while there is something to be gained.
///
/// Not moved: what is prepared and not decided; what is damaged; what would come in too many pieces.
namespace cenote::object {
namespace {

/// What one step moves ...
constexpr std::size_t kMostMoves = 16;
constexpr std::uint32_t kEnoughBlocks = 128;
/// ... and looks at for it. The store keeps the pages that it meets.
constexpr std::uint32_t kLookedAt = 256;
constexpr std::uint64_t kLookedAtBytes = 128u << 10;
/// Room for less than `kEnoughBlocks` and one longest extent, rounded up by the pool.
constexpr std::uint64_t kBufferBytes = 2u << 20;
constexpr Duration kInterval = std::chrono::seconds(1);
/// After a pass that failed; a damaged page, say, is there the next time, too.
constexpr Duration kRetryInterval = std::chrono::seconds(5);
/// For so long after a refusal it takes trouble for little.
constexpr Duration kRefusedFor = std::chrono::seconds(30);
/// A write that finds no room waits so long for compaction to make some.
constexpr Duration kPatience = std::chrono::seconds(5);
/// What was released is reusable when it is durable and its readers are gone.
constexpr Duration kUntilReusable = std::chrono::milliseconds(10);

/// Pieces that data may be cut into where no hole has room for all of it: reading them must not become much slower.
std::size_t most_pieces(std::uint32_t blocks) { return std::max<std::size_t>(4, blocks / 2); }

/// An entry whose data goes elsewhere.
struct Move {
  Bytes key, value;
  Extents from, to;
  std::uint32_t blocks = 0;
  std::size_t at = 0;  ///< in the buffer
  bool dropped = false;
};

class Compaction {
 public:
  Compaction(Core& core, bool polite)
      : core_(core), polite_(polite), buffers_(core.reactor, {.budget_bytes = kBufferBytes}) {}
  Compaction(const Compaction&) = delete;
  Compaction& operator=(const Compaction&) = delete;
  ~Compaction() { cancel(); }

  /// True: everything was tried, and what is left cannot be moved.
  Task<Result<bool>> run();

 private:
  Task<Result<>> walk(Uuid id);
  const Container* find(const Uuid& id) const;
  Result<bool> collect(store::View& view, const Uuid& id, std::uint32_t& left);
  void take(ByteView key, ByteView value);
  Task<Result<>> read(const media::Buffer& buffer);
  Task<Result<>> read_one(const media::Buffer& buffer, Move& move);
  bool reserve(Move& move);
  Task<Result<>> move_all(const media::Buffer& buffer);
  Result<bool> put(store::View& view, const Uuid& id);
  void cancel(Move& move);
  void cancel();
  bool over() const { return out_of_room_ || core_.store.compaction_left() == 0; }
  /// Not while somebody waits for what it makes.
  bool polite() const { return polite_ && core_.reactor.now() >= core_.compaction.refused_until; }

  Core& core_;
  const bool polite_;
  media::BufferPool buffers_;
  store::TreeId tree_;
  Bytes position_;
  std::vector<Move> moves_;
  std::uint64_t looked_at_ = 0;  // bytes of entries, in this step
  store::Lsn lsn_;
  bool out_of_room_ = false;  // of holes, or of pages for the entries
  bool met_change_ = false;   // of an entry: what took its place may be in the way, too
};

Task<Result<bool>> Compaction::run() {
  std::vector<Uuid> ids;
  for (const auto& [id, container] : core_.containers) ids.push_back(id);
  for (const Uuid& id : ids) {
    if (over()) break;
    CO_CHECK_OK(co_await walk(id));
  }
  // Then what was released is reusable, but for readers.
  CO_CHECK_OK(co_await core_.store.durable(lsn_));
  co_return !out_of_room_ && !met_change_;
}

const Container* Compaction::find(const Uuid& id) const {
  const auto found = core_.containers.find(id);
  return found != core_.containers.end() && found->second.tree == tree_ ? &found->second : nullptr;
}

Task<Result<>> Compaction::walk(Uuid id) {
  const auto found = core_.containers.find(id);
  if (found == core_.containers.end()) co_return Result<>();
  tree_ = found->second.tree;
  position_.clear();
  for (bool done = false; !done && !over();) {
    const Instant began = core_.reactor.now();
    const std::uint64_t requests = core_.counters.requests();
    moves_.clear();
    looked_at_ = 0;
    std::optional<store::ExtentGuard> guard = core_.store.guard_extents();
    std::uint32_t left = kLookedAt;
    CO_TRY(done, co_await core_.store.run([this, &id, &left](store::View& view) { return collect(view, id, left); }));
    if (!moves_.empty()) {
      std::uint32_t blocks = 0;
      for (const Move& move : moves_) blocks += move.blocks;
      CO_TRY(const media::Buffer buffer, co_await buffers_.allocate(blocks * media::kBlockBytes, Until::forever()));
      CO_CHECK_OK(co_await read(buffer));
      // From here on an entry that is still the same still owns what was read.
      guard.reset();
      CO_CHECK_OK(co_await move_all(buffer));
      CO_TRY(const bool moved, co_await core_.store.run([this, &id](store::View& view) { return put(view, id); }));
      cancel();
      if (moved && core_.store.status().spare_page_groups > 0) core_.compaction.progress.notify_all();
    }
    guard.reset();
    if (polite() && !moves_.empty()) {
      CO_CHECK_OK(co_await give_way(core_, began, requests));
    } else {
      CO_CHECK_OK(co_await end_slice(core_, polite()));
    }
  }
  co_return Result<>();
}

/// Goes on where the last attempt ended, so what an attempt has found is not looked for again. True: the tree ends.
Result<bool> Compaction::collect(store::View& view, const Uuid& id, std::uint32_t& left) {
  if (find(id) == nullptr) return true;
  store::Cursor cursor(view, tree_);
  TRY(bool more, cursor.seek(position_));
  std::uint32_t blocks = 0;
  for (const Move& move : moves_) blocks += move.blocks;
  for (; more && left > 0 && looked_at_ < kLookedAtBytes && moves_.size() < kMostMoves && blocks < kEnoughBlocks;
       --left) {
    const std::size_t before = moves_.size();
    take(cursor.key(), cursor.value());
    if (moves_.size() > before) blocks += moves_.back().blocks;
    looked_at_ += cursor.key().size() + cursor.value().size();
    position_.assign(cursor.key().begin(), cursor.key().end());
    position_.push_back(std::byte{0});
    TRY(more, cursor.next());
  }
  return !more;
}

void Compaction::take(ByteView key, ByteView value) {
  const auto entry = decode_entry(value);
  if (!entry || !entry->holds_data() || entry->is_inline) return;
  Extents extents = entry->extents();
  const bool in_the_way =
      std::ranges::any_of(extents, [this](const store::Extent& extent) { return core_.store.is_in_the_way(extent); });
  if (!in_the_way) return;
  Move& move = moves_.emplace_back();
  move.key = to_bytes(key);
  move.value = to_bytes(value);
  move.blocks = static_cast<std::uint32_t>(entry->blocks());
  // Of data in several extents all goes: they have to ascend in the order of the data.
  move.from = std::move(extents);
}

/// Reads everything together, or, where that fails, one by one, so that only what cannot be read is left.
Task<Result<>> Compaction::read(const media::Buffer& buffer) {
  std::size_t at = 0;
  IoGroup group(core_.store.data_device());
  for (Move& move : moves_) {
    move.at = at;
    for (const store::Extent& extent : move.from) {
      const std::size_t bytes = std::size_t{extent.blocks} * media::kBlockBytes;
      group.read(extent.first, buffer.span().subspan(at, bytes), buffer.registered_index());
      at += bytes;
    }
  }
  const bool all = (co_await group.run()).has_value();
  for (Move& move : moves_) {
    if (!all) CO_CHECK_OK(co_await read_one(buffer, move));
    const auto entry = decode_entry(move.value);
    const ByteView data = ByteView(buffer.span()).subspan(move.at, std::size_t{move.blocks} * media::kBlockBytes);
    move.dropped = move.dropped || !matches_checksums(*entry, data);
  }
  co_return Result<>();
}

Task<Result<>> Compaction::read_one(const media::Buffer& buffer, Move& move) {
  IoGroup group(core_.store.data_device());
  std::size_t at = move.at;
  for (const store::Extent& extent : move.from) {
    const std::size_t bytes = std::size_t{extent.blocks} * media::kBlockBytes;
    group.read(extent.first, buffer.span().subspan(at, bytes), buffer.registered_index());
    at += bytes;
  }
  move.dropped = !co_await group.run();
  co_return Result<>();
}

/// False: there is no place for it.
bool Compaction::reserve(Move& move) {
  for (std::uint32_t missing = move.blocks; missing > 0;) {
    const auto extent = core_.store.reserve_hole(missing);
    if (!extent) out_of_room_ = true;
    if (!extent || move.to.size() == most_pieces(move.blocks)) {
      if (extent) core_.store.cancel(*extent);
      cancel(move);
      return false;
    }
    move.to.push_back(*extent);
    missing -= extent->blocks;
  }
  std::ranges::sort(move.to);
  const auto entry = decode_entry(move.value);
  ValueBytes value;
  append_moved(move.value, *entry, move.to.view(), value);
  if (value.size() <= store::kMaxValueBytes) return true;
  cancel(move);
  return false;
}

/// Writes what was read to where it is to be.
Task<Result<>> Compaction::move_all(const media::Buffer& buffer) {
  const auto durability =
      core_.store.data_device().prefers_durable_writes() ? media::Durability::kDurable : media::Durability::kCached;
  IoGroup group(core_.store.data_device());
  for (Move& move : moves_) {
    move.dropped = move.dropped || !reserve(move);
    std::size_t at = move.at;
    for (const store::Extent& extent : move.to) {
      const std::size_t bytes = std::size_t{extent.blocks} * media::kBlockBytes;
      group.write(extent.first, buffer.span().subspan(at, bytes), durability, buffer.registered_index());
      at += bytes;
    }
  }
  co_return core_.data_written(co_await group.run());
}

/// Whatever changed meanwhile stays as it is now. False: that is all of it.
Result<bool> Compaction::put(store::View& view, const Uuid& id) {
  if (find(id) == nullptr) return false;
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kCompaction);
  std::vector<Move*> put;
  std::uint64_t blocks = 0;
  for (Move& move : moves_) {
    if (move.dropped) continue;
    TRY(const auto value, view.get(tree_, move.key));
    if (!value || !equal(*value, move.value)) {
      met_change_ = true;
      continue;
    }
    const auto entry = decode_entry(move.value);
    ValueBytes moved;
    append_moved(move.value, *entry, move.to.view(), moved);
    core_.batch.put(tree_, move.key, moved);
    for (const store::Extent& extent : move.to) core_.batch.claim(extent);
    for (const store::Extent& extent : move.from) core_.batch.release(extent);
    blocks += move.blocks;
    put.push_back(&move);
  }
  if (put.empty()) return false;
  const auto lsn = view.apply(core_.batch);
  if (!lsn && lsn.error() == Code::kNoSpace) {
    out_of_room_ = true;
    return false;
  }
  CHECK_OK(lsn);
  lsn_ = *lsn;
  for (Move* move : put) move->to.clear();
  core_.counters.compacted_blocks += blocks;
  return true;
}

void Compaction::cancel(Move& move) {
  for (const store::Extent& extent : move.to) core_.store.cancel(extent);
  move.to.clear();
}

/// Extents that no batch claimed go back.
void Compaction::cancel() {
  for (Move& move : moves_) cancel(move);
}

}  // namespace

Task<Result<>> compact_all(Core& core, store::CompactionNeed need, bool polite) {
  if (core.compaction.running) co_return Result<>();
  core.compaction.running = true;
  Result<> outcome;
  for (bool more = true; more && core.store.begin_compaction(need) > 0;) {
    Result<bool> tried;
    {
      Compaction pass(core, polite);
      tried = co_await pass.run();
    }
    const bool all = tried && *tried;
    const std::uint64_t gained = core.store.end_compaction(all);
    core.counters.compacted_groups += gained;
    // After one that tried all and gained nothing there are other groups to choose.
    more = tried && (gained > 0 || all);
    if (!tried) outcome = fail(tried.error());
    if (gained > 0 && core.compaction.progress.has_waiters()) {
      if (!co_await sleep_for(core.reactor, kUntilReusable, core.background.cancel_source())) break;
      core.compaction.progress.notify_all();
    }
  }
  core.compaction.running = false;
  co_return outcome;
}

Task<> run_compaction(Core& core) {
  CancelSource& stop = core.background.cancel_source();
  while (!core.background.stopping() && !core.store.status().fenced) {
    static_cast<void>(co_await core.compaction.wanted.wait({core.reactor.now() + kInterval, &stop}));
    if (core.background.stopping() || core.reactor.now() < core.compaction.retry_at) continue;
    const bool refused = core.reactor.now() < core.compaction.refused_until;
    const auto done =
        co_await compact_all(core, refused ? store::CompactionNeed::kRefused : store::CompactionNeed::kAhead, true);
    if (!done && !core.background.stopping()) {
      ++core.counters.background_failures;
      core.compaction.retry_at = core.reactor.now() + kRetryInterval;
    }
    // What was released before the last pass may be all that they wait for.
    if (core.compaction.progress.has_waiters())
      static_cast<void>(co_await sleep_for(core.reactor, kUntilReusable, stop));
    core.compaction.progress.notify_all();
  }
  core.compaction.progress.notify_all();
}

Task<bool> room_was_made(Core& core, Instant began, Until until) {
  if (!core.options.aggregation || core.background.stopping()) co_return false;
  core.compaction.refused_until = core.reactor.now() + kRefusedFor;
  const bool hope = core.store.may_compact(store::CompactionNeed::kRefused) || core.compaction.running;
  if (!hope || core.reactor.now() < core.compaction.retry_at) co_return false;
  core.compaction.wanted.notify_all();
  const Instant last = std::min(until.deadline, began + kPatience);
  if (core.reactor.now() >= last) co_return false;
  co_return (co_await core.compaction.progress.wait({last, until.cancel})).has_value() && !core.background.stopping();
}

}  // namespace cenote::object
