#include <algorithm>
#include <cstring>
#include <ranges>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "flatten_walk.h"
#include "object_count.h"
#include "update.h"

namespace cenote::object {
namespace {

// What one batch takes of entries that need no data to be moved ...
constexpr std::uint32_t kMostEntries = 64;
constexpr std::uint64_t kMostInlineBytes = 64u << 10;
/// ... and how many akeys are looked at for it, counted once for each layer.
constexpr std::uint32_t kLookedAt = 48;
/// A step's data, and nothing else, lies in the buffers of a pass.
constexpr std::uint64_t kBufferBytes = 2u << 20;
/// What is free below this part of the data space is left to requests.
constexpr std::uint64_t kLeftFraction = 16;
/// Jobs in a row that did not fit any more when their data had been read and written.
constexpr int kMostStale = 16;
/// Until what stood in the way is tried again.
constexpr Duration kRetryInterval = std::chrono::seconds(5);
constexpr Duration kDamageInterval = std::chrono::seconds(60);

/// Whether inline data is what was written.
bool is_sound(const Entry& entry) {
  ByteView left = entry.data;
  for (std::uint32_t i = 0; entry.is_packed && i < unit_count(entry.bytes); ++i) {
    const StoredUnit unit = entry.unit(i);
    if (crc32c(left.first(unit.bytes)) != unit.checksum) return false;
    left = left.subspan(unit.bytes);
  }
  for (std::uint32_t i = 0; !entry.is_packed && !entry.checksums.empty() && !left.empty(); ++i) {
    const std::size_t bytes = std::min<std::size_t>(left.size(), kChecksumChunkBytes);
    if (crc32c(left.first(bytes)) != entry.checksum(i)) return false;
    left = left.subspan(bytes);
  }
  return true;
}

/// The value of an inline entry.
void append_inline_copy(const Entry& entry, ValueBytes& out) {
  Checksums checksums;
  for (std::uint64_t i = 0; !entry.checksums.empty() && i < chunk_count(entry.bytes); ++i)
    checksums.push_back(entry.checksum(i));
  SmallVector<StoredUnit, 4> units;
  for (std::uint32_t i = 0; entry.is_packed && i < unit_count(entry.bytes); ++i) units.push_back(entry.unit(i));
  append_inline({.type = entry.type,
                 .bytes = entry.bytes,
                 .records = entry.records,
                 .record_bytes = entry.record_bytes,
                 .checksums = checksums.view(),
                 .compression = entry.compression,
                 .nonce = {},
                 .units = units.view()},
                entry.data, out);
}

/// The key of a copy. Clones of the clone may have taken over the birth of an array with the classes that its extents
/// had, which they go by: so where there are any, a part stays in the class of the whole. Elsewhere it is in its own,
/// since readers look at all short extents of a long class in the window.
struct CopyPlace {
  RecordRange records;
  Epoch epoch;
  std::uint32_t whole_class = 0;
  std::uint64_t bytes = 0;

  std::uint32_t extent_class(const Container& container) const {
    return container.clones.empty() ? object::extent_class(bytes) : whole_class;
  }
  ByteView key(const Container& container, const AkeyState& state, KeyPath& path) const {
    if (state.is == AkeyState::Is::kSingle) return path.single(epoch);
    return path.extent(extent_class(container), records.first, epoch);
  }
};
CopyPlace place_of(const MissingPart& part) { return {part.records, part.epoch, part.extent_class, part.bytes}; }

/// Some parts of one akey.
struct Job {
  FlattenStep step;  ///< without its parts, which pointed into the trees
  std::vector<CopyPlace> moves;
  FlattenPlace next;
  std::uint64_t pass = 0;  ///< that it belongs to

  std::uint64_t bytes(std::size_t from, std::size_t to) const {
    std::uint64_t bytes = 0;
    for (std::size_t i = from; i < to; ++i) bytes += moves[i].bytes;
    return bytes;
  }
};

/// One pass over what a clone shows of its ancestors, in rounds: each copies some of it into the clone's tree, with its
/// epochs and size classes, where it hides the same data below. Nobody sees a difference, so a pass may stop anywhere.
///
/// What is to be seen by the oldest of the clone's readers is copied; with time readers see ever less of the ancestors.
/// But where a rollback lets them see more, or an older reader comes to be, the pass begins anew. So at its end the
/// tree has all that anybody sees, unless something could not be read; then the clone is none any more.
class Flatten {
 public:
  Flatten(Core& core, const Uuid& container)
      : core_(core), container_(container), buffers_(core.reactor, {.budget_bytes = kBufferBytes}) {}
  Flatten(const Flatten&) = delete;
  Flatten& operator=(const Flatten&) = delete;

