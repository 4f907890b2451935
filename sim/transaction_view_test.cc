// What a transaction shows of itself: the same requests, in a transaction of one container and one by one in another,
// must be answered alike, before the commit and after it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/client/array.h"
#include "cenote/client/kv.h"
#include "client_node.h"

namespace cenote::sim {
namespace {

using async::Container;

constexpr std::uint32_t kRoom = 4000;

/// Draws requests and compares their answers.
class Twins {
 public:
  Twins(Run& run, Container plain, Container other) : run_(run), plain_(std::move(plain)), other_(std::move(other)) {}

  /// One request to both.
  Task<Result<>> step() {
    switch (run_.below(8)) {
      case 0:
        return punch();
      case 1:
        return list();
      case 2:
        return query();
      case 3:
      case 4:
        return fetch();
      default:
        return update();
    }
  }
  /// Everything that can be asked.
  Task<Result<>> compare() {
    for (const ObjectId& object : kObjects) {
      CO_CHECK_OK(co_await compare_lists({.object = object, .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}}));
      for (std::uint64_t dkey = 0; dkey < kDkeys; ++dkey) {
        ListRequest list{.object = object, .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}};
        list.level = ListLevel::kAkeys;
        list.dkey = dkey_of(dkey);
        CO_CHECK_OK(co_await compare_lists(list));
        for (std::uint64_t akey = 0; akey < kAkeys; ++akey) {
          CO_CHECK_OK(co_await compare_fetches(fetch_of(object, dkey, akey, ValueKind::kSingle, {})));
          CO_CHECK_OK(co_await compare_fetches(fetch_of(object, dkey, akey, ValueKind::kArray, {{0, 300}})));
        }
      }
    }
    co_return Result<>();
  }
  void set_other(Container other) { other_ = std::move(other); }

 private:
  static constexpr std::uint64_t kDkeys = 3, kAkeys = 3;
  static constexpr ObjectId kObjects[] = {
      ObjectId::make(ObjectClass::kS1, KeyFlavour::kUint64, KeyFlavour::kLexical, 0, 1),
      ObjectId::make(ObjectClass::kS1, KeyFlavour::kUint64, KeyFlavour::kLexical, 0, 2)};

  static KeyBytes dkey_of(std::uint64_t number) {
    KeyBytes dkey;
    dkey.resize(8);
    store_le(dkey.data(), number * 300);
    return dkey;
  }
  static KeyBytes akey_of(std::uint64_t number) {
    static constexpr std::string_view kNames[] = {"a", "ab", "b"};
    return KeyBytes(as_bytes(kNames[number]));
  }
  ObjectId object() { return kObjects[run_.below(std::size(kObjects))]; }
  Precondition condition() {
    return run_.chance(1, 5) ? static_cast<Precondition>(1 + run_.below(2)) : Precondition::kNone;
  }
  RecordRanges ranges() {
    RecordRanges ranges;
    std::uint64_t at = run_.below(200);
    for (std::uint64_t left = 1 + run_.below(2); left > 0; --left) {
      const std::uint64_t count = 1 + run_.below(60);
      ranges.push_back({at, count});
      at += count + run_.below(30);
    }
    return ranges;
  }

  template <typename Reply>
  Result<bool> same_outcome(const Result<Reply>& a, const Result<Reply>& b, std::string_view what) {
    run_.count("compared");
    if (a && b) return true;
    // Where a condition fails and a type does not fit, either may be said.
    const auto refused = [](const Error& error) {
      return error == Code::kTypeMismatch || error == Code::kConditionFailed;
    };
    if (!a && !b && (a.error().code() == b.error().code() || (refused(a.error()) && refused(b.error())))) return false;
    return failf(Code::kCorrupt, "{}: {} and {}", what, a ? "ok" : a.error().to_string(),
                 b ? "ok" : b.error().to_string());
  }

  Task<Result<>> update() {
    UpdateRequest request{.object = object(), .dkey = dkey_of(run_.below(kDkeys)), .akeys = {}, .id = {}};
    request.dkey_condition = condition();
    Bytes data;
    for (std::uint64_t akey = run_.below(kAkeys); akey < kAkeys; akey += 1 + run_.below(2)) {
      AkeyUpdate& update = request.akeys.emplace_back();
      update.akey = akey_of(akey);
      update.condition = condition();
      // Of one type each, so that only a first write decides.
      if (akey == 0) {
        update.bytes = run_.below(kRoom);
      } else {
        update.kind = ValueKind::kArray;
        update.record_bytes = akey == 1 ? 1 : 8;
        update.ranges = ranges();
        for (const RecordRange& range : update.ranges) update.bytes += range.count * update.record_bytes;
      }
      for (std::uint64_t i = 0; i < update.bytes; ++i) data.push_back(static_cast<std::byte>(run_.below(256)));
    }
    const auto a = co_await plain_.update(request, {data});
    const auto b = co_await other_.update(request, {data});
    CO_CHECK_OK(same_outcome(a, b, "update"));
    co_return Result<>();
  }

