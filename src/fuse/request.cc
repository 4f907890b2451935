#include "request.h"

#include <sys/stat.h>

#include <cerrno>

#include "caller.h"
#include "errors.h"

namespace cenote::fuse {
namespace {

void on_interrupt(fuse_req_t, void* data) {
  auto* request = static_cast<Request*>(data);
  request->check_caller();
  request->front().watch_callers();
}

mode_t type_bits(posix::FileType type) {
  switch (type) {
    case posix::FileType::kFile:
      return S_IFREG;
    case posix::FileType::kDirectory:
      return S_IFDIR;
    case posix::FileType::kSymlink:
      return S_IFLNK;
    case posix::FileType::kFifo:
      return S_IFIFO;
    case posix::FileType::kSocket:
      return S_IFSOCK;
    case posix::FileType::kCharacterDevice:
      return S_IFCHR;
    case posix::FileType::kBlockDevice:
      return S_IFBLK;
  }
  ASSERT(false);
}

timespec time_of(WallTime time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return {.tv_sec = seconds.count(), .tv_nsec = (since - seconds).count()};
}

const char* chars(ByteView bytes) { return reinterpret_cast<const char*>(bytes.data()); }

/// Failures that an operator should know of; all others are a program's own affair.
bool is_for_the_log(int number) { return number == EIO || number == ETIMEDOUT || number == ESTALE; }

constexpr std::uint32_t kBlockBytes = 4096;
constexpr std::uint32_t kStatBlockBytes = 512;

}  // namespace

struct stat stat_of(const posix::Attributes& attributes) {
  struct stat status{};
  status.st_ino = posix::inode_number(attributes.object, attributes.snapshot);
  status.st_mode = type_bits(attributes.type) | attributes.mode;
  status.st_nlink = attributes.links;
  status.st_uid = attributes.uid;
  status.st_gid = attributes.gid;
  status.st_rdev = attributes.device;
  status.st_size = static_cast<off_t>(attributes.size);
  status.st_blksize = kBlockBytes;
  // What a file without holes would take.
  status.st_blocks = static_cast<blkcnt_t>((attributes.size + kStatBlockBytes - 1) / kStatBlockBytes);
  status.st_atim = time_of(attributes.atime);
  status.st_mtim = time_of(attributes.mtime);
  status.st_ctim = time_of(attributes.ctime);
  return status;
}

Request::Request(Front::Impl& front, fuse_req_t handle, const char* what, fuse_ino_t number)
    : front_(front),
      handle_(handle),
      what_(what),
      number_(number),
      deadline_(front.reactor.now() + front.options.timeout),
      caller_(::fuse_req_ctx(handle)->pid) {
  front_.requests.push_back(*this);
  if (front_.is_ending) cancel();
  // One that came before is delivered at once.
  ::fuse_req_interrupt_func(handle_, on_interrupt, this);
}

Request::~Request() {
  ASSERT(answered_);
  front_.session->request_ended();
}

void Request::check_caller() {
  was_signalled_ = true;
  if (is_ending(caller_)) cancel();
}

Result<posix::Node> Request::node(fuse_ino_t number) const {
  const posix::Node* node = front_.nodes.find(number);
  if (node == nullptr) return cenote::fail(Code::kGone);
  return *node;
}

Result<OpenFile*> Request::open_file(std::uint64_t handle) const {
  const auto found = front_.files_open.find(handle);
  if (found == front_.files_open.end()) return cenote::fail(Code::kInvalidArgument);
  return &found->second;
}

Result<DirectoryStream*> Request::open_directory(std::uint64_t handle) const {
  const auto found = front_.directories_open.find(handle);
  if (found == front_.directories_open.end()) return cenote::fail(Code::kInvalidArgument);
  return found->second.get();
}

posix::CreateOptions Request::creation(mode_t mode) const {
  const fuse_ctx* caller = ::fuse_req_ctx(handle_);
  return {.mode = mode & 07777u, .uid = caller->uid, .gid = caller->gid};
}

void Request::fail(const Error& error) {
  const bool translated = translated_ && translated_->first == error.code();
  const int number = translated ? translated_->second : errno_of(error.code());
  if (is_for_the_log(number)) log_failure(error);
  answered_ = true;
  ::fuse_reply_err(handle_, number);
}

void Request::log_failure(const Error& error) const {
  front_.log.warn("a request failed", {{"operation", what_}, {"inode", number_}, {"error", error}});
}

void Request::reply(Done) {
  answered_ = true;
  ::fuse_reply_err(handle_, 0);
}

void Request::reply(Written written) {
  answered_ = true;
  ::fuse_reply_write(handle_, written.bytes);
}

void Request::reply(Place place) {
  answered_ = true;
  ::fuse_reply_lseek(handle_, static_cast<off_t>(place.offset));
}

void Request::reply(const XattrAnswer& answer) {
  answered_ = true;
  if (const auto* size = std::get_if<XattrSize>(&answer)) {
    ::fuse_reply_xattr(handle_, size->bytes);
  } else {
    const Bytes& value = std::get<Bytes>(answer);
    ::fuse_reply_buf(handle_, chars(value), value.size());
  }
}

void Request::reply(const DataRead& data) {
  answered_ = true;
  ::fuse_reply_buf(handle_, chars(data.memory.data()), data.bytes);
}

void Request::reply(const Listing& listing) {
  answered_ = true;
  if (::fuse_reply_buf(handle_, chars(listing.bytes), listing.bytes.size()) == 0) return;
  for (const fuse_ino_t number : listing.told) front_.nodes.forget(number, 1);
}

void Request::reply(const std::string& link_target) {
  answered_ = true;
  ::fuse_reply_readlink(handle_, link_target.c_str());
}

void Request::reply(const posix::Attributes& attributes) {
  answered_ = true;
  const struct stat status = stat_of(attributes);
  ::fuse_reply_attr(handle_, &status, front_.validity_s());
}

fuse_entry_param Request::entry_of(const posix::Found& found) const {
  return {.ino = found.node.number(),
          .generation = 0,  // numbers are never used again
          .attr = stat_of(found.attributes),
          .attr_timeout = front_.validity_s(),
          .entry_timeout = front_.validity_s()};
}

void Request::reply(const posix::Found& found) {
  answered_ = true;
  const fuse_entry_param entry = entry_of(found);
  front_.nodes.add(found.node);
  // One whose caller has gone did not reach the kernel.
  if (::fuse_reply_entry(handle_, &entry) != 0) front_.nodes.forget(entry.ino, 1);
}

void Request::reply(const posix::SpaceInfo& space) {
  answered_ = true;
  struct statvfs answer{};
  answer.f_bsize = answer.f_frsize = kBlockBytes;
  answer.f_blocks = space.total_bytes / kBlockBytes;
  answer.f_bfree = answer.f_bavail = space.free_bytes / kBlockBytes;
  answer.f_namemax = posix::kMaxNameBytes;
  ::fuse_reply_statfs(handle_, &answer);
}

namespace {

Task<> close_unwanted(posix::File file, Until until) { static_cast<void>(co_await file.close(until)); }

}  // namespace

void Request::reply(OpenedFile opened) {
  answered_ = true;
  const posix::File file = opened.file.file;
  const std::uint64_t handle = opened.info.fh = front_.keep(std::move(opened.file));
  if (::fuse_reply_open(handle_, &opened.info) == 0) return;
  // Its caller has gone, so no release will come.
  front_.files_open.erase(handle);
  static_cast<void>(front_.scope.spawn(close_unwanted(file, Until::at(deadline_))));
}

void Request::reply(CreatedFile created) {
  answered_ = true;
  const posix::File file = created.opened.file.file;
  const std::uint64_t handle = created.opened.info.fh = front_.keep(std::move(created.opened.file));
  const fuse_entry_param entry = entry_of(created.found);
  front_.nodes.add(created.found.node);
  if (::fuse_reply_create(handle_, &entry, &created.opened.info) == 0) return;
  front_.nodes.forget(entry.ino, 1);
  front_.files_open.erase(handle);
  static_cast<void>(front_.scope.spawn(close_unwanted(file, Until::at(deadline_))));
}

void Request::reply(OpenedDirectory opened) {
  answered_ = true;
  const std::uint64_t handle = opened.info.fh = front_.keep(std::move(opened.stream));
  if (::fuse_reply_open(handle_, &opened.info) != 0) front_.directories_open.erase(handle);
}

}  // namespace cenote::fuse
