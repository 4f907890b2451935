#include "store_seal.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

Sealer::Random random_of(Reactor& reactor) {
  return [&reactor](MutableBytes into) { reactor.fill_secret(into); };
}

/// The key under which keys are wrapped. The master key itself seals nothing.
SecretKey wrapping_key(const SecretKey& master) { return master.derive("cenote wrap store key"); }

/// What ties a wrapped key to its store: that of another one does not open here.
Bytes owner_of(const Superblock& superblock, bool mixed) {
  Bytes owner;
  Encoder out(owner);
  out.raw(superblock.system.bytes());
  out.raw(superblock.target.bytes());
  out.integer(superblock.incarnation);
  out.integer(mixed ? 1u : 0u);
  return owner;
}

Result<WrappedKey> wrap(Reactor& reactor, const Superblock& superblock, const SecretKey& key, const SecretKey& master,
                        bool mixed) {
  WrappedKey wrapped;
  wrapped.mixed = mixed;
  wrapped.master = master.fingerprint();
  TRY(Sealer sealer, Sealer::create(wrapping_key(master), random_of(reactor)));
  CHECK_OK(sealer.seal(owner_of(superblock, mixed), key.bytes(), wrapped.key, wrapped.envelope));
  return wrapped;
}

Result<SecretKey> unwrap(Reactor& reactor, const Superblock& superblock, const SecretKey& master) {
  const WrappedKey& wrapped = *superblock.sealing;
  if (wrapped.master != master.fingerprint()) {
    return failf(Code::kWrongKey, "it is encrypted under the key with fingerprint {}, the one given has {}",
                 to_hex(wrapped.master), to_hex(master.fingerprint()));
  }
  TRY(Sealer sealer, Sealer::create(wrapping_key(master), random_of(reactor)));
  std::array<std::byte, SecretKey::kBytes> bytes{};
  const auto opened = sealer.open(owner_of(superblock, wrapped.mixed), wrapped.key, wrapped.envelope, bytes);
  if (!opened) {
    if (opened.error() != Code::kMalformed) return fail(opened.error());
    return fail(Code::kCorrupt, "the key is the right one, and the store's own key in the superblock is damaged");
  }
  SecretKey key{bytes};
  wipe(bytes);
  return key;
}

}  // namespace

Result<std::unique_ptr<StoreSeal>> StoreSeal::make(Reactor& reactor, const SecretKey& key, bool mixed, bool fresh) {
  TRY(Sealer sealer, Sealer::create(key.derive("cenote store seal"), random_of(reactor)));
  return std::unique_ptr<StoreSeal>(new StoreSeal(key, std::move(sealer), mixed, fresh));
}

Result<std::unique_ptr<StoreSeal>> StoreSeal::begin(Reactor& reactor, Superblock& superblock, const SecretKey& master,
                                                    bool mixed) {
  ASSERT(!superblock.sealing);
  std::array<std::byte, SecretKey::kBytes> bytes{};
  reactor.fill_secret(bytes);
  const SecretKey key{bytes};
  wipe(bytes);
  TRY(superblock.sealing, wrap(reactor, superblock, key, master, mixed));
  superblock.incompatible |= kSealedFeature;
  return make(reactor, key, mixed, true);
}

Result<std::unique_ptr<StoreSeal>> StoreSeal::unlock(Reactor& reactor, const Superblock& superblock,
                                                     const SecretKey& master) {
  TRY(const SecretKey key, unwrap(reactor, superblock, master));
  return make(reactor, key, superblock.sealing->mixed, false);
}

Result<> StoreSeal::rewrap(Reactor& reactor, Superblock& superblock, const SecretKey& from, const SecretKey& to) {
  TRY(const SecretKey key, unwrap(reactor, superblock, from));
  TRY(superblock.sealing, wrap(reactor, superblock, key, to, superblock.sealing->mixed));
  return {};
}

Result<std::unique_ptr<StoreSeal>> seal_of(Reactor& reactor, Superblock& superblock,
                                           const std::optional<SecretKey>& master, bool read_only,
                                           std::string_view device) {
  const auto named = [device](Result<std::unique_ptr<StoreSeal>> outcome) -> Result<std::unique_ptr<StoreSeal>> {
    if (outcome) return outcome;
    return fail(outcome.error().with_context(fmt::format("the store on '{}'", device)));
  };
  if (!superblock.sealing) {
    // Looking at a store does not change it.
    if (!master || read_only) return nullptr;
    return named(StoreSeal::begin(reactor, superblock, *master, true));
  }
  if (master) return named(StoreSeal::unlock(reactor, superblock, *master));
  return failf(Code::kKeyNeeded,
               "the store on '{}' is encrypted under the key with fingerprint {}: give that key (--encryption-key-file "
               "or --encryption-key-command)",
               device, to_hex(superblock.sealing->master));
}

}  // namespace cenote::store
