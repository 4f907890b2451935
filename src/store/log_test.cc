#include <gtest/gtest.h>

#include <random>

#include "cenote/media/sim_device.h"
#include "log_reader.h"
#include "log_writer.h"

namespace cenote::store {
namespace {

using media::SimDevice;
using media::SimMedium;

constexpr std::uint64_t kRingBlocks = kMinLogBytes / media::kBlockBytes;

Superblock log_superblock() {
  Superblock superblock;
  superblock.incarnation = 0xabcdef;
  superblock.sequence = 2;
  superblock.generation = 1;
  superblock.geometry.log = {16, kRingBlocks};
  return superblock;
}

/// A log on a simulated device, written by one generation after the other.
class LogBench : public ::testing::Test, public LogListener {
 protected:
  LogBench() { restart(); }
  ~LogBench() override { stop(); }

  void log_advanced() override {}
  void log_failed(const Error& cause) override { failure = cause; }

  void restart(media::SimDeviceOptions options = {}) {
    stop();
    failure.reset();
    device = std::make_unique<SimDevice>(node, "wal", *medium, options);
  }
  void stop() {
    if (writer) world.block_on(node, writer->close());
    writer.reset();
    if (device) world.block_on(node, device->close());
    device.reset();
  }
  /// Every call draws another key.
  void seal_it(bool mixed) {
    Superblock drawn = log_superblock();
    std::array<std::byte, SecretKey::kBytes> master{};
    auto made = StoreSeal::begin(node, drawn, SecretKey(master), mixed);
    ASSERT_TRUE(made);
    seal = *std::move(made);
  }
  void open_writer(ChainPoint start, std::uint32_t writes_in_flight = 4) {
    LogWriterOptions options;
    options.device = device.get();
    options.ring = superblock.geometry.log;
    options.incarnation = superblock.incarnation;
    options.generation = superblock.generation;
    options.superblock = superblock.sequence;
    options.sealer = seal ? &seal->sealer() : nullptr;
    options.start = start;
    options.tail = superblock.replay_from.position;
    options.writes_in_flight = writes_in_flight;
    writer = std::make_unique<LogWriter>(node, *this, options);
  }
  /// As recovery does: the next generation begins where the log ends.
  void next_generation(ChainPoint end) {
    ++superblock.sequence;
    ++superblock.generation;
    superblock.generation_start = end.position;
  }

  Lsn append(std::string_view text) { return writer->append(as_bytes(text), false); }
  Result<> durable(Lsn lsn) { return world.block_on(node, wait_durable(lsn)); }
  Task<Result<>> wait_durable(Lsn lsn) { co_return co_await writer->wait_durable(lsn, Until::forever()); }

  struct Scan {
    std::vector<std::string> records;
    ChainPoint end;
    Result<> verdict;
  };
  Scan scan() { return world.block_on(node, scan_all()); }
  Task<Scan> scan_all() {
    Scan result;
    LogReader reader(*device, superblock, seal.get());
    for (;;) {
      auto frame = co_await reader.next();
      if (!frame) {
        result.verdict = fail(frame.error());
        co_return result;
      }
      if (!*frame) break;
      RecordReader records((*frame)->payload, (*frame)->header.position);
      for (ByteView record; records.next(record);) result.records.push_back(to_text(record));
      EXPECT_FALSE(records.bad());
    }
    result.end = reader.point();
    result.verdict = co_await reader.verify_end();
    co_return result;
  }

  void flip_bit(std::uint64_t position) {
    AlignedBuffer block(media::kBlockBytes);
    const media::BlockNo number(superblock.geometry.log.first + position / media::kBlockBytes % kRingBlocks);
    medium->read_block(number, block.span());
    block.data()[position % media::kBlockBytes] ^= std::byte{4};
    medium->write_block(number, block.span());
  }

