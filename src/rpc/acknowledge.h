#pragma once

#include <cstdint>
#include <vector>

#include "cenote/base/codec.h"

namespace cenote::rpc {

/// Body of ControlOpcode::kAcknowledge.
struct Acknowledgement {
  static constexpr std::uint32_t kMaxEnded = 512;

  std::uint64_t up_to = 0;
  std::vector<std::uint64_t> ended;

  void encode(Bytes& out) const {
    out.clear();
    Encoder encoder(out);
    encoder.integer(up_to);
    encoder.integer(static_cast<std::uint32_t>(ended.size()));
    for (std::uint64_t sequence : ended) encoder.integer(sequence);
  }
  static Result<Acknowledgement> decode(ByteView body) {
    Decoder decoder(body);
    Acknowledgement result;
    result.up_to = decoder.integer<std::uint64_t>();
    const auto count = decoder.integer<std::uint32_t>();
    decoder.require(count <= kMaxEnded && decoder.remaining() == count * sizeof(std::uint64_t));
    CHECK_OK(decoder.check("acknowledgement"));
    result.ended.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) result.ended.push_back(decoder.integer<std::uint64_t>());
    CHECK_OK(decoder.finish("acknowledgement"));
    return result;
  }
};

}  // namespace cenote::rpc
