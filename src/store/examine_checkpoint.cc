#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/store/operation.h"
#include "examination_state.h"
#include "leaf_walk.h"
#include "log_reader.h"

// What an examination does with a store that does not open: it takes in as much of the newest checkpoint as is whole.
namespace cenote::store {

Task<> ExaminationState::report_superblocks() {
  const auto reports = co_await read_superblocks(*devices.meta);
  for (std::size_t place = 0; place < reports.size(); ++place) {
    const SuperblockReport& report = reports[place];
    const SuperblockReport& other = reports[1 - place];
    // Neither was ever a superblock: that is no damage, and opening says so.
    if (!report.flaw || (*report.flaw == Code::kNotFound && other.flaw && *other.flaw == Code::kNotFound)) continue;
    Finding finding;
    finding.kind = FindingKind::kSuperblock;
    finding.severity = other.flaw ? Severity::kDamage : Severity::kWarning;
    finding.message =
        fmt::format("superblock {} is not readable ({})", place == 0 ? 'A' : 'B', report.flaw->to_string());
    if (!other.flaw) {
      finding.message += fmt::format(
          "; superblock {}, sequence {}, is whole and is used: the next checkpoint restores "
          "this one",
          place == 0 ? 'B' : 'A', other.sequence);
    }
    finding.block = kSuperblockPlaces[place];
    finding.blocks = kSuperblockBlocks;
    this->report(std::move(finding));
  }
}

Task<> ExaminationState::load_checkpoint(Superblock superblock, std::unique_ptr<StoreSeal> seal) {
  OpenOptions open;
  open.cache_bytes = options.cache_bytes;
  open.read_only = true;
  checkpoint = std::make_unique<StoreState>(reactor, devices, open, std::move(superblock), std::move(seal));
  co_await load_chunks();
  co_await scan_log();
  co_await load_catalog();
}

void ExaminationState::report_chunk(std::uint64_t chunk, const Error& error) {
  const std::uint64_t first_bitmap_chunk = checkpoint->chunks.first_bitmap_chunk();
  Finding finding;
  finding.kind = FindingKind::kChunk;
  if (chunk < first_bitmap_chunk) {
    map_whole = false;
    finding.message =
        fmt::format("{}; pages {} to {} cannot be found", error.to_string(),
                    std::max<std::uint64_t>(1, chunk * kMapEntriesPerChunk), (chunk + 1) * kMapEntriesPerChunk - 1);
  } else {
    const std::uint64_t bitmap = chunk - first_bitmap_chunk;
    const std::uint64_t meta_chunks = checkpoint->superblock.geometry.meta_bitmap_chunks();
    BlockLedger& ledger = bitmap < meta_chunks ? meta() : data();
    const std::uint64_t first = (bitmap < meta_chunks ? bitmap : bitmap - meta_chunks) * (kBitsPerChunk / kGroupBlocks);
    const std::uint64_t end = std::min<std::uint64_t>(ledger.groups(), first + kBitsPerChunk / kGroupBlocks);
    for (std::uint64_t group = first; group < end; ++group) ledger.set_unknown(group);
    finding.message = fmt::format("{}; which of the blocks {} to {} are in use is not known", error.to_string(),
                                  first * kGroupBlocks, end * kGroupBlocks - 1);
  }
  report(std::move(finding));
}

Task<> ExaminationState::load_chunks() {
  ChunkStore& chunks = checkpoint->chunks;
  for (std::uint64_t table = 0; table < chunks.tables(); ++table) {
    const auto loaded = co_await chunks.load_table(table);
    const std::uint64_t end = std::min<std::uint64_t>(chunks.chunks(), (table + 1) * kTableEntries);
    for (std::uint64_t chunk = table * kTableEntries; chunk < end; ++chunk) {
      if (loaded) {
        co_await load_chunk(chunk);
      } else {
        report_chunk(chunk, loaded.error());
      }
    }
  }
}

Task<> ExaminationState::load_chunk(std::uint64_t chunk) {
  if (!checkpoint->chunks.written(chunk)) co_return;
  AlignedBuffer block(media::kBlockBytes);
  const auto read = co_await checkpoint->chunks.read(chunk, block.span());
  if (!read) co_return report_chunk(chunk, read.error());
  const std::uint64_t first_bitmap_chunk = checkpoint->chunks.first_bitmap_chunk();
  if (chunk < first_bitmap_chunk) {
    checkpoint->map.load_chunk(chunk, block.span());
  } else {
    load_bitmap(chunk - first_bitmap_chunk, block.span());
  }
}

void ExaminationState::load_bitmap(std::uint64_t chunk, ByteView bits) {
  const std::uint64_t meta_chunks = checkpoint->superblock.geometry.meta_bitmap_chunks();
  BlockLedger& ledger = chunk < meta_chunks ? meta() : data();
  constexpr std::uint64_t kGroups = kBitsPerChunk / kGroupBlocks;
  const std::uint64_t first = (chunk < meta_chunks ? chunk : chunk - meta_chunks) * kGroups;
  for (std::uint64_t i = 0; i < kGroups && first + i < ledger.groups(); ++i) {
    GroupBits group;
    for (std::size_t word = 0; word < group.words.size(); ++word)
      group.words[word] = load_le<std::uint64_t>(bits.data() + i * (kGroupBlocks / 8) + word * 8);
    ledger.set_marked(first + i, group);
  }
}

/// The log is not replayed, but what it claims may have been written over what the checkpoint refers to.
Task<> ExaminationState::scan_log() {
  newer.resize(data().groups());
  LogReader log(*devices.wal, checkpoint->superblock, checkpoint->seal.get());
  Result<> whole;
  for (;;) {
    const auto frame = co_await log.next();
    if (!frame) whole = fail(frame.error());
    if (!frame || !*frame) break;
    note_claims((*frame)->payload, (*frame)->header.position);
  }
  if (whole) whole = co_await log.verify_end();
  if (whole) co_return;
  // What the part that is lost claimed is not known: it may be anything.
  for (GroupBits& group : newer) group.set_run(0, kGroupBlocks);
  Finding finding;
  finding.kind = FindingKind::kLog;
  finding.device = devices.wal->name();
  finding.message = whole.error().to_string();
  const Region& ring = checkpoint->superblock.geometry.log;
  finding.block = ring.first + log.point().position / media::kBlockBytes % ring.blocks;
  finding.blocks = 1;
  report(std::move(finding));
}

void ExaminationState::note_claims(ByteView payload, std::uint64_t position) {
  RecordReader records(payload, position);
  for (ByteView record; records.next(record);) {
    OperationReader operations(record);
    for (Operation operation; operations.next(operation);) {
      const std::uint64_t first = operation.extent.first.value();
      if (operation.kind != OperationKind::kClaim ||
          data().place(first, operation.extent.blocks) != BlockLedger::Place::kSpace)
        continue;
      newer[first / kGroupBlocks].set_run(static_cast<std::uint32_t>(first % kGroupBlocks), operation.extent.blocks);
    }
  }
}

Task<> ExaminationState::load_catalog() {
  const PageId root = checkpoint->superblock.catalog_root;
  if (root == kNoPage) {
    checkpoint->trees.create(kCatalogTree, Lsn{});
    co_return;
  }
  checkpoint->trees.attach(kCatalogTree, root);
  walked.insert(kCatalogTree);
  LeafWalk walk(*this, kCatalogTree, TreeWalk::Purpose::kCheck, {});
  while (co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      const Bytes key = to_bytes(walk.key(i));
      if (auto loaded = checkpoint->catalog.load(key, walk.value(i)); !loaded) {
        Finding finding = page_finding(walk.page(), kCatalogTree, loaded.error().to_string());
        finding.kind = FindingKind::kEntry;
        report(std::move(finding));
      }
    }
  }
  for (const auto& [id, entry] : checkpoint->catalog.trees()) {
    if (entry.root != kNoPage) checkpoint->trees.attach(id, entry.root);
  }
}

}  // namespace cenote::store
