#include "request.h"

#include <sys/stat.h>

#include <algorithm>
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

const char* chars(ByteView bytes) { return reinterpret_cast<const char*>(bytes.data()); }

/// Failures that an operator should know of; all others are a program's own affair.
bool is_for_the_log(int number) { return number == EIO || number == ETIMEDOUT || number == ESTALE; }

constexpr std::uint32_t kBlockBytes = 4096;

}  // namespace

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
  return {.mode = mode & 07777u, .umask = caller->umask, .uid = caller->uid, .gid = caller->gid};
}

bool Request::is_by_root() const { return ::fuse_req_ctx(handle_)->uid == 0; }

bool Request::is_in_group(std::uint32_t group) const {
  if (::fuse_req_ctx(handle_)->gid == group) return true;
  std::vector<gid_t> groups(64);
  const int count = ::fuse_req_getgroups(handle_, static_cast<int>(groups.size()), groups.data());
  if (count > static_cast<int>(groups.size())) {
    groups.resize(static_cast<std::size_t>(count));
    ::fuse_req_getgroups(handle_, count, groups.data());
  }
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return std::ranges::find(groups, group) != groups.end();
}

void Request::fail(const Error& error) {
  int number = errno_of(error.code());
  for (std::size_t i = 0; i < translated_count_; ++i) {
    if (translated_[i].first == error.code()) number = translated_[i].second;
  }
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
  for (const fuse_ino_t number : listing.told) front_.forget(number, 1);
}

void Request::reply(const std::string& link_target) {
  answered_ = true;
  ::fuse_reply_readlink(handle_, link_target.c_str());
}

void Request::reply(const posix::Attributes& attributes) {
  answered_ = true;
  front_.nodes.note(number_, attributes);
  const struct stat status = posix::stat_of(attributes);
  ::fuse_reply_attr(handle_, &status, front_.validity_s());
}

fuse_entry_param Request::entry_of(const posix::Found& found) const {
  return {.ino = found.node.number(),
          .generation = 0,  // numbers are never used again
          .attr = posix::stat_of(found.attributes),
          .attr_timeout = front_.validity_s(),
          .entry_timeout = front_.validity_s()};
}

void Request::reply(const posix::Found& found) {
  answered_ = true;
  const fuse_entry_param entry = entry_of(found);
  front_.tell(found);
  // One whose caller has gone did not reach the kernel.
  if (::fuse_reply_entry(handle_, &entry) != 0) front_.forget(entry.ino, 1);
}

void Request::reply(const ControlAnswer& answer) {
  answered_ = true;
  ::fuse_reply_ioctl(handle_, 0, answer.bytes.data(), answer.bytes.size());
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
  front_.tell(created.found);
  if (::fuse_reply_create(handle_, &entry, &created.opened.info) == 0) return;
  front_.forget(entry.ino, 1);
  front_.files_open.erase(handle);
  static_cast<void>(front_.scope.spawn(close_unwanted(file, Until::at(deadline_))));
}

void Request::reply(OpenedDirectory opened) {
  answered_ = true;
  const std::uint64_t handle = opened.info.fh = front_.keep(std::move(opened.stream));
  if (::fuse_reply_open(handle_, &opened.info) != 0) front_.directories_open.erase(handle);
}

}  // namespace cenote::fuse
