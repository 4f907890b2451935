#include <algorithm>
#include <optional>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "fetch_plan.h"
#include "history.h"
#include "history_page.h"
#include "named_keys.h"
#include "repair.h"

namespace cenote::object {
namespace {

/// What one run looks at; the store keeps all pages that it met until it ends.
constexpr std::uint32_t kLookedAtPerRun = 256;
constexpr std::uint64_t kLookedAtBytes = 256u << 10;
/// Runs of one call, so that it ends also where hardly anything is wanted.
constexpr std::uint32_t kRuns = 256;
/// Of data for one page, read at once into one buffer.
constexpr std::uint64_t kReadBytes = 1u << 20;
static_assert(kReadBytes <= media::BufferPool::kMaxBufferBytes && kMaxSingleValueBytes <= kReadBytes &&
              kArrayWindowBytes <= kReadBytes);
constexpr std::uint8_t kPlaceVersion = 1;

/// Between two pages: the walk that both are of, and the key to go on at.
struct Place {
  std::uint64_t walk = 0;
  Bytes position;
};

/// Of a place that any walk can begin at.
constexpr std::uint64_t kNoWalk = 0;

Bytes encode_place(std::uint64_t walk, ByteView position) {
  Bytes out;
  Encoder encoder(out);
  encoder.integer(kPlaceVersion);
  encoder.integer(walk);
  encoder.raw(position);
  return out;
}

Result<Place> decode_place(ByteView from) {
  Decoder in(from);
  const auto version = in.integer<std::uint8_t>();
  Place place{.walk = in.integer<std::uint64_t>(), .position = to_bytes(in.rest())};
  if (!in.bad() && version == kPlaceVersion && place.position.size() <= store::kMaxKeyBytes + 1) return place;
  return fail(Code::kMalformed, "this is no place in the history of a container");
}

/// An entry of the page in the making.
struct Item {
  Bytes key;
  Bytes value;
  bool stub = false;
};

/// Reads one page.
class HistoryReading {
 public:
  HistoryReading(Core& core, const Uuid& id, const HistoryFilter& wanted, Epoch have, std::uint64_t reader,
                 store::Lsn& seen)
      : core_(core), id_(id), wanted_(wanted), have_(have), reader_(reader), seen_(seen) {}

  Task<Result<HistoryPage>> run(const Bytes& from, Until until, HistoryDamage* damage);
  /// A page of one entry, without a walk.
  Task<Result<Bytes>> run_one(const Bytes& key, Until until);
  void give_up() { core_.walks.end(place_.walk); }

 private:
  Result<Container*> find();
  Result<> enter(const Bytes& from);
  Task<Result<>> collect_all(Until until);
  Result<bool> collect(store::View& view);
  Result<bool> look_at(ByteView key, Epoch epoch, ByteView value);
  void pass(ByteView key);
  bool ends_in_head() const;
  bool goes_on_with_head(ByteView next) const;
  /// The page is about all that another target may have before the next key here: of an akey whose last birth is in it,
  /// all older ones.
  HistoryRange range() const {
    if (end_) return {began_at_, {}};
    return {began_at_, stopped_at_.empty() ? place_.position : stopped_at_};
  }
  Task<Result<std::size_t>> write(HistoryPageWriter& page, std::size_t from, std::size_t to, Until until);
  Result<std::size_t> copy_out(HistoryPageWriter& page, std::span<const Item> items, std::span<const Entry> entries,
                               const Fetched& fetched);
  template <typename IsDamage>
  Task<Result<std::size_t>> find_damage(IsDamage is_damage, Until until);
  void count(HistoryPage& page, std::size_t items) const;

