#include "wire.h"

namespace cenote {

using namespace wire;

void encode(const PunchRequest& request, Bytes& out) {
  Encoder to(out);
  put(to, request.container);
  put(to, request.object);
  put(to, request.id);
  put_enum(to, request.level);
  put_enum(to, request.condition);
  to.integer(static_cast<std::uint16_t>(request.akeys.size()));
  to.integer(static_cast<std::uint32_t>(request.ranges.size()));
  put_key(to, request.dkey);
  for (const KeyBytes& akey : request.akeys) put_key(to, akey);
  put_ranges(to, request.ranges);
}

Result<PunchRequest> decode_punch_request(ByteView from) {
  Decoder in(from);
  Result<PunchRequest> result(std::in_place);
  PunchRequest& request = *result;
  request.container = take_uuid(in);
  request.object = take_object(in);
  request.id = take_request_id(in);
  request.level = take_enum(in, PunchLevel::kObject, PunchLevel::kRange);
  request.condition = take_condition(in);
  const auto akeys = in.integer<std::uint16_t>();
  const auto ranges = in.integer<std::uint32_t>();
  request.dkey = take_key(in);
  CHECK_OK(in.check("punch request"));
  CHECK_OK(check_limit(request.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  CHECK_OK(check_limit(akeys, kMaxAkeysPerRequest, "akeys of a punch"));
  CHECK_OK(check_limit(ranges, kMaxRangesPerPunch, "ranges of a punch"));
  for (std::uint32_t i = 0; i < akeys; ++i) {
    const KeyBytes& akey = request.akeys.emplace_back(take_key(in));
    CHECK_OK(check_limit(akey.size(), kMaxAkeyBytes, "bytes of an akey"));
  }
  take_ranges(in, ranges, request.ranges);
  CHECK_OK(in.finish("punch request"));
  return result;
}

}  // namespace cenote
