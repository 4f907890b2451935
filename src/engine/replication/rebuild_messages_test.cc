#include "rebuild_messages.h"

#include <gtest/gtest.h>

#include "message_check.h"

namespace cenote::engine {
namespace {

TEST(RebuildMessages, ComeThroughWhole) {
  const ReadHistoryMessage history{.container = Uuid::from_random(1, 2),
                                   .tree = Uuid::from_random(3, 4),
                                   .asker = cluster::TargetId(7),
                                   .from = to_bytes(as_bytes("here"))};
  const ReadHistoryMessage read = check(history, decode_read_history);
  EXPECT_EQ(read.container, history.container);
  EXPECT_EQ(read.tree, history.tree);
  EXPECT_EQ(read.asker, history.asker);
  EXPECT_EQ(read.from, history.from);
  EXPECT_EQ(
      check(ReadResultsMessage{.container = Uuid::from_random(1, 2), .from = history.from}, decode_read_results).from,
      history.from);
  const ReadEntryMessage entry = check(
      ReadEntryMessage{.container = history.container, .tree = history.tree, .key = history.from}, decode_read_entry);
  EXPECT_EQ(entry.container, history.container);
  EXPECT_EQ(entry.tree, history.tree);
  EXPECT_EQ(entry.key, history.from);
  const PageAnswer page = check(PageAnswer{.next = history.from, .bytes = 5, .objects = 6}, decode_page_answer);
  EXPECT_EQ(page.next, history.from);
  EXPECT_EQ(page.bytes, 5u);
  EXPECT_EQ(page.objects, 6u);
  EXPECT_EQ(check(AwaitSettledMessage{Uuid::from_random(8, 9)}, decode_await_settled).container,
            Uuid::from_random(8, 9));
}

TEST(RebuildMessages, SoDoesTheNoteOfACopy) {
  CopyProgress progress;
  progress.version = cluster::MapVersion(7);
  progress.sources = 3;
  progress.resume = to_bytes(as_bytes("here"));
  progress.bytes = 5;
  progress.objects = 6;
  const CopyProgress read = check(progress, decode_copy_progress);
  EXPECT_EQ(read.version, progress.version);
  EXPECT_EQ(read.sources, 3u);
  EXPECT_EQ(read.resume, progress.resume);
}

TEST(RebuildMessages, PlacesAreBounded) {
  Bytes bytes;
  encode(PageAnswer{.next = Bytes(kMaxPlaceBytes + 1), .bytes = 0, .objects = 0}, bytes);
  EXPECT_FALSE(decode_page_answer(bytes).has_value());
}

}  // namespace
}  // namespace cenote::engine
