#pragma once

#include "history_test_kit.h"

namespace cenote::object {

inline const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
inline const ObjectId kOther = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);

/// A member that has everything, and one that gets all entries and, some time, what was before them.
class Members {
 public:
  explicit Members(std::uint64_t seed) : whole(seed), late(seed + 500) {
    for (TestTarget* target : {&whole, &late}) target->options.inline_bytes = 200;
    whole.properties.checksums = seed % 2 == 0;
    whole.create();
    prepare_copy(whole, late);
  }

  /// Prepares the request at both; nullopt: the one that has everything refuses it, or at the other one something that
  /// is not decided touches more than there, and is in the way.
  std::optional<EntryName> prepare(const CommitRequest& request, ByteView payload,
                                   Member member = Member::kIncomplete) {
    const EntryName name{.leader = 3, .epoch = *whole.block_on(whole.objects->draw_epoch(Until::forever()))};
    const auto state = prepare_at(whole, request, name, payload, Member::kChecking);
    if (!state) return std::nullopt;
    EXPECT_EQ(*state, EntryState::kPrepared);
    late.objects->observe(name.epoch);
    const auto at_late = prepare_at(late, request, name, payload, member);
    if (!at_late && at_late.error() == Code::kUndecided) {
      decide(whole, name, EntryEvent::kAbort);
      decide(late, name, EntryEvent::kDecline);
      return std::nullopt;
    }
    EXPECT_TRUE(at_late) << at_late.error().to_string();
    if (!at_late) return std::nullopt;
    return name;
  }
  static void decide(TestTarget& target, EntryName name, EntryEvent event) {
    const auto decided = target.block_on(target.objects->change_entry(name, event));
    ASSERT_TRUE(decided) << decided.error().to_string();
  }
  void commit(EntryName name) {
    for (TestTarget* target : {&whole, &late}) ASSERT_NO_FATAL_FAILURE(decide(*target, name, EntryEvent::kCommit));
  }
  void run(const CommitRequest& request, ByteView payload = {}) {
    const auto name = prepare(request, payload);
    ASSERT_TRUE(name);
    commit(*name);
  }
  CommitRequest changes() const {
    CommitRequest request;
    request.container = whole.container;
    return request;
  }

  TestTarget whole, late;

 private:
  static Result<EntryState> prepare_at(TestTarget& target, const CommitRequest& request, EntryName name,
                                       ByteView payload, Member member) {
    return target.block_on(target.objects->prepare(request, name, as_bytes("note"), target.buffer_of(payload),
                                                   payload.size(), Until::forever(), member));
  }
};

inline PunchRequest punch_of(const Members& members, PunchLevel level, const ObjectId& object, KeyBytes dkey = {},
                             const SmallVector<KeyBytes, 1>& akeys = {}, RecordRanges ranges = {}) {
  PunchRequest punch{
      .container = members.whole.container, .object = object, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
  punch.level = level;
  punch.dkey = std::move(dkey);
  for (const KeyBytes& akey : akeys) punch.akeys.push_back(akey);
  punch.ranges = std::move(ranges);
  return punch;
}

/// Random changes of two objects, and where they may be.
class RandomChanges {
 protected:
  explicit RandomChanges(std::uint64_t seed) : random_(seed), members_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  AkeyPlace place() {
    static constexpr std::string_view kNames[] = {"a", "b", "ab"};
    const ObjectId object = below(2) == 0 ? kObject : kOther;
    return {object, object == kObject ? key_of(kNames[below(3)]) : key_of(below(3)), key_of(kNames[below(3)])};
  }
  RecordRange range() {
    const std::uint64_t longest[] = {4, 300, 5000};
    return {kPlaces[below(std::size(kPlaces))] + below(3000), 1 + below(longest[below(3)])};
  }
  UpdateRequest update(Bytes& payload) {
    const AkeyPlace at = place();
    const std::uint32_t record_bytes = below(5) == 0 ? 8 : 1;
    if (below(3) != 0) {
      const RecordRange records = range();
      payload = pattern(random_(), records.count * record_bytes);
      return members_.whole.array(at.object, at.dkey, at.akey, record_bytes, {records}, payload);
    }
    payload = pattern(random_(), 1 + below(below(2) == 0 ? 50 : 20'000));
    return members_.whole.single(at.object, at.dkey, at.akey, payload);
  }
  PunchRequest punch() {
    const AkeyPlace at = place();
    switch (below(8)) {
      case 0:
        return punch_of(members_, PunchLevel::kObject, at.object);
      case 1:
        return punch_of(members_, PunchLevel::kDkey, at.object, at.dkey);
      case 2:
      case 3:
        return punch_of(members_, PunchLevel::kAkey, at.object, at.dkey, {at.akey});
      default: {
        RecordRange records = range();
        if (below(3) == 0) records.count = UINT64_MAX - records.first;
        if (below(3) == 0) records.count = 1 + below(5 * kArrayWindowBytes);
        return punch_of(members_, PunchLevel::kRange, at.object, at.dkey, {at.akey}, {records});
      }
    }
  }
  static std::vector<AkeyPlace> all_places() {
    std::vector<AkeyPlace> places;
    for (const std::string_view dkey : {"a", "b", "ab"})
      for (const std::string_view akey : {"a", "b", "ab"}) places.push_back({kObject, key_of(dkey), key_of(akey)});
    for (std::uint64_t dkey = 0; dkey < 3; ++dkey)
      for (const std::string_view akey : {"a", "b", "ab"}) places.push_back({kOther, key_of(dkey), key_of(akey)});
    return places;
  }

  std::mt19937_64 random_;
  Members members_;
};

}  // namespace cenote::object
