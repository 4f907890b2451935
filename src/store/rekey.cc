#include "cenote/store/store.h"
#include "recovery.h"

namespace cenote::store {

Task<Result<>> Store::rekey(Reactor& reactor, Devices devices, RekeyOptions options) {
  SuperblockIo superblocks(devices);
  const OpenOptions wanted{.system = options.system, .target = options.target};
  CO_TRY(Superblock superblock, co_await find_store(devices, wanted, superblocks));
  if (!superblock.sealing) {
    co_return fail(Code::kInvalidArgument, "the store is not encrypted: it becomes so when it is opened with a key");
  }
  // An earlier call may have written one copy only, so the second one is not left out.
  const SecretKey& present = superblock.sealing->master == options.to.fingerprint() ? options.to : options.from;
  CO_CHECK_OK(StoreSeal::rewrap(reactor, superblock, present, options.to));
  // Both copies, so that neither opens with the key that was replaced.
  for (int place = 0; place < 2; ++place) {
    ++superblock.sequence;
    CO_CHECK_OK(co_await superblocks.write(superblock));
  }
  co_return Result<>{};
}

}  // namespace cenote::store
