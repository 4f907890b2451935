#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "block_ledger.h"
#include "cenote/store/examine.h"
#include "store_impl.h"

namespace cenote::store {

/// What an examination knows. The state is that of a store opened read-only or, when it does not open, one that holds
/// the checkpoint only, as much of it as could be read; its allocator is then empty and nobody asks it.
struct ExaminationState {
  ExaminationState(Reactor& the_reactor, Devices the_devices, ExamineOptions the_options)
      : reactor(the_reactor), devices(the_devices), options(std::move(the_options)) {}

  // examine.cc
  Task<Result<>> open();
  Task<> close();
  StoreState& store_state() { return store ? store->state() : *checkpoint; }
  const StoreState& store_state() const { return store ? store->state() : *checkpoint; }
  BlockLedger& meta() { return ledgers.front(); }
  BlockLedger& data() { return ledgers.back(); }
  const BlockLedger& data() const { return ledgers.back(); }
  void report(Finding finding);
  /// A finding about a page, with its tree, its blocks and the keys that are lost with it.
  Finding page_finding(PageId id, TreeId tree, std::string message) const;
  void report_in_tree(PageId id, TreeId tree, std::string message, KeyRange lost);

  // examine_checkpoint.cc
  Task<> report_superblocks();
  Task<> load_checkpoint(Superblock superblock, std::unique_ptr<StoreSeal> seal);
  Task<> load_chunks();
  Task<> load_chunk(std::uint64_t chunk);
  void report_chunk(std::uint64_t chunk, const Error& error);
  void load_bitmap(std::uint64_t chunk, ByteView bits);
  Task<> scan_log();
  void note_claims(ByteView payload, std::uint64_t position);
  Task<> load_catalog();

  // examine_rest.cc
  Task<> check_rest();
  Task<> walk_dropped(DroppedTree tree);
  Task<> check_images();
  void check_numbers();
  void use_images(bool report_disputes);
  void report_lost(const BlockLedger& ledger, const media::BlockDevice& device);

  Reactor& reactor;
  Devices devices;
  ExamineOptions options;
  std::unique_ptr<StoreImpl> store;
  std::unique_ptr<StoreState> checkpoint;
  std::vector<BlockLedger> ledgers;  // of the meta device, and of the data device if it is another
  std::vector<GroupBits> newer;      // blocks of the data device that the log claims, when it is not replayed
  std::vector<TreeReport> trees;
  std::unordered_set<TreeId> walked;
  std::vector<bool> reached;   // by page: some parent names it
  std::vector<bool> verified;  // by page: its image has been read
  bool map_whole = true;       // every chunk of the page map was read
  bool trees_whole = true;     // no page was lost on the way
  ExamineTotals totals;
};

}  // namespace cenote::store