  Core& core_;
  const Uuid id_;
  NamedKeys wanted_;
  const Epoch have_;
  const std::uint64_t reader_;
  store::Lsn& seen_;
  Place place_;
  Bytes began_at_;
  store::TreeId tree_;
  bool over_ = false;  // the end of the tree, or of the page
  bool end_ = false;   // of the tree
  Bytes stopped_at_;   // first key that is not in the page; empty: not known
  std::vector<Item> items_;
  std::size_t page_bytes_ = 0;
  std::uint64_t read_bytes_ = 0;  // by whole chunks
  std::uint32_t left_ = 0;        // to look at in this run ...
  std::uint64_t left_bytes_ = 0;  // ... and their bytes
  HistoryFacts facts_;
  std::optional<Error> damage_;  // of the entry before the place, which is none of the items ...
  Bytes damaged_key_;            // ... and its key
};

/// Also one that is only kept for its clones.
Result<Container*> HistoryReading::find() {
  seen_ = std::max(seen_, core_.containers_lsn);
  const auto found = core_.containers.find(id_);
  if (found == core_.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id_.to_string());
  seen_ = std::max(seen_, found->second.lsn);
  return &found->second;
}

/// Begins a walk, or goes on with one.
Result<> HistoryReading::enter(const Bytes& from) {
  TRY(const Container* container, find());
  tree_ = container->tree;
  const Instant now = core_.reactor.now();
  if (from.empty()) {
    place_.walk = core_.reactor.random() | 1;
    return core_.walks.begin(place_.walk, id_, tree_, reader_, now);
  }
  TRY(place_, decode_place(from));
  if (place_.walk == kNoWalk) {
    place_.walk = core_.reactor.random() | 1;
    return core_.walks.begin(place_.walk, id_, tree_, reader_, now);
  }
  if (core_.walks.renew(place_.walk, id_, tree_, now)) return {};
  return fail(Code::kLeaseExpired,
              "the history was not read on for too long, or the target was restarted: begin with its first page");
}

void HistoryReading::pass(ByteView key) {
  place_.position = to_bytes(key);
  place_.position.push_back(std::byte{0});  // the next key is greater than this one
}

/// Whether the last entry is a birth or punch of an akey.
bool HistoryReading::ends_in_head() const {
  if (items_.empty()) return false;
  const auto key = parse_key(items_.back().key);
  return key && key->level == Level::kAkey && key->kind == Kind::kAkeyEntry;
}

/// Whether the next one is another of it: they stay in one page, so that who puts it sees the lives of the array
/// together. (Where there is more than a megabyte of them, most.)
bool HistoryReading::goes_on_with_head(ByteView next) const {
  if (!ends_in_head()) return false;
  const ByteView last = items_.back().key;
  return next.size() == last.size() && starts_with(next, last.first(last.size() - sizeof(std::uint64_t)));
}

/// Takes an entry in; true: the page is full without it, or ends at it.
Result<bool> HistoryReading::look_at(ByteView key, Epoch epoch, ByteView value) {
  const auto entry = decode_entry(value);
  if (!entry) {
    // What comes before it is a page, if only one that says that there is nothing.
    if (!items_.empty() || !equal(began_at_, key)) {
      stopped_at_ = to_bytes(key);
      if (items_.empty()) place_.position = stopped_at_;
      return true;
    }
    damage_ = entry.error().with_context("an entry with the key " + to_hex(key));
    damaged_key_ = to_bytes(key);
    pass(key);
    return true;
  }
  const bool stub = epoch <= have_ && entry->holds_data() && !entry->checksums.empty();
  const std::size_t bytes = HistoryPageWriter::room_for(key, *entry, stub);
  const bool in_blocks = entry->holds_data() && !stub && (!entry->is_inline || entry->is_packed);
  const std::uint64_t read = in_blocks ? chunk_count(entry->bytes) * kChecksumChunkBytes : 0;
  const bool full = page_bytes_ + bytes > kHistoryPageBytes || read_bytes_ + read > kReadBytes;
  if (full && !items_.empty() && (page_bytes_ + bytes > 2 * kHistoryPageBytes || !goes_on_with_head(key))) {
    stopped_at_ = to_bytes(key);
    return true;
  }
  page_bytes_ += bytes;
  read_bytes_ += read;
  items_.push_back({to_bytes(key), to_bytes(value), stub});
  pass(key);
  return false;
}

/// True: there is nothing more for this page. What was found stays found when an attempt ends at a missing page.
Result<bool> HistoryReading::collect(store::View& view) {
  TRY(const Container* container, find());
  if (container->tree != tree_) return fail(Code::kLeaseExpired, "the container was destroyed and made anew");
  facts_ = {.bound = container->bound,
            .as_of = core_.clock.last(),
            .last_rollback = container->last_rollback,
            .rolled_back = container->rolled_back};
  store::Cursor cursor(view, tree_);
  TRY(bool more, cursor.seek(place_.position));
  while (more) {
    if (left_ == 0 || left_bytes_ == 0) return false;
    --left_;
    left_bytes_ -= std::min<std::uint64_t>(left_bytes_, cursor.key().size() + cursor.value().size());
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (!wanted_.names(key)) {
      const Bytes next = wanted_.behind(key);
      if (next.empty()) break;
      place_.position = next;
      TRY(more, cursor.seek(next));
      continue;
    }
    if (find_rolled_back(container->rolled_back, key.epoch) != nullptr) {
      pass(cursor.key());
    } else {
      TRY(const bool full, look_at(cursor.key(), key.epoch, cursor.value()));
      if (full) return true;
    }
    TRY(more, cursor.next());
  }
  end_ = true;
  return true;
}

Task<Result<>> HistoryReading::collect_all(Until until) {
  for (std::uint32_t run = 0; !over_ && (run < kRuns || (run < 2 * kRuns && ends_in_head())); ++run) {
    if (run > 0) co_await core_.reactor.yield();
    left_ = kLookedAtPerRun;
    left_bytes_ = kLookedAtBytes;
    CO_TRY(over_, co_await core_.store.run(
                      [this](store::View& view) {
                        auto result = collect(view);
                        seen_ = std::max(seen_, view.seen());
                        return result;
                      },
                      until));
  }
  co_return Result<>();
}

Result<std::size_t> HistoryReading::copy_out(HistoryPageWriter& page, std::span<const Item> items,
                                             std::span<const Entry> entries, const Fetched& fetched) {
  std::size_t akey = 0, piece = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].stub) {
      page.add_stub(items[i].key, entries[i]);
      continue;
    }
    if (!entries[i].holds_data()) {
      page.add(items[i].key, entries[i], {});
      continue;
    }
    const AkeyFetched& data = fetched.reply.akeys[akey++];
    page.add(items[i].key, entries[i], data.checksums.view());
    for (std::uint64_t left = data.bytes; left > 0; ++piece) {
      const ByteView bytes = fetched.payload[piece].data;
      ASSERT(bytes.size() <= left);
      page.append(bytes);
      left -= bytes.size();
    }
  }
  return items.size();
}

