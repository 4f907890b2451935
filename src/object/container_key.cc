#include "container_key.h"

#include "cenote/base/format.h"

namespace cenote::object {
namespace {

Sealer::Random random_of(Core& core) {
  return [&reactor = core.reactor](MutableBytes into) { reactor.fill_secret(into); };
}

Result<Sealer> wrapping(Core& core) { return Sealer::create(core.store.derive_key("container keys"), random_of(core)); }

Result<std::shared_ptr<Sealer>> sealer_of(Core& core, const SecretKey& key) {
  TRY(Sealer sealer, Sealer::create(key, random_of(core)));
  return std::make_shared<Sealer>(std::move(sealer));
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
  const auto damaged = [&container] {
    return failf(Code::kCorrupt, "the key of container {} is damaged, or of another store", container.to_string());
  };
  if (!core.store.sealed()) return damaged();
  TRY(Sealer sealer, wrapping(core));
  std::array<std::byte, SecretKey::kBytes> bytes{};
  if (!sealer.open(container.bytes(), sealed.key, sealed.envelope, bytes)) return damaged();
  const SecretKey key{bytes};
  wipe(bytes);
  return sealer_of(core, key);
}

}  // namespace cenote::object
