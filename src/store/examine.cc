#include "cenote/store/examine.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "examination_state.h"
#include "recovery.h"

namespace cenote::store {

std::string_view finding_name(FindingKind kind) {
  switch (kind) {
    case FindingKind::kSuperblock:
      return "superblock";
    case FindingKind::kStore:
      return "store";
    case FindingKind::kLog:
      return "log";
    case FindingKind::kChunk:
      return "chunk";
    case FindingKind::kPage:
      return "page";
    case FindingKind::kTree:
      return "tree";
    case FindingKind::kBlock:
      return "block";
    case FindingKind::kLostSpace:
      return "lost_space";
    case FindingKind::kEntry:
      return "entry";
    case FindingKind::kData:
      return "data";
  }
  return "unknown";
}

Task<Result<>> ExaminationState::open() {
  co_await report_superblocks();
  SuperblockIo superblocks(devices);
  CO_TRY(Superblock superblock, co_await superblocks.read_newest());
  OpenOptions wanted;
  wanted.system = options.system;
  wanted.target = options.target;
  wanted.cache_bytes = options.cache_bytes;
  wanted.read_only = true;
  const auto outcome = co_await find_store(devices, wanted, superblocks);
  if (!outcome && outcome.error() != Code::kCorrupt) co_return fail(outcome.error());
  // Without its key nothing of an encrypted store can be told from damage.
  const auto unlock = [&] { return seal_of(reactor, superblock, options.key, true, devices.meta->name()); };
  CO_TRY(auto seal, unlock());
  std::optional<Error> flaw;
  if (outcome) {
    store = std::make_unique<StoreImpl>(reactor, devices, wanted, superblock, std::move(seal), superblocks);
    auto started = co_await store->start();
    if (!started) {
      flaw = std::move(started).error();
      static_cast<void>(co_await store->close());
      store.reset();
      CO_TRY(seal, unlock());
    }
  } else {
    flaw = outcome.error();
  }
  // Not damage: the same store opens with more memory.
  if (flaw && *flaw == Code::kResourceExhausted) co_return fail(*std::move(flaw));

  const Geometry& geometry = superblock.geometry;
  ledgers.emplace_back(geometry.device_blocks[0], geometry.fixed_regions(0));
  if (geometry.separate_data())
    ledgers.emplace_back(geometry.device_blocks[geometry.data_device], geometry.fixed_regions(geometry.data_device));
  reached.resize(geometry.page_limit());
  verified.resize(geometry.page_limit());
  if (flaw) {
    Finding finding;
    finding.message = fmt::format("the store does not open: {}; what follows is about its newest readable checkpoint",
                                  flaw->to_string());
    report(std::move(finding));
    co_await load_checkpoint(std::move(superblock), std::move(seal));
  } else {
    const Allocator& allocator = store_state().allocator;
    for (std::uint64_t group = 0; group < meta().groups(); ++group)
      meta().set_marked(group, allocator.meta().persistent_bits(group));
    for (std::uint64_t group = 0; group < data().groups(); ++group)
      data().set_marked(group, allocator.data().persistent_bits(group));
  }
  for (const auto& [id, entry] : store_state().catalog.trees()) trees.push_back({id, entry.name});
  std::ranges::sort(trees, {}, &TreeReport::id);
  use_images(false);
  co_return Result<>{};
}

Task<> ExaminationState::close() {
  if (store) static_cast<void>(co_await store->close());
}

void ExaminationState::report(Finding finding) {
  if (finding.device.empty()) finding.device = devices.meta->name();
  options.found(std::move(finding));
}

Finding ExaminationState::page_finding(PageId id, TreeId tree, std::string message) const {
  Finding finding;
  finding.kind = FindingKind::kPage;
  finding.message = std::move(message);
  finding.page = id.value();
  finding.tree = tree;
  const auto found = std::ranges::find(trees, tree, &TreeReport::id);
  finding.tree_name = tree == kCatalogTree ? "catalog" : found == trees.end() ? "" : found->name;
  if (const std::uint64_t slot = store_state().map.find(id).slot; slot != 0) {
    finding.block = slot * kPageBlocks;
    finding.blocks = kPageBlocks;
  }
  return finding;
}

void ExaminationState::report_in_tree(PageId id, TreeId tree, std::string message, KeyRange lost) {
  trees_whole = false;
  Finding finding = page_finding(id, tree, std::move(message));
  finding.lost = std::move(lost);
  report(std::move(finding));
}

Task<Result<std::unique_ptr<Examination>>> Examination::open(Reactor& reactor, Devices devices,
                                                             ExamineOptions options) {
  if (options.cache_bytes < kMinCacheBytes)
    co_return failf(Code::kOutOfRange, "the page cache of a store needs at least {} MiB", kMinCacheBytes >> 20);
  auto state = std::make_unique<ExaminationState>(reactor, devices, std::move(options));
  CO_CHECK_OK(co_await state->open());
  co_return std::unique_ptr<Examination>(new Examination(std::move(state)));
}

Examination::Examination(std::unique_ptr<ExaminationState> state) : state_(std::move(state)) {}
Examination::~Examination() = default;
Task<> Examination::close() { co_await state_->close(); }
bool Examination::recovered() const { return state_->store != nullptr; }
StoreStatus Examination::status() const { return state_->store ? state_->store->status() : StoreStatus{}; }
const std::vector<TreeReport>& Examination::trees() const { return state_->trees; }
bool Examination::sealed() const { return state_->store_state().seal != nullptr; }
SecretKey Examination::derive_key(std::string_view label) const {
  ASSERT(sealed());
  return state_->store_state().seal->derive(label);
}
Reactor& Examination::reactor() { return state_->reactor; }
media::BlockDevice& Examination::data_device() { return *state_->devices.data; }
void Examination::report(Finding finding) { state_->report(std::move(finding)); }
void Examination::progressed(std::uint64_t bytes) { state_->options.progress(bytes); }
const ExamineTotals& Examination::totals() const { return state_->totals; }

std::optional<TreeId> Examination::find_tree(std::string_view name) const {
  const auto found = std::ranges::find(state_->trees, name, &TreeReport::name);
  if (found == state_->trees.end()) return std::nullopt;
  return found->id;
}

std::uint64_t Examination::bytes_to_check(bool data) const {
  std::uint64_t images = 0;
  state_->store_state().map.for_each_image([&](PageId, PageMap::Entry) { ++images; });
  std::uint64_t blocks = 0;
  for (const BlockLedger& ledger : state_->ledgers) blocks += ledger.marked_blocks();
  const std::uint64_t extents = blocks - std::min(blocks, images * kPageBlocks);
  return images * kPageBytes + (data ? extents * media::kBlockBytes : 0);
}

bool Examination::refer(Extent extent, std::string* why) {
  switch (state_->data().place(extent.first.value(), extent.blocks)) {
    case BlockLedger::Place::kOutside:
      *why = fmt::format("blocks {}+{} of '{}' do not exist or cross an allocation group", extent.first.value(),
                         extent.blocks, data_device().name());
      return false;
    case BlockLedger::Place::kFixed:
      *why = fmt::format("blocks {}+{} of '{}' belong to the store itself (superblock, log or maps)",
                         extent.first.value(), extent.blocks, data_device().name());
      return false;
    case BlockLedger::Place::kSpace:
      state_->data().use(extent.first.value(), extent.blocks);
      ++state_->totals.extents;
      state_->totals.extent_blocks += extent.blocks;
      return true;
  }
  return false;
}

std::string Examination::dispute(Extent extent) const {
  const BlockLedger& ledger = state_->data();
  if (ledger.place(extent.first.value(), extent.blocks) != BlockLedger::Place::kSpace) return "";
  for (std::uint64_t block = extent.first.value(); block < extent.first.value() + extent.blocks; ++block) {
    if (ledger.used_twice(block)) return fmt::format("block {} is used more than once", block);
    if (ledger.used_while_free(block)) return fmt::format("block {} counts as free and will be overwritten", block);
  }
  return "";
}

bool Examination::maybe_newer(Extent extent) const {
  if (state_->newer.empty()) return false;
  const std::uint64_t group = extent.first.value() / kGroupBlocks;
  return group < state_->newer.size() &&
         !state_->newer[group].none_in(static_cast<std::uint32_t>(extent.first.value() % kGroupBlocks), extent.blocks);
}

}  // namespace cenote::store
