#include <algorithm>
#include <bit>

#include "examination_state.h"

namespace cenote::store {
namespace {

void add_runs(const GroupBits& marked, SpaceReport& report) {
  for (std::uint32_t from = marked.next_free(0); from < kGroupBlocks;) {
    const std::uint32_t end = marked.next_taken(from);
    ++report.runs[static_cast<std::size_t>(std::bit_width(end - from)) - 1];
    from = marked.next_free(end);
  }
}

SpaceReport report_of(const BlockLedger& ledger) {
  SpaceReport report;
  report.blocks = ledger.groups() * kGroupBlocks;
  std::uint64_t run = 0;
  for (std::uint64_t group = 0; group < ledger.groups(); ++group) {
    if (ledger.fixed(group)) {
      report.fixed_blocks += kGroupBlocks;
      run = 0;
      continue;
    }
    const GroupBits& marked = ledger.marked(group);
    const std::uint32_t taken = marked.taken();
    report.extent_blocks += taken;  // pages are taken off below
    report.free_blocks += kGroupBlocks - taken;
    if (taken == 0) ++report.free_groups;
    add_runs(marked, report);
    for (std::uint32_t block = 0; block < kGroupBlocks; ++block) {
      run = marked.test(block) ? 0 : run + 1;
      report.largest_run = std::max(report.largest_run, run);
    }
  }
  return report;
}

}  // namespace

std::vector<SpaceReport> Examination::space() const {
  const Geometry& geometry = state_->store_state().superblock.geometry;
  std::vector<SpaceReport> reports;
  for (const BlockLedger& ledger : state_->ledgers) reports.push_back(report_of(ledger));
  reports.front().device = state_->devices.meta->name();
  if (reports.size() > 1) reports.back().device = state_->devices.data->name();
  state_->store_state().map.for_each_image([&](PageId, PageMap::Entry) { reports.front().page_blocks += kPageBlocks; });
  reports.front().extent_blocks -= std::min(reports.front().extent_blocks, reports.front().page_blocks);
  if (geometry.wal_device == 0) reports.front().log_blocks = geometry.log.blocks;
  if (geometry.separate_data() && geometry.wal_device == geometry.data_device)
    reports.back().log_blocks = geometry.log.blocks;
  return reports;
}

}  // namespace cenote::store
