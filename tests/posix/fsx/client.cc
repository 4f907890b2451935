#include "fsx/client.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

/// Fails with the first place that differs.
void compare(std::string_view actual, std::string_view expected, std::uint64_t offset, std::string_view how) {
  if (actual.size() != expected.size()) {
    fail(fmt::format("{} at {:#x}: expected {} bytes, got {}", how, offset, expected.size(), actual.size()));
  }
  const auto [wrong, right] = std::ranges::mismatch(actual, expected);
  if (wrong == actual.end()) return;
  const auto at = static_cast<std::size_t>(wrong - actual.begin());
  std::size_t differing = 0;
  for (std::size_t i = at; i < actual.size(); ++i) differing += actual[i] != expected[i] ? 1 : 0;
  fail(fmt::format("{}: {} bytes differ, the first at {:#x}: expected {}, got {}", how, differing, offset + at,
                   show(expected.substr(at, 16)), show(actual.substr(at, 16))));
}

/// A shared mapping of the pages around a range.
class Window {
 public:
  Window(const Fd& file, std::uint64_t offset, std::uint64_t length, int protection) {
    const std::uint64_t page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t start = offset - offset % page;
    before_ = offset - start;
    bytes_ = before_ + length;
    void* const address = ::mmap(nullptr, bytes_, protection, MAP_SHARED, file.get(), static_cast<off_t>(start));
    if (address == MAP_FAILED) fail("mmap: expected success, got " + error_name(errno));
    start_ = static_cast<char*>(address);
  }
  ~Window() { ::munmap(start_, bytes_); }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  char* data() const { return start_ + before_; }
  void sync() const { ok(::msync(start_, bytes_, MS_SYNC)); }

 private:
  char* start_ = nullptr;
  std::size_t before_ = 0, bytes_ = 0;
};

}  // namespace

void Client::open() { file_ = open_file(path_, O_RDWR | O_CREAT); }

void Client::close() { ok(file_.close()); }

void Client::read(const Operation& operation, const Model& model) {
  compare(read_at(file_, operation.length, static_cast<off_t>(operation.offset)),
          model.part(operation.offset, operation.length), operation.offset, "read");
}

void Client::write(const Operation& operation) {
  write_at(file_, operation.data(), static_cast<off_t>(operation.offset));
}

void Client::append(const Operation& operation) {
  if (operation.length > 0) write_all(open_file(path_, O_WRONLY | O_APPEND), operation.data());
}

void Client::mapped_read(const Operation& operation, const Model& model) {
  if (operation.length == 0) return;
  const Window window(file_, operation.offset, operation.length, PROT_READ);
  compare({window.data(), operation.length}, model.part(operation.offset, operation.length), operation.offset,
          "mapped read");
}

void Client::mapped_write(const Operation& operation, const Model& model) {
  if (operation.length == 0) return;
  const std::uint64_t end = operation.offset + operation.length;
  if (end > model.size()) ok(::ftruncate(file_.get(), static_cast<off_t>(end)));
  const Window window(file_, operation.offset, operation.length, PROT_READ | PROT_WRITE);
  operation.data().copy(window.data(), operation.length);
  if (operation.pattern % 2 == 0) window.sync();
}

void Client::allocate(const Operation& operation, int mode) {
  if (operation.length == 0) return;
  ok(::fallocate(file_.get(), mode, static_cast<off_t>(operation.offset), static_cast<off_t>(operation.length)));
}

void Client::copy(const Operation& operation) {
  off_t from = static_cast<off_t>(operation.offset), to = static_cast<off_t>(operation.target);
  for (std::uint64_t left = operation.length; left > 0;) {
    const ssize_t copied = ok(::copy_file_range(file_.get(), &from, file_.get(), &to, left, 0));
    that(copied > 0, "copy_file_range copies something");
    left -= static_cast<std::uint64_t>(copied);
  }
}

void Client::walk_holes(const Model& model) {
  const auto end = static_cast<off_t>(model.size());
  for (off_t at = 0; at < end;) {
    off_t data = ::lseek(file_.get(), at, SEEK_DATA);
    if (data < 0) {
      fails(ENXIO, -1);
      data = end;
    }
    that(data >= at && data <= end, "SEEK_DATA goes forward and not past the end");
    const auto hole = model.part(static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(data - at));
    const std::size_t byte = hole.find_first_not_of('\0');
    if (byte != std::string_view::npos)
      fail(fmt::format("SEEK_DATA from {:#x} skips the byte at {:#x}", at, static_cast<std::size_t>(at) + byte));
    if (data == end) return;
    at = ok(::lseek(file_.get(), data, SEEK_HOLE));
    that(at > data && at <= end, "SEEK_HOLE after data goes forward and not past the end");
  }
}

void Client::check(const Model& model) {
  same(status_of(file_).st_size, model.size(), "st_size");
  compare(content_of(file_), model.bytes(), 0, "whole content");
}

void Client::perform(const Operation& operation, const Model& model) {
  switch (operation.action) {
    case Action::kRead:
      return read(operation, model);
    case Action::kWrite:
      return write(operation);
    case Action::kAppend:
      return append(operation);
    case Action::kMappedRead:
      return mapped_read(operation, model);
    case Action::kMappedWrite:
      return mapped_write(operation, model);
    case Action::kTruncate:
      ok(::ftruncate(file_.get(), static_cast<off_t>(operation.offset)));
      return;
    case Action::kAllocate:
      return allocate(operation, 0);
    case Action::kAllocateBehind:
      return allocate(operation, FALLOC_FL_KEEP_SIZE);
    case Action::kPunch:
      return allocate(operation, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    case Action::kZero:
      return allocate(operation, FALLOC_FL_ZERO_RANGE);
    case Action::kZeroBehind:
      return allocate(operation, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
    case Action::kCopy:
      return copy(operation);
    case Action::kSync:
      ok(operation.pattern % 2 == 0 ? ::fsync(file_.get()) : ::fdatasync(file_.get()));
      return;
    case Action::kReopen:
      close();
      return open();
    case Action::kHoles:
      return walk_holes(model);
    case Action::kCheck:
      return check(model);
  }
}

std::vector<Action> offered_actions(const std::string& directory) {
  const std::string path = directory + "/posix_fsx.offers";
  Client client(path);
  client.open();
  std::vector<Action> actions;
  Model model;
  for (std::size_t i = 0; i < kActions; ++i) {
    Operation operation{.action = static_cast<Action>(i), .length = 4096, .target = 8192};
    errno = 0;
    try {
      if (operation.action == Action::kRead || operation.action == Action::kCopy) operation.length = 0;
      client.perform(operation, model);
      model.apply(operation);
      actions.push_back(operation.action);
    } catch (const Failure&) {
      if (errno != EOPNOTSUPP && errno != ENODEV) throw;
    }
  }
  ::unlink(path.c_str());
  return actions;
}

}  // namespace cenote::posix_tests
