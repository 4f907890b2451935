#include <array>
#include <cstring>

#include "aligned_buffer.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/store/scrub.h"
#include "store_checker.h"
#include "store_impl.h"
#include "tree_rules.h"

namespace cenote::store {

/// Each leaf is found by a descent from the root that waits for nothing, so that all it meets is of one moment. It ends
/// at the first page whose image is still to be read, and begins anew when that was done; what was read stays, a page
/// for each level, and makes the next descent get further.
///
/// Invariant: a copy in `read_` is used only while the page map names the image it was read from and the cache does not
/// have the page. Then it is the page: whoever changes a page has it in the cache, dirty, until a checkpoint has given
/// it another image.
class TreeScrub::Impl {
 public:
  Impl(Store& store, TreeId tree, FindingSink found, ByteView from)
      : store_(StoreChecker::inside(store)),
        state_(store_.state()),
        tree_(tree),
        found_(std::move(found)),
        position_(to_bytes(from)),
        leaf_(kPageBytes) {}

  Task<Result<bool>> next();
  std::uint32_t count() const { return end_ - first_; }
  ByteView key(std::uint32_t index) { return PageView(leaf_.data()).key(first_ + index, key_); }
  ByteView value(std::uint32_t index) const { return PageView(leaf_.data()).value(first_ + index); }
  std::uint64_t page() const { return PageView(leaf_.data()).id().value(); }
  ByteView position() const { return position_; }
  const ScrubTotals& totals() const { return totals_; }

 private:
  enum class Descent : std::uint8_t {
    kLeaf,  ///< `leaf_` is the next one
    kRead,  ///< the image of `wanted_` has to be read
    kLeft,  ///< a range without a page, or with one that is of no use, lies behind the position now
  };
  /// The last image of a level that was read and was as it should be.
  struct Image {
    PageId id = kNoPage;
    PageMap::Entry entry;
    AlignedBuffer bytes;
  };

  Descent descend();
  Descent take_leaf(PageView page);
  Descent leave(std::optional<ByteView> upper);
  bool is_of(const Image& image, PageId id) const {
    const PageMap::Entry now = state_.map.find(id);
    return image.id == id && now.slot != 0 && image.entry.slot == now.slot && image.entry.crc == now.crc;
  }
  std::optional<PageView> look(PageId id) const;
  bool is_proved(PageId id, std::uint32_t level) const;
  /// A page that the device has no image of that would ever be read again.
  bool is_ahead_of_device(PageId id) const {
    const Frame* frame = state_.cache.peek(id);
    return frame != nullptr && (frame->dirty || frame->frozen || state_.map.find(id).slot == 0);
  }
  Task<> read_wanted();
  void keep(PageMap::Entry entry);
  Task<> failed(PageMap::Entry entry, Error error);
  /// What became of a page whose image is damaged for sure.
  enum class Rescue : std::uint8_t {
    kLost,      ///< memory does not have it, or not whole
    kKept,      ///< memory has it, and there is no room to write it
    kRepaired,  ///< it is written anew
    kLater,     ///< when there is room: the image is to be looked at again
  };
  Rescue rescue(PageMap::Entry entry);
  bool is_whole(const Frame& frame, PageMap::Entry entry) const;
  Finding finding_of(const ExpectedPage& expected, std::string message) const;
  void report(const ExpectedPage& expected, std::string message, bool lost);

