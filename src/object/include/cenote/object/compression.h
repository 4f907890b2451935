#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cenote::object {

/// How the data of a container is compressed before it is stored; what does not become smaller is stored as it is.
enum class Compression : std::uint8_t {
  kNone = 0,
  kLz4 = 1,   ///< fast
  kZstd = 2,  ///< dense
};

constexpr std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      break;
    case Compression::kLz4:
      return "lz4";
    case Compression::kZstd:
      return "zstd";
  }
  return "none";
}

constexpr std::optional<Compression> parse_compression(std::string_view name) {
  for (const Compression compression : {Compression::kNone, Compression::kLz4, Compression::kZstd})
    if (to_string(compression) == name) return compression;
  return std::nullopt;
}

}  // namespace cenote::object
