#include "cenote/base/sealer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "cenote/base/codec.h"

namespace cenote {
namespace {

constexpr std::size_t kPrefixBytes = 12;  // of the nonce: what chooses the subkey
constexpr std::size_t kIvBytes = kSealNonceBytes - kPrefixBytes;
constexpr std::size_t kBlock = 16;

using Prefix = std::array<std::byte, kPrefixBytes>;

struct Free {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }  // wipes what it holds
};
using Cipher = std::unique_ptr<EVP_CIPHER, Free>;
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
int length(std::size_t bytes) {
  ASSERT(bytes < std::size_t{1} << 31);
  return static_cast<int>(bytes);
}

Error broken() { return Error(Code::kInternal, "the cryptography library failed"); }

/// GCM under one subkey, in one direction.
struct Subkey {
  Context context;
  Prefix prefix{};
  bool ready = false;
};

}  // namespace

struct Sealer::Impl {
  Impl(const SecretKey& the_key, Random the_random) : key(the_key), random(std::move(the_random)) {}

  Result<> prepare();
  Result<> choose(Subkey& subkey, const Prefix& prefix, bool sealing) const;
  Result<> renew();

  SecretKey key;
  Random random;
  Cipher gcm;
  Context block;  // the key's own AES, of which subkeys are made
  std::array<std::byte, kBlock> mask{};
  Subkey sealing;
  Subkey opening;  // of what was opened last
  std::uint64_t items = 0;
};

/// The mask is the first subkey of CMAC, which XAES derives its subkeys with.
Result<> Sealer::Impl::prepare() {
  gcm.reset(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  const Cipher aes(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr));
  block.reset(EVP_CIPHER_CTX_new());
  sealing.context.reset(EVP_CIPHER_CTX_new());
  opening.context.reset(EVP_CIPHER_CTX_new());
  int written = 0;
  const std::array<std::byte, kBlock> zero{};
  const bool made = gcm && aes && block && sealing.context && opening.context &&
                    EVP_EncryptInit_ex2(block.get(), aes.get(), raw(key.bytes().data()), nullptr, nullptr) == 1 &&
                    EVP_CIPHER_CTX_set_padding(block.get(), 0) == 1 &&
                    EVP_EncryptUpdate(block.get(), raw(mask.data()), &written, raw(zero.data()), kBlock) == 1;
  if (!made) return fail(Code::kUnsupported, "the cryptography library has no AES-256-GCM: install OpenSSL 3");
  std::uint64_t high = load_be<std::uint64_t>(mask.data());
  std::uint64_t low = load_be<std::uint64_t>(mask.data() + 8);
  const std::uint64_t carry = high >> 63;
  high = high << 1 | low >> 63;
  low = low << 1 ^ (carry * 0x87);
  store_be(mask.data(), high);
  store_be(mask.data() + 8, low);
  return {};
}

Result<> Sealer::Impl::choose(Subkey& subkey, const Prefix& prefix, bool sealing_too) const {
  if (subkey.ready && subkey.prefix == prefix) return {};
  subkey.ready = false;
  std::array<std::byte, 2 * kBlock> blocks{};
  for (std::size_t half = 0; half < 2; ++half) {
    std::byte* at = blocks.data() + half * kBlock;
    at[1] = static_cast<std::byte>(half + 1);
    at[2] = static_cast<std::byte>('X');
    std::ranges::copy(prefix, at + 4);
    for (std::size_t i = 0; i < kBlock; ++i) at[i] ^= mask[i];
  }
  std::array<std::byte, SecretKey::kBytes> derived{};
  int written = 0;
  const bool derived_it =
      EVP_EncryptUpdate(block.get(), raw(derived.data()), &written, raw(blocks.data()), length(blocks.size())) == 1;
  const auto init = sealing_too ? EVP_EncryptInit_ex2 : EVP_DecryptInit_ex2;
  const bool set = derived_it && init(subkey.context.get(), gcm.get(), raw(derived.data()), nullptr, nullptr) == 1;
  wipe(derived);
  if (!set) return fail(broken());
  subkey.prefix = prefix;
  subkey.ready = true;
  return {};
}

