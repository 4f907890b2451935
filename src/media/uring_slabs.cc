#include "uring_slabs.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "cenote/base/format.h"

namespace cenote::media {
namespace {

// IORING_MAX_REG_BUFFERS of the kernel: 32 GiB of slabs.
constexpr std::uint64_t kSlotsMax = 1u << 14;

}  // namespace

Result<std::unique_ptr<UringSlabs>> UringSlabs::create(UringReactor& reactor, std::uint64_t slabs_max) {
  const auto slots = static_cast<unsigned>(std::clamp<std::uint64_t>(slabs_max, 1, kSlotsMax));
  const int result = ::io_uring_register_buffers_sparse(&reactor.ring(), slots);
  if (result == -EBUSY) return fail(Code::kExists, "another buffer pool is registered with this reactor's ring");
  if (result == -EINVAL) return fail(Code::kUnsupported, "the kernel has no sparse table of buffers (Linux 5.19)");
  if (result < 0) {
    return failf(Code::kIoError, "cannot register buffers: {}", std::generic_category().message(-result));
  }
  return std::unique_ptr<UringSlabs>(new UringSlabs(reactor, slots));
}

UringSlabs::~UringSlabs() { ::io_uring_unregister_buffers(&reactor_.ring()); }

int UringSlabs::add(std::size_t slab, MutableBytes memory) {
  if (slab >= slots_) return -1;
  const iovec vector{memory.data(), memory.size()};
  const auto slot = static_cast<unsigned>(slab);
  // ENOMEM, the usual refusal, is the limit on locked memory; ordinary I/O still works.
  if (::io_uring_register_buffers_update_tag(&reactor_.ring(), slot, &vector, nullptr, 1) != 1) return -1;
  return static_cast<int>(slot);
}

}  // namespace cenote::media
