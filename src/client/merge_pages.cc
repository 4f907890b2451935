#include "merge_pages.h"

#include <algorithm>

#include "cenote/base/codec.h"

namespace cenote::async {
namespace {

/// Order of a listing: numeric for integer keys, else that of bytes. Keys that are no integers although they should be
/// come last: whatever a server sends, it must be an order, or sorting has no meaning.
bool listed_before(KeyFlavour flavour, ByteView a, ByteView b) {
  if (flavour != KeyFlavour::kUint64) return compare(a, b) < 0;
  const bool integers[] = {a.size() == sizeof(std::uint64_t), b.size() == sizeof(std::uint64_t)};
  if (integers[0] != integers[1]) return integers[0];
  if (!integers[0]) return compare(a, b) < 0;
  return load_le<std::uint64_t>(a.data()) < load_le<std::uint64_t>(b.data());
}

}  // namespace

bool listed_before(const ListRequest& request, ByteView a, ByteView b) {
  switch (request.level) {
    case ListLevel::kDkeys:
      return listed_before(request.object.dkey_flavour(), a, b);
    case ListLevel::kAkeys:
      return listed_before(request.object.akey_flavour(), a, b);
    default:
      return compare(a, b) < 0;
  }
}

ListReply merge_pages(std::vector<ListReply> pages, const ListRequest& request) {
  const auto before = [&request](ByteView a, ByteView b) { return listed_before(request, a, b); };

  // The listing is certain only up to the smallest anchor: beyond, the target that gave it may have more.
  KeyBytes certain;
  for (const ListReply& page : pages) {
    if (page.anchor.empty()) continue;
    if (certain.empty() || before(page.anchor, certain)) certain = page.anchor;
  }
  ListReply reply;
  for (ListReply& page : pages) {
    for (ListedKey& listed : page.keys) {
      if (certain.empty() || !before(certain, listed.key)) reply.keys.push_back(std::move(listed));
    }
  }
  std::ranges::sort(reply.keys, [&](const ListedKey& a, const ListedKey& b) { return before(a.key, b.key); });
  const auto repeated =
      std::ranges::unique(reply.keys, [](const ListedKey& a, const ListedKey& b) { return equal(a.key, b.key); });
  reply.keys.erase(repeated.begin(), repeated.end());
  reply.anchor = std::move(certain);
  if (reply.keys.size() > request.limit) {
    reply.keys.resize(request.limit);
    reply.anchor = reply.keys.back().key;
  }
  return reply;
}

}  // namespace cenote::async