  /// True: it is no clone, or not there.
  Task<Result<bool>> round();
  /// Bytes and objects that are to be copied, as far as they can be counted until `end`; changes nothing.
  Task<Result<Usage>> measure(Instant end);

 private:
  enum class Outcome : std::uint8_t { kMore, kJob, kOver };

  Container* find();
  Result<> check_moving(const Container& container) const;
  void begin_anew(const Container& container);
  /// Whether the pass that the job is of has not begun anew meanwhile.
  Container* find_for(const Job& job);
  Result<Outcome> slice(store::View& view, Job& job);
  bool put_inline(const Container& container, const FlattenStep& step);
  template <typename Places>
  void put_birth(const Container& container, const AkeyState& state, KeyPath& path, const Places& places);
  Result<> apply(Container& container, store::View& view);
  Result<Outcome> end(Container& container, store::View& view);
  Task<Result<>> copy(Job& job);
  Task<Result<bool>> copy_some(Job& job, std::size_t from, std::size_t to);
  Task<Result<media::Buffer>> gather(const Fetched& fetched, std::uint64_t bytes);
  Result<bool> put_moves(store::View& view, Job& job, std::size_t from, Update& update);
  void note_damage(const Error& error);
  Result<bool> measure_some(store::View& view, FlattenPlace& place, std::optional<ObjectId>& last, Usage& total);

