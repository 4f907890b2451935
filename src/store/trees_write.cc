#include <algorithm>

#include "page_reshape.h"
#include "trees.h"

namespace cenote::store {

PageId Trees::create(TreeId tree, Lsn lsn) {
  prepared_.forget();
  Frame& root = cache_.create(source_.allocate_page(), lsn);
  Page::format(root.data, {root.id, tree, 0}, {{}, std::nullopt}).set_lsn(lsn);
  attach(tree, root.id);
  roots_changed_ = lsn;
  return root.id;
}

void Trees::begin_batch() {
  ASSERT(shrunk_.empty());
  prepared_.forget();
  cache_.begin_batch();
}

void Trees::PreparedPaths::keep(TreeId tree, ByteView key) {
  if (count_ == kMost) return;
  Entry& entry = entries_[count_++];
  entry.tree = tree;
  entry.key_bytes = static_cast<std::uint32_t>(copy_key(key, entry.key).size());
}

const Trees::Path* Trees::PreparedPaths::take(TreeId tree, ByteView key) {
  if (taken_ == count_) return nullptr;
  const Entry& entry = entries_[taken_];
  // A change of a tree that the batch itself made was not prepared.
  if (entry.tree != tree || !equal(ByteView(entry.key.data(), entry.key_bytes), key)) return nullptr;
  ++taken_;
  for (std::uint32_t level = entry.path.bottom; level <= entry.path.top; ++level)
    if (!entry.path.steps[level].frame->current) return nullptr;
  return &entry.path;
}

namespace {

/// The record that the change will touch is mostly in no cache: it comes while the batch goes to the log.
void prefetch_record(PageView leaf, ByteView key) {
  const SlotSearch search = leaf.find(key);
  if (!search.found) return;
  const std::byte* record = leaf.suffix(search.slot).data();
  constexpr std::size_t kCacheLine = 64;
  __builtin_prefetch(record, 1);
  __builtin_prefetch(record + kCacheLine, 1);
}

}  // namespace

/// Finds and holds the pages for `key`, and counts those that the batch has not counted yet. The path is good until the
/// next call.
Result<Trees::Path*> Trees::prepare(TreeId tree, ByteView key, std::uint64_t& frames) {
  ASSERT(key.size() <= kMaxKeyBytes);
  Path& path = prepared_.next_path();
  CHECK_OK(descend(tree, key, path));
  for (std::uint32_t level = path.bottom; level <= path.top; ++level) {
    Frame& frame = *path.steps[level].frame;
    if (cache_.hold(frame)) frames += cache_.frames_to_modify(frame);
  }
  prepared_.keep(tree, key);
  if (path.bottom == 0) prefetch_record(path.page(0), key);
  return &path;
}

namespace {

/// Whether entry number `overflows` that a full inner page gets can cost one more split. A split in the middle leaves
/// room for two more entries in either half, so the third one can split it again; a split at the end, of a page that
/// was appended to, leaves the left half full, but for each of these at least eight entries were appended. Both
/// together are less than two, and one for every second entry.
bool may_split_inner(std::uint32_t overflows) { return overflows < 2 || overflows % 2 == 0; }
static_assert(kMinEntrySpace - kPageBytes * 5 / 8 >= 3 * kMaxInnerEntryBytes);

/// A root that splits makes a page for its own contents besides. The new root has room for several children, and what
/// it splits into when they are many is covered by one page for every second split below.
std::uint64_t frames_of_root_split(std::uint32_t overflows) { return overflows % 2 == 0 ? 2 : 1; }

}  // namespace

Result<> Trees::prepare_put(TreeId tree, ByteView key, std::size_t value_bytes, std::uint64_t& frames) {
  ASSERT(value_bytes <= kMaxValueBytes);
  TRY(const Path* prepared, prepare(tree, key, frames));
  const Path& path = *prepared;
  // What the batch has pending for a page is an upper bound: a put may replace, prefixes may be taken off. A put for an
  // empty range makes a page for every level below it; a later one for the same range may split one of those instead.
  frames += path.bottom;
  std::uint32_t added =
      path.bottom > 0 ? kMaxInnerEntryBytes
                      : entry_bytes(static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value_bytes));
  for (std::uint32_t level = path.bottom; level <= path.top; ++level) {
    Frame& frame = *path.steps[level].frame;
    frame.pending_bytes += added;
    if (frame.pending_bytes <= path.page(level).free_bytes()) break;
    // From here on each put may split the page or what became of it; each split gives the parent one more entry.
    const std::uint32_t overflows = frame.overflows++;
    if (level > 0 && !may_split_inner(overflows)) break;
    frames += level == path.top ? frames_of_root_split(overflows) : 1;
    added = kMaxInnerEntryBytes;
  }
  return {};
}

Result<> Trees::prepare_erase(TreeId tree, ByteView key, std::uint64_t& frames) {
  CHECK_OK(prepare(tree, key, frames));
  return {};
}