  SimWorld world{42};
  SimReactor& node = world.add_node("node");
  std::unique_ptr<SimMedium> medium = std::make_unique<SimMedium>(16 + kRingBlocks);
  std::unique_ptr<SimDevice> device;
  Superblock superblock = log_superblock();
  std::unique_ptr<StoreSeal> seal;  // null: not sealed
  std::unique_ptr<LogWriter> writer;
  std::optional<Error> failure;
};

/// Plain, and sealed.
class LogTest : public LogBench, public ::testing::WithParamInterface<bool> {
 protected:
  LogTest() {
    if (GetParam()) seal_it(false);
  }
};

TEST_P(LogTest, AnUnwrittenLogIsEmpty) {
  const Scan found = scan();
  EXPECT_TRUE(found.verdict);
  EXPECT_TRUE(found.records.empty());
  EXPECT_EQ(found.end, ChainPoint{});
}

TEST_P(LogTest, GroupsWhatIsQueuedInOneTurn) {
  open_writer({});
  Lsn last{};
  for (int i = 0; i < 64; ++i) last = append(std::string(100, 'x'));
  EXPECT_TRUE(durable(last));
  EXPECT_EQ(writer->writes(), 1u);
  EXPECT_LE(writer->blocks_written(), 2u);
  restart();
  EXPECT_EQ(scan().records.size(), 64u);
}

TEST_P(LogTest, RecordsComeBackInOrderOverManyFrames) {
  open_writer({});
  std::vector<std::string> written;
  for (int i = 0; i < 200; ++i) {
    written.push_back("record " + std::to_string(i) + std::string(static_cast<std::size_t>(i * 37 % 5000), 'y'));
    const Lsn lsn = append(written.back());
    if (i % 3 == 0) ASSERT_TRUE(durable(lsn));
    writer->check_invariants();
  }
  restart();
  const Scan found = scan();
  EXPECT_TRUE(found.verdict);
  EXPECT_EQ(found.records, written);
}

TEST_P(LogTest, WrapsAroundTheRing) {
  open_writer({});
  const std::string record(100'000, 'r');
  std::uint64_t written = 0;
  while (writer->head() < 3 * kMinLogBytes) {
    while (writer->room(static_cast<std::uint32_t>(record.size())) != LogWriter::Room::kYes) {
      const std::uint64_t cut = writer->cut();
      ASSERT_TRUE(durable(Lsn(cut)));
      superblock.replay_from = writer->point_at_cut();
      writer->release(cut, ++superblock.sequence);
      written = 0;
    }
    append(record);
    ++written;
    writer->check_invariants();
  }
  restart();
  const Scan found = scan();
  EXPECT_TRUE(found.verdict) << found.verdict.error().to_string();
  EXPECT_EQ(found.records.size(), written);
}

TEST_P(LogTest, SaysWhenThereIsNoRoom) {
  open_writer({});
  const std::string record(900'000, 'r');
  int appended = 0;
  while (writer->room(900'000) == LogWriter::Room::kYes) append(record), ++appended;
  EXPECT_EQ(writer->room(900'000), LogWriter::Room::kFull);
  EXPECT_EQ(appended, 4);
  EXPECT_EQ(writer->room(100), LogWriter::Room::kYes);
  writer->check_invariants();
}

TEST_P(LogTest, DamageBeforeADurableFrameIsNeverTheEnd) {
  open_writer({});
  std::vector<Lsn> ends;
  for (int i = 0; i < 10; ++i) {
    ends.push_back(append("record " + std::to_string(i)));
    ASSERT_TRUE(durable(ends.back()));
  }
  restart();
  for (int i = 0; i < 9; ++i) {
    const std::uint64_t at = static_cast<std::uint64_t>(i) * media::kBlockBytes + 90;
    flip_bit(at);
    const Scan found = scan();
    ASSERT_FALSE(found.verdict) << i;
    EXPECT_EQ(found.verdict.error().code(), Code::kCorrupt);
    EXPECT_EQ(found.records.size(), static_cast<std::size_t>(i));
    flip_bit(at);
  }
  flip_bit(9 * media::kBlockBytes + 90);  // nobody was told that the last frame is durable: it may be torn
  const Scan found = scan();
  EXPECT_TRUE(found.verdict);
  EXPECT_EQ(found.records.size(), 9u);
}

TEST_P(LogTest, AFrameWithoutItsPredecessorIsNoDamageAndNeverComesBack) {
  // Two frames in flight at the crash; only the second reaches the media.
  open_writer({});
  ASSERT_TRUE(durable(append("first")));
  append("lost");
  writer->cut();
  append("stray");
  ASSERT_TRUE(durable(Lsn(writer->head())));
  restart();
  medium->erase_block(media::BlockNo(16 + 1));

  // The stray claims durability beyond "lost" only if it was written after that was known.
  AlignedBuffer block(media::kBlockBytes);
  medium->read_block(media::BlockNo(16 + 2), block.span());
  ASSERT_EQ(read_frame_header(block.span())->durable, media::kBlockBytes);

  for (int crash = 0; crash < 3; ++crash) {
    const Scan found = scan();
    ASSERT_TRUE(found.verdict) << found.verdict.error().to_string();
    EXPECT_EQ(found.records, std::vector<std::string>{"first"});
    next_generation(found.end);
    restart();
  }
  // The place of the lost frame is taken by one with the same contents: the stray still does not follow it.
  open_writer(scan().end);
  ASSERT_TRUE(durable(append("lost")));
  restart();
  const Scan found = scan();
  EXPECT_TRUE(found.verdict);
  EXPECT_EQ(found.records, (std::vector<std::string>{"first", "lost"}));
}

TEST_P(LogTest, WhatAGenerationBeganWithMustBeThere) {
  open_writer({});
  ASSERT_TRUE(durable(append("first")));
  restart();
  next_generation(scan().end);
  EXPECT_TRUE(scan().verdict);
  flip_bit(100);
  const Scan found = scan();
  ASSERT_FALSE(found.verdict);
  EXPECT_EQ(found.verdict.error().code(), Code::kCorrupt);
}

TEST_P(LogTest, AnOldSuperblockIsFoundOutByTheLog) {
  open_writer({});
  ASSERT_TRUE(durable(append("first")));
  const Superblock old = superblock;
  const std::uint64_t cut = writer->cut();
  superblock.replay_from = writer->point_at_cut();
  writer->release(cut, ++superblock.sequence);
  ASSERT_TRUE(durable(append("second")));
  restart();
  EXPECT_EQ(scan().records, std::vector<std::string>{"second"});
  superblock = old;
  const Scan found = scan();
  ASSERT_FALSE(found.verdict);
  EXPECT_EQ(found.verdict.error().code(), Code::kCorrupt);
  EXPECT_NE(found.verdict.error().message().find("superblock"), std::string::npos);
}

TEST_P(LogTest, AnotherIncarnationIsNobody) {
  open_writer({});
  ASSERT_TRUE(durable(append("first")));
  restart();
  superblock.incarnation = 77;
  const Scan found = scan();
  EXPECT_TRUE(found.verdict);
  EXPECT_TRUE(found.records.empty());
}

TEST_P(LogTest, AFailedWriteFencesForGood) {
  open_writer({});
  ASSERT_TRUE(durable(append("first")));
  device->set_full(true);
  const Lsn lost = append("second");
  const Result<> outcome = durable(lost);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::kFenced);
  ASSERT_TRUE(failure);
  device->set_full(false);
  EXPECT_FALSE(durable(lost));
  EXPECT_TRUE(durable(Lsn(media::kBlockBytes)));  // what was durable stays so
}

/// Crashes at random moments: what was acknowledged is there, what is there is a prefix.
class LogCrash : public LogBench, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  Task<> write_until_dead(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (std::uint64_t i = 0; i < 300 && !failure; ++i) {
      const std::string text = std::to_string(next) + std::string(random() % 9000, 'z');
      const auto bytes = static_cast<std::uint32_t>(text.size());
      if (writer->room(bytes) != LogWriter::Room::kYes) break;
      const Lsn lsn = writer->append(as_bytes(text), false);
      ++next;
      if (random() % 3 != 0) continue;
      if (co_await writer->wait_durable(lsn, Until::forever())) acknowledged = next;
    }
  }

  std::uint64_t next = 0;          // number of the next record
  std::uint64_t acknowledged = 0;  // all below are durable
};

TEST_P(LogCrash, KeepsWhatWasAcknowledged) {
  SCOPED_TRACE(::testing::Message() << "seed " << GetParam());
  std::mt19937_64 random(GetParam());
  ChainPoint start;
  for (int life = 0; life < 4; ++life) {
    media::SimDeviceOptions options;
    options.prefers_durable_writes = random() % 2 == 0;
    restart(options);
    open_writer(start);
    const std::uint64_t cut_at = 1 + random() % 60;
    device->set_write_hook([&, cut_at](std::uint64_t number, const media::IoRequest&) {
      if (number == cut_at) device->crash({});
    });
    world.block_on(node, write_until_dead(random()));
    restart();
    const Scan found = scan();
    ASSERT_TRUE(found.verdict) << found.verdict.error().to_string();
    ASSERT_GE(found.records.size(), acknowledged);
    ASSERT_LE(found.records.size(), next);
    for (std::size_t i = 0; i < found.records.size(); ++i) {
      ASSERT_EQ(found.records[i].substr(0, found.records[i].find('z')), std::to_string(i));
    }
    next = acknowledged = found.records.size();
    start = found.end;
    next_generation(start);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LogCrash, ::testing::Range<std::uint64_t>(1, 41));

TEST_F(LogBench, ASealedFrameShowsNoRecordAndAForgedOneIsDamage) {
  seal_it(false);
  open_writer({});
  const std::string text(300, 'q');
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(durable(append(text)));
  restart();
  EXPECT_EQ(scan().records.size(), 3u);
  AlignedBuffer frame(media::kBlockBytes);
  const media::BlockNo second(superblock.geometry.log.first + 1);
  medium->read_block(second, frame.span());
  EXPECT_EQ(as_text(frame.span()).find("qqqq"), std::string_view::npos);
  const Bytes before = to_bytes(frame.span());
  // Header, records and envelope, each with a right checksum: what the log's end is decided by does not notice it.
  for (const std::size_t at : {48u, 68u, 80u, 200u, 383u, 384u, 400u, 423u}) {
    copy_bytes(before, frame.span());
    frame.data()[at] ^= std::byte{1};
    const auto header = read_frame_header(frame.span());
    if (!header) continue;
    const std::uint32_t crc = stamp_frame(*header, frame.span());
    medium->write_block(second, frame.span());
    const Scan found = scan();
    ASSERT_FALSE(found.verdict) << at;
    EXPECT_EQ(found.verdict.error(), Code::kCorrupt) << at << " " << crc;
    EXPECT_NE(found.verdict.error().message().find("forged"), std::string::npos) << found.verdict.error().message();
    EXPECT_EQ(found.records.size(), 1u);
  }
  medium->write_block(second, before);
  EXPECT_EQ(scan().records.size(), 3u);
  seal_it(false);
  EXPECT_EQ(scan().verdict.error().code(), Code::kCorrupt) << "another key";
}

TEST_F(LogBench, PlainFramesAreTakenWhereThereWereSome) {
  open_writer({});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(durable(append("before")));
  restart();
  const Scan plain = scan();
  ASSERT_TRUE(plain.verdict);
  seal_it(true);
  next_generation(plain.end);
  open_writer(plain.end);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(durable(append("after")));
  restart();
  const Scan both = scan();
  EXPECT_TRUE(both.verdict) << both.verdict.error().to_string();
  EXPECT_EQ(both.records, (std::vector<std::string>{"before", "before", "before", "after", "after"}));
  seal.reset();
  const Scan keyless = scan();
  EXPECT_EQ(keyless.verdict.error().code(), Code::kCorrupt);
  seal_it(false);
  EXPECT_EQ(scan().verdict.error().code(), Code::kCorrupt) << "a store that was sealed from its beginning";
}

TEST_P(LogTest, TheLargestRecordFits) {
  open_writer({});
  const std::string record(kMaxBatchBytes, 'm');
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(durable(append(record)));
  ASSERT_TRUE(durable(append("small")));
  restart();
  const Scan found = scan();
  EXPECT_TRUE(found.verdict);
  EXPECT_EQ(found.records, (std::vector<std::string>{record, record, "small"}));
}

INSTANTIATE_TEST_SUITE_P(PlainAndSealed, LogTest, ::testing::Bool());

}  // namespace
}  // namespace cenote::store
