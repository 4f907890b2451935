#include <gtest/gtest.h>

#include "cenote/protocol/transaction_requests.h"
#include "example_messages.h"

namespace cenote {
namespace {

KeyBytes key(std::string_view text) { return KeyBytes(as_bytes(text)); }
const ObjectId kLexical = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 2);
const ObjectId kNumbered = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);

UpdateRequest array_update(RecordRanges ranges, std::uint64_t bytes) {
  UpdateRequest request{
      .container = Uuid::from_random(1, 2), .object = kLexical, .dkey = key("d"), .akeys = {}, .id = {}};
  request.akeys.push_back({.akey = key("a"),
                           .kind = ValueKind::kArray,
                           .record_bytes = 4,
                           .ranges = ranges,
                           .bytes = bytes,
                           .checksums = {}});
  return request;
}

template <typename Request>
Code code_of(const Request& request) {
  const auto result = validate(request);
  return result ? Code::kOk : result.error().code();
}

TEST(ValidateUpdate, Ranges) {
  EXPECT_EQ(code_of(array_update({{0, 2}, {2, 2}}, 16)), Code::kOk);
  EXPECT_EQ(code_of(array_update({{0, 2}, {1, 2}}, 16)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(array_update({{4, 2}, {0, 2}}, 16)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(array_update({{4, 0}}, 0)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(array_update({}, 0)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(array_update({{UINT64_MAX - 1, 2}}, 8)), Code::kOutOfRange);
  EXPECT_EQ(code_of(array_update({{UINT64_MAX - 2, 2}}, 8)), Code::kOk);
}

TEST(ValidateUpdate, BytesAndChecksumsFitTheRanges) {
  EXPECT_EQ(code_of(array_update({{0, 2}}, 9)), Code::kInvalidArgument);
  UpdateRequest request = array_update({{kArrayWindowBytes / 4 - 1, 2}}, 8);
  request.akeys[0].checksums = {1};
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.akeys[0].checksums = {1, 2};  // one per piece, although both are short
  EXPECT_EQ(code_of(request), Code::kOk);
}

TEST(ValidateUpdate, Limits) {
  EXPECT_EQ(code_of(array_update({{0, kMaxPayloadBytes / 4}}, kMaxPayloadBytes)), Code::kOk);
  EXPECT_EQ(code_of(array_update({{0, kMaxPayloadBytes / 4 + 1}}, kMaxPayloadBytes + 4)), Code::kOutOfRange);
  EXPECT_EQ(code_of(array_update({{0, UINT64_MAX / 2}}, 8)), Code::kOutOfRange);
  UpdateRequest request = array_update({{0, 1}}, 4);
  request.akeys[0].record_bytes = kMaxRecordBytes + 1;
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
  request.akeys[0].record_bytes = 0;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);

  // Each range touches two windows: the pieces are over the limit before the ranges are.
  RecordRanges ranges;
  for (std::uint64_t i = 1; i <= kMaxPiecesPerUpdate / 2 + 1; ++i)
    ranges.push_back({i * (kArrayWindowBytes / 4) - 1, 2});
  EXPECT_EQ(code_of(array_update(ranges, ranges.size() * 8)), Code::kOutOfRange);
  ranges.pop_back();
  EXPECT_EQ(code_of(array_update(ranges, ranges.size() * 8)), Code::kOk);
}

TEST(ValidateUpdate, SingleValues) {
  UpdateRequest request = array_update({}, kMaxSingleValueBytes);
  request.akeys[0].kind = ValueKind::kSingle;
  EXPECT_EQ(code_of(request), Code::kOk);
  request.akeys[0].bytes += 1;
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
  request.akeys[0].bytes = 0;
  EXPECT_EQ(code_of(request), Code::kOk);
  request.akeys[0].ranges = {{0, 1}};
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
}

TEST(ValidateUpdate, Keys) {
  UpdateRequest request = array_update({{0, 1}}, 4);
  request.dkey = {};
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.dkey = KeyBytes(as_bytes(std::string(kMaxDkeyBytes, 'x')));
  EXPECT_EQ(code_of(request), Code::kOk);
  request.dkey[0] = std::byte{0};  // counts twice
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
  request.object = kNumbered;
  request.dkey = key("seven77");
  EXPECT_EQ(code_of(request), Code::kTypeMismatch);
  request.dkey = key("eight888");
  EXPECT_EQ(code_of(request), Code::kOk);
  request.akeys.push_back(request.akeys[0]);
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.akeys[1].akey = key("b");
  EXPECT_EQ(code_of(request), Code::kOk);
  request.container = Uuid();
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
}

TEST(ValidatePunch, EachLevelNamesWhatItUses) {
  PunchRequest request{
      .container = Uuid::from_random(1, 2), .object = kLexical, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
  EXPECT_EQ(code_of(request), Code::kOk);
  request.level = PunchLevel::kDkey;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.dkey = key("d");
  EXPECT_EQ(code_of(request), Code::kOk);
  request.level = PunchLevel::kObject;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.level = PunchLevel::kAkey;
  request.akeys = {key("a"), key("b")};
  EXPECT_EQ(code_of(request), Code::kOk);
  request.level = PunchLevel::kRange;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.akeys.pop_back();
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.ranges = {{7, UINT64_MAX - 7}};
  EXPECT_EQ(code_of(request), Code::kOk);
  request.condition = Precondition::kAbsent;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
}

TEST(ValidateList, AnchorsAndPrefixes) {
  ListRequest request{.container = Uuid::from_random(1, 2),
                      .object = kLexical,
                      .dkey = {},
                      .akey = {},
                      .anchor = {},
                      .prefix = key("p")};
  EXPECT_EQ(code_of(request), Code::kOk);
  request.object = kNumbered;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  request.prefix = {};
  request.anchor = key("short");
  EXPECT_EQ(code_of(request), Code::kTypeMismatch);
  request.anchor = key("12345678");
  EXPECT_EQ(code_of(request), Code::kOk);
  request.limit = 0;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
}

TEST(ValidateFetch, LimitsCountOverAllAkeys) {
  FetchRequest request{.container = Uuid::from_random(1, 2), .object = kLexical, .dkey = key("d"), .akeys = {}};
  EXPECT_EQ(code_of(request), Code::kOk);  // asks only whether the dkey exists
  request.akeys.push_back({.akey = key("a"), .ranges = {}, .max_bytes = kMaxPayloadBytes});
  EXPECT_EQ(code_of(request), Code::kOk);
  request.akeys.push_back({.akey = key("a"), .kind = ValueKind::kArray, .ranges = {{0, 1}}, .max_bytes = 1});
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
  request.akeys[0].max_bytes = 5;
  EXPECT_EQ(code_of(request), Code::kOk);
}

TEST(ValidateQuery, TheGreatestDkeyNeedsNumbers) {
  QueryRequest request{.container = Uuid::from_random(1, 2), .object = kLexical, .dkey = {}, .akey = key("a")};
  EXPECT_EQ(code_of(request), Code::kTypeMismatch);
  request.object = kNumbered;
  EXPECT_EQ(code_of(request), Code::kOk);
}

TEST(ValidateCommit, ChangesInNormalForm) {
  using protocol_examples::commit_request;
  const CommitRequest good = commit_request();
  EXPECT_EQ(code_of(good), Code::kOk);
  const auto code_with = [&](auto change) {
    CommitRequest changed = good;
    change(changed);
    return code_of(changed);
  };
  using Request = CommitRequest;
  EXPECT_EQ(code_with([](Request& r) { r.punches[0].ranges[1].first = 6; }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.punches[0].ranges = {{131073, 1}}; }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.punches[0].ranges = {{131074, 1}}; }), Code::kOk);
  EXPECT_EQ(code_with([](Request& r) { r.punches[0].akeys[0] = key("a single value whose key is long"); }),
            Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.punches[1].akeys[0] = key("array"); }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.punches[0] = r.punches[1]; }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.updates[1].dkey = r.updates[0].dkey; }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.updates[1].container = Uuid::from_random(1, 1); }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.updates[1].id.sequence = 1; }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.lists[0].request.epoch = Epoch(5); }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.snapshot = kEpochZero; }), Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.punches.clear(), r.updates.clear(); }), Code::kInvalidArgument);
  const auto punch_dkey = [](Request& r) {
    r.punches.erase(r.punches.begin());
    r.punches[0].level = PunchLevel::kDkey;
    r.punches[0].akeys = {};
  };
  EXPECT_EQ(code_with(punch_dkey), Code::kOk);
  EXPECT_EQ(code_with([&](Request& r) {
              punch_dkey(r);
              r.punches.push_back(r.punches[0]);
              r.punches[1].level = PunchLevel::kObject;
              r.punches[1].dkey = {};
            }),
            Code::kInvalidArgument);
  EXPECT_EQ(code_with([](Request& r) { r.punches[1].level = PunchLevel::kDkey, r.punches[1].akeys = {}; }),
            Code::kInvalidArgument);
}

