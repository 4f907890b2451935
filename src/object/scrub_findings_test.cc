#include "scrub_findings.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace cenote::object {
namespace {

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

TargetFinding bad(std::string message) {
  TargetFinding finding;
  finding.finding.kind = store::FindingKind::kData;
  finding.finding.message = std::move(message);
  return finding;
}

KeptFinding full() {
  KeptFinding kept{bad("object 1: bytes are bad"), at(5), at(7)};
  store::Finding& inner = kept.finding.finding;
  inner.device = "/dev/x";
  inner.tree_name = "object.container.4";
  inner.block = 0;
  inner.blocks = 1;
  inner.page = 7;
  inner.tree = store::TreeId(4);
  inner.lost.emplace();
  kept.finding.container = Uuid::from_random(1, 2);
  kept.finding.object = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
  kept.finding.dkey = "";
  kept.finding.akey = std::string(2000, 'k');
  kept.finding.epoch = Epoch(UINT64_MAX);
  kept.finding.first = 3;
  return kept;
}

TEST(ScrubFindings, SurviveTheirEncoding) {
  const KeptFinding kept = full();
  const auto read = decode_finding(encode_finding(kept));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->found, kept.found);
  EXPECT_EQ(read->seen, kept.seen);
  EXPECT_EQ(read->finding.finding.message, kept.finding.finding.message);
  EXPECT_EQ(read->finding.finding.block, 0u);
  EXPECT_EQ(read->finding.finding.tree, store::TreeId(4));
  EXPECT_TRUE(read->finding.finding.lost);
  EXPECT_EQ(read->finding.container, kept.finding.container);
  EXPECT_EQ(read->finding.object, kept.finding.object);
  EXPECT_EQ(read->finding.dkey, "");
  EXPECT_EQ(read->finding.akey->size(), 384u) << "long keys are cut";
  EXPECT_EQ(read->finding.epoch, kept.finding.epoch);
  EXPECT_EQ(read->finding.first, 3u);
  EXPECT_EQ(read->finding.records, std::nullopt);
  // Whatever is found there fits into an entry.
  KeptFinding longest = full();
  longest.finding.finding.message.assign(100'000, 'm');
  longest.finding.dkey.emplace(100'000, 'd');
  longest.finding.finding.device.assign(100'000, 'e');
  EXPECT_LE(encode_finding(longest).size(), store::kMaxValueBytes);
}

TEST(ScrubFindings, DamagedEntriesAreErrors) {
  const Bytes good = encode_finding(full());
  for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_FALSE(decode_finding(ByteView(good).first(cut)));
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = good;
    for (int change = 0; change < 3; ++change) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    const auto read = decode_finding(bytes);
    if (read) EXPECT_LE(encode_finding(*read).size(), store::kMaxValueBytes);
  }
}

TEST(ScrubFindings, AreNotedOncePerPassAndGoWhenAPassDoesNotMeetThem) {
  using Noted = ScrubFindings::Noted;
  ScrubFindings findings;
  EXPECT_EQ(findings.note(bad("a"), at(11), at(10)), Noted::kKept);
  EXPECT_EQ(findings.note(bad("b"), at(12), at(10)), Noted::kKept);
  EXPECT_EQ(findings.note(bad("a"), at(13), at(10)), Noted::kAgain);
  findings.end_pass(at(10));
  EXPECT_EQ(findings.count(), 2u);
  EXPECT_EQ(findings.note(bad("b"), at(21), at(20)), Noted::kKept);
  findings.end_pass(at(20));
  const auto left = findings.list();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].finding.finding.message, "b");
  EXPECT_EQ(left[0].found, at(12)) << "when it was found for the first time";
  EXPECT_EQ(left[0].seen, at(20));
}

TEST(ScrubFindings, AreSavedInSmallBatchesAndLoadedAgain) {
  ScrubFindings findings;
  for (std::size_t i = 0; i < ScrubFindings::kMax; ++i)
    EXPECT_EQ(findings.note(bad("finding " + std::to_string(i)), at(1), at(1)), ScrubFindings::Noted::kKept);
  EXPECT_EQ(findings.note(bad("one more"), at(1), at(1)), ScrubFindings::Noted::kTooMany);
  std::size_t batches = 0, entries = 0;
  for (bool all = false; !all; ++batches) {
    store::Batch batch;
    const auto changes = findings.add_changes(store::TreeId(3), batch);
    EXPECT_EQ(batch.flaw(), Code::kOk);
    entries += changes.put.size();
    findings.saved(changes);
    all = changes.all;
  }
  EXPECT_EQ(entries, ScrubFindings::kMax);
  EXPECT_GT(batches, 4u);
  // What goes is erased.
  findings.end_pass(at(2));
  EXPECT_EQ(findings.count(), 0u);
  store::Batch batch;
  EXPECT_FALSE(findings.add_changes(store::TreeId(3), batch).erased.empty());
}

TEST(ScrubFindings, EntriesThatAreNoneAreErased) {
  ScrubFindings findings;
  const Bytes key{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{7}};
  findings.load(key, encode_finding(full()));
  EXPECT_EQ(findings.count(), 1u);
  Bytes other = key;
  other[4] = std::byte{9};
  findings.load(other, Bytes(10, std::byte{1}));
  EXPECT_EQ(findings.count(), 1u);
  EXPECT_EQ(findings.note(bad("new"), at(1), at(1)), ScrubFindings::Noted::kKept);
  store::Batch batch;
  const auto changes = findings.add_changes(store::TreeId(3), batch);
  EXPECT_EQ(changes.erased, std::vector<std::uint32_t>{9});
  // Numbers that were in use are not used again.
  EXPECT_EQ(changes.put, std::vector<std::uint32_t>{10});
}

}  // namespace
}  // namespace cenote::object
