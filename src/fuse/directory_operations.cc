#include "request.h"

// Open directories and their listing.
namespace cenote::fuse {
namespace {

Task<Result<OpenedDirectory>> open(Request& request) {
  CO_TRY(posix::Node node, request.node());
  if (node.type() != posix::FileType::kDirectory) co_return fail(Code::kNotADirectory);
  co_return OpenedDirectory{.stream = std::make_unique<DirectoryStream>(std::move(node))};
}

/// Puts an entry behind the first `used` bytes of a listing. How many bytes it takes; more than are left: none were
/// put.
std::size_t put(const Request& request, Bytes& listing, std::size_t used, const DirectoryStream::Entry& entry,
                bool plus) {
  char* const at = reinterpret_cast<char*>(listing.data()) + used;
  const std::size_t left = listing.size() - used;
  fuse_entry_param param{};
  // A plain entry tells of its number and type; "." and ".." are plain, too, which number 0 says.
  posix::Attributes named{.type = entry.type};
  param.attr = posix::stat_of(named);
  param.attr.st_ino = entry.number;
  const auto place = static_cast<off_t>(entry.place);
  if (!plus) return ::fuse_add_direntry(request.handle(), at, left, entry.name.c_str(), &param.attr, place);
  if (entry.found) param = request.entry_of(*entry.found);
  return ::fuse_add_direntry_plus(request.handle(), at, left, entry.name.c_str(), &param, place);
}

Task<Result<Listing>> list(Request& request, std::uint64_t handle, std::size_t bytes, std::uint64_t place, bool plus) {
  CO_TRY(DirectoryStream * stream, request.open_directory(handle));
  CO_CHECK_OK(co_await stream->seek(request.files(), place, plus, request.until()));
  Listing listing{.bytes = Bytes(std::min(bytes, kTransferBytesMax)), .told = {}};
  std::size_t used = 0;
  for (;;) {
    auto entry = co_await stream->peek(request.files(), request.until());
    // What is listed already must not be lost.
    if (!entry && used == 0) co_return fail(std::move(entry).error());
    if (!entry || *entry == nullptr) break;
    const std::size_t taken = put(request, listing.bytes, used, **entry, plus);
    if (taken > listing.bytes.size() - used) break;
    used += taken;
    if ((*entry)->found) {
      request.front().tell(*(*entry)->found);
      listing.told.push_back((*entry)->number);
    }
    stream->advance();
  }
  listing.bytes.resize(used);
  co_return listing;
}

Task<Result<Done>> release(Request& request, std::uint64_t handle) {
  request.front().directories_open.erase(handle);
  co_return Done();
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& operations) {
  operations.opendir = [](fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
    start(request, "opendir", number, open);
  };
  operations.readdir = [](fuse_req_t request, fuse_ino_t number, std::size_t bytes, off_t place, fuse_file_info* info) {
    start(request, "readdir", number, list, info->fh, bytes, static_cast<std::uint64_t>(place), false);
  };
  operations.readdirplus = [](fuse_req_t request, fuse_ino_t number, std::size_t bytes, off_t place,
                              fuse_file_info* info) {
    start(request, "readdirplus", number, list, info->fh, bytes, static_cast<std::uint64_t>(place), true);
  };
  operations.releasedir = [](fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, "releasedir", number, release, info->fh);
  };
  // Names are durable when they are made.
  operations.fsyncdir = [](fuse_req_t request, fuse_ino_t, int, fuse_file_info*) { ::fuse_reply_err(request, 0); };
}

}  // namespace cenote::fuse
