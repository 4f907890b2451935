#include "store/cenote_puts.h"

#include <filesystem>
#include <utility>

#include "harness/machine.h"
#include "harness/statistics.h"
#include "store/cenote_store.h"
#include "store/workload.h"

namespace cenote::bench {
namespace {

class CenotePuts final : public Side {
 public:
  CenotePuts(std::unique_ptr<CenoteStore> store, unsigned concurrent)
      : store_(std::move(store)), concurrent_(concurrent) {}

  Result<Measured> measure(Duration window) override {
    const store::StoreStatus before = store_->store().status();
    TRY(const PutsDone done, run_puts(*store_, concurrent_, window));
    const store::StoreStatus after = store_->store().status();
    const auto puts = double(done.latencies.count());
    Measured measured{.value = puts / std::chrono::duration<double>(done.taken).count(), .details = {}};
    measured.add_latencies(done.latencies);
    measured.details.emplace_back("checkpoints", double(after.checkpoints - before.checkpoints));
    measured.details.emplace_back("log_writes/op", double(after.log_writes - before.log_writes) / puts);
    measured.details.emplace_back("log_blocks/op", double(after.log_blocks - before.log_blocks) / puts);
    return measured;
  }

  Result<double> account(Duration window) override {
    TRY(const PutsDone done, run_puts(*store_, concurrent_, window));
    return double(done.latencies.count());
  }

  Result<> close() override { return store_->close(); }

 private:
  std::unique_ptr<CenoteStore> store_;
  unsigned concurrent_;
};

class CenoteLogBlocks final : public Side {
 public:
  explicit CenoteLogBlocks(std::unique_ptr<CenoteStore> store) : store_(std::move(store)) {}

  Result<Measured> measure(Duration window) override {
    constexpr unsigned kConcurrent = 64;
    const std::uint64_t before = store_->store().status().log_blocks;
    TRY(const PutsDone done, run_puts(*store_, kConcurrent, window));
    const auto blocks = double(store_->store().status().log_blocks - before);
    return Measured{.value = blocks / double(done.latencies.count()) * kConcurrent, .details = {}};
  }

  Result<> close() override { return store_->close(); }

 private:
  std::unique_ptr<CenoteStore> store_;
};

double p99_us(const PutsDone& done) {
  return std::chrono::duration<double, std::micro>(done.latencies.percentile(99)).count();
}

class CenoteCheckpointTail final : public Side {
 public:
  explicit CenoteCheckpointTail(std::unique_ptr<CenoteStore> store) : store_(std::move(store)) {}

  Result<Measured> measure(Duration window) override {
    constexpr unsigned kConcurrent = 16;
    constexpr unsigned kPairs = 20;
    std::vector<double> ratios;
    std::vector<double> quiet;
    const std::uint64_t before = store_->store().status().checkpoints;
    for (unsigned i = 0; i < kPairs; ++i) {
      TRY(const PutsDone with, run_puts_in_checkpoints(*store_, kConcurrent, window / kPairs));
      TRY(const PutsDone without, run_puts(*store_, kConcurrent, window / kPairs));
      quiet.push_back(p99_us(without));
      ratios.push_back(p99_us(with) / quiet.back());
    }
    const auto checkpoints = double(store_->store().status().checkpoints - before);
    return Measured{.value = summarize(ratios).median,
                    .details = {{"checkpoints", checkpoints}, {"p99_us_without", summarize(quiet).median}}};
  }

  Result<> close() override { return store_->close(); }

 private:
  std::unique_ptr<CenoteStore> store_;
};

class CenoteRecovery final : public Side {
 public:
  CenoteRecovery(std::unique_ptr<CenoteStore> crashed, std::uint64_t records)
      : crashed_(std::move(crashed)), records_(records) {}

