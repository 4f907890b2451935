#pragma once

#include <functional>
#include <memory>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/secret_key.h"

namespace cenote {

inline constexpr std::size_t kSealNonceBytes = 24;
inline constexpr std::size_t kSealTagBytes = 16;
/// What sealing adds to what is sealed: the nonce, then the tag.
inline constexpr std::size_t kEnvelopeBytes = kSealNonceBytes + kSealTagBytes;

/// Authenticated encryption under one key: XAES-256-GCM (C2SP), AES-256-GCM under subkeys that one half of a 192-bit
/// nonce chooses. That half is random and new for each Sealer, the other half counts: so no nonce is ever used twice,
/// whatever a crash made the caller forget. Used by one thread; after the first call of each kind nothing is allocated.
class Sealer {
 public:
  /// Fills its argument with bits that nobody can foretell; in the simulator, from the seed.
  using Random = std::function<void(MutableBytes)>;
  /// Items sealed under one subkey, far below what would wear it out; then the next one is drawn.
  static constexpr std::uint64_t kItemsPerSubkey = std::uint64_t{1} << 32;

  /// kUnsupported when the cryptography library does not have the cipher.
  static Result<Sealer> create(const SecretKey& key, Random random);
  Sealer(Sealer&& other) noexcept;
  Sealer& operator=(Sealer&& other) noexcept;
  ~Sealer();

  /// Encrypts `plain` to `sealed`, equally long, which may be the same memory, and writes `envelope`. `associated` is
  /// not encrypted, and has to be the same when the item is opened. Fails only when the library does.
  Result<> seal(ByteView associated, ByteView plain, MutableBytes sealed,
                std::span<std::byte, kEnvelopeBytes> envelope);
  /// The inverse. kMalformed: it was not sealed under this key, or one of the three was changed since; `plain` is then
  /// zeroes.
  Result<> open(ByteView associated, ByteView sealed, std::span<const std::byte, kEnvelopeBytes> envelope,
                MutableBytes plain);

 private:
  struct Impl;
  explicit Sealer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote
