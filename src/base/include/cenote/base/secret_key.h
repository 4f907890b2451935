#pragma once

#include <array>
#include <string_view>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

namespace cenote {

/// Overwrites memory that held a secret, in a way that the compiler does not leave out.
void wipe(MutableBytes secret);

/// 256 bits of key. Every copy wipes itself when it is dropped. It has no text form on purpose: what stands in a log or
/// in an error is `fingerprint`.
class SecretKey {
 public:
  static constexpr std::size_t kBytes = 32;
  using Fingerprint = std::array<std::byte, 16>;

  explicit SecretKey(std::span<const std::byte, kBytes> bytes) { copy_bytes(bytes, bytes_); }
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey() { wipe(bytes_); }

  /// 32 raw bytes, or 64 hexadecimal digits, which white space may follow. kInvalidArgument says what is wrong with the
  /// form and shows nothing of the contents.
  static Result<SecretKey> parse(ByteView text);

  std::span<const std::byte, kBytes> bytes() const { return bytes_; }
  /// A key for one purpose: HMAC-SHA-256 of label and context. Who knows it learns neither this key nor another derived
  /// one.
  SecretKey derive(std::string_view label, ByteView context = {}) const;
  /// Tells keys apart without telling anything about them.
  Fingerprint fingerprint() const;

  /// In a time that does not depend on where they differ.
  friend bool operator==(const SecretKey& a, const SecretKey& b);

 private:
  std::array<std::byte, kBytes> bytes_;
};

}  // namespace cenote
