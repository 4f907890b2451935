#include "store_crash.h"

#include <algorithm>
#include <vector>

#include "cenote/base/format.h"
#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

/// What a crash at one device write left, and what was promised by then.
struct Cut {
  std::uint64_t write = 0;
  BenchMedia images;
  std::uint64_t applied = 0;
  std::uint64_t acknowledged = 0;
};

class CrashTest {
 public:
  explicit CrashTest(CrashTestOptions options) : options_(options), random_(options.seed) {}

  CrashTestOutcome run() {
    record();
    for (const Cut& cut : cuts_) {
      if (!outcome_.problem.empty()) break;
      const std::string problem = replay(cut);
      if (!problem.empty()) {
        outcome_.problem = fmt::format("seed {}, cut at write {}: {}", options_.seed, cut.write, problem);
      }
    }
    outcome_.cuts = cuts_.size();
    outcome_.nonces = ledger_.nonces();
    if (outcome_.problem.empty() && options_.sealed && ledger_.repeated() + ledger_.plain() > 0) {
      outcome_.problem = fmt::format("seed {}: {} nonces were used twice, {} pages or frames were not sealed",
                                     options_.seed, ledger_.repeated(), ledger_.plain());
    }
    return std::move(outcome_);
  }

 private:
  void seal(StoreBench& bench) {
    if (!options_.sealed) return;
    bench.encrypt();
    bench.ledger = &ledger_;
  }

  WorkloadOptions workload(std::uint32_t steps) {
    WorkloadOptions workload;
    workload.seed = random_();
    workload.steps = steps;
    workload.keys = options_.keys;
    workload.checkpoint_in = 8;
    workload.full = options_.seed % 2 == 0;
    return workload;
  }

  /// The run that is cut: it goes on to its end, and keeps an image of the medium for each cut.
  void record() {
    layout_ = random_() % 3 == 0 ? StoreBench::Layout::kThreeDevices : StoreBench::Layout::kOneDevice;
    if (options_.layout) layout_ = *options_.layout;
    StoreBench bench(options_.seed, 64, layout_);
    bench.device_options.prefers_durable_writes = random_() % 2 == 0;
    bench.options.discard = options_.discard;
    seal(bench);
    bench.format_store();
    bench.open();
    bench.on_each_write([&](std::uint64_t number) {
      outcome_.writes = number;
      if (number % options_.cut_every != 0) return;
      cuts_.push_back({number, bench.crash_images(cut_random_), history_.effects.size(), history_.acknowledged});
    });
    Workload run(*bench.store, history_, workload(options_.steps));
    blocks_before_ = bench.store->status().data_blocks_total;
    bench.block_on(run_and_grow(&bench, &run));
    blocks_after_ = bench.store->status().data_blocks_total;
    outcome_.discarded_blocks = bench.store->status().discarded_blocks;
    if (outcome_.problem.empty()) outcome_.problem = run.problem();
    bench.power_off();
  }

  Task<> run_and_grow(StoreBench* bench, Workload* run) {
    Scope scope(bench->node);
    if (options_.grow_mib > 0) scope.spawn(grow(bench));
    co_await run->run();
    co_await scope.drain();
  }

  Task<> grow(StoreBench* bench) {
    co_await bench->node.sleep_for(std::chrono::microseconds(random_() % 8000));
    for (const std::size_t i : bench->devices_with_space(random_() % 2 == 0)) {
      bench->mediums[i]->grow(bench->mediums[i]->block_count() + options_.grow_mib * kGroupBlocks);
    }
    const auto grown = co_await bench->store->grow();
    if (!grown) outcome_.problem = grown.error().to_string();
  }

  /// After a crash the store has the old size or the new one, whole; and growing brings the new one.
  std::string check_size(StoreBench& bench, History& history) {
    const std::uint64_t found = bench.store->status().data_blocks_total;
    // What pages have taken does not count, so the sums of two moments differ by whole groups of pages.
    const std::uint64_t slack = 16 * kGroupBlocks;
    const auto is = [&](std::uint64_t blocks) { return found + slack >= blocks && found <= blocks + slack; };
    if (!is(blocks_before_) && !is(blocks_after_)) return fmt::format("{} blocks after the crash", found);
    const bool sized = std::ranges::any_of(
        bench.devices_with_space(), [&](std::size_t i) { return bench.mediums[i]->block_count() > 64 * kGroupBlocks; });
    const auto grown = bench.block_on(bench.store->grow());
    if (!grown) return grown.error().to_string();
    if (sized && bench.store->status().data_blocks_total + slack < blocks_after_)
      return "growing again brought nothing";
    return bench.block_on(verify_store(*bench.store, history));
  }

  History promised(const Cut& cut) const {
    History history;
    history.effects.assign(history_.effects.begin(),
                           history_.effects.begin() + static_cast<std::ptrdiff_t>(cut.applied));
    history.acknowledged = cut.acknowledged;
    return history;
  }

  std::string replay(const Cut& cut) {
    ++outcome_.crashes;
    StoreBench bench(random_(), 64, layout_);
    for (std::size_t i = 0; i < kMaxDevices; ++i) {
      if (cut.images[i]) bench.mediums[i] = cut.images[i]->clone();
    }
    bench.device_options.prefers_durable_writes = random_() % 2 == 0;
    bench.options.discard = options_.discard;
    seal(bench);
    History history = promised(cut);
    // A third of the cuts crash again while they recover, up to three times.
    for (int again = 0; cut.write % 3 == 1 && again < 3; ++again) crash_in_recovery(bench);
    std::string problem = open_and_verify(bench, history);
    if (problem.empty() && options_.grow_mib > 0) problem = check_size(bench, history);
    // Another third go on, crash at some write, and recover once more.
    if (problem.empty() && cut.write % 3 == 2) problem = work_and_crash(bench, history);
    return problem;
  }

  void crash_in_recovery(StoreBench& bench) {
    ++outcome_.crashes;
    bench.power_on();
    crash_at(bench, 1 + random_() % 3);
    static_cast<void>(bench.try_open());
    bench.power_off();
  }

  static void crash_at(StoreBench& bench, std::uint64_t write) {
    bench.on_each_write([&bench, write](std::uint64_t number) {
      if (number == write) bench.cut_power();
    });
  }

  std::string open_and_verify(StoreBench& bench, History& history) {
    const auto opened = bench.try_open();
    if (!opened) return opened.error().to_string();
    ++outcome_.verified;
    return bench.block_on(verify_store(*bench.store, history));
  }

  std::string work_and_crash(StoreBench& bench, History& history) {
    crash_at(bench, 1 + random_() % 20);
    Workload more(*bench.store, history, workload(12));
    bench.block_on(more.run());
    if (!more.problem().empty()) return more.problem();
    bench.crash();
    ++outcome_.crashes;
    return open_and_verify(bench, history);
  }

  CrashTestOptions options_;
  std::mt19937_64 random_;
  std::mt19937_64 cut_random_{options_.seed};
  StoreBench::Layout layout_ = StoreBench::Layout::kOneDevice;
  History history_;
  std::uint64_t blocks_before_ = 0, blocks_after_ = 0;
  std::vector<Cut> cuts_;
  NonceLedger ledger_;  // of all lives of the store: what one forgot another may not repeat
  CrashTestOutcome outcome_;
};

}  // namespace

CrashTestOutcome run_crash_test(CrashTestOptions options) { return CrashTest(options).run(); }

}  // namespace cenote::store
