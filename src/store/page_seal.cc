#include "page_seal.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::uint32_t kEnvelopeAt = kPageHeaderBytes;
constexpr std::uint32_t kBodyAt = kFencesBegin;
static_assert(kEnvelopeAt + kEnvelopeBytes <= kBodyAt);

}  // namespace

class PageSeal {
 public:
  explicit PageSeal(MutableBytes image) : image_(image), page_(image.data()) {}

  bool sealed() const { return (page_.field(PageView::kAtFlags) & PageView::kSealed) != 0; }
  void set_sealed(bool sealed) {
    const std::uint32_t others = page_.field(PageView::kAtFlags) & ~PageView::kSealed;
    store_le(image_.data() + PageView::kAtFlags, static_cast<std::uint16_t>(others | (sealed ? PageView::kSealed : 0)));
  }
  /// All of the header but the checksum, which covers what is stored and so comes last.
  ByteView associated() const { return image_.subspan(PageView::kAtMagic, kPageHeaderBytes - PageView::kAtMagic); }
  std::span<std::byte, kEnvelopeBytes> envelope() const { return image_.subspan(kEnvelopeAt).first<kEnvelopeBytes>(); }
  MutableBytes padding() const { return image_.first(kBodyAt).subspan(kEnvelopeAt + kEnvelopeBytes); }
  MutableBytes body() const { return image_.subspan(kBodyAt); }

 private:
  MutableBytes image_;
  PageView page_;
};

Result<> seal_page(const std::byte* page, MutableBytes image, Sealer& sealer) {
  ASSERT(image.size() == kPageBytes && image.data() != page);
  std::copy_n(page, kPageHeaderBytes, image.data());
  PageSeal seal(image);
  ASSERT(!seal.sealed());
  seal.set_sealed(true);
  std::ranges::fill(seal.padding(), std::byte{0});
  CHECK_OK(sealer.seal(seal.associated(), {page + kBodyAt, kPageBytes - kBodyAt}, seal.body(), seal.envelope()));
  Page(image.data()).stamp();
  return {};
}

Result<> open_page(MutableBytes image, PageId expected, StoreSeal* store) {
  PageSeal seal(image);
  if (store == nullptr || !seal.sealed()) {
    CHECK_OK(verify(image, expected));
    if (store == nullptr || store->mixed()) return {};
    return failf(Code::kCorrupt, "page {}: not sealed, as all pages of this store are", expected.value());
  }
  CHECK_OK(verify_envelope(image, expected));
  const auto opened = store->sealer().open(seal.associated(), seal.body(), seal.envelope(), seal.body());
  if (!opened && opened.error() != Code::kMalformed) return opened;
  if (!opened || std::ranges::any_of(seal.padding(), [](std::byte byte) { return byte != std::byte{0}; })) {
    return failf(Code::kCorrupt, "page {}: sealed under another key, or forged", expected.value());
  }
  seal.set_sealed(false);
  CHECK_OK(verify_without_hints(image, expected));
  Page(image.data()).set_hints();
  return {};
}

}  // namespace cenote::store