  Core& core_;
  const Uuid container_;
  media::BufferPool buffers_;
  std::optional<store::TreeId> tree_;
  FlattenPlace place_;
  std::uint64_t pass_ = 0;
  Epoch reader_;                 // the latest that this pass has looked from
  std::uint64_t rollbacks_ = 0;  // of the container when it began
  int stale_ = 0;                // jobs, since the last one that was of use
  std::uint64_t damaged_ = 0;    // parts that could not be read ...
  std::optional<Error> damage_;  // ... and why the first one could not
  // Of the batch.
  Usage added_;
  std::uint32_t entries_ = 0;
  std::vector<ObjectId> objects_;
  PathBytes array_;                // the last one that the batch puts something of
  std::vector<PathBytes> arrays_;  // whose birth it puts
};

/// Nothing comes into a tree behind somebody's back who walks through it, and into one that is not whole itself.
Result<> Flatten::check_moving(const Container& container) const {
  if (!core_.is_at_rest(container)) return {};
  return failf(Code::kBusy, "the history of container {} is being copied", container_.to_string());
}

/// Null: there is nothing to flatten.
Container* Flatten::find() {
  const auto found = core_.containers.find(container_);
  if (found == core_.containers.end() || found->second.kept || !found->second.source) return nullptr;
  Container& container = found->second;
  if (tree_ && *tree_ != container.tree) return nullptr;
  const bool anew = !tree_ || rollbacks_ != container.rollbacks || container.first_reader() < reader_;
  if (anew) begin_anew(container);
  tree_ = container.tree;
  reader_ = container.first_reader();
  return &container;
}

Container* Flatten::find_for(const Job& job) {
  Container* const container = find();
  return job.pass == pass_ ? container : nullptr;
}

void Flatten::begin_anew(const Container& container) {
  ++pass_;
  place_ = {};
  rollbacks_ = container.rollbacks;
  damaged_ = 0;
  damage_.reset();
}

Task<Result<bool>> Flatten::round() {
  const store::StoreStatus status = core_.store.status();
  if (status.data_blocks_free < status.data_blocks_total / kLeftFraction)
    co_return failf(Code::kNoSpace, "less than a {}th of the target is free, which is left to requests", kLeftFraction);
  Job job;
  CO_TRY(const Outcome outcome, co_await core_.store.run([this, &job](store::View& view) { return slice(view, job); }));
  if (outcome == Outcome::kJob) CO_CHECK_OK(co_await copy(job));
  co_return outcome == Outcome::kOver;
}

/// Puts what needs no data to be moved, or finds a job, or ends the link.
Result<Flatten::Outcome> Flatten::slice(store::View& view, Job& job) {
  Container* const container = find();
  if (container == nullptr) return Outcome::kOver;
  CHECK_OK(check_moving(*container));
  const Reader reader = container->reader(view, reader_);
  core_.batch.clear();
  added_ = {};
  entries_ = 0;
  objects_.clear();
  job.moves.clear();
  array_.clear();
  arrays_.clear();
  FlattenPlace place = place_;
  bool more = true;
  for (std::uint32_t looked_at = 0;
       more && looked_at < kLookedAt && entries_ < kMostEntries && added_.bytes < kMostInlineBytes;
       looked_at += reader.layers()) {
    const FlattenPlace before = place;
    TRY(more, step_flatten(reader, place, job.step));
    if (!more || !job.step.misses_anything()) continue;
    // The next piece of an array has to find its birth as this batch leaves it.
    const bool again = equal(array_, job.step.path.akey_prefix());
    if (!again && put_inline(*container, job.step)) continue;
    if (entries_ == 0) {
      for (const MissingPart& part : job.step.parts) job.moves.push_back(place_of(part));
      job.step.parts.clear();
      job.next = std::move(place);
      job.pass = pass_;
      return Outcome::kJob;
    }
    place = before;
    break;
  }
  if (entries_ > 0) {
    CHECK_OK(apply(*container, view));
  } else if (!more) {
    return end(*container, view);
  }
  place_ = std::move(place);
  return Outcome::kMore;
}

/// False: some of it has to be moved, or is damaged, which the attempt to move it will say.
bool Flatten::put_inline(const Container& container, const FlattenStep& step) {
  for (const MissingPart& part : step.parts)
    if (!part.whole || !part.entry.is_inline || !is_sound(part.entry)) return false;
  KeyPath path = step.path;
  put_birth(container, step.state, path, step.parts | std::views::transform(place_of));
  if (step.state.is == AkeyState::Is::kArray) array_.assign(path.akey_prefix());
  for (const MissingPart& part : step.parts) {
    ValueBytes value;
    append_inline_copy(part.entry, value);
    core_.batch.put(container.tree, place_of(part).key(container, step.state, path), value);
    added_.bytes += part.bytes;
    ++entries_;
  }
  objects_.push_back(step.object);
  return true;
}

/// Where there is something new to say of an array.
template <typename Places>
void Flatten::put_birth(const Container& container, const AkeyState& state, KeyPath& path, const Places& places) {
  if (state.is != AkeyState::Is::kArray) return;
  ArrayFlags flags = state.flags;
  for (const CopyPlace& place : places) flags.add_class(place.extent_class(container));
  if (!state.inherited && flags == state.flags) return;
  ValueBytes value;
  append_array(state.record_bytes, flags, value);
  core_.batch.put(container.tree, path.akey_entry(state.born), value);
  arrays_.emplace_back(path.akey_prefix());
  ++entries_;
}

Result<> Flatten::apply(Container& container, store::View& view) {
  TRY(added_.objects, count_born(container, view, objects_));
  CHECK_OK(core_.apply_added(container, added_, view));
  container.present = objects_.back();
  for (const PathBytes& array : arrays_) core_.akeys.forget(container.tree, array);
  if (!container.flattening) return {};
  FlattenStatus& status = *container.flattening;
  status.copied = status.copied + added_;
  status.left =
      status.left - Usage{std::min(status.left.bytes, added_.bytes), std::min(status.left.objects, added_.objects)};
  status.obstacle.clear();
  return {};
}

/// All has been looked at: the clone needs nobody any more, or what could not be read.
Result<Flatten::Outcome> Flatten::end(Container& container, store::View& view) {
  if (damage_) {
    Error damage = *damage_;
    place_ = {};
    if (container.flattening) container.flattening->damaged = damaged_;
    damaged_ = 0;
    damage_.reset();
    return fail(std::move(damage).with_context("what cannot be read is not copied, so the container stays a clone"));
  }
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  const ContainerRecord record{.properties = container.properties,
                               .tree = container.tree,
                               .has_snapshots = !container.snapshots.empty(),
                               .has_rollbacks = !container.last_rollback.is_null(),
                               .key = container.key};
  core_.batch.put(core_.system_tree, container_key(RecordKind::kContainer, container.id), encode_container(record));
  TRY(container.lsn, view.apply(core_.batch));
  core_.containers_lsn = container.lsn;
  end_link(core_, container);
  return Outcome::kOver;
}

void Flatten::note_damage(const Error& error) {
  ++damaged_;
  if (!damage_) damage_ = error;
}

/// All of a job at once, or, where some of it is damaged, one by one, so that the rest is there.
Task<Result<>> Flatten::copy(Job& job) {
  const auto is_damage = [this](const Error& error) {
    return (error == Code::kCorrupt || error == Code::kIoError) && !core_.store.status().fenced;
  };
  auto copied = co_await copy_some(job, 0, job.moves.size());
  if (!copied && is_damage(copied.error())) {
    const bool alone = job.moves.size() == 1;
    for (std::size_t i = 0; i < job.moves.size(); ++i) {
      if (!alone) copied = co_await copy_some(job, i, i + 1);
      if (!copied && !is_damage(copied.error())) break;
      if (copied && !*copied) break;
      if (!copied) note_damage(copied.error());
      copied = true;
    }
  }
  if (!copied) co_return fail(copied.error());
  if (!*copied && ++stale_ > kMostStale) {
    stale_ = 0;
    co_return fail(Code::kBusy, "the container changes faster than it can be copied");
  }
  if (!*copied) co_return Result<>();
  stale_ = 0;
  place_ = std::move(job.next);
  co_return Result<>();
}

/// False: things have changed since the job was made.
Task<Result<bool>> Flatten::copy_some(Job& job, std::size_t from, std::size_t to) {
  const bool array = job.step.state.is == AkeyState::Is::kArray;
  const std::uint64_t bytes = job.bytes(from, to);
  UpdateRequest request{
      .container = container_, .object = job.step.object, .dkey = job.step.dkey, .akeys = {}, .id = {}};
  AkeyUpdate& akey = request.akeys.emplace_back();
  akey.akey = job.step.akey;
  akey.kind = array ? ValueKind::kArray : ValueKind::kSingle;
  akey.record_bytes = job.step.state.record_bytes;
  akey.bytes = bytes;
  for (std::size_t i = from; array && i < to; ++i) akey.ranges.push_back(job.moves[i].records);
  Fetched fetched;
  if (to > from) {
    FetchRequest fetch{.container = container_, .object = request.object, .dkey = request.dkey, .akeys = {}};
    fetch.akeys.push_back({.akey = akey.akey, .kind = akey.kind, .ranges = akey.ranges, .max_bytes = bytes});
    store::Lsn seen;
    const auto read = co_await fetch_admitted(core_, fetch, reader_, fetched, Until::forever(), seen);
    // The oldest reader may be another one by now, and the container gone.
    if (!read && (read.error() == Code::kEpochTooOld || read.error() == Code::kContainerNotFound)) co_return false;
    if (!read) co_return fail(read.error());
    const AkeyFetched& found = fetched.reply.akeys.front();
    if (!found.exists || found.bytes != bytes || !found.holes.empty()) co_return false;
    akey.checksums = found.checksums;
  }
  CO_TRY(const media::Buffer payload, co_await gather(fetched, bytes));
  fetched = {};
  Update update(core_, request,
                {.data = payload.data(), .bytes = bytes, .registered_index = payload.registered_index()});
  const Container* const container = find_for(job);
  if (container == nullptr) co_return false;
  CO_CHECK_OK(update.prepare(*container));
  if (auto written = core_.data_written(co_await update.write(Until::forever())); !written)
    co_return fail(std::move(written).error());
  ASSERT(update.piece_count() == to - from);
  co_return co_await core_.store.run(
      [this, &job, from, &update](store::View& view) { return put_moves(view, job, from, update); });
}

Task<Result<media::Buffer>> Flatten::gather(const Fetched& fetched, std::uint64_t bytes) {
  if (bytes == 0) co_return media::Buffer();
  CO_TRY(media::Buffer buffer, co_await buffers_.allocate(static_cast<std::uint32_t>(bytes), Until::forever()));
  std::size_t at = 0;
  for (const PayloadPiece& piece : fetched.payload) {
    std::memcpy(buffer.data() + at, piece.data.data(), piece.data.size());
    at += piece.data.size();
  }
  ASSERT(at == bytes);
  co_return buffer;
}

/// What was copied is put where it still fits: the akey is in the same life, and nobody else was faster.
Result<bool> Flatten::put_moves(store::View& view, Job& job, std::size_t from, Update& update) {
  Container* const container = find_for(job);
  if (container == nullptr) return false;
  CHECK_OK(check_moving(*container));
  KeyPath path = job.step.path;
  const Reader reader = container->reader(view, reader_);
  TRY(const Epoch hidden, dkey_hidden(reader, path));
  TRY(const AkeyState state, akey_state(reader, path, hidden));
  if (state.is != job.step.state.is || state.born != job.step.state.born) return false;
  core_.batch.clear();
  arrays_.clear();
  const auto moves = std::span(job.moves).subspan(from, update.piece_count());
  put_birth(*container, state, path, moves);
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const ByteView key = moves[i].key(*container, state, path);
    TRY(const auto there, view.get(container->tree, key));
    if (there) return false;
    update.put_piece(*container, i, key);
  }
  added_ = {.bytes = update.added_bytes()};
  objects_ = {job.step.object};
  CHECK_OK(apply(*container, view));
  update.pieces_applied();
  return true;
}

/// True: the end.
Result<bool> Flatten::measure_some(store::View& view, FlattenPlace& place, std::optional<ObjectId>& last,
                                   Usage& total) {
  const Container* const container = find();
  if (container == nullptr) return true;
  const Reader reader = container->reader(view, reader_);
  FlattenPlace next = place;
  std::optional<ObjectId> object = last;
  Usage found;
  bool more = true;
  FlattenStep step;
  for (std::uint32_t looked_at = 0; more && looked_at < kLookedAt; looked_at += reader.layers()) {
    TRY(more, step_flatten(reader, next, step));
    if (!more || !step.misses_anything()) continue;
    for (const MissingPart& part : step.parts) found.bytes += part.bytes;
    if (object == step.object) continue;
    object = step.object;
    TRY(const std::uint64_t born, count_born(*container, view, {&step.object, 1}));
    found.objects += born;
  }
  total = total + found;
  place = std::move(next);
  last = object;
  return !more;
}

Task<Result<Usage>> Flatten::measure(Instant end) {
  Usage total;
  FlattenPlace place;
  std::optional<ObjectId> last;
  for (bool done = false; !done && core_.reactor.now() < end;) {
    CO_TRY(done, co_await core_.store.run([&](store::View& view) { return measure_some(view, place, last, total); }));
    CO_CHECK_OK(co_await end_slice(core_, false));
  }
  co_return total;
}

Task<Result<>> run_pass(Core& core, Flatten& flatten, bool polite) {
  for (bool over = false; !over;) {
    const Instant began = core.reactor.now();
    const std::uint64_t requests = core.counters.requests();
    CO_TRY(over, co_await flatten.round());
    if (polite) {
      CO_CHECK_OK(co_await give_way(core, began, requests));
    } else {
      CO_CHECK_OK(co_await end_slice(core, false));
    }
  }
  co_return Result<>();
}

}  // namespace