  StoreImpl& store_;
  StoreState& state_;
  TreeId tree_;
  FindingSink found_;
  Bytes position_;
  bool ended_ = false;
  ExpectedPage wanted_;
  std::array<Image, kPageLevels> read_;
  AlignedBuffer room_;  // for the next image
  // Image whose last read failed, if no other was read since.
  PageId suspect_ = kNoPage;
  PageMap::Entry suspect_entry_;
  unsigned waits_ = 0;  // for room to repair that page
  AlignedBuffer leaf_;
  std::uint32_t first_ = 0, end_ = 0;
  KeyBuffer key_{};
  ScrubTotals totals_;
};

Task<Result<bool>> TreeScrub::Impl::next() {
  // Keeps the store from closing while an image is being read.
  const Attempts attempts(store_);
  CO_CHECK_OK(attempts.admitted());
  first_ = end_ = 0;
  while (!ended_) {
    switch (descend()) {
      case Descent::kLeaf:
      case Descent::kLeft:
        co_return !ended_ || count() > 0;
      case Descent::kRead:
        co_await read_wanted();
        break;
    }
  }
  co_return false;
}

TreeScrub::Impl::Descent TreeScrub::Impl::descend() {
  const auto root = state_.trees.root(tree_);
  if (!root) return leave(std::nullopt);
  ExpectedPage expected{*root, 0, {}, std::nullopt};
  for (;;) {
    const std::optional<PageView> page = look(expected.id);
    if (!page || !is_proved(expected.id, page->level())) {
      wanted_ = std::move(expected);
      return Descent::kRead;
    }
    const std::string_view wrong = tree_violation(*page, tree_, expected, expected.id == *root);
    if (!wrong.empty()) {
      report(expected, fmt::format("page {} {}", expected.id.value(), wrong), true);
      return leave(expected.upper);
    }
    if (page->is_leaf()) return take_leaf(*page);
    const std::uint32_t slot = page->child_slot(position_);
    KeyBuffer lower, upper;
    const std::optional<ByteView> fence = page->upper_fence();
    const std::optional<ByteView> end = slot + 1 < page->count() ? page->key(slot + 1, upper) : fence;
    if (page->child(slot) == kNoPage) return leave(end);
    expected.lower = to_bytes(slot == 0 ? page->lower_fence() : page->key(slot, lower));
    expected.upper = end ? std::optional(to_bytes(*end)) : std::nullopt;
    expected.id = page->child(slot);
    expected.level = page->level() - 1u;
  }
}

TreeScrub::Impl::Descent TreeScrub::Impl::take_leaf(PageView page) {
  std::memcpy(leaf_.data(), page.data(), kPageBytes);
  const PageView leaf(leaf_.data());
  ++totals_.leaves;
  end_ = leaf.count();
  while (first_ < end_ && compare(leaf.key(first_, key_), position_) < 0) ++first_;
  static_cast<void>(leave(leaf.upper_fence()));
  return Descent::kLeaf;
}

TreeScrub::Impl::Descent TreeScrub::Impl::leave(std::optional<ByteView> upper) {
  ended_ = !upper;
  if (upper) position_ = to_bytes(*upper);
  return Descent::kLeft;
}

std::optional<PageView> TreeScrub::Impl::look(PageId id) const {
  if (const Frame* frame = state_.cache.peek(id)) return PageView(frame->data);
  for (const Image& image : read_) {
    if (is_of(image, id)) return PageView(image.bytes.data());
  }
  return std::nullopt;
}

bool TreeScrub::Impl::is_proved(PageId id, std::uint32_t level) const {
  return is_ahead_of_device(id) || is_of(read_[level], id);
}

Task<> TreeScrub::Impl::read_wanted() {
  const PageId id = wanted_.id;
  const PageMap::Entry entry = state_.map.find(id);
  if (suspect_ != id) {
    suspect_ = kNoPage;
    waits_ = 0;
  }
  if (room_.size() == 0) room_ = AlignedBuffer(kPageBytes);
  ++totals_.images;
  totals_.read_bytes += kPageBytes;
  const auto outcome = co_await state_.read_page(id, room_.span());
  // Whatever was read, the page may be another one by now, or have another image: the next descent asks anew.
  const PageMap::Entry now = state_.map.find(id);
  if (now.slot != entry.slot || now.crc != entry.crc || is_ahead_of_device(id)) co_return;
  if (outcome) {
    keep(entry);
  } else {
    co_await failed(entry, outcome.error());
  }
}

void TreeScrub::Impl::keep(PageMap::Entry entry) {
  Image& image = read_[PageView(room_.data()).level()];
  image.id = wanted_.id;
  image.entry = entry;
  std::swap(image.bytes, room_);
}

/// What the cache and the page map say is as it was when the image was read: nobody else ran since.
Task<> TreeScrub::Impl::failed(PageMap::Entry entry, Error error) {
  const bool again = suspect_ == wanted_.id && suspect_entry_.slot == entry.slot && suspect_entry_.crc == entry.crc;
  suspect_ = wanted_.id;
  suspect_entry_ = entry;
  const Rescue rescued = again ? rescue(entry) : Rescue::kLater;
  switch (rescued) {
    case Rescue::kLater:
      break;
    case Rescue::kLost: {
      const bool in_memory = state_.cache.peek(wanted_.id) != nullptr;
      report(wanted_, error.message() + (in_memory ? "; what memory has of the page is damaged, too" : ""), true);
      static_cast<void>(leave(wanted_.upper));
      break;
    }
    case Rescue::kKept:
      report(wanted_, error.message() + "; memory has the page, and what it holds can still be read and copied", false);
      std::memcpy(room_.data(), state_.cache.peek(wanted_.id)->data, kPageBytes);
      keep(entry);
      break;
    case Rescue::kRepaired: {
      Finding finding = finding_of(wanted_, error.message() + "; memory had the page whole, and it is written anew");
      finding.severity = Severity::kWarning;
      finding.repaired = true;
      found_(std::move(finding));
      ++totals_.repaired;
      break;
    }
  }
  // An error ends the walk by itself: the next descent is refused, or finds the store as it is.
  if (again && rescued == Rescue::kLater) static_cast<void>(co_await store_.wait_for_room(Until::forever()));
  co_await state_.reactor.yield();
}

TreeScrub::Impl::Rescue TreeScrub::Impl::rescue(PageMap::Entry entry) {
  constexpr unsigned kMostWaits = 3;
  Frame* frame = state_.cache.peek(wanted_.id);
  if (frame == nullptr || !is_whole(*frame, entry)) return Rescue::kLost;
  const auto begun = store_.rewrite(*frame);
  if (begun) return Rescue::kRepaired;
  return begun.error() == Code::kMustWait && ++waits_ <= kMostWaits ? Rescue::kLater : Rescue::kKept;
}

/// Whether memory has what was written or read: damage there must not become the page.
bool TreeScrub::Impl::is_whole(const Frame& frame, PageMap::Entry entry) const {
  const ByteView page(frame.data, kPageBytes);
  // A sealed image has another checksum than its page.
  return verify(page, frame.id) && (state_.seal || load_le<std::uint32_t>(page.data()) == entry.crc);
}

Finding TreeScrub::Impl::finding_of(const ExpectedPage& expected, std::string message) const {
  Finding finding;
  finding.kind = FindingKind::kPage;
  finding.message = std::move(message);
  finding.device = state_.devices.meta->name();
  finding.page = expected.id.value();
  finding.tree = tree_;
  const auto& trees = state_.catalog.trees();
  if (const auto named = trees.find(tree_); named != trees.end()) finding.tree_name = named->second.name;
  if (tree_ == kCatalogTree) finding.tree_name = "catalog";
  if (const std::uint64_t slot = state_.map.find(expected.id).slot; slot != 0) {
    finding.block = slot * kPageBlocks;
    finding.blocks = kPageBlocks;
  }
  return finding;
}

void TreeScrub::Impl::report(const ExpectedPage& expected, std::string message, bool lost) {
  Finding finding = finding_of(expected, std::move(message));
  if (lost) finding.lost = KeyRange{expected.lower, expected.upper};
  found_(std::move(finding));
}

TreeScrub::TreeScrub(Store& store, TreeId tree, FindingSink found, ByteView from)
    : impl_(std::make_unique<Impl>(store, tree, std::move(found), from)) {}
TreeScrub::~TreeScrub() = default;
Task<Result<bool>> TreeScrub::next() { return impl_->next(); }
std::uint32_t TreeScrub::count() const { return impl_->count(); }
ByteView TreeScrub::key(std::uint32_t index) { return impl_->key(index); }
ByteView TreeScrub::value(std::uint32_t index) const { return impl_->value(index); }
std::uint64_t TreeScrub::page() const { return impl_->page(); }
ByteView TreeScrub::position() const { return impl_->position(); }
const ScrubTotals& TreeScrub::totals() const { return impl_->totals(); }

}  // namespace cenote::store