TEST(ValidateCommit, ChangesMayBeConditional) {
  const CommitRequest good = protocol_examples::change_set();
  EXPECT_EQ(code_of(good), Code::kOk);
  EXPECT_TRUE(is_conditional(good));
  EXPECT_FALSE(is_conditional(protocol_examples::commit_request()));
  CommitRequest request = good;
  request.punches[0].condition = Precondition::kAbsent;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument) << "it would do nothing";
  request = good;
  request.updates[1].dkey = request.updates[0].dkey;
  request.updates[1].akeys = request.updates[0].akeys;
  EXPECT_EQ(code_of(request), Code::kInvalidArgument) << "two of one akey, whatever their conditions";
  request = good;
  request.punches.push_back(request.punches[0]);
  EXPECT_EQ(code_of(request), Code::kInvalidArgument);
  CommitRequest nothing;
  nothing.container = good.container;
  EXPECT_EQ(code_of(nothing), Code::kInvalidArgument);
  EXPECT_TRUE(validate(nothing, Changes::kMayBeNone)) << "a member of a group that was only read";
}

TEST(ValidateCommit, Limits) {
  using protocol_examples::commit_request;
  CommitRequest request = commit_request();
  request.punches.clear();
  request.updates.resize(1);
  // Its single value; what is known of the array, and its pieces in three windows.
  EXPECT_EQ(transaction_entries(request), 1u + 1 + 4);
  const AkeyRead read = request.reads[0];
  request.reads.assign(kMaxTransactionReads - 2, read);
  EXPECT_EQ(code_of(request), Code::kOk);
  request.reads.push_back(read);
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
  request.reads.clear();
  UpdateRequest update = request.updates[0];
  update.akeys = {{.akey = key("a"), .ranges = {}, .bytes = 100, .checksums = {}}};
  request.updates.clear();
  for (std::uint32_t i = 0; i < kMaxTransactionEntries; ++i) {
    update.dkey = key("dkey " + std::to_string(i));
    request.updates.push_back(update);
  }
  EXPECT_EQ(code_of(request), Code::kOk);
  request.updates.push_back(update);
  request.updates.back().dkey = key("one more");
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
  request.updates.resize(3);
  for (UpdateRequest& each : request.updates) each.akeys[0].bytes = kMaxSingleValueBytes;
  EXPECT_EQ(code_of(request), Code::kOutOfRange);
}

}  // namespace
}  // namespace cenote
