#include "cenote/base/secret_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace cenote {
namespace {

int hex_digit(std::byte byte) {
  const char c = static_cast<char>(byte);
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_space(std::byte byte) {
  const char c = static_cast<char>(byte);
  return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

}  // namespace

void wipe(MutableBytes secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

bool operator==(const SecretKey& a, const SecretKey& b) {
  return CRYPTO_memcmp(a.bytes_.data(), b.bytes_.data(), SecretKey::kBytes) == 0;
}

Result<SecretKey> SecretKey::parse(ByteView text) {
  if (text.size() == kBytes) return SecretKey(text.first<kBytes>());
  while (!text.empty() && is_space(text.back())) text = text.first(text.size() - 1);
  if (text.size() != 2 * kBytes || std::ranges::any_of(text, [](std::byte b) { return hex_digit(b) < 0; })) {
    return fail(Code::kInvalidArgument,
                "a key is 32 bytes, or 64 hexadecimal digits as 'openssl rand -hex 32' prints them");
  }
  std::array<std::byte, kBytes> bytes;
  for (std::size_t i = 0; i < kBytes; ++i) {
    bytes[i] = static_cast<std::byte>(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
  }
  SecretKey key{bytes};
  wipe(bytes);
  return key;
}

SecretKey SecretKey::derive(std::string_view label, ByteView context) const {
  // The zero between them keeps one label with a context from being another label.
  Bytes message = to_bytes(as_bytes(label));
  message.push_back(std::byte{0});
  message.insert(message.end(), context.begin(), context.end());
  std::array<std::byte, kBytes> out;
  unsigned written = 0;
  const auto* done = HMAC(EVP_sha256(), bytes_.data(), static_cast<int>(kBytes),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          reinterpret_cast<unsigned char*>(out.data()), &written);
  ASSERT(done != nullptr && written == kBytes);  // no build of libcrypto is without SHA-256
  SecretKey derived{out};
  wipe(out);
  return derived;
}

SecretKey::Fingerprint SecretKey::fingerprint() const {
  const SecretKey derived = derive("cenote key fingerprint");
  Fingerprint fingerprint;
  std::ranges::copy(derived.bytes().first<std::tuple_size_v<Fingerprint>>(), fingerprint.begin());
  return fingerprint;
}

}  // namespace cenote
