#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kit/check.h"
#include "kit/fd.h"

// What cases need again and again. Everything here must succeed: what does not is a failure of the case.

namespace cenote::posix_tests {

Fd open_file(const std::string& path, int flags, mode_t mode = 0644, Here here = Here::current());
void make_file(const std::string& path, std::string_view content = "", mode_t mode = 0644, Here here = Here::current());
/// Of exactly this mode, whatever the umask.
void make_directory(const std::string& path, mode_t mode = 0755, Here here = Here::current());
void make_symlink(const std::string& target, const std::string& path, Here here = Here::current());
void make_fifo(const std::string& path, Here here = Here::current());

void write_all(const Fd& file, std::string_view data, Here here = Here::current());
void write_at(const Fd& file, std::string_view data, off_t offset, Here here = Here::current());
/// From the start to the end, whatever the offset, which stays.
std::string content_of(const Fd& file, Here here = Here::current());
std::string content_of(const std::string& path, Here here = Here::current());
/// Up to `length` bytes.
std::string read_at(const Fd& file, std::size_t length, off_t offset, Here here = Here::current());

struct stat status_of(const Fd& file, Here here = Here::current());
/// Without following a link.
struct stat status_of(const std::string& path, Here here = Here::current());
bool exists(const std::string& path);
/// The lower 12 bits.
mode_t mode_of(const std::string& path, Here here = Here::current());
void mode_is(const std::string& path, mode_t expected, Here here = Here::current());
nlink_t links_of(const std::string& path, Here here = Here::current());
std::string target_of(const std::string& path, Here here = Here::current());

/// Sorted, without "." and "..".
std::vector<std::string> names_in(const std::string& directory, Here here = Here::current());

/// Bytes that tell their place: the same for the same seed, no two blocks alike.
std::string pattern(std::size_t length, unsigned seed = 1);

struct Moment {
  time_t seconds;
  long nanoseconds;
  auto operator<=>(const Moment&) const = default;
};
inline Moment moment(const timespec& time) { return {time.tv_sec, time.tv_nsec}; }

/// Until the clock of the file system (not that of this machine) has gone on, so that a change is seen in times. Uses a
/// file of its own in the working directory.
void let_time_pass(Here here = Here::current());

enum class Times { kNone, kChange, kModifyAndChange };
/// Which of mtime and ctime of `path` (not followed) `action` moves on; the others must stay.
void moves_times(const std::string& path, Times moved, const std::function<void()>& action,
                 Here here = Here::current());

}  // namespace cenote::posix_tests
