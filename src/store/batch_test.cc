#include "cenote/store/batch.h"

#include <gtest/gtest.h>

#include "cenote/store/operation.h"

namespace cenote::store {
namespace {

std::vector<Operation> decode(const Batch& batch) {
  std::vector<Operation> operations;
  OperationReader reader(batch.encoded());
  for (Operation operation; reader.next(operation);) operations.push_back(operation);
  EXPECT_FALSE(reader.bad());
  return operations;
}

TEST(Batch, KeepsEveryOperationInOrder) {
  Batch batch;
  batch.create_tree(TreeId(7), "name");
  batch.put(TreeId(7), as_bytes("key"), as_bytes("value"));
  batch.put(TreeId(7), as_bytes(""), as_bytes(""));
  batch.erase(TreeId(8), as_bytes("gone"));
  batch.claim({media::BlockNo(512), 3});
  batch.release({media::BlockNo(256), 256});
  batch.drop_tree(TreeId(9));
  const auto operations = decode(batch);
  ASSERT_EQ(operations.size(), 7u);
  EXPECT_EQ(batch.operations(), 7u);
  EXPECT_EQ(operations[0].name(), "name");
  EXPECT_EQ(operations[1].tree, TreeId(7));
  EXPECT_EQ(to_text(operations[1].key), "key");
  EXPECT_EQ(to_text(operations[1].value), "value");
  EXPECT_TRUE(operations[2].key.empty());
  EXPECT_EQ(operations[3].kind, OperationKind::kErase);
  EXPECT_EQ(operations[4].extent, (Extent{media::BlockNo(512), 3}));
  EXPECT_EQ(operations[5].kind, OperationKind::kRelease);
  EXPECT_EQ(operations[6].tree, TreeId(9));
  EXPECT_TRUE(batch.claims());
}

TEST(Batch, IsFlawedByWhatIsBeyondALimit) {
  Batch batch;
  batch.put(TreeId(1), Bytes(kMaxKeyBytes), Bytes(kMaxValueBytes));
  EXPECT_EQ(batch.flaw(), Code::kOk);
  batch.put(TreeId(1), Bytes(kMaxKeyBytes + 1), {});
  EXPECT_EQ(batch.flaw(), Code::kKeyTooLarge);
  batch.clear();
  batch.put(TreeId(1), {}, Bytes(kMaxValueBytes + 1));
  EXPECT_EQ(batch.flaw(), Code::kValueTooLarge);
  batch.clear();
  batch.create_tree(TreeId(1), "");
  EXPECT_EQ(batch.flaw(), Code::kOutOfRange);
  batch.clear();
  batch.claim({media::BlockNo(255), 2});  // crosses a group
  EXPECT_EQ(batch.flaw(), Code::kOutOfRange);
  batch.clear();
  EXPECT_EQ(batch.flaw(), Code::kOk);
  EXPECT_FALSE(batch.claims());
}

TEST(Batch, BoundsEntriesAndBytes) {
  Batch entries;
  for (std::uint32_t i = 0; i < kMaxBatchEntries; ++i) entries.erase(TreeId(1), as_bytes("k"));
  EXPECT_EQ(entries.flaw(), Code::kOk);
  entries.erase(TreeId(1), as_bytes("k"));
  EXPECT_EQ(entries.flaw(), Code::kOutOfRange);
  Batch bytes;
  while (bytes.flaw() == Code::kOk) bytes.claim({media::BlockNo(0), 1});
  EXPECT_LE(bytes.encoded().size(), kMaxBatchBytes);
}

TEST(OperationReader, RefusesEveryTruncationAndOddKinds) {
  Batch batch;
  batch.put(TreeId(1), as_bytes("key"), as_bytes("value"));
  for (std::size_t bytes = 1; bytes < batch.encoded().size(); ++bytes) {
    OperationReader reader(batch.encoded().first(bytes));
    Operation operation;
    EXPECT_FALSE(reader.next(operation));
    EXPECT_TRUE(reader.bad()) << bytes;
  }
  const Bytes odd = {std::byte{77}};
  OperationReader reader(odd);
  Operation operation;
  EXPECT_FALSE(reader.next(operation));
  EXPECT_TRUE(reader.bad());
}

}  // namespace
}  // namespace cenote::store
