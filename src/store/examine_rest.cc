#include <algorithm>

#include "cenote/base/format.h"
#include "examination_state.h"
#include "leaf_walk.h"

// What an examination does beside the trees that the layer above reads, and what it makes of all block references.
namespace cenote::store {
namespace {

/// Of a page that no tree led to.
Finding of_no_tree(Finding finding) {
  finding.tree.reset();
  finding.tree_name.clear();
  return finding;
}

}  // namespace

Task<> ExaminationState::check_rest() {
  std::vector<TreeId> rest = {kCatalogTree};
  for (const TreeReport& tree : trees) rest.push_back(tree.id);
  totals.trees = rest.size();
  for (const TreeId tree : rest) {
    if (!walked.insert(tree).second) continue;
    LeafWalk walk(*this, tree, TreeWalk::Purpose::kCheck, {});
    while (co_await walk.next()) {
    }
  }
  // By value: nothing is replayed any more, but what is awaited must not hang on an iterator.
  const std::deque<DroppedTree> dropped = store_state().catalog.dropped();
  for (const DroppedTree& tree : dropped) co_await walk_dropped(tree);
  co_await check_images();
  check_numbers();
}

/// Of a tree that is being given back the leaves are nobody's business but for their numbers.
Task<> ExaminationState::walk_dropped(DroppedTree tree) {
  PageCache& cache = store_state().cache;
  std::vector<std::pair<PageId, bool>> todo = {{tree.root, false}};
  while (!todo.empty()) {
    const auto [id, leaf] = todo.back();
    todo.pop_back();
    if (id.value() >= reached.size() || reached[id.value()]) {
      report_in_tree(id, tree.id, fmt::format("page {} belongs to two parents, or cannot exist", id.value()), {});
      continue;
    }
    reached[id.value()] = true;
    ++totals.pages;
    if (leaf) continue;
    auto frame = co_await cache.fetch(id);
    if (!frame) {
      verified[id.value()] = true;
      trees_whole = false;
      Finding finding = page_finding(id, tree.id, frame.error().message() + "; the tree was being removed");
      report(std::move(finding));
      continue;
    }
    const PageView page((*frame)->data);
    for (std::uint32_t slot = 0; !page.is_leaf() && slot < page.count(); ++slot) {
      if (page.child(slot) != kNoPage) todo.emplace_back(page.child(slot), page.level() == 1);
    }
    cache.unpin(**frame);
  }
}

/// Images that no tree led to: pages that the log changed or removed, and those whose parents were lost.
Task<> ExaminationState::check_images() {
  AlignedBuffer buffer(kPageBytes);
  std::vector<PageId> ids;
  store_state().map.for_each_image([&](PageId id, PageMap::Entry) {
    if (!verified[id.value()]) ids.push_back(id);
  });
  for (const PageId id : ids) {
    const auto read = co_await store_state().read_page(id, buffer.span());
    ++totals.images;
    options.progress(kPageBytes);
    if (!read) report(of_no_tree(page_finding(id, TreeId{}, read.error().message())));
  }
}

void ExaminationState::check_numbers() {
  store_state().map.for_each_live([&](PageId id) {
    if (reached[id.value()]) return;
    Finding finding = of_no_tree(page_finding(id, TreeId{}, ""));
    finding.kind = FindingKind::kTree;
    if (trees_whole) {
      finding.message = fmt::format("page {} counts as used and belongs to no tree", id.value());
    } else {
      // The consequence of damage that has been reported with what it costs.
      finding.severity = Severity::kWarning;
      finding.message = fmt::format("page {} is named by no page that can be read", id.value());
    }
    report(std::move(finding));
  });
}

/// Enters the blocks of all page images, or reports those among them that are in dispute.
void ExaminationState::use_images(bool report_disputes) {
  store_state().map.for_each_image([&](PageId id, PageMap::Entry entry) {
    const std::uint64_t block = std::uint64_t{entry.slot} * kPageBlocks;
    const BlockLedger::Place place = meta().place(block, kPageBlocks);
    std::string message;
    if (!report_disputes && place == BlockLedger::Place::kSpace) meta().use(block, kPageBlocks);
    if (!report_disputes && place != BlockLedger::Place::kSpace)
      message = fmt::format("page {} is said to lie at block {}, where no page can be", id.value(), block);
    for (std::uint64_t at = block; report_disputes && place == BlockLedger::Place::kSpace && at < block + kPageBlocks;
         ++at) {
      if (!meta().used_twice(at) && !meta().used_while_free(at)) continue;
      message =
          fmt::format("page {}: block {} {}", id.value(), at,
                      meta().used_twice(at) ? "is used more than once" : "counts as free and will be overwritten");
      break;
    }
    if (message.empty()) return;
    Finding finding = of_no_tree(page_finding(id, TreeId{}, std::move(message)));
    finding.kind = FindingKind::kBlock;
    report(std::move(finding));
  });
}

void ExaminationState::report_lost(const BlockLedger& ledger, const media::BlockDevice& device) {
  ledger.for_each_lost_run([&](std::uint64_t first, std::uint64_t blocks) {
    totals.lost_blocks += blocks;
    Finding finding;
    finding.kind = FindingKind::kLostSpace;
    finding.device = device.name();
    finding.block = first;
    finding.blocks = blocks;
    finding.message = fmt::format("blocks {} to {} count as used and nothing uses them", first, first + blocks - 1);
    if (!map_whole || !trees_whole) {
      finding.severity = Severity::kWarning;
      finding.message =
          fmt::format("blocks {} to {} are in use by nothing that can be read", first, first + blocks - 1);
    }
    report(std::move(finding));
  });
}

Task<> Examination::check_rest() { co_await state_->check_rest(); }

bool Examination::settle_space(bool all_known) {
  state_->use_images(true);
  for (const BlockLedger& ledger : state_->ledgers) state_->totals.disputed_blocks += ledger.disputed_blocks();
  const bool separate = state_->ledgers.size() > 1;
  if (separate) state_->report_lost(state_->meta(), *state_->devices.meta);
  if (all_known) state_->report_lost(state_->data(), *state_->devices.data);
  return state_->totals.disputed_blocks > 0;
}

TreeWalk::TreeWalk(Examination& examination, TreeId tree, Purpose purpose, ByteView from)
    : walk_(std::make_unique<LeafWalk>(*examination.state_, tree, purpose, from)) {
  if (purpose == Purpose::kCheck) examination.state_->walked.insert(tree);
}
TreeWalk::~TreeWalk() = default;
Task<bool> TreeWalk::next() { co_return co_await walk_->next(); }
std::uint32_t TreeWalk::count() const { return walk_->count(); }
ByteView TreeWalk::key(std::uint32_t index) { return walk_->key(index); }
ByteView TreeWalk::value(std::uint32_t index) const { return walk_->value(index); }
std::uint64_t TreeWalk::page() const { return walk_->page().value(); }

}  // namespace cenote::store
