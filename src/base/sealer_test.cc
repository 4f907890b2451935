#include "cenote/base/sealer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

namespace cenote {
namespace {

SecretKey key_of(int byte) {
  std::array<std::byte, SecretKey::kBytes> bytes;
  bytes.fill(static_cast<std::byte>(byte));
  return SecretKey(bytes);
}

Bytes from_hex(std::string_view digits) {
  Bytes bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  return bytes;
}

Sealer make_sealer(const SecretKey& key, std::uint64_t seed = 1) {
  auto sealer = Sealer::create(key, [random = std::mt19937_64(seed)](MutableBytes into) mutable {
    for (std::byte& byte : into) byte = static_cast<std::byte>(random());
  });
  EXPECT_TRUE(sealer);
  return *std::move(sealer);
}

using Envelope = std::array<std::byte, kEnvelopeBytes>;

/// The vectors of the specification of XAES-256-GCM: others must be able to read what is written here.
TEST(Sealer, OpensTheVectorsOfTheSpecification) {
  struct Vector {
    int key;
    std::string_view associated, sealed;
  };
  constexpr Vector kVectors[] = {
      {1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
      {3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"}};
  for (const Vector& vector : kVectors) {
    Sealer sealer = make_sealer(key_of(vector.key));
    const Bytes sealed = from_hex(vector.sealed);
    Envelope envelope;
    copy_bytes(as_bytes("ABCDEFGHIJKLMNOPQRSTUVWX"), envelope);
    copy_bytes(ByteView(sealed).last(kSealTagBytes), MutableBytes(envelope).last(kSealTagBytes));
    Bytes plain(sealed.size() - kSealTagBytes);
    ASSERT_TRUE(sealer.open(as_bytes(vector.associated), ByteView(sealed).first(plain.size()), envelope, plain));
    EXPECT_EQ(to_text(plain), "XAES-256-GCM");
  }
}

TEST(Sealer, OpensWhatItSealedInPlaceAndAside) {
  Sealer sealer = make_sealer(key_of(7));
  for (std::size_t bytes : {0u, 1u, 15u, 16u, 17u, 4096u, 16256u, 300000u}) {
    const Bytes plain(bytes, std::byte{0x5a});
    Bytes sealed(bytes), inside = plain, opened(bytes);
    Envelope envelope, other;
    ASSERT_TRUE(sealer.seal(as_bytes("header"), plain, sealed, envelope));
    ASSERT_TRUE(sealer.seal(as_bytes("header"), inside, inside, other));
    EXPECT_TRUE(bytes < 16 || (sealed != plain && inside != plain && inside != sealed));
    ASSERT_TRUE(sealer.open(as_bytes("header"), sealed, envelope, opened));
    EXPECT_EQ(opened, plain);
    ASSERT_TRUE(sealer.open(as_bytes("header"), inside, other, inside));
    EXPECT_EQ(inside, plain);
  }
}

TEST(Sealer, NoticesEveryChange) {
  Sealer sealer = make_sealer(key_of(7));
  const Bytes plain = to_bytes(as_bytes("what was written"));
  Bytes sealed(plain.size()), opened(plain.size());
  Envelope envelope;
  ASSERT_TRUE(sealer.seal(as_bytes("header"), plain, sealed, envelope));
  const auto refused = [&](ByteView associated) {
    opened.assign(plain.size(), std::byte{1});
    const auto outcome = sealer.open(associated, sealed, envelope, opened);
    return !outcome && outcome.error() == Code::kMalformed && opened == Bytes(plain.size());
  };
  EXPECT_TRUE(refused(as_bytes("Header")));
  EXPECT_TRUE(refused({}));
  for (std::byte& byte : sealed) {
    byte ^= std::byte{1};
    EXPECT_TRUE(refused(as_bytes("header")));
    byte ^= std::byte{1};
  }
  for (std::byte& byte : envelope) {
    byte ^= std::byte{0x80};
    EXPECT_TRUE(refused(as_bytes("header")));
    byte ^= std::byte{0x80};
  }
  ASSERT_TRUE(sealer.open(as_bytes("header"), sealed, envelope, opened));
  EXPECT_FALSE(make_sealer(key_of(8)).open(as_bytes("header"), sealed, envelope, opened));
}

TEST(Sealer, NeverUsesANonceTwice) {
  std::set<Bytes> nonces;
  for (std::uint64_t opening = 0; opening < 5; ++opening) {
    Sealer sealer = make_sealer(key_of(7), opening);
    for (int i = 0; i < 300; ++i) {
      Envelope envelope;
      ASSERT_TRUE(sealer.seal({}, {}, {}, envelope));
      EXPECT_TRUE(nonces.insert(to_bytes(ByteView(envelope).first(kSealNonceBytes))).second);
    }
  }
}

/// What several openings of a store wrote lies mixed on the media.
TEST(Sealer, OpensWhatOthersWithTheSameKeySealed) {
  Sealer first = make_sealer(key_of(7), 1), second = make_sealer(key_of(7), 2), reader = make_sealer(key_of(7), 3);
  for (int i = 0; i < 10; ++i) {
    Bytes plain(100, static_cast<std::byte>(i)), sealed(100);
    Envelope envelope;
    ASSERT_TRUE((i % 2 == 0 ? first : second).seal({}, plain, sealed, envelope));
    ASSERT_TRUE(reader.open({}, sealed, envelope, sealed));
    EXPECT_EQ(sealed, plain);
  }
}

TEST(SecretKey, IsReadFromBytesOrDigits) {
  const Bytes raw(32, std::byte{0xab});
  std::string digits;
  for (int i = 0; i < 32; ++i) digits += i % 2 == 0 ? "ab" : "AB";
  ASSERT_TRUE(SecretKey::parse(raw));
  for (const char* end : {"", "\n", "\r\n", "  \n"}) {
    const auto key = SecretKey::parse(as_bytes(digits + end));
    ASSERT_TRUE(key);
    EXPECT_EQ(*key, *SecretKey::parse(raw));
  }
  for (const std::string& wrong : {std::string(), std::string(31, 'x'), std::string(33, 'x'), digits.substr(1),
                                   digits + "a", "g" + digits.substr(1), "\n" + digits}) {
    const auto key = SecretKey::parse(as_bytes(wrong));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error(), Code::kInvalidArgument);
    EXPECT_EQ(key.error().message().find("abAB"), std::string::npos);
  }
}

TEST(SecretKey, DerivesAKeyForEachPurpose) {
  const SecretKey key = key_of(7);
  EXPECT_EQ(key.derive("a"), key_of(7).derive("a"));
  EXPECT_FALSE(key.derive("a") == key.derive("b"));
  EXPECT_FALSE(key.derive("a") == key_of(8).derive("a"));
  EXPECT_FALSE(key.derive("a", as_bytes("b")) == key.derive("ab"));
  EXPECT_EQ(key.fingerprint(), key_of(7).fingerprint());
  EXPECT_NE(key.fingerprint(), key_of(8).fingerprint());
}

TEST(SecretKey, IsWipedWhenItIsDropped) {
  alignas(SecretKey) std::array<std::byte, sizeof(SecretKey)> memory;
  auto* key = new (memory.data()) SecretKey(key_of(7));
  key->~SecretKey();
  EXPECT_EQ(std::ranges::count(memory, std::byte{7}), 0);
}

}  // namespace
}  // namespace cenote
