#pragma once

#include <functional>
#include <optional>

#include "cenote/object/examine.h"
#include "cenote/store/log_listing.h"
#include "output.h"
#include "store_inspection.h"

namespace cenote::cli {

/// What `debug tree`, `log`, `space` and `object` show of one store. Each prints its text and returns its document;
/// errors are those of opening, and of what was named and is not there. Findings on the way are printed, too, and
/// counted in `damages`.
struct StoreListing {
  const InspectedPath::Member& member;
  const Output& out;
  std::uint64_t cache_bytes = 0;
  std::uint64_t damages = 0;
};

struct TreeListing {
  std::string tree;  ///< name or number
  std::string from;  ///< as text, or "0x" and hexadecimal digits, or, in the tree of a container, an object
  std::uint64_t limit = 0;
  bool values = false;
};
Result<Json> list_tree(StoreListing& store, const TreeListing& listing);

struct LogGroupsListing {
  std::uint64_t limit = 0;
  bool operations = false;
};
Result<Json> list_log_groups(StoreListing& store, const LogGroupsListing& listing);

Result<Json> list_space(StoreListing& store);

struct ObjectListing {
  std::string container, object;
  std::optional<std::string> dkey;
};
Result<Json> list_object(StoreListing& store, const ObjectListing& listing);

struct RequestListing {
  std::optional<std::uint64_t> session;
  std::uint64_t limit = 0;
};
Result<Json> list_requests(StoreListing& store, const RequestListing& listing);

/// The bytes that `--from` names. kInvalidArgument.
Result<Bytes> parse_key_argument(const std::string& text, bool container_tree);
/// Free runs by length: "1: 12, 2-3: 4 (blocks: how many)".
std::string runs_text(const std::array<std::uint64_t, 9>& runs);

}  // namespace cenote::cli