Result<> Sealer::Impl::renew() {
  Prefix prefix;
  random(prefix);
  CHECK_OK(choose(sealing, prefix, true));
  items = 0;
  return {};
}

Sealer::Sealer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sealer::Sealer(Sealer&& other) noexcept = default;
Sealer& Sealer::operator=(Sealer&& other) noexcept = default;
Sealer::~Sealer() = default;

Result<Sealer> Sealer::create(const SecretKey& key, Random random) {
  auto impl = std::make_unique<Impl>(key, std::move(random));
  CHECK_OK(impl->prepare());
  return Sealer(std::move(impl));
}

Result<> Sealer::seal(ByteView associated, ByteView plain, MutableBytes sealed,
                      std::span<std::byte, kEnvelopeBytes> envelope) {
  ASSERT(plain.size() == sealed.size());
  if (!impl_->sealing.ready || impl_->items == kItemsPerSubkey) CHECK_OK(impl_->renew());
  std::array<std::byte, kIvBytes> iv{};
  store_le(iv.data(), impl_->items++);
  EVP_CIPHER_CTX* context = impl_->sealing.context.get();
  int written = 0;
  std::array<std::byte, kBlock> nothing;  // GCM leaves nothing for the end, but the call wants a place for it
  bool ok = EVP_EncryptInit_ex2(context, nullptr, nullptr, raw(iv.data()), nullptr) == 1;
  ok = ok && (associated.empty() ||
              EVP_EncryptUpdate(context, nullptr, &written, raw(associated.data()), length(associated.size())) == 1);
  ok = ok && (plain.empty() ||
              EVP_EncryptUpdate(context, raw(sealed.data()), &written, raw(plain.data()), length(plain.size())) == 1);
  ok = ok && EVP_EncryptFinal_ex(context, raw(nothing.data()), &written) == 1;
  ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kSealTagBytes,
                                 envelope.subspan<kSealNonceBytes>().data()) == 1;
  if (!ok) return fail(broken());
  std::ranges::copy(impl_->sealing.prefix, envelope.begin());
  std::ranges::copy(iv, envelope.begin() + kPrefixBytes);
  return {};
}

Result<> Sealer::open(ByteView associated, ByteView sealed, std::span<const std::byte, kEnvelopeBytes> envelope,
                      MutableBytes plain) {
  ASSERT(plain.size() == sealed.size());
  Prefix prefix;
  std::ranges::copy(envelope.first<kPrefixBytes>(), prefix.begin());
  CHECK_OK(impl_->choose(impl_->opening, prefix, false));
  std::array<std::byte, kSealTagBytes> tag;
  std::ranges::copy(envelope.subspan<kSealNonceBytes>(), tag.begin());
  EVP_CIPHER_CTX* context = impl_->opening.context.get();
  int written = 0;
  std::array<std::byte, kBlock> nothing;
  bool ok = EVP_DecryptInit_ex2(context, nullptr, nullptr, raw(envelope.data() + kPrefixBytes), nullptr) == 1;
  ok = ok && (associated.empty() ||
              EVP_DecryptUpdate(context, nullptr, &written, raw(associated.data()), length(associated.size())) == 1);
  ok = ok && (sealed.empty() ||
              EVP_DecryptUpdate(context, raw(plain.data()), &written, raw(sealed.data()), length(sealed.size())) == 1);
  ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kSealTagBytes, tag.data()) == 1;
  if (!ok || EVP_DecryptFinal_ex(context, raw(nothing.data()), &written) != 1) {
    if (!plain.empty()) wipe(plain);
    return fail(ok ? Error(Code::kMalformed, "not sealed under this key, or changed since") : broken());
  }
  return {};
}

}  // namespace cenote