Task<Result<>> flatten_container(Core& core, Uuid id, bool polite) {
  Flatten flatten(core, id);
  co_return co_await run_pass(core, flatten, polite);
}

Task<Result<Usage>> measure_flattening(Core& core, Uuid id, Instant end) {
  Flatten flatten(core, id);
  co_return co_await flatten.measure(end);
}

Task<> keep_flattening(Core& core, Uuid id, std::shared_ptr<FlattenStatus> status) {
  Flatten flatten(core, id);
  if (!status->counted) {
    if (const auto left = co_await measure_flattening(core, id, kNoDeadline)) {
      status->left = *left;
      status->counted = true;
    }
  }
  while (!core.background.stopping() && !core.store.status().fenced) {
    const auto outcome = co_await run_pass(core, flatten, true);
    if (outcome || outcome.error() == Code::kStopped || outcome.error() == Code::kCancelled) break;
    status->obstacle = outcome.error().message();
    const bool damaged = outcome.error() == Code::kCorrupt || outcome.error() == Code::kIoError;
    const auto slept =
        co_await sleep_for(core.reactor, damaged ? kDamageInterval : kRetryInterval, core.background.cancel_source());
    if (!slept) break;
  }
  // Whoever asks again begins anew.
  const auto found = core.containers.find(id);
  if (found != core.containers.end() && found->second.flattening == status) found->second.flattening.reset();
}

}  // namespace cenote::object
