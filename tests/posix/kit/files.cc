#include "kit/files.h"

#include <dirent.h>

#include <algorithm>
#include <memory>

namespace cenote::posix_tests {

namespace {

[[noreturn]] void refused(std::string_view call, const std::string& path, Here here) {
  fail(fmt::format("{} of {}: expected success, got {}", call, show(path), error_name(errno)), here);
}

}  // namespace

Fd open_file(const std::string& path, int flags, mode_t mode, Here here) {
  Fd file(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!file.is_open()) refused("open", path, here);
  return file;
}

void make_file(const std::string& path, std::string_view content, mode_t mode, Here here) {
  const Fd file = open_file(path, O_CREAT | O_EXCL | O_WRONLY, mode, here);
  if (!content.empty()) write_all(file, content, here);
  if (::fchmod(file.get(), mode) != 0) refused("fchmod", path, here);
}

void make_directory(const std::string& path, mode_t mode, Here here) {
  if (::mkdir(path.c_str(), mode) != 0) refused("mkdir", path, here);
  if (::chmod(path.c_str(), mode) != 0) refused("chmod", path, here);
}

void make_symlink(const std::string& target, const std::string& path, Here here) {
  if (::symlink(target.c_str(), path.c_str()) != 0) refused("symlink", path, here);
}

void make_fifo(const std::string& path, Here here) {
  if (::mkfifo(path.c_str(), 0644) != 0) refused("mkfifo", path, here);
}

void write_all(const Fd& file, std::string_view data, Here here) {
  same(ok(::write(file.get(), data.data(), data.size()), here), data.size(), "bytes written", here);
}

void write_at(const Fd& file, std::string_view data, off_t offset, Here here) {
  same(ok(::pwrite(file.get(), data.data(), data.size(), offset), here), data.size(), "bytes written", here);
}

std::string content_of(const Fd& file, Here here) {
  constexpr std::size_t kPiece = 1 << 16;
  std::string content;
  for (;;) {
    const std::string piece = read_at(file, kPiece, static_cast<off_t>(content.size()), here);
    if (piece.empty()) return content;
    content += piece;
  }
}

std::string content_of(const std::string& path, Here here) {
  return content_of(open_file(path, O_RDONLY, 0, here), here);
}

std::string read_at(const Fd& file, std::size_t length, off_t offset, Here here) {
  std::string data(length, '\0');
  data.resize(static_cast<std::size_t>(ok(::pread(file.get(), data.data(), length, offset), here)));
  return data;
}

struct stat status_of(const Fd& file, Here here) {
  struct stat status{};
  ok(::fstat(file.get(), &status), here);
  return status;
}

struct stat status_of(const std::string& path, Here here) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) refused("lstat", path, here);
  return status;
}

bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

mode_t mode_of(const std::string& path, Here here) { return status_of(path, here).st_mode & 07777; }

void mode_is(const std::string& path, mode_t expected, Here here) {
  const mode_t actual = mode_of(path, here);
  if (actual != expected) fail(fmt::format("mode of {}: expected {:04o}, got {:04o}", path, expected, actual), here);
}

nlink_t links_of(const std::string& path, Here here) { return status_of(path, here).st_nlink; }

std::string target_of(const std::string& path, Here here) {
  std::string target(8192, '\0');
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) refused("readlink", path, here);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

std::vector<std::string> names_in(const std::string& directory, Here here) {
  DIR* const stream = ::opendir(directory.c_str());
  if (stream == nullptr) refused("opendir", directory, here);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) names.emplace_back(entry->d_name);
  const int error = errno;
  ::closedir(stream);
  if (error != 0) fail("readdir: expected success, got " + error_name(error), here);
  std::erase_if(names, [](const std::string& name) { return name == "." || name == ".."; });
  std::ranges::sort(names);
  return names;
}

std::string pattern(std::size_t length, unsigned seed) {
  std::string bytes(length, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>('!' + (state >> 33) % 90);
  }
  return bytes;
}

void let_time_pass(Here here) {
  const Fd probe = open_file(".clock", O_CREAT | O_WRONLY, 0666, here);
  const auto touch = [&] {
    ok(::futimens(probe.get(), nullptr), here);
    return moment(status_of(probe, here).st_ctim);
  };
  const Moment start = touch();
  while (touch() <= start) {
  }
}

void moves_times(const std::string& path, Times moved, const std::function<void()>& action, Here here) {
  const struct stat before = status_of(path, here);
  let_time_pass(here);
  action();
  const struct stat after = status_of(path, here);
  const auto check = [&](std::string_view name, const timespec& old_time, const timespec& new_time, bool moves) {
    if (moves ? moment(new_time) > moment(old_time) : moment(new_time) == moment(old_time)) return;
    fail(fmt::format("{} of {}: expected {}, got {}.{:09} after {}.{:09}", name, path,
                     moves ? "a later one" : "the same", new_time.tv_sec, new_time.tv_nsec, old_time.tv_sec,
                     old_time.tv_nsec),
         here);
  };
  check("mtime", before.st_mtim, after.st_mtim, moved == Times::kModifyAndChange);
  check("ctime", before.st_ctim, after.st_ctim, moved != Times::kNone);
}

}  // namespace cenote::posix_tests