  Task<Result<>> punch() {
    PunchRequest request{.object = object(), .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
    request.level = static_cast<PunchLevel>(1 + run_.below(4));
    if (run_.chance(1, 3)) request.condition = Precondition::kPresent;
    if (request.level != PunchLevel::kObject) request.dkey = dkey_of(run_.below(kDkeys));
    if (request.level == PunchLevel::kAkey) request.akeys.push_back(akey_of(run_.below(kAkeys)));
    if (request.level == PunchLevel::kRange) {
      request.akeys.push_back(akey_of(1 + run_.below(kAkeys - 1)));
      request.ranges = ranges();
      if (run_.chance(1, 4)) request.ranges = {{run_.below(300), UINT64_MAX - 1000}};
      // Nothing to punch: whether that is said is not what is tested, an array without records apart.
      if (!co_await has_data(request)) co_return Result<>();
    }
    const auto a = co_await plain_.punch(request);
    const auto b = co_await other_.punch(request);
    CO_CHECK_OK(same_outcome(a, b, "punch"));
    co_return Result<>();
  }
  /// Some records would be left: an array that loses all of them within a transaction is as if never written, and not,
  /// as otherwise, an empty one.
  Task<bool> has_data(PunchRequest request) {
    ListRequest list{.level = ListLevel::kExtents,
                     .object = request.object,
                     .dkey = request.dkey,
                     .akey = request.akeys[0],
                     .anchor = {},
                     .prefix = {}};
    const auto listed = co_await plain_.list(list);
    if (!listed) co_return false;
    for (const ListedExtent& extent : listed->extents) {
      const auto covers = [&](const RecordRange& range) {
        return range.first <= extent.range.first &&
               extent.range.first + extent.range.count <= range.first + range.count;
      };
      if (std::ranges::none_of(request.ranges, covers)) co_return true;
    }
    co_return false;
  }

  FetchRequest fetch_of(const ObjectId& object, std::uint64_t dkey, std::uint64_t akey, ValueKind kind,
                        RecordRanges ranges) {
    FetchRequest request{.object = object, .dkey = dkey_of(dkey), .akeys = {}};
    request.akeys.push_back({.akey = akey_of(akey), .kind = kind, .ranges = std::move(ranges), .max_bytes = kRoom});
    return request;
  }
  Task<Result<>> fetch() {
    FetchRequest request{.object = object(), .dkey = dkey_of(run_.below(kDkeys)), .akeys = {}};
    request.dkey_condition = condition();
    for (std::uint64_t akey = run_.below(kAkeys); akey < kAkeys; ++akey) {
      AkeyFetch& fetch = request.akeys.emplace_back();
      fetch.akey = akey_of(akey);
      fetch.kind = akey == 0 ? ValueKind::kSingle : ValueKind::kArray;
      if (run_.chance(1, 10)) fetch.kind = ValueKind::kArray;
      fetch.max_bytes = kRoom;
      if (fetch.kind == ValueKind::kArray) fetch.ranges = ranges();
      if (run_.chance(1, 5)) fetch.condition = Precondition::kPresent;
    }
    return compare_fetches(std::move(request));
  }
  /// Neighbours are one hole.
  static RecordRanges joined(const RecordRanges& holes) {
    RecordRanges result;
    for (const RecordRange& hole : holes) {
      if (!result.empty() && result.back().first + result.back().count == hole.first) {
        result.back().count += hole.count;
      } else {
        result.push_back(hole);
      }
    }
    return result;
  }
  Task<Result<>> compare_fetches(FetchRequest request) {
    Bytes a_bytes(4 * kRoom), b_bytes(4 * kRoom);
    const auto a = co_await plain_.fetch(request, {MutableBytes(a_bytes)});
    const auto b = co_await other_.fetch(request, {MutableBytes(b_bytes)});
    CO_TRY(const bool both, same_outcome(a, b, "fetch"));
    if (!both) co_return Result<>();
    bool same = a_bytes == b_bytes;
    for (std::size_t i = 0; i < request.akeys.size(); ++i) {
      const AkeyFetched& x = a->akeys[i];
      const AkeyFetched& y = b->akeys[i];
      same = same && x.exists == y.exists && x.record_bytes == y.record_bytes && joined(x.holes) == joined(y.holes);
      if (request.akeys[i].kind == ValueKind::kSingle) same = same && x.bytes == y.bytes;
    }
    if (same) co_return Result<>();
    std::string text;
    for (std::size_t i = 0; i < request.akeys.size(); ++i) {
      for (const AkeyFetched* side : {&a->akeys[i], &b->akeys[i]})
        text += fmt::format(" [{} exists {} record {} bytes {} holes {}]", printable(request.akeys[i].akey),
                            side->exists, side->record_bytes, side->bytes, side->holes.size());
    }
    co_return failf(Code::kCorrupt, "a fetch shows something else: data {}{}", a_bytes == b_bytes, text);
  }

  Task<Result<>> list() {
    ListRequest request{.object = object(), .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}};
    request.level = static_cast<ListLevel>(1 + run_.below(4));
    if (request.level == ListLevel::kObjects) request.object = {};
    if (request.level >= ListLevel::kAkeys) request.dkey = dkey_of(run_.below(kDkeys));
    if (request.level == ListLevel::kExtents) request.akey = akey_of(1 + run_.below(kAkeys - 1));
    if (request.level == ListLevel::kAkeys && run_.chance(1, 3)) request.prefix = akey_of(0);
    return compare_lists(std::move(request));
  }
  /// In pages of any size; neighbouring extents count as one.
  Task<Result<ListReply>> list_all(Container container, ListRequest request) {
    ListReply all;
    do {
      request.limit = static_cast<std::uint32_t>(1 + run_.below(4));
      CO_TRY(const ListReply page, co_await container.list(request));
      if (page.keys.size() + page.extents.size() > request.limit) co_return fail(Code::kCorrupt, "a page too long");
      all.keys.insert(all.keys.end(), page.keys.begin(), page.keys.end());
      for (const ListedExtent& extent : page.extents) {
        RecordRange* last = all.extents.empty() ? nullptr : &all.extents.back().range;
        if (last != nullptr && last->first + last->count == extent.range.first) {
          last->count += extent.range.count;
        } else {
          all.extents.push_back({.range = extent.range});
        }
      }
      request.anchor = page.anchor;
    } while (!request.anchor.empty());
    co_return all;
  }
  Task<Result<>> compare_lists(ListRequest request) {
    const auto a = co_await list_all(plain_, request);
    const auto b = co_await list_all(other_, request);
    CO_TRY(const bool both, same_outcome(a, b, "list"));
    if (!both) co_return Result<>();
    const auto same_key = [](const ListedKey& x, const ListedKey& y) {
      return x.key == y.key && x.kind == y.kind && x.record_bytes == y.record_bytes;
    };
    const auto same_extent = [](const ListedExtent& x, const ListedExtent& y) { return x.range == y.range; };
    if (std::ranges::equal(a->keys, b->keys, same_key) && std::ranges::equal(a->extents, b->extents, same_extent))
      co_return Result<>();
    co_return failf(Code::kCorrupt, "a list of level {} shows {} and {} keys, {} and {} extents, or others",
                    static_cast<int>(request.level), a->keys.size(), b->keys.size(), a->extents.size(),
                    b->extents.size());
  }

