#include "store/rocksdb_puts.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <string>
#include <utility>

#include "store/threads.h"
#include "store/workload.h"

namespace cenote::bench {
namespace {

// A log file is as long as the memtable it protects; small enough to be recycled several times in a run.
constexpr std::uint64_t kMemtableBytes = 16u << 20;
constexpr unsigned kRecycledLogs = 4;

Result<> check(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return fail(Code::kIoError, "RocksDB: " + status.ToString());
}

rocksdb::Options durable_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  // Recycled log files have their blocks and their size already: a sync writes data only, not the inode. The recovery
  // mode is the only one that this version recycles with.
  options.recycle_log_file_num = kRecycledLogs;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  options.allow_fallocate = true;
  options.use_fsync = false;  // fdatasync
  options.write_buffer_size = kMemtableBytes;
  options.max_write_buffer_number = 4;
  options.compression = rocksdb::kNoCompression;
  options.allow_concurrent_memtable_write = true;
  options.enable_pipelined_write = false;  // slower here with 16 and with 256 writers: the sync dominates
  options.max_background_jobs = 2;
  options.stats_dump_period_sec = 0;
  return options;
}

class RocksDbPuts final : public Side {
 public:
  RocksDbPuts(std::unique_ptr<rocksdb::DB> db, Concurrency concurrency)
      : db_(std::move(db)), concurrency_(concurrency) {
    durable_.sync = true;
  }

  // Fills every log file that will be recycled, so that measured writes find them at their full size.
  Result<> prepare(bool quick) {
    PutStream stream(1);
    const rocksdb::WriteOptions unsynced;
    const unsigned logs = quick ? 1 : kRecycledLogs;
    for (unsigned log = 0; log < logs; ++log) {
      for (std::uint64_t bytes = 0; bytes < kMemtableBytes; bytes += kKeyBytes + kValueBytes) {
        stream.next();
        CHECK_OK(check(db_->Put(unsynced, stream.key(), stream.value())));
      }
      CHECK_OK(check(db_->Flush(rocksdb::FlushOptions())));
    }
    return {};
  }

  Result<Measured> measure(Duration window) override {
    return run_threads(concurrency_.writers, concurrency_.puts_per_write, window,
                       [this](PutStream& stream) { return put(stream); });
  }

  Result<double> account(Duration window) override {
    TRY(const Measured measured, measure(window));
    return measured.value * std::chrono::duration<double>(window).count();
  }

  Result<> close() override { return check(db_->Close()); }

 private:
  Result<> put(PutStream& stream) {
    if (concurrency_.puts_per_write == 1) {
      stream.next();
      return check(db_->Put(durable_, stream.key(), stream.value()));
    }
    rocksdb::WriteBatch batch;
    for (unsigned i = 0; i < concurrency_.puts_per_write; ++i) {
      stream.next();
      batch.Put(stream.key(), stream.value());
    }
    return check(db_->Write(durable_, &batch));
  }

  std::unique_ptr<rocksdb::DB> db_;
  Concurrency concurrency_;
  rocksdb::WriteOptions durable_;
};

}  // namespace

Result<std::unique_ptr<Side>> make_rocksdb_puts(const Setting& setting, Concurrency concurrency) {
  rocksdb::DB* opened = nullptr;
  CHECK_OK(check(rocksdb::DB::Open(durable_options(), setting.directory.string(), &opened)));
  std::unique_ptr<rocksdb::DB> db(opened);
  if (db->GetDBOptions().recycle_log_file_num != kRecycledLogs) {
    return fail(Code::kInternal, "RocksDB turned the recycling of its log off: the comparison would not be fair");
  }
  auto side = std::make_unique<RocksDbPuts>(std::move(db), concurrency);
  CHECK_OK(side->prepare(setting.quick));
  return side;
}

}  // namespace cenote::bench
