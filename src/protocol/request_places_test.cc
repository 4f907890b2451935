#include "cenote/protocol/request_places.h"

#include <gtest/gtest.h>

#include <vector>

namespace cenote {
namespace {

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);
constexpr ObjectId kOther = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 2);

ByteView key(std::string_view text) { return as_bytes(text); }

template <typename Request>
std::vector<Place> places_of(const Request& request) {
  std::vector<Place> places;
  each_place(request, [&](const Place& place) { places.push_back(place); });
  return places;
}

TEST(RequestPlacesTest, PlacesOverlapWhereOneIsPartOfTheOther) {
  const Place object{kObject}, dkey{kObject, key("d")}, akey{kObject, key("d"), key("a")};
  const Place records{kObject, key("d"), key("a"), {10, 19}};
  for (const Place& one : {object, dkey, akey, records})
    for (const Place& other : {object, dkey, akey, records}) EXPECT_TRUE(overlap(one, other));
  EXPECT_FALSE(overlap(object, {kOther}));
  EXPECT_FALSE(overlap(dkey, {kObject, key("e")}));
  EXPECT_FALSE(overlap(akey, {kObject, key("d"), key("b")}));
  EXPECT_FALSE(overlap(records, {kObject, key("d"), key("a"), {20, 29}}));
  EXPECT_TRUE(overlap(records, {kObject, key("d"), key("a"), {19, 29}}));
  EXPECT_FALSE(overlap(records, {kObject, key("d"), key("b"), {10, 19}}));
}

TEST(RequestPlacesTest, AnArrayWriteIsAboutItsRecordsAndAConditionAboutMore) {
  UpdateRequest update;
  update.object = kObject;
  update.dkey = key("d");
  AkeyUpdate& akey = update.akeys.emplace_back();
  akey.akey = key("a");
  akey.kind = ValueKind::kArray;
  akey.ranges = RecordRanges{{100, 10}, {300, 1}};
  ASSERT_EQ(places_of(update).size(), 1u);
  EXPECT_EQ(places_of(update)[0].records, (RecordSpan{100, 300}));
  akey.condition = Precondition::kPresent;
  EXPECT_TRUE(places_of(update)[0].records.is_all());
  update.dkey_condition = Precondition::kAbsent;
  EXPECT_FALSE(places_of(update)[0].akey);
}

TEST(RequestPlacesTest, ListsAndQueriesAreAboutAllThatTheyLookThrough) {
  ListRequest list;
  list.object = kObject;
  list.dkey = key("d");
  list.akey = key("a");
  list.level = ListLevel::kObjects;
  EXPECT_EQ(places_of(list)[0].object, ObjectId());
  list.level = ListLevel::kDkeys;
  EXPECT_FALSE(places_of(list)[0].dkey);
  list.level = ListLevel::kAkeys;
  EXPECT_FALSE(places_of(list)[0].akey);
  list.level = ListLevel::kExtents;
  EXPECT_TRUE(places_of(list)[0].akey);
  QueryRequest query;
  query.object = kObject;
  EXPECT_FALSE(places_of(query)[0].dkey);
  query.dkey = key("d");
  EXPECT_TRUE(places_of(query)[0].akey);
}

TEST(RequestPlacesTest, TheLastRecordOfAllIsPartOfASpan) {
  EXPECT_EQ(span_of({{5, UINT64_MAX - 5}}), (RecordSpan{5, UINT64_MAX - 1}));
  EXPECT_TRUE(span_of({}).is_all());
  EXPECT_EQ(span_of({{7, 1}, {3, 2}}), (RecordSpan{3, 7}));
}

}  // namespace
}  // namespace cenote