/// Reads the data of some items and puts them into the page.
Task<Result<std::size_t>> HistoryReading::write(HistoryPageWriter& page, std::size_t from, std::size_t to,
                                                Until until) {
  const auto items = std::span(items_).subspan(from, to - from);
  CO_TRY(const Container* container, find());
  std::vector<Entry> entries;
  FetchRequest request{.container = id_, .object = {}, .dkey = {}, .akeys = {}};
  FetchPlan plan(request, kEpochLatest);
  for (const Item& item : items) {
    CO_TRY(const Entry entry, decode_entry(item.value));
    entries.push_back(entry);
    if (item.stub || !entry.holds_data()) continue;
    CO_TRY(const ParsedKey key, parse_key(item.key));
    // Their names are right where one is read alone.
    request.object = key.object;
    request.dkey = key.dkey();
    request.akeys.push_back({.akey = key.akey(), .ranges = {}, .max_bytes = entry.bytes});
    plan.add_entry(*container, entry, key.first);
  }
  Fetched fetched;
  if (!request.akeys.empty()) CO_CHECK_OK(co_await read_planned(core_, request, plan, fetched, until));
  co_return copy_out(page, items, entries, fetched);
}

void HistoryReading::count(HistoryPage& page, std::size_t items) const {
  ByteView object = began_at_;
  for (const Item& item : std::span(items_).first(items)) {
    if (object.size() < KeyPath::kObjectEnd || !starts_with(item.key, object.first(KeyPath::kObjectEnd)))
      ++page.objects;
    object = item.key;
    if (item.stub) {
      ++page.stubs;
      continue;
    }
    const auto entry = decode_entry(item.value);
    if (entry && entry->holds_data()) page.bytes += entry->bytes;
  }
}

/// The first item whose data cannot be read: the page ends before it, or is about it and cannot be made.
template <typename IsDamage>
Task<Result<std::size_t>> HistoryReading::find_damage(IsDamage is_damage, Until until) {
  for (std::size_t item = 0; item < items_.size(); ++item) {
    HistoryPageWriter alone(facts_, {});
    const auto one = co_await write(alone, item, item + 1, until);
    if (one) continue;
    if (!is_damage(one.error())) co_return fail(one.error());
    end_ = false;
    place_.position = stopped_at_ = items_[item].key;
    if (!equal(began_at_, items_[item].key)) co_return item;
    damage_ = one.error();
    damaged_key_ = items_[item].key;
    pass(items_[item].key);
    co_return item;
  }
  co_return items_.size();
}

