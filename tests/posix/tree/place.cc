#include "tree/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

int error_of(long result) { return result < 0 ? errno : 0; }

}  // namespace

int Place::write_to(const Fd& file, const Step& step) const {
  if (step.deed == Deed::kTruncate) {
    if (::ftruncate(file.get(), static_cast<off_t>(step.offset)) != 0) return errno;
  } else {
    const std::string data = step.data();
    const ssize_t written = step.deed == Deed::kAppend
                                ? ::write(file.get(), data.data(), data.size())
                                : ::pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(step.offset));
    if (written < 0) return errno;
    that(static_cast<std::size_t>(written) == data.size(), "a write is not cut");
  }
  return durability_ == Durability::kData ? error_of(::fsync(file.get())) : 0;
}

int Place::write(const Step& step, int flags) const {
  // A fifo would wait for a reader.
  Fd file(::open(full(step.path).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | flags));
  if (!file.is_open()) return errno;
  const int error = write_to(file, step);
  return error != 0 ? error : error_of(file.close());
}

int Place::perform_calls(const Step& step) {
  const std::string whole = full(step.path), other_path = full(step.other);
  const char* const path = whole.c_str();
  const char* const other = other_path.c_str();
  const auto mode = static_cast<mode_t>(step.value);
  Fd& place = held_[step.value % kHeldFiles];
  switch (step.deed) {
    case Deed::kCreate: {
      Fd file(::open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode));
      return file.is_open() ? error_of(file.close()) : errno;
    }
    case Deed::kWrite:
    case Deed::kTruncate:
      return write(step, 0);
    case Deed::kAppend:
      return write(step, O_APPEND);
    case Deed::kMakeDirectory:
      return error_of(::mkdir(path, mode));
    case Deed::kMakeFifo:
      return error_of(::mkfifo(path, mode));
    case Deed::kLink:
      return error_of(::link(path, other));
    case Deed::kSymlink:
      return error_of(::symlink(step.other.c_str(), path));
    case Deed::kRename:
      return error_of(::rename(path, other));
    case Deed::kRenameNoReplace:
      return error_of(::renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_NOREPLACE));
    case Deed::kExchange:
      return error_of(::renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE));
    case Deed::kUnlink:
      return error_of(::unlink(path));
    case Deed::kRemoveDirectory:
      return error_of(::rmdir(path));
    case Deed::kChmod:
      return error_of(::chmod(path, mode));
    case Deed::kChown:
      return error_of(::lchown(path, mode % 4, mode / 4 % 4));
    case Deed::kSetXattr: {
      const std::string data = step.data();
      return error_of(::setxattr(path, step.other.c_str(), data.data(), data.size(), 0));
    }
    case Deed::kRemoveXattr:
      return error_of(::removexattr(path, step.other.c_str()));
    case Deed::kHold:
      place = Fd(::open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
      return place.is_open() ? 0 : errno;
    case Deed::kWriteHeld:
      return place.is_open() ? write_to(place, step) : EBADF;
    case Deed::kReleaseHeld:
      return error_of(place.close());
  }
  return EINVAL;
}

int Place::perform(const Step& step) {
  const int error = perform_calls(step);
  if (error != 0 || durability_ != Durability::kSyncAll) return error;
  return error_of(::syncfs(open_file(top_, O_RDONLY).get()));
}

std::array<std::string, kHeldFiles> Place::held() const {
  std::array<std::string, kHeldFiles> contents;
  for (std::size_t i = 0; i < kHeldFiles; ++i) {
    if (held_[i].is_open() && S_ISREG(status_of(held_[i]).st_mode)) contents[i] = content_of(held_[i]);
  }
  return contents;
}

}  // namespace cenote::posix_tests
