// What a file system reads back from its container: entries, places and the superblock; and the paths that users write.
// The first byte of an input says which.

#include <array>
#include <cstdint>

#include "acl.h"
#include "cenote/base/assert.h"
#include "fuzz_input.h"
#include "inode.h"
#include "layout.h"
#include "path.h"

namespace {

using namespace cenote;
using namespace cenote::posix;

void check_entry(ByteView input) {
  const auto entry = decode_entry(input, "input");
  if (!entry) {
    ASSERT(entry.error() == Code::kCorrupt || entry.error() == Code::kNewerFormat);
    return;
  }
  ASSERT(equal(encode_entry(*entry), input));
}

void check_where(ByteView input) {
  if (const auto where = decode_where(input, "input")) ASSERT(equal(encode_where(*where), input));
}

void check_removed(ByteView input) {
  const std::string_view dkey = as_text(input);
  if (const auto key = parse_removed(dkey)) ASSERT(!is_name(dkey));
}

void check_superblock(ByteView input) {
  const auto superblock = decode_superblock(input, 0);
  if (!superblock) return;
  const auto again = decode_superblock(encode_superblock(*superblock), 0);
  ASSERT(again.has_value() && again->root == superblock->root && again->created == superblock->created);
}

void check_path(ByteView input) {
  const std::string_view path = as_text(input);
  static_cast<void>(validate_name(path));
  static_cast<void>(validate_names_entry(path));
  ASSERT(path.contains(last_component(path)));
  const auto components = split_path(path);
  if (!components) return;
  std::string joined = "/";
  for (const std::string& component : *components) {
    ASSERT(component == ".." || validate_name(component).has_value());
    joined += component + "/";
  }
  ASSERT(joined.size() > kMaxPathBytes || split_path(joined) == *components);
}

void check_acl(ByteView input) {
  const auto acl = decode_acl(input);
  if (!acl) {
    ASSERT(acl.error() == Code::kInvalidArgument);
    return;
  }
  ASSERT(decode_acl(encode_acl(*acl)) == *acl);
  if (acl->empty()) return;
  const std::uint32_t mode = mode_with(*acl, 0);
  ASSERT(acl_with(*acl, mode) == *acl && inherit(*acl, 0777).mode == mode);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_entry, check_superblock, check_path, check_where, check_removed, check_acl};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