Task<Result<HistoryPage>> HistoryReading::run(const Bytes& from, Until until, HistoryDamage* damage) {
  CO_CHECK_OK(enter(from));
  began_at_ = place_.position;
  // Before anything is found: it must still be there when it is read.
  const store::ExtentGuard guard = core_.store.guard_extents();
  CO_CHECK_OK(co_await collect_all(until));
  std::size_t taken = items_.size();
  // It may have to be read again.
  if (std::ranges::any_of(items_, &Item::stub)) end_ = false;
  std::optional<HistoryPageWriter> page(std::in_place, facts_, range());
  const auto is_damage = [this](const Error& error) {
    return (error == Code::kCorrupt || error == Code::kIoError) && !core_.store.status().fenced;
  };
  if (const auto written = co_await write(*page, 0, taken, until); !written) {
    if (!is_damage(written.error())) co_return fail(written.error());
    CO_TRY(taken, co_await find_damage(is_damage, until));
    page.emplace(facts_, range());
    if (!damage_) CO_CHECK_OK(co_await write(*page, 0, taken, until));
  }
  if (damage_) {
    if (damage != nullptr) *damage = {encode_place(place_.walk, place_.position), damaged_key_};
    co_return fail(*damage_);
  }
  HistoryPage result;
  count(result, taken);
  result.entries = page->finish();
  result.again = encode_place(place_.walk, began_at_);
  if (end_) {
    core_.walks.end(place_.walk);
  } else {
    result.next = encode_place(place_.walk, place_.position);
    // What hangs together is of one object, and is read in one walk.
    const ByteView position = place_.position;
    result.resume = encode_place(kNoWalk, position.first(std::min<std::size_t>(position.size(), KeyPath::kObjectEnd)));
  }
  co_return result;
}

Task<Result<Bytes>> HistoryReading::run_one(const Bytes& key, Until until) {
  const store::ExtentGuard guard = core_.store.guard_extents();
  const auto attempt = [&](store::View& view) -> Result<> {
    TRY(const Container* container, find());
    facts_ = {.bound = container->bound,
              .as_of = core_.clock.last(),
              .last_rollback = container->last_rollback,
              .rolled_back = container->rolled_back};
    TRY(const auto value, view.get(container->tree, key));
    seen_ = std::max(seen_, view.seen());
    if (!value) return fail(Code::kNotFound, "there is no such entry here");
    TRY(const Entry entry, decode_entry(*value));
    if (!entry.holds_data()) return fail(Code::kNotFound, "the entry holds no data here");
    items_ = {{key, to_bytes(*value), false}};
    return {};
  };
  CO_CHECK_OK(co_await core_.store.run(attempt, until));
  pass(key);
  HistoryPageWriter page(facts_, {key, place_.position});
  CO_CHECK_OK(co_await write(page, 0, 1, until));
  co_return page.finish();
}

}  // namespace

Task<Result<Bytes>> read_entry(Core& core, Uuid container, const Bytes& key, Until until, store::Lsn& seen) {
  if (const auto parsed = parse_key(key); !parsed) co_return fail(Code::kMalformed, "this is no key of an entry");
  const HistoryFilter all = [](const ObjectId&, const std::optional<ByteView>&) { return Part::kAll; };
  HistoryReading reading(core, container, all, kEpochZero, 0, seen);
  co_return co_await reading.run_one(key, until);
}

Task<Result<HistoryPage>> read_history(Core& core, Uuid container, const Bytes& from, const HistoryFilter& wanted,
                                       Until until, HistoryDamage* damage, Epoch have, std::uint64_t reader,
                                       store::Lsn& seen) {
  if (damage != nullptr) *damage = {};
  HistoryReading reading(core, container, wanted, have, reader, seen);
  auto page = co_await reading.run(from, until, damage);
  // Nobody knows how to go on with it.
  if (!page && from.empty() && (damage == nullptr || damage->behind.empty())) reading.give_up();
  co_return page;
}

}  // namespace cenote::object