/// The path to `key` where every page is known to be cached and checked, since the batch has prepared it.
Trees::Path Trees::path_for_change(TreeId tree, ByteView key) {
  if (const Path* known = prepared_.take(tree, key)) return *known;
  Path path;
  const auto landing = descend(tree, key, path);
  ASSERT(landing.has_value());
  return path;
}

Page Trees::writable(Path& path, std::uint32_t level, Lsn lsn) {
  Frame& frame = cache_.modify(*path.steps[level].frame, lsn);
  path.steps[level].frame = &frame;
  Page page(frame.data);
  page.set_lsn(std::max(page.lsn(), lsn));
  return page;
}

void Trees::put(TreeId tree, ByteView key, ByteView value, Lsn lsn) {
  ASSERT(key.size() <= kMaxKeyBytes && value.size() <= kMaxValueBytes);
  Path path = path_for_change(tree, key);
  if (path.bottom > 0) add_pages(path, tree, lsn);
  Page leaf = writable(path, 0, lsn);
  SlotSearch search = leaf.find(key);
  if (search.found) {
    if (leaf.fits_value(search.slot, static_cast<std::uint32_t>(value.size())))
      return leaf.set_value(search.slot, value);
    leaf.erase(search.slot);
  }
  const std::uint32_t needed = entry_bytes(static_cast<std::uint32_t>(key.size()) - leaf.prefix_bytes(),
                                           static_cast<std::uint32_t>(value.size()));
  if (needed > leaf.free_bytes()) {
    split_page(path, 0, key, search.slot, lsn);
    leaf = Page(path.steps[0].frame->data);
    search = leaf.find(key);
  }
  leaf.insert(search.slot, key.subspan(leaf.prefix_bytes()), value);
}

/// Gives the empty range where the path ends a leaf, and the inner pages between, each with one child.
void Trees::add_pages(Path& path, TreeId tree, Lsn lsn) {
  prepared_.forget();
  KeyBuffer lower;
  KeyBuffer upper;
  Page parent = writable(path, path.bottom, lsn);
  std::uint32_t slot = path.steps[path.bottom].slot;
  const Fences bounds = child_bounds(parent, slot, lower, upper);
  while (path.bottom > 0) {
    --path.bottom;
    Frame& frame = cache_.create(source_.allocate_page(), lsn);
    Page page = Page::format(frame.data, {frame.id, tree, static_cast<std::uint8_t>(path.bottom)}, bounds);
    page.set_lsn(lsn);
    if (path.bottom > 0) page.insert_child(0, {}, kNoPage);
    parent.set_child(slot, frame.id);
    path.steps[path.bottom] = {&frame, 0};
    parent = page;
    slot = 0;
  }
}

/// Splits the page at `level`, which has no room for an entry before `position`, and leaves `path` with the half that
/// `key` belongs to.
void Trees::split_page(Path& path, std::uint32_t level, ByteView key, std::uint32_t position, Lsn lsn) {
  prepared_.forget();
  if (level == path.top) grow_root(path, lsn);
  Page page = writable(path, level, lsn);
  const std::uint32_t middle = choose_split(page, position);
  KeyBuffer buffer;
  const ByteView between = separator(page, middle, buffer);

  Page parent = writable(path, level + 1, lsn);
  const auto between_bytes = static_cast<std::uint32_t>(between.size());
  if (!parent.fits(between_bytes - parent.prefix_bytes(), kChildBytes)) {
    split_page(path, level + 1, key, path.steps[level + 1].slot + 1, lsn);
    parent = Page(path.steps[level + 1].frame->data);
  }
  Frame& right = cache_.create(source_.allocate_page(), lsn);
  split(page, right.data, right.id, middle, between);
  parent.insert_child(path.steps[level + 1].slot + 1, between.subspan(parent.prefix_bytes()), right.id);
  if (compare(key, between) < 0) return;
  path.steps[level].frame = &right;
  if (level > 0) path.steps[level].slot -= middle;
  ++path.steps[level + 1].slot;
}

/// Moves the contents of the root to a page of their own, the root's only child.
void Trees::grow_root(Path& path, Lsn lsn) {
  ASSERT(path.top + 1 < kPageLevels);
  Page root = writable(path, path.top, lsn);
  PageIdentity identity = root.identity();
  Frame& child = cache_.create(source_.allocate_page(), lsn);
  Merge{root, std::nullopt, root.fences()}.write(child.data, {child.id, identity.tree, identity.level});
  Page(child.data).set_append_run(root.append_run());

  ++identity.level;
  root = Page::format(root.bytes(), identity, {{}, std::nullopt});
  root.insert_child(0, {}, child.id);
  root.set_lsn(lsn);
  Frame* root_frame = path.steps[path.top].frame;
  path.steps[path.top].frame = &child;
  ++path.top;
  path.steps[path.top] = {root_frame, 0};
}

}  // namespace cenote::store
