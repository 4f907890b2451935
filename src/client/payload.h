#pragma once

#include <algorithm>
#include <span>

#include "cenote/protocol/object_requests.h"

namespace cenote::async {

/// A dense run of bytes that lies in several pieces of memory: the caller's scatter list, addressed by one offset.
template <typename Byte>
class Scattered {
 public:
  explicit Scattered(std::span<const std::span<Byte>> spans) : spans_(spans) {
    for (const auto& span : spans_) bytes_ += span.size();
  }
  std::uint64_t bytes() const { return bytes_; }

  /// Calls `visit(part)` for the consecutive parts of [offset, offset + count).
  template <typename Visit>
  void for_each(std::uint64_t offset, std::uint64_t count, Visit visit) const {
    for (const auto& span : spans_) {
      if (count == 0) return;
      if (offset >= span.size()) {
        offset -= span.size();
        continue;
      }
      const std::uint64_t here = std::min<std::uint64_t>(count, span.size() - offset);
      visit(span.subspan(offset, here));
      offset = 0;
      count -= here;
    }
  }

 private:
  std::span<const std::span<Byte>> spans_;
  std::uint64_t bytes_ = 0;
};

/// That the akeys of an update announce as many bytes as there are, and its ranges hold them, so that the payload can
/// be walked piece by piece; `validate` checks the rest.
Result<> check_payload(const UpdateRequest& request, std::uint64_t payload_bytes);

/// Fills in the checksums of every akey of an update from its payload.
void fill_checksums(UpdateRequest& request, const Scattered<const std::byte>& payload);

/// Brings a fetch's payload from the form it came in (each value or range without its trailing zeroes, back to back at
/// the front of `into`) to the dense one the caller expects, and verifies the checksums. kChecksumMismatch, kMalformed.
Result<> settle_payload(const FetchRequest& request, const FetchReply& reply, std::uint64_t received,
                        const Scattered<std::byte>& into, bool verify);

}  // namespace cenote::async
