#pragma once

#include <cstdint>
#include <string>

#include "cenote/base/error.h"
#include "cenote/media/block_device.h"

namespace cenote::media {

/// Whether a device of `block_count` blocks can carry out the request: kMisaligned, or kOutOfRange for a range beyond
/// the device or an empty one.
Result<> check_request(const IoRequest& request, const std::string& device, std::uint64_t block_count);

/// "disk0: write of blocks 16-31", the start of every message about an operation.
std::string describe(const IoRequest& request, const std::string& device);

inline std::uint64_t blocks_of(const IoRequest& request) { return request.bytes / kBlockBytes; }

}  // namespace cenote::media
