#pragma once

#include <unordered_map>

#include "cenote/fuse/front.h"
#include "cenote/runtime/intrusive_list.h"
#include "cenote/runtime/scope.h"
#include "directory_stream.h"
#include "node_map.h"

namespace cenote::fuse {

class Request;

/// A file that the kernel has open; it calls it by the number that it is kept under.
struct OpenFile {
  posix::File file;
  /// Its writes go to the end, wherever that is by then: the kernel keeps no pages of it.
  bool appends = false;
  /// Written since its times were last made known.
  bool is_written = false;
};

/// Invariants: all on one reactor. A number stands in `files_open` or `directories_open` from the reply that told the
/// kernel of it until its release. A request stands in `requests` until it has been answered.
struct Front::Impl {
  UringReactor& reactor;
  posix::FileSystem& files;
  FrontOptions options;
  Logger log;
  std::unique_ptr<Session> session;
  Scope scope;
  NodeMap nodes;
  std::unordered_map<std::uint64_t, OpenFile> files_open;
  std::unordered_map<std::uint64_t, std::unique_ptr<DirectoryStream>> directories_open;
  std::uint64_t next_handle = 1;
  IntrusiveList<Request, struct RequestTag> requests;
  bool watches_callers = false;
  bool is_ending = false;  // requests are cancelled as they come

  Impl(UringReactor& r, posix::FileSystem& f, FrontOptions o, Logger l)
      : reactor(r), files(f), options(std::move(o)), log(std::move(l)), scope(r), nodes(f.root()) {}

  static Impl& of(fuse_req_t request) { return *static_cast<Impl*>(::fuse_req_userdata(request)); }
  /// For how many seconds the kernel may take names and attributes for true without asking.
  double validity_s() const;
  /// Looks again and again whether callers that got a signal end, as long as there are any: the kernel tells of the
  /// first signal alone.
  void watch_callers();
  /// The kernel is about to be told of what was found. As long as it knows a file, that stays, names or not: between
  /// finding and opening it somebody may replace it.
  void tell(const posix::Found& found);
  void forget(std::uint64_t number, std::uint64_t lookups);
  std::uint64_t keep(OpenFile file);
  std::uint64_t keep(std::unique_ptr<DirectoryStream> stream);
};

// The operations, by what they concern; each adds its own to the table.
void add_name_operations(fuse_lowlevel_ops& operations);
void add_attribute_operations(fuse_lowlevel_ops& operations);
void add_xattr_operations(fuse_lowlevel_ops& operations);
void add_file_operations(fuse_lowlevel_ops& operations);
void add_directory_operations(fuse_lowlevel_ops& operations);
void add_control_operations(fuse_lowlevel_ops& operations);

}  // namespace cenote::fuse
