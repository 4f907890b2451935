#pragma once

#include <set>

#include "model_test_kit.h"
#include "target_test_kit.h"

namespace cenote::object {

/// A place where there may be something.
struct AkeyPlace {
  ObjectId object;
  KeyBytes dkey, akey;
};

inline Result<HistoryPage> read_page(TestTarget& from, const Bytes& at, const HistoryFilter& wanted = {},
                                     HistoryDamage* damage = nullptr, Epoch have = kEpochZero) {
  return from.block_on(from.objects->read_history(from.container, at, wanted, Until::forever(), damage, have));
}
inline Result<std::uint64_t> put_page(TestTarget& into, const Bytes& entries) {
  return into.block_on(into.objects->put_history(into.container, entries, Until::forever()));
}

/// Copies all of a container, page by page; `between` runs before each page is put.
inline void copy_history(
    TestTarget& from, TestTarget& into, const HistoryFilter& wanted = {},
    const std::function<void()>& between = [] {}) {
  Bytes at;
  do {
    const auto page = read_page(from, at, wanted);
    ASSERT_TRUE(page) << page.error().to_string();
    ASSERT_LT(page->entries.size(), (2u << 20) + 10'000);
    between();
    const auto put = put_page(into, page->entries);
    ASSERT_TRUE(put) << put.error().to_string();
    at = page->next;
  } while (!at.empty());
}

/// A target for a copy of the container of another: of the same properties, which it stores in its own way.
inline void prepare_copy(const TestTarget& source, TestTarget& copy) {
  copy.container = source.container;
  copy.properties = source.properties;
  if (copy.properties.encrypted) copy.encrypt();
  copy.create();
}

/// That two targets answer the same about places at an epoch.
class SameAnswers {
 public:
  SameAnswers(TestTarget& one, TestTarget& other) : one_(one), other_(other) {}

  /// Where one of them has been merged since: holes that hid nothing, and their epochs, are gone there.
  SameAnswers& but_for_holes() {
    epochs_ = false;
    return *this;
  }

  void check(const std::vector<AkeyPlace>& places, Epoch epoch) {
    SCOPED_TRACE(testing::Message() << "epoch " << epoch.value());
    std::set<ObjectId> objects;
    std::set<std::pair<ObjectId, Bytes>> dkeys;
    for (const AkeyPlace& place : places) {
      SCOPED_TRACE(describe(place.object, place.dkey, place.akey));
      ASSERT_NO_FATAL_FAILURE(fetches(place, epoch));
      objects.insert(place.object);
      dkeys.emplace(place.object, to_bytes(place.dkey));
    }
    ListRequest list{.container = one_.container,
                     .level = ListLevel::kObjects,
                     .object = {},
                     .dkey = {},
                     .akey = {},
                     .epoch = epoch,
                     .anchor = {},
                     .prefix = {}};
    ASSERT_NO_FATAL_FAILURE(lists(list));
    for (const ObjectId& object : objects) {
      list.level = ListLevel::kDkeys;
      list.object = object;
      list.dkey = {};
      ASSERT_NO_FATAL_FAILURE(lists(list));
    }
    for (const auto& [object, dkey] : dkeys) {
      list.level = ListLevel::kAkeys;
      list.object = object;
      list.dkey = KeyBytes(dkey);
      ASSERT_NO_FATAL_FAILURE(lists(list));
    }
  }

 private:
  void fetches(const AkeyPlace& place, Epoch epoch) {
    ASSERT_NO_FATAL_FAILURE(fetch(one_.fetch_single(place.object, place.dkey, place.akey, epoch)));
    for (const std::uint64_t first : kPlaces) {
      FetchRequest request = one_.fetch_array(place.object, place.dkey, place.akey, {{first, 3500}}, epoch);
      ASSERT_NO_FATAL_FAILURE(fetch(request));
    }
    QueryRequest query{
        .container = one_.container, .object = place.object, .epoch = epoch, .dkey = place.dkey, .akey = place.akey};
    const auto a = one_.query(query), b = other_.query(query);
    ASSERT_EQ(code_of(a), code_of(b));
    if (!a) return;
    ASSERT_EQ(a->exists, b->exists);
    ASSERT_EQ(a->records, b->records);
    ASSERT_EQ(a->record_bytes, b->record_bytes);
  }
  void fetch(const FetchRequest& request) {
    const auto a = one_.fetch(request), b = other_.fetch(request);
    ASSERT_EQ(code_of(a), code_of(b)) << (a ? "" : a.error().to_string()) << (b ? "" : b.error().to_string());
    if (!a) return;
    if (epochs_) ASSERT_EQ(a->reply.epoch, b->reply.epoch);
    ASSERT_TRUE(joined(*a) == joined(*b));
    const AkeyFetched &x = a->reply.akeys[0], &y = b->reply.akeys[0];
    ASSERT_EQ(x.exists, y.exists);
    ASSERT_EQ(x.holes, y.holes);
    ASSERT_EQ(x.record_bytes, y.record_bytes);
    ASSERT_EQ(x.checksums, y.checksums);
  }
  void lists(ListRequest request) {
    while (true) {
      const auto a = one_.list(request), b = other_.list(request);
      ASSERT_EQ(code_of(a), code_of(b)) << (a ? "" : a.error().to_string()) << (b ? "" : b.error().to_string());
      if (!a) return;
      ASSERT_EQ(digest_of(*a), digest_of(*b)) << "level " << static_cast<int>(request.level);
      if (a->anchor.empty()) return;
      request.anchor = a->anchor;
    }
  }

  TestTarget& one_;
  TestTarget& other_;
  bool epochs_ = true;
};

}  // namespace cenote::object
