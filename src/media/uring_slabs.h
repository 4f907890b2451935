#pragma once

#include <memory>

#include "cenote/media/buffer_pool.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::media {

/// The table of registered buffers of a ring, one slot a slab. It takes the ring's only table for as long as it lives;
/// the reactor must outlive it.
class UringSlabs final : public SlabRegistrar {
 public:
  /// For a pool with at most `slabs_max` slabs; slabs beyond what the kernel can hold stay unregistered.
  static Result<std::unique_ptr<UringSlabs>> create(UringReactor& reactor, std::uint64_t slabs_max);
  ~UringSlabs() override;
  int add(std::size_t slab, MutableBytes memory) override;

 private:
  UringSlabs(UringReactor& reactor, unsigned slots) : reactor_(reactor), slots_(slots) {}
  UringReactor& reactor_;
  unsigned slots_;
};

}  // namespace cenote::media
