// What a client makes of a server's answers: the payload of a fetch put where it belongs, and the pages of a listing
// merged. A server that answers nonsense must not make its client write outside of the caller's memory.
//   input: selector, then parts of two bytes of length and as many bytes
//   even selector: fetch request, fetch reply, payload       odd: list request, then one list reply after another

#include <cstdint>
#include <numeric>
#include <vector>

#include "cenote/base/assert.h"
#include "fuzz_input.h"
#include "merge_pages.h"
#include "payload.h"

namespace {

using namespace cenote;
using namespace cenote::async;

constexpr std::size_t kRoomBytes = 16384;
constexpr std::byte kCanary{0xa5};

// As many bytes as the reply announces: fewer or more are refused at once.
std::uint64_t announced_bytes(const FetchRequest& request, const FetchReply& reply) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < std::min(request.akeys.size(), reply.akeys.size()); ++i) {
    const AkeyFetched& fetched = reply.akeys[i];
    const bool single = request.akeys[i].kind == ValueKind::kSingle;
    if (single) bytes += fetched.bytes;
    if (!single && fetched.exists) {
      bytes = std::accumulate(fetched.range_bytes.begin(), fetched.range_bytes.end(), bytes);
    }
  }
  return bytes;
}

// Room for everything that was asked for, in a piece as large as it may be and a canary behind it.
void check_fetch(fuzz::Input input, bool verify) {
  const auto request = decode_fetch_request(input.part());
  const auto reply = decode_fetch_reply(input.part());
  if (!request || !reply || !validate(*request)) return;
  std::uint64_t room = 0;
  for (const AkeyFetch& akey : request->akeys) room += std::min<std::uint64_t>(akey.max_bytes, kRoomBytes);
  room = std::min<std::uint64_t>(room, kRoomBytes);
  Bytes memory(room + 64, kCanary);
  const ByteView payload = input.rest();
  std::ranges::copy(payload.first(std::min<std::size_t>(payload.size(), room)), memory.begin());
  const MutableBytes whole(memory.data(), room);
  const std::size_t cut = room / 3;
  const std::vector<MutableBytes> spans{whole.first(cut), whole.subspan(cut, 0), whole.subspan(cut)};
  const Scattered<std::byte> into{std::span<const MutableBytes>(spans)};
  const std::uint64_t received = announced_bytes(*request, *reply);
  // What arrives has been received into this memory, so there is never more of it.
  if (received <= room) static_cast<void>(settle_payload(*request, *reply, received, into, verify));
  ASSERT(settle_payload(*request, *reply, received + 1, into, verify).has_value() == false);
  for (const std::byte value : ByteView(memory).subspan(room)) ASSERT(value == kCanary);
}

void check_merge(fuzz::Input input) {
  const auto request = decode_list_request(input.part());
  if (!request || !validate(*request)) return;
  std::vector<ListReply> pages;
  while (!input.empty()) {
    auto page = decode_list_reply(input.part());
    if (page) pages.push_back(*std::move(page));
  }
  std::size_t keys = 0;
  for (const ListReply& page : pages) keys += page.keys.size();
  const ListReply merged = merge_pages(std::move(pages), *request);
  ASSERT(merged.keys.size() <= request->limit && merged.keys.size() <= keys);
  for (std::size_t i = 1; i < merged.keys.size(); ++i) ASSERT(!equal(merged.keys[i - 1].key, merged.keys[i].key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.empty()) return 0;
  const std::uint8_t selector = input.byte();
  if (selector % 2 == 0) {
    check_fetch(input, selector % 4 == 2);
  } else {
    check_merge(input);
  }
  return 0;
}