  // Read-only, so that the image stays what it is and every run redoes the same log.
  Result<Measured> measure(Duration /*window*/) override {
    // By CPU time: the goal is per core, and this is one thread that hardly waits.
    const Instant begin = now();
    const Duration cpu_begin = own_cpu_time();
    CHECK_OK(crashed_->open());
    const double seconds = std::chrono::duration<double>(own_cpu_time() - cpu_begin).count();
    const double open_ms = std::chrono::duration<double>(now() - begin).count() * 1000;
    const std::uint64_t redone = crashed_->store().status().replayed_records;
    CHECK_OK(crashed_->close());
    if (redone < records_) return fail(Code::kInternal, "a checkpoint swallowed the log that was to be redone");
    return Measured{.value = double(redone) / seconds, .details = {{"records", double(redone)}, {"open_ms", open_ms}}};
  }

 private:
  std::unique_ptr<CenoteStore> crashed_;
  std::uint64_t records_;
};

Result<std::unique_ptr<CenoteStore>> make_store(const Setting& setting, CenoteStoreOptions options) {
  // Both kinds stand side by side in one comparison.
  const char* name = options.open.key ? "sealed-store" : "store";
  TRY(auto store, CenoteStore::create(setting.directory / name, options));
  CHECK_OK(store->format());
  return store;
}

Result<std::unique_ptr<Side>> make_puts(const Setting& setting, unsigned concurrent, CenoteStoreOptions options) {
  TRY(auto store, make_store(setting, options));
  // All keys are there from the start: a steady state, not a growing tree.
  CHECK_OK(fill(*store, setting.quick ? kKeys / 10 : kKeys * 2));
  return std::make_unique<CenotePuts>(std::move(store), concurrent);
}

}  // namespace

Result<std::unique_ptr<Side>> make_cenote_puts(const Setting& setting, unsigned concurrent) {
  return make_puts(setting, concurrent, {});
}

Result<std::unique_ptr<Side>> make_sealed_puts(const Setting& setting, unsigned concurrent) {
  CenoteStoreOptions options;
  options.open.key = bench_key();
  return make_puts(setting, concurrent, options);
}

Result<std::unique_ptr<Side>> make_cenote_log_blocks(const Setting& setting) {
  TRY(auto store, make_store(setting, {}));
  return std::make_unique<CenoteLogBlocks>(std::move(store));
}

Result<std::unique_ptr<Side>> make_cenote_checkpoint_tail(const Setting& setting) {
  // No checkpoint but those asked for: log and cache are far from their limits.
  CenoteStoreOptions options{.device_bytes = 2ull << 30, .log_bytes = 512ull << 20, .open = {}};
  options.open.cache_bytes = 256ull << 20;
  options.open.checkpoint_log_fill = 1;
  options.open.checkpoint_dirty = 1;
  TRY(auto store, make_store(setting, options));
  CHECK_OK(fill(*store, setting.quick ? kKeys / 10 : kKeys * 2));
  return std::make_unique<CenoteCheckpointTail>(std::move(store));
}

Result<std::unique_ptr<Side>> make_cenote_recovery(const Setting& setting) {
  const std::uint64_t records = setting.quick ? 50'000 : 1'000'000;
  // The log is about as long as what is written to it: scanning an empty rest of the ring is no part of the question.
  CenoteStoreOptions options{.device_bytes = 768ull << 20, .log_bytes = records * 192, .open = {}};
  options.log_bytes -= options.log_bytes % (1u << 20);
  options.open.cache_bytes = 128ull << 20;
  options.open.checkpoint_log_fill = 1;
  options.open.checkpoint_dirty = 1;
  TRY(auto store, make_store(setting, options));
  CHECK_OK(fill(*store, records));
  // Everything is durable and nothing in flight: a copy of the file is what a crash would leave.
  const std::filesystem::path image = setting.directory / "crashed";
  std::filesystem::copy_file(store->path(), image);
  CHECK_OK(store->close());
  std::filesystem::remove(store->path());
  options.open.read_only = true;
  TRY(auto crashed, CenoteStore::create(image, options));
  return std::make_unique<CenoteRecovery>(std::move(crashed), records);
}

}  // namespace cenote::bench
