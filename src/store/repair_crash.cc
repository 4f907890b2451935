#include <map>
#include <vector>

#include "cenote/base/format.h"
#include "cenote/store/scrub.h"
#include "store_checker.h"
#include "store_crash.h"
#include "store_impl.h"
#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

class RepairCrashTest {
 public:
  explicit RepairCrashTest(CrashTestOptions options) : options_(options), random_(options.seed) {}

  RepairCrashOutcome run() {
    record();
    for (std::size_t i = 0; i < cuts_.size() && outcome_.problem.empty(); ++i) replay(i);
    return std::move(outcome_);
  }

 private:
  StoreBench::Layout layout() const { return options_.layout.value_or(StoreBench::Layout::kOneDevice); }
  void seal(StoreBench& bench) const {
    if (options_.sealed) bench.encrypt();
  }
  void wrong(std::string what) {
    if (outcome_.problem.empty()) outcome_.problem = fmt::format("seed {}: {}", options_.seed, what);
  }

  /// Turns one bit of an image over.
  void damage(media::SimMedium& medium, std::uint64_t block) {
    Bytes bytes(media::kBlockBytes);
    medium.read_block(media::BlockNo(block), bytes);
    bytes[500] ^= std::byte{8};
    medium.write_block(media::BlockNo(block), bytes);
    damaged_[block] = std::move(bytes);
  }
  /// Turns it back wherever the damaged block is still there: others may have been given its place.
  void undo_damage(media::SimMedium& medium) const {
    Bytes bytes(media::kBlockBytes);
    for (const auto& [block, damaged] : damaged_) {
      medium.read_block(media::BlockNo(block), bytes);
      if (bytes != damaged) continue;
      bytes[500] ^= std::byte{8};
      medium.write_block(media::BlockNo(block), bytes);
    }
  }

  /// A store of some pages, whose pages are in memory and on the device.
  void fill(StoreBench& bench) {
    seal(bench);
    bench.format_store();
    bench.open();
    WorkloadOptions wanted;
    wanted.seed = random_();
    wanted.steps = options_.steps;
    wanted.keys = options_.keys;
    Workload work(*bench.store, history_, wanted);
    bench.block_on(work.run());
    if (!work.problem().empty()) wrong(work.problem());
    history_.acknowledged = history_.effects.size();
    if (!bench.block_on(bench.store->checkpoint())) wrong("no checkpoint before the repair");
    if (const auto problem = bench.block_on(verify_store(*bench.store, history_)); !problem.empty()) wrong(problem);
  }

  void damage_some(StoreBench& bench) {
    StoreState& state = StoreChecker::inside(*bench.store).state();
    state.map.for_each_image([&](PageId id, PageMap::Entry entry) {
      const Frame* frame = state.cache.peek(id);
      if (frame == nullptr || frame->dirty || frame->frozen || random_() % 4 == 0) return;
      damage(*bench.medium, std::uint64_t{entry.slot} * kPageBlocks + random_() % kPageBlocks);
    });
    outcome_.damaged = damaged_.size();
  }

  static Task<> scrub(Store* store, std::uint64_t* repaired, std::string* problem) {
    std::vector<TreeId> trees{TreeId{0}};
    for (const auto& [id, entry] : StoreChecker::inside(*store).state().catalog.trees()) trees.push_back(id);
    for (const TreeId tree : trees) {
      TreeScrub walk(*store, tree, [problem](Finding found) {
        if (!found.repaired) *problem = found.message;
      });
      for (Result<bool> more = true; more.value_or(false);) more = co_await walk.next();
      *repaired += walk.totals().repaired;
    }
    if (!co_await store->checkpoint()) *problem = "no checkpoint after the repair";
  }

  void record() {
    StoreBench bench(options_.seed, 64, layout());
    fill(bench);
    damage_some(bench);
    bench.on_each_write([&](std::uint64_t) { cuts_.push_back(bench.crash_images(random_)); });
    std::uint64_t repaired = 0;
    std::string problem;
    bench.block_on(scrub(bench.store.get(), &repaired, &problem));
    if (!problem.empty()) wrong(problem);
    if (repaired != damaged_.size()) wrong(fmt::format("{} of {} images repaired", repaired, damaged_.size()));
    bench.power_off();
    cuts_.push_back(bench.copies());
  }

  std::string open_and_verify(const BenchMedia& images, bool undo) {
    StoreBench bench(random_(), 64, layout());
    for (std::size_t i = 0; i < kMaxDevices; ++i) {
      if (images[i]) bench.mediums[i] = images[i]->clone();
    }
    seal(bench);
    if (undo) undo_damage(*bench.medium);
    if (const auto opened = bench.try_open(); !opened) return opened.error().to_string();
    History history = history_;
    return bench.block_on(verify_store(*bench.store, history));
  }

  /// Repaired, or whole but for damage that was there before.
  void replay(std::size_t cut) {
    const std::string now = open_and_verify(cuts_[cut], false);
    if (now.empty()) {
      ++outcome_.repaired;
      return;
    }
    if (const std::string before = open_and_verify(cuts_[cut], true); !before.empty())
      wrong(fmt::format("cut at write {}: {}; without the damage: {}", cut, now, before));
    if (cut + 1 == cuts_.size()) wrong("the end of the repair left the damage");
    ++outcome_.before;
  }

  CrashTestOptions options_;
  std::mt19937_64 random_;
  History history_;
  std::map<std::uint64_t, Bytes> damaged_;  // blocks of the meta device, as they are then
  std::vector<BenchMedia> cuts_;
  RepairCrashOutcome outcome_;
};

}  // namespace

RepairCrashOutcome run_repair_crash_test(CrashTestOptions options) { return RepairCrashTest(options).run(); }

}  // namespace cenote::store
