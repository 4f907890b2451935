#include "container_key.h"

#include "cenote/base/format.h"

namespace cenote::object {
namespace {

Sealer::Random random_of(Core& core) {
  return [&reactor = core.reactor](MutableBytes into) { reactor.fill_secret(into); };
}

Result<Sealer> wrapping(Core& core) {
  return Sealer::create(core.store.derive_key(kContainerKeyLabel), random_of(core));
}

Result<std::shared_ptr<Sealer>> sealer_of(Core& core, const SecretKey& key) {
  TRY(Sealer sealer, Sealer::create(key, random_of(core)));
  return std::make_shared<Sealer>(std::move(sealer));
}

std::unexpected<Error> damaged_key(const Uuid& container) {
  return failf(Code::kCorrupt, "the key of container {} is damaged, or of another store", container.to_string());
}

Result<SecretKey> unwrap(Sealer& sealer, const Uuid& container, const SealedKey& sealed) {
  std::array<std::byte, SecretKey::kBytes> bytes{};
  if (!sealer.open(container.bytes(), sealed.key, sealed.envelope, bytes)) return damaged_key(container);
  const SecretKey key{bytes};
  wipe(bytes);
  return key;
}

}  // namespace

Result<ContainerKey> draw_container_key(Core& core, const Uuid& container) {
  if (!core.store.sealed())
    return fail(Code::kKeyNeeded,
                "an encrypted container needs encrypted stores: start the server with --encryption-key-file or "
                "--encryption-key-command");
  std::array<std::byte, SecretKey::kBytes> bytes{};
  core.reactor.fill_secret(bytes);
  const SecretKey key{bytes};
  wipe(bytes);
  ContainerKey drawn;
  TRY(Sealer sealer, wrapping(core));
  CHECK_OK(sealer.seal(container.bytes(), key.bytes(), drawn.sealed.key, drawn.sealed.envelope));
  TRY(drawn.sealer, sealer_of(core, key));
  return drawn;
}

Result<std::shared_ptr<Sealer>> open_container_key(Core& core, const Uuid& container, const SealedKey& sealed) {
  if (!core.store.sealed()) return damaged_key(container);
  TRY(Sealer sealer, wrapping(core));
  TRY(const SecretKey key, unwrap(sealer, container, sealed));
  return sealer_of(core, key);
}

Result<SealedKey> rewrap_container_key(const Uuid& container, const SealedKey& sealed, const SecretKey& from,
                                       const SecretKey& to, Reactor& reactor) {
  const auto random = [&reactor](MutableBytes into) { reactor.fill_secret(into); };
  TRY(Sealer opens, Sealer::create(from, random));
  TRY(Sealer seals, Sealer::create(to, random));
  TRY(const SecretKey key, unwrap(opens, container, sealed));
  SealedKey wrapped;
  CHECK_OK(seals.seal(container.bytes(), key.bytes(), wrapped.key, wrapped.envelope));
  return wrapped;
}

}  // namespace cenote::object
