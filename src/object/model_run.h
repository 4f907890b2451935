#pragma once

#include <set>

#include "keys.h"
#include "model_test_kit.h"
#include "target_test_kit.h"

namespace cenote::object {

using Seen = Model::Seen;
using Change = Model::Change;

/// Random requests to an ObjectStore and to the model; every answer is compared.
class ModelRun {
 public:
  virtual ~ModelRun() = default;
  explicit ModelRun(std::uint64_t seed) : seed_(seed), random_(seed), target_(seed, 128) {
    target_.options.inline_bytes = random_() % 2 == 0 ? 2048 : 64;
    target_.device_options.prefers_durable_writes = random_() % 2 == 0;
    target_.properties.compression = static_cast<Compression>(seed % 3);
    target_.properties.encrypted = seed % 4 < 2;
    if (target_.properties.encrypted) target_.encrypt();
    objects_ = {ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1),
                ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2),
                ObjectId::make(ObjectClass::kS1, KeyFlavour::kHashed, KeyFlavour::kUint64, 1, 3)};
  }

  void run(int steps) {
    target_.create();
    for (step_ = 0; step_ < steps && !testing::Test::HasFailure(); ++step_) step();
    if (!testing::Test::HasFailure()) finish();
    if (testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed_ << ", step " << step_;
  }

 protected:
  /// Another kind of step, now and then.
  virtual void other_step() {}
  /// What else keeps the readers of an epoch, and keeps a rollback from going before it.
  virtual bool retained(std::uint64_t epoch) const { return snapshots_.contains(epoch); }
  virtual std::uint64_t oldest_end() const { return snapshots_.empty() ? 0 : *snapshots_.rbegin(); }
  virtual void raise_bound(std::uint64_t bound) { bound_ = std::max(bound_, bound); }
  virtual void before_finish() {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  template <typename Values>
  const auto& pick(const Values& values) {
    return values[below(std::size(values))];
  }

  Bytes data(std::size_t bytes) {
    return target_.properties.compression == Compression::kNone ? pattern(random_(), bytes) : mixture(random_(), bytes);
  }
  KeyBytes random_key(KeyFlavour flavour) {
    if (flavour == KeyFlavour::kUint64) return key_of(below(4) * 300);
    static constexpr std::string_view kNames[] = {std::string_view("a"), std::string_view("a\0", 2),
                                                  std::string_view("a\0b", 3), std::string_view("ab")};
    return key_of(pick(kNames));
  }
  // The order of listing.
  static Bytes order_of(const Bytes& key, KeyFlavour flavour) {
    PathBytes encoded;
    append_encoded(key, flavour, encoded);
    return to_bytes(encoded);
  }
  RecordRange random_range() {
    const std::uint64_t longest[] = {4, 100, 300, 5000};
    return {pick(kPlaces) + below(3000), 1 + below(pick(longest))};
  }
  std::uint64_t random_epoch() {
    if (fixed_epoch_) return *fixed_epoch_;
    if (!snapshots_.empty() && below(3) == 0) return any_snapshot();
    if (below(3) == 0 || epochs_.empty()) return kEpochLatest.value();
    const std::uint64_t epoch = pick(epochs_);
    return epoch < bound_ ? kEpochLatest.value() : epoch;
  }

  std::uint64_t any_snapshot() {
    return *std::next(snapshots_.begin(), static_cast<std::ptrdiff_t>(below(snapshots_.size())));
  }

  void step() {
    switch (below(20)) {
      case 0:
        return punch();
      case 1:
        return punch_ranges();
      case 2:
        return list_keys();
      case 3:
        return list_extents();
      case 4:
        return query();
      case 5:
        if (below(4) == 0) return aggregate();
        if (below(3) == 0) ASSERT_TRUE(target_.block_on(target_.objects->compact()));
        return fetch();
      case 7:
        return commit();
      case 6:
        if (below(2) == 0) other_step();
        if (below(3) == 0) return add_snapshot();
        if (below(3) == 0) return remove_snapshot();
        if (below(4) == 0) return roll_back();
        if (below(3) == 0) {
          target_.reopen();
          target_.check();
          check_snapshots();
        }
        return;
      case 8:
      case 9:
      case 10:
      case 11:
        return fetch();
      default:
        return update();
    }
  }

  void update() {
    const ObjectId object = pick(objects_);
    UpdateRequest request{.container = target_.container,
                          .object = object,
                          .dkey = random_key(object.dkey_flavour()),
                          .akeys = {},
                          .id = {}};
    if (below(5) == 0) request.dkey_condition = below(2) == 0 ? Precondition::kAbsent : Precondition::kPresent;
    const Bytes dkey = to_bytes(request.dkey);
    Bytes payload;
    bool condition_fails = false, type_fails = false;
    if (request.dkey_condition != Precondition::kNone)
      condition_fails =
          model_.dkey_exists(object, dkey, UINT64_MAX) != (request.dkey_condition == Precondition::kPresent);
    for (std::uint64_t count = 1 + below(3); count > 0; --count) {
      const KeyBytes akey = random_key(object.akey_flavour());
      if (std::ranges::any_of(request.akeys, [&](const AkeyUpdate& other) { return other.akey == akey; })) continue;
      const Seen seen = model_.see(object, dkey, to_bytes(akey), UINT64_MAX);
      const bool array = seen.is == Seen::Is::kAbsent || below(30) == 0 ? below(2) == 0 : seen.is == Seen::Is::kArray;
      AkeyUpdate update = array ? random_write(akey, seen, payload) : random_value(akey, payload);
      if (below(6) == 0) update.condition = below(2) == 0 ? Precondition::kAbsent : Precondition::kPresent;
      const bool exists = seen.is != Seen::Is::kAbsent;
      const bool condition_holds =
          update.condition == Precondition::kNone || exists == (update.condition == Precondition::kPresent);
      const bool type_fits = fits(seen, update);
      // The first akey that fails decides the answer.
      if (!condition_fails && !type_fails) {
        condition_fails = !condition_holds;
        type_fails = condition_holds && !type_fits;
      }
      request.akeys.push_back(std::move(update));
    }
    const auto updated = target_.update(request, payload);
    if (condition_fails || type_fails) {
      ASSERT_FALSE(updated);
      ASSERT_TRUE(updated.error() == (condition_fails ? Code::kConditionFailed : Code::kTypeMismatch))
          << updated.error().to_string();
      return;
    }
    ASSERT_TRUE(updated) << updated.error().to_string();
    apply(request, payload, note(updated->epoch));
  }

  AkeyUpdate random_value(const KeyBytes& akey, Bytes& payload) {
    const std::uint64_t longest[] = {10, 3000, 10'000, 60'000};
    const Bytes value = this->data(below(pick(longest)));
    payload.insert(payload.end(), value.begin(), value.end());
    return target_.single(objects_[0], {}, akey, value).akeys[0];
  }
  AkeyUpdate random_write(const KeyBytes& akey, const Seen& seen, Bytes& payload) {
    static constexpr std::uint32_t kSizes[] = {1, 1, 8, 300};
    std::uint32_t record_bytes = pick(kSizes);
    if (seen.is == Seen::Is::kArray && below(30) != 0) record_bytes = seen.record_bytes;
    RecordRanges ranges;
    std::uint64_t records = 0;
    for (std::uint64_t count = 1 + below(2), end = 0; count > 0; --count) {
      RecordRange range = random_range();
      range.count = std::min<std::uint64_t>(range.count, 100'000 / record_bytes);
      if (below(40) == 0) range.count = 300'000 / record_bytes;
      if (range.first < end) continue;
      ranges.push_back(range);
      end = range.first + range.count;
      records += range.count;
    }
    const Bytes data = this->data(records * record_bytes);
    payload.insert(payload.end(), data.begin(), data.end());
    return target_.array(objects_[0], {}, akey, record_bytes, ranges, data).akeys[0];
  }

  void apply(const UpdateRequest& request, const Bytes& payload, std::uint64_t epoch) {
    std::size_t at = 0;
    for (const AkeyUpdate& akey : request.akeys) {
      auto& changes = model_.objects[request.object].dkeys[to_bytes(request.dkey)].akeys[to_bytes(akey.akey)].changes;
      const auto take = [&](std::size_t bytes) {
        const auto from = payload.begin() + static_cast<std::ptrdiff_t>(at);
        at += bytes;
        return Bytes(from, from + static_cast<std::ptrdiff_t>(bytes));
      };
      if (akey.kind == ValueKind::kSingle)
        changes.push_back({.what = Change::What::kValue, .epoch = epoch, .range = {}, .bytes = take(akey.bytes)});
      for (const RecordRange& range : akey.ranges)
        changes.push_back(
            {Change::What::kWrite, epoch, range, take(range.count * akey.record_bytes), akey.record_bytes});
    }
  }

  void fetch() {
    const ObjectId object = pick(objects_);
    const std::uint64_t epoch = random_epoch();
    FetchRequest request{.container = target_.container,
                         .object = object,
                         .dkey = random_key(object.dkey_flavour()),
                         .epoch = Epoch(epoch),
                         .akeys = {}};
    const Bytes dkey = to_bytes(request.dkey);
    Bytes payload;
    std::vector<RecordRanges> holes;
    for (std::uint64_t count = 1 + below(3); count > 0; --count) {
      AkeyFetch& akey = request.akeys.emplace_back();
      akey.akey = random_key(object.akey_flavour());
      const Seen seen = model_.see(object, dkey, to_bytes(akey.akey), epoch);
      akey.max_bytes = 600'000;
      holes.emplace_back();
      if (seen.is == Seen::Is::kSingle) {
        payload.insert(payload.end(), seen.value->bytes.begin(), seen.value->bytes.end());
        continue;
      }
      akey.kind = ValueKind::kArray;
      RecordRange range = random_range();
      if (seen.record_bytes > 8) range.count = std::min<std::uint64_t>(range.count, 2000);
      akey.ranges = {range};
      if (seen.is == Seen::Is::kAbsent) {
        holes.back() = akey.ranges;
        continue;
      }
      akey.max_bytes = range.count * seen.record_bytes;
      auto [bytes, found] = Model::read(seen, range);
      if (!found.empty() && found.back().first + found.back().count == range.first + range.count)
        bytes.resize(bytes.size() - found.back().count * seen.record_bytes);
      payload.insert(payload.end(), bytes.begin(), bytes.end());
      holes.back() = found;
    }
    const auto fetched = target_.fetch(request);
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    ASSERT_TRUE(equal(joined(*fetched), payload)) << "epoch " << epoch;
    for (std::size_t i = 0; i < request.akeys.size(); ++i) ASSERT_EQ(fetched->reply.akeys[i].holes, holes[i]);
    check_checksums(*fetched, payload);
  }

  static void check_checksums(const Fetched& fetched, ByteView payload) {
    for (const AkeyFetched& akey : fetched.reply.akeys) {
      Checksums expected;
      std::uint64_t left = akey.bytes;
      for (std::uint64_t bytes : akey.range_bytes) {
        append_checksums(payload.first(bytes), expected);
        payload = payload.subspan(bytes);
        left -= bytes;
      }
      append_checksums(payload.first(left), expected);
      payload = payload.subspan(left);
      ASSERT_EQ(akey.checksums, expected);
    }
  }

  void punch() {
    const ObjectId object = pick(objects_);
    PunchRequest request{
        .container = target_.container, .object = object, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
    request.level = static_cast<PunchLevel>(1 + below(3));
    if (below(2) == 0) request.condition = Precondition::kPresent;
    bool exists = model_.object_exists(object, UINT64_MAX);
    if (request.level != PunchLevel::kObject) {
      request.dkey = random_key(object.dkey_flavour());
      exists = model_.dkey_exists(object, to_bytes(request.dkey), UINT64_MAX);
    }
    if (request.level == PunchLevel::kAkey) {
      request.akeys = {random_key(object.akey_flavour())};
      exists =
          model_.see(object, to_bytes(request.dkey), to_bytes(request.akeys[0]), UINT64_MAX).is != Seen::Is::kAbsent;
    }
    const auto punched = target_.punch(request);
    if (!exists && request.condition == Precondition::kPresent) {
      ASSERT_FALSE(punched);
      ASSERT_TRUE(punched.error() == Code::kConditionFailed) << punched.error().to_string();
      return;
    }
    ASSERT_TRUE(punched) << punched.error().to_string();
    apply(model_, request, note(punched->epoch));
  }

  static void apply(Model& model, const PunchRequest& request, std::uint64_t epoch) {
    Model::Object& object = model.objects[request.object];
    if (request.level == PunchLevel::kObject) return object.punches.push_back(epoch);
    Model::Dkey& dkey = object.dkeys[to_bytes(request.dkey)];
    if (request.level == PunchLevel::kDkey) return dkey.punches.push_back(epoch);
    const Bytes akey = to_bytes(request.akeys[0]);
    if (request.level == PunchLevel::kAkey) {
      dkey.akeys[akey].changes.push_back({.what = Change::What::kPunch, .epoch = epoch, .range = {}, .bytes = {}});
    } else if (model.see(request.object, to_bytes(request.dkey), akey, epoch).is == Seen::Is::kArray) {
      dkey.akeys[akey].changes.push_back({Change::What::kHole, epoch, request.ranges[0], {}, 0});
    }
  }

  /// A punch of anything, and updates that see it, at one moment.
  void commit() {
    CommitRequest request;
    request.container = target_.container;
    PunchRequest& punch = request.punches.emplace_back();
    punch.container = target_.container;
    punch.level = static_cast<PunchLevel>(1 + below(4));
    punch.object = pick(objects_);
    if (punch.level != PunchLevel::kObject) punch.dkey = random_key(punch.object.dkey_flavour());
    if (punch.level >= PunchLevel::kAkey) punch.akeys = {random_key(punch.object.akey_flavour())};
    if (punch.level == PunchLevel::kRange) punch.ranges = {random_range()};
    bool type_fails =
        punch.level == PunchLevel::kRange &&
        model_.see(punch.object, to_bytes(punch.dkey), to_bytes(punch.akeys[0]), UINT64_MAX).is == Seen::Is::kSingle;
    Model punched = model_;
    apply(punched, punch, UINT64_MAX - 1);
    std::vector<Bytes> payloads;
    for (std::uint64_t count = 1 + below(3); count > 0; --count) {
      UpdateRequest update{.container = target_.container, .object = pick(objects_), .dkey = {}, .akeys = {}, .id = {}};
      update.dkey = random_key(update.object.dkey_flavour());
      const auto same = [&](const UpdateRequest& other) {
        return other.object == update.object && other.dkey == update.dkey;
      };
      if (std::ranges::any_of(request.updates, same)) continue;
      Bytes payload;
      const KeyBytes akey = random_key(update.object.akey_flavour());
      const Seen seen = punched.see(update.object, to_bytes(update.dkey), to_bytes(akey), UINT64_MAX);
      const bool array = seen.is == Seen::Is::kAbsent || below(30) == 0 ? below(2) == 0 : seen.is == Seen::Is::kArray;
      update.akeys = {array ? random_write(akey, seen, payload) : random_value(akey, payload)};
      if (cross(punch, update)) continue;
      type_fails = type_fails || !fits(seen, update.akeys[0]);
      request.updates.push_back(std::move(update));
      payloads.push_back(std::move(payload));
    }
    Bytes payload;
    for (const Bytes& bytes : payloads) payload.insert(payload.end(), bytes.begin(), bytes.end());
    const auto committed = target_.block_on(
        target_.objects->commit(request, target_.buffer_of(payload), payload.size(), Until::forever()));
    ASSERT_EQ(code_of(committed), type_fails ? Code::kTypeMismatch : Code::kOk);
    if (type_fails) return;
    const std::uint64_t epoch = note(committed->epoch);
    apply(model_, punch, punch.level == PunchLevel::kRange ? epoch : epoch - 1);
    for (std::size_t i = 0; i < payloads.size(); ++i) apply(request.updates[i], payloads[i], epoch);
  }
  /// Whether a record is both punched and written.
  static bool cross(const PunchRequest& punch, const UpdateRequest& update) {
    if (punch.level != PunchLevel::kRange || punch.object != update.object || punch.dkey != update.dkey ||
        punch.akeys[0] != update.akeys[0].akey)
      return false;
    const RecordRange& hole = punch.ranges[0];
    return update.akeys[0].ranges.empty() || std::ranges::any_of(update.akeys[0].ranges, [&](const RecordRange& range) {
             return range.first < hole.first + hole.count && hole.first < range.first + range.count;
           });
  }
  static bool fits(const Seen& seen, const AkeyUpdate& update) {
    if (seen.is == Seen::Is::kAbsent) return true;
    const bool array = update.kind == ValueKind::kArray;
    return (seen.is == Seen::Is::kArray) == array && (!array || seen.record_bytes == update.record_bytes);
  }

  void punch_ranges() {
    const ObjectId object = pick(objects_);
    PunchRequest request{.container = target_.container,
                         .object = object,
                         .level = PunchLevel::kRange,
                         .dkey = random_key(object.dkey_flavour()),
                         .akeys = {random_key(object.akey_flavour())},
                         .ranges = {random_range()},
                         .id = {}};
    // Cut off everything behind a place, as a truncated file does.
    if (below(3) == 0) request.ranges[0].count = UINT64_MAX - request.ranges[0].first;
    const Seen seen = model_.see(object, to_bytes(request.dkey), to_bytes(request.akeys[0]), UINT64_MAX);
    const auto punched = target_.punch(request);
    if (seen.is == Seen::Is::kSingle) {
      ASSERT_FALSE(punched);
      ASSERT_TRUE(punched.error() == Code::kTypeMismatch) << punched.error().to_string();
      return;
    }
    ASSERT_TRUE(punched) << punched.error().to_string();
    if (seen.is == Seen::Is::kAbsent) return;
    auto& changes = model_.objects[object].dkeys[to_bytes(request.dkey)].akeys[to_bytes(request.akeys[0])].changes;
    changes.push_back({Change::What::kHole, note(punched->epoch), request.ranges[0], {}, 0});
  }

  template <typename Collect>
  void list_all(ListRequest request, Collect collect) {
    request.limit = static_cast<std::uint32_t>(1 + below(4));
    while (true) {
      const auto listed = target_.list(request);
      ASSERT_TRUE(listed) << listed.error().to_string();
      collect(*listed);
      if (listed->anchor.empty()) return;
      request.anchor = listed->anchor;
    }
  }

  ListRequest list_request(ListLevel level, const ObjectId& object, std::uint64_t epoch) const {
    return {.container = target_.container,
            .level = level,
            .object = object,
            .dkey = {},
            .akey = {},
            .epoch = Epoch(epoch),
            .anchor = {},
            .prefix = {}};
  }

  void list_keys() {
    const ObjectId object = pick(objects_);
    const std::uint64_t epoch = random_epoch();
    std::vector<Bytes> expected;
    ListRequest request = list_request(static_cast<ListLevel>(1 + below(3)), object, epoch);
    if (request.level == ListLevel::kObjects) {
      for (const auto& [id, unused] : model_.objects) {
        if (!model_.object_exists(id, epoch)) continue;
        Bytes name(16);
        store_be(name.data(), id.high());
        store_be(name.data() + 8, id.low());
        expected.push_back(name);
      }
    } else if (request.level == ListLevel::kDkeys) {
      for (const auto& [dkey, unused] : model_.objects[object].dkeys)
        if (model_.dkey_exists(object, dkey, epoch)) expected.push_back(dkey);
      sort_keys(expected, object.dkey_flavour());
    } else {
      request.dkey = random_key(object.dkey_flavour());
      for (const auto& [akey, unused] : model_.objects[object].dkeys[to_bytes(request.dkey)].akeys)
        if (model_.see(object, to_bytes(request.dkey), akey, epoch).is != Seen::Is::kAbsent) expected.push_back(akey);
      sort_keys(expected, object.akey_flavour());
    }
    std::vector<Bytes> listed;
    list_all(request, [&](const ListReply& reply) {
      for (const ListedKey& key : reply.keys) {
        listed.push_back(to_bytes(key.key));
        if (request.level != ListLevel::kAkeys) continue;
        const Seen seen = model_.see(object, to_bytes(request.dkey), listed.back(), epoch);
        EXPECT_EQ(key.kind == ValueKind::kArray, seen.is == Seen::Is::kArray);
        EXPECT_EQ(key.record_bytes, seen.record_bytes);
      }
    });
    ASSERT_EQ(listed, expected) << "level " << static_cast<int>(request.level) << " epoch " << epoch;
  }
  static void sort_keys(std::vector<Bytes>& keys, KeyFlavour flavour) {
    std::ranges::sort(keys, [flavour](const Bytes& a, const Bytes& b) {
      return compare(order_of(a, flavour), order_of(b, flavour)) < 0;
    });
  }

  void list_extents() {
    const ObjectId object = pick(objects_);
    const std::uint64_t epoch = random_epoch();
    ListRequest request = list_request(ListLevel::kExtents, object, epoch);
    request.dkey = random_key(object.dkey_flavour());
    request.akey = random_key(object.akey_flavour());
    const Seen seen = model_.see(object, to_bytes(request.dkey), to_bytes(request.akey), epoch);
    if (seen.is == Seen::Is::kSingle) return;
    RecordRanges listed;
    list_all(request, [&](const ListReply& reply) {
      for (const ListedExtent& extent : reply.extents) {
        EXPECT_LE(extent.epoch.value(), epoch);
        if (!listed.empty() && listed.back().first + listed.back().count == extent.range.first) {
          listed.back().count += extent.range.count;
        } else {
          listed.push_back(extent.range);
        }
      }
    });
    // Around each place the holes are exactly what is not listed.
    for (const std::uint64_t place : kPlaces) {
      const RecordRange around{place, 3500};
      if (seen.is == Seen::Is::kAbsent) {
        ASSERT_TRUE(listed.empty());
        continue;
      }
      std::uint64_t holes = 0, covered = 0;
      for (const RecordRange& hole : Model::read(seen, around).second) holes += hole.count;
      for (const RecordRange& range : listed) {
        const std::uint64_t from = std::max(range.first, around.first);
        const std::uint64_t to = std::min(range.first + range.count, around.first + around.count);
        if (from < to) covered += to - from;
      }
      ASSERT_EQ(holes + covered, around.count) << "place " << place << " epoch " << epoch;
    }
  }

  // The end of an array, looked for from behind in steps.
  static std::uint64_t records_of(const Seen& array) {
    std::uint64_t end = 0;
    for (const Change* change : array.writes)
      if (change->what == Change::What::kWrite) end = std::max(end, change->range.first + change->range.count);
    while (end > 0) {
      const std::uint64_t from = end > 2000 ? end - 2000 : 0;
      const auto holes = Model::read(array, {from, end - from}).second;
      if (holes.empty() || holes.back().first + holes.back().count != end) return end;
      end = holes.back().first;
      if (end > from) return end;
      // Nothing in this stretch: go on below the next write that is not higher.
      std::uint64_t next = 0;
      for (const Change* change : array.writes)
        if (change->what == Change::What::kWrite && change->range.first < end)
          next = std::max(next, std::min(end, change->range.first + change->range.count));
      end = next;
    }
    return 0;
  }

  void query() {
    const ObjectId object = pick(objects_);
    const std::uint64_t epoch = random_epoch();
    QueryRequest request{.container = target_.container,
                         .object = object,
                         .epoch = Epoch(epoch),
                         .dkey = {},
                         .akey = random_key(object.akey_flavour())};
    std::vector<Bytes> dkeys;
    const bool greatest = object.dkey_flavour() == KeyFlavour::kUint64 && below(2) == 0;
    if (greatest) {
      for (const auto& [dkey, unused] : model_.objects[object].dkeys) dkeys.push_back(dkey);
      sort_keys(dkeys, KeyFlavour::kUint64);
      std::ranges::reverse(dkeys);
    } else {
      request.dkey = random_key(object.dkey_flavour());
      dkeys.push_back(to_bytes(request.dkey));
    }
    QueryReply expected;
    bool type_fails = false;
    for (const Bytes& dkey : dkeys) {
      const Seen seen = model_.see(object, dkey, to_bytes(request.akey), epoch);
      type_fails = seen.is == Seen::Is::kSingle;
      if (type_fails) break;
      const std::uint64_t records = records_of(seen);
      if (seen.is == Seen::Is::kAbsent || (greatest && records == 0)) continue;
      expected = {.exists = true, .dkey = KeyBytes(dkey), .record_bytes = seen.record_bytes, .records = records};
      break;
    }
    const auto queried = target_.query(request);
    if (type_fails) {
      ASSERT_FALSE(queried);
      return;
    }
    ASSERT_TRUE(queried) << queried.error().to_string();
    ASSERT_EQ(queried->exists, expected.exists) << "epoch " << epoch << " greatest " << greatest;
    ASSERT_EQ(queried->records, expected.records) << "epoch " << epoch;
    ASSERT_EQ(queried->dkey, expected.dkey);
    ASSERT_EQ(queried->record_bytes, expected.record_bytes);
  }

  void aggregate() {
    std::uint64_t bound = target_.objects->now().value();
    if (!epochs_.empty() && below(3) != 0) bound = pick(epochs_);
    const auto merged = target_.block_on(target_.objects->aggregate(Epoch(bound)));
    ASSERT_TRUE(merged) << merged.error().to_string();
    raise_bound(bound);
    if (bound_ > 0) {
      const std::uint64_t before = (bound_ - 2) | 1;  // the moment before
      FetchRequest request = target_.fetch_single(objects_[0], key_of("a"), key_of("a"), Epoch(before));
      const auto fetched = target_.fetch(request);
      if (!retained(before)) {
        ASSERT_FALSE(fetched);
        ASSERT_TRUE(fetched.error() == Code::kEpochTooOld) << fetched.error().to_string();
      }
    }
    target_.check();
    check_snapshots();
  }

  /// Of any epoch at which something happened, or right behind the newest.
  void add_snapshot() {
    std::uint64_t epoch = target_.objects->now().value() + below(2);
    if (!epochs_.empty() && below(2) == 0) epoch = pick(epochs_);
    // What a clone shows may be of such an epoch, of which only snapshots of the present are made.
    if (epoch == 0 || (epoch % 2 == 0 && epoch < target_.objects->now().value())) return;
    const auto added = target_.block_on(target_.objects->add_snapshot(target_.container, Epoch(epoch)));
    if (epoch < bound_ && !retained(epoch)) {
      ASSERT_FALSE(added);
      ASSERT_TRUE(added.error() == Code::kEpochTooOld) << added.error().to_string();
      return;
    }
    ASSERT_TRUE(added) << added.error().to_string();
    snapshots_.insert(epoch);
  }

  void remove_snapshot() {
    if (snapshots_.empty()) return;
    const std::uint64_t epoch = any_snapshot();
    const auto removed = target_.block_on(target_.objects->remove_snapshot(target_.container, Epoch(epoch)));
    ASSERT_TRUE(removed) << removed.error().to_string();
    snapshots_.erase(epoch);
  }

  /// Everything that was ever written, as the reader of each snapshot sees it.
  void check_snapshots() {
    const auto listed = target_.block_on(target_.objects->list_snapshots(target_.container));
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), snapshots_.size());
    for (const std::uint64_t epoch : snapshots_) {
      fixed_epoch_ = epoch;
      for (const auto& [object, dkeys] : model_.objects)
        for (const auto& [dkey, akeys] : dkeys.dkeys)
          for (const auto& [akey, unused] : akeys.akeys) ASSERT_NO_FATAL_FAILURE(check_akey(object, dkey, akey, epoch));
      for (int i = 0; i < 2; ++i) {
        ASSERT_NO_FATAL_FAILURE(list_keys());
        ASSERT_NO_FATAL_FAILURE(list_extents());
        ASSERT_NO_FATAL_FAILURE(query());
      }
    }
    fixed_epoch_.reset();
  }

  void check_akey(const ObjectId& object, const Bytes& dkey, const Bytes& akey, std::uint64_t epoch) {
    const Seen seen = model_.see(object, dkey, akey, epoch);
    if (seen.is != Seen::Is::kArray) {
      const auto fetched = target_.fetch(target_.fetch_single(object, KeyBytes(dkey), KeyBytes(akey), Epoch(epoch)));
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      ASSERT_EQ(fetched->reply.akeys[0].exists, seen.is == Seen::Is::kSingle) << "epoch " << epoch;
      if (seen.is == Seen::Is::kSingle) ASSERT_TRUE(equal(joined(*fetched), seen.value->bytes)) << "epoch " << epoch;
      return;
    }
    for (const std::uint64_t place : kPlaces) {
      const RecordRange range{place, std::min<std::uint64_t>(9000, 1'000'000 / seen.record_bytes)};
      FetchRequest request = target_.fetch_array(object, KeyBytes(dkey), KeyBytes(akey), {range}, Epoch(epoch));
      request.akeys[0].max_bytes = range.count * seen.record_bytes;
      const auto fetched = target_.fetch(request);
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      auto [bytes, holes] = Model::read(seen, range);
      if (!holes.empty() && holes.back().first + holes.back().count == range.first + range.count)
        bytes.resize(bytes.size() - holes.back().count * seen.record_bytes);
      ASSERT_TRUE(equal(joined(*fetched), bytes)) << "epoch " << epoch << ", place " << place;
      ASSERT_EQ(fetched->reply.akeys[0].holes, holes) << "epoch " << epoch << ", place " << place;
    }
  }

  std::uint64_t note(Epoch epoch) {
    EXPECT_TRUE(epochs_.empty() || epoch.value() > epochs_.back());
    epochs_.push_back(epoch.value());
    return epoch.value();
  }

  /// To the newest snapshot or a later epoch that can still be read.
  void roll_back() {
    const std::uint64_t newest = oldest_end();
    std::uint64_t to = newest;
    if (below(2) == 0 && !epochs_.empty()) to = pick(epochs_);
    if (to == 0 || to < newest || (to < bound_ && to != newest)) return;
    const Uuid request = Uuid::from_random(random_(), random_());
    for (const bool repeated : {false, true}) {
      const auto rolled_back = target_.block_on(target_.objects->roll_back(target_.container, Epoch(to), request));
      ASSERT_TRUE(rolled_back) << rolled_back.error().to_string();
      if (!repeated) bound_ = target_.objects->now().value();
      if (below(2) == 0) break;
    }
    model_.forget_after(to);
    std::erase_if(epochs_, [to](std::uint64_t epoch) { return epoch > to; });
    epochs_.push_back(bound_);
    if (below(3) == 0) target_.reopen();
    target_.check();
  }

  /// Everything punched and merged leaves nothing behind.
  void finish() {
    before_finish();
    for (const ObjectId& object : objects_) {
      const auto punched = target_.punch(
          {.container = target_.container, .object = object, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}});
      ASSERT_TRUE(punched) << punched.error().to_string();
    }
    // Whatever the order in which snapshots go, the others keep theirs.
    while (true) {
      ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
      target_.check();
      ASSERT_NO_FATAL_FAILURE(check_snapshots());
      if (snapshots_.empty()) break;
      ASSERT_NO_FATAL_FAILURE(remove_snapshot());
    }
    const auto owned = target_.block_on(target_.objects->owned_extents());
    ASSERT_TRUE(owned && owned->empty());
    EXPECT_EQ(target_.block_on(target_.objects->container_usage(target_.container))->bytes, 0u);
    target_.reopen();
    EXPECT_EQ(target_.block_on(target_.objects->container_usage(target_.container))->bytes, 0u);
    EXPECT_EQ(target_.entries(), 0u);
  }

  std::uint64_t seed_;
  std::mt19937_64 random_;
  TestTarget target_;
  Model model_;
  std::vector<ObjectId> objects_;
  std::vector<std::uint64_t> epochs_;
  std::uint64_t bound_ = 0;
  std::set<std::uint64_t> snapshots_;
  std::optional<std::uint64_t> fixed_epoch_;  ///< of all readers
  int step_ = 0;
};

}  // namespace cenote::object
