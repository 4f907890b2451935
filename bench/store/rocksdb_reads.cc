#include "store/rocksdb_reads.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "harness/machine.h"
#include "store/threads.h"

namespace cenote::bench {
namespace {

Result<> check(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return fail(Code::kIoError, "RocksDB: " + status.ToString());
}

rocksdb::Options options_for(const Setting& setting, const ReadShape& shape) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(shape.cache_bytes);
  table.cache_index_and_filter_blocks = true;
  table.pin_top_level_index_and_filter = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.block_size = 4096;
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // On a memory-backed file system the file is the page cache; on the disk nobody gets memory beyond the budget.
  options.use_direct_reads = setting.directory.string().rfind("/dev/shm", 0) != 0;
  options.max_background_jobs = 2;
  options.stats_dump_period_sec = 0;
  return options;
}

class RocksDbReads : public Side {
 public:
  RocksDbReads(std::unique_ptr<rocksdb::DB> db, ReadShape shape) : db_(std::move(db)), shape_(shape) {}

  Result<> prepare() {
    rocksdb::WriteOptions unlogged;
    unlogged.disableWAL = true;
    for (std::uint64_t n = 0; n < shape_.records; ++n) {
      const Record record(n);
      CHECK_OK(check(db_->Put(unlogged, record.key(), record.value())));
    }
    CHECK_OK(check(db_->Flush({})));
    return check(db_->CompactRange({}, nullptr, nullptr));
  }
  Result<> close() override { return check(db_->Close()); }

 protected:
  rocksdb::DB& db() { return *db_; }
  const ReadShape& shape() const { return shape_; }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  ReadShape shape_;
};

class RocksDbGets final : public RocksDbReads {
 public:
  using RocksDbReads::RocksDbReads;
  Result<Measured> measure(Duration window) override {
    return run_threads(shape().concurrent, 1, window, [this](PutStream& stream) { return look_up(stream); });
  }

 private:
  Result<> look_up(PutStream& stream) {
    const Record record(next_record(stream, shape().records));
    rocksdb::PinnableSlice value;
    CHECK_OK(check(db().Get({}, db().DefaultColumnFamily(), record.key(), &value)));
    std::array<char, kValueBytes> copy;
    if (value.size() != copy.size()) return fail(Code::kCorrupt, "a record has another length");
    std::memcpy(copy.data(), value.data(), copy.size());
    if (!record.is_value({copy.data(), copy.size()})) return fail(Code::kCorrupt, "a record has another's value");
    return {};
  }
};

class RocksDbScan final : public RocksDbReads {
 public:
  using RocksDbReads::RocksDbReads;
  Result<Measured> measure(Duration /*window*/) override {
    const Instant begin = now();
    const std::unique_ptr<rocksdb::Iterator> at(db().NewIterator({}));
    std::uint64_t seen = 0;
    std::uint64_t sum = 0;
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      sum += static_cast<unsigned char>(at->value()[0]);
      ++seen;
    }
    CHECK_OK(check(at->status()));
    const double seconds = std::chrono::duration<double>(now() - begin).count();
    if (seen != shape().records || sum == 0) return fail(Code::kCorrupt, "a scan did not meet all records");
    return Measured{.value = double(seen) / seconds, .details = {}};
  }
};

template <typename Made>
Result<std::unique_ptr<Side>> make_side(const Setting& setting, const ReadShape& shape) {
  rocksdb::DB* opened = nullptr;
  CHECK_OK(check(rocksdb::DB::Open(options_for(setting, shape), setting.directory.string(), &opened)));
  auto side = std::make_unique<Made>(std::unique_ptr<rocksdb::DB>(opened), shape);
  CHECK_OK(side->prepare());
  return side;
}

}  // namespace

Result<std::unique_ptr<Side>> make_rocksdb_gets(const Setting& setting, ReadShape shape) {
  return make_side<RocksDbGets>(setting, shape);
}
Result<std::unique_ptr<Side>> make_rocksdb_scan(const Setting& setting, ReadShape shape) {
  return make_side<RocksDbScan>(setting, shape);
}

}  // namespace cenote::bench