  Task<Result<>> query() {
    QueryRequest request{.object = object(), .dkey = {}, .akey = akey_of(1 + run_.below(kAkeys - 1))};
    if (run_.chance(1, 2)) request.dkey = dkey_of(run_.below(kDkeys));
    const auto a = co_await plain_.query(request);
    const auto b = co_await other_.query(request);
    CO_TRY(const bool both, same_outcome(a, b, "query"));
    if (!both) co_return Result<>();
    if (a->exists == b->exists && a->records == b->records && a->dkey == b->dkey) co_return Result<>();
    co_return failf(Code::kCorrupt, "a query shows {} records and {}", a->records, b->records);
  }

  Run& run_;
  Container plain_, other_;
};

Task<Result<>> run_some(Twins* twins, Run* run, Container* view) {
  twins->set_other(*view);
  for (std::uint64_t steps = 5 + run->below(25); steps > 0; --steps) CO_CHECK_OK(co_await twins->step());
  co_return co_await twins->compare();
}

Task<Result<>> scenario(Run& run, ClientNode& client) {
  CO_CHECK_OK(co_await client.connect(Until::forever()));
  CO_TRY(Container container, co_await open_test_container(client, "kv", Until::forever()));
  CO_CHECK_OK(co_await client.client().create_container({.pool = "pool", .label = "twin", .properties = {}}));
  CO_TRY(Container twin, co_await client.client().open_container("pool", "twin"));
  Twins twins(run, container, twin);
  for (int round = 0; round < 6; ++round) {
    CO_CHECK_OK(co_await twin.transact([&](Container& view) { return run_some(&twins, &run, &view); }));
    twins.set_other(twin);
    CO_CHECK_OK(co_await twins.compare());
    // Something that no transaction has written, for the next one.
    for (std::uint64_t steps = run.below(10); steps > 0; --steps) CO_CHECK_OK(co_await twins.step());
  }
  co_return Result<>();
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  ClientNode client(run, "client");
  const auto ended = co_await on_node(run, client.node(), [&] { return scenario(run, client); });
  if (!ended) run.fail(ended.error().to_string());
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

class TransactionView : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, TransactionView, testing::Range<std::uint64_t>(1, 41));

TEST_P(TransactionView, ShowsWhatItHasDone) {
  engine::SimEngineOptions shape = shape_engine(GetParam());
  shape.targets = 1;
  sim::Run run(GetParam(), {}, std::move(shape));
  EXPECT_EQ(run.drive(body(run), std::chrono::hours(1)).failure, "");
}

}  // namespace
}  // namespace cenote::sim
