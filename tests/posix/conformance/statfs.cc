// statfs(2), statvfs(3), pathconf(3).

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct statvfs space_of(const char* path) {
  struct statvfs status{};
  ok(::statvfs(path, &status));
  return status;
}

constexpr Row kRows[] = {
    {"statfs.sane", "sizes are positive, and no more is available than free, and free than there is",
     [](const Context&) {
       const struct statvfs status = space_of(".");
       that(status.f_bsize > 0 && status.f_frsize > 0, "block sizes are positive");
       that(status.f_blocks > 0, "there are blocks");
       that(status.f_bfree <= status.f_blocks, "no more are free than there are");
       that(status.f_bavail <= status.f_bfree, "no more are available than free");
       that(status.f_ffree <= status.f_files, "no more files are free than there are");
       that((status.f_flag & ST_RDONLY) == 0, "it is not read-only");
     }},
    {"statfs.longest_name", "the longest name is 255 bytes",
     [](const Context&) {
       same(space_of(".").f_namemax, 255, "f_namemax");
       same(::pathconf(".", _PC_NAME_MAX), 255, "_PC_NAME_MAX");
     }},
    {"statfs.one_file_system", "every path and descriptor tells of the same file system",
     [](const Context&) {
       make_directory("d");
       make_file("d/f");
       struct statfs a{}, b{};
       ok(::statfs(".", &a));
       ok(::fstatfs(open_file("d/f", O_RDONLY).get(), &b));
       same(b.f_type, a.f_type, "f_type");
       same(b.f_bsize, a.f_bsize, "f_bsize");
       same(space_of("d").f_fsid, space_of("d/f").f_fsid, "f_fsid");
     }},
    {"statfs.data_takes_space", "what is written takes free space, and gives it back when it is removed",
     [](const Context&) {
       constexpr std::size_t kBytes = 16 << 20;
       const auto free_bytes = [] {
         const struct statvfs status = space_of(".");
         return static_cast<double>(status.f_bfree) * static_cast<double>(status.f_frsize);
       };
       // Others may write at the same time: enough that it is seen, and a margin.
       const double before = free_bytes();
       {
         const Fd file = open_file("f", O_CREAT | O_RDWR);
         write_all(file, pattern(kBytes));
         ok(::fsync(file.get()));
       }
       that(free_bytes() < before - kBytes / 2.0, "at least half of it is taken");
     }},
    {"statfs.missing", "of nothing is ENOENT",
     [](const Context&) {
       struct statvfs status{};
       fails(ENOENT, ::statvfs("nothing", &status));
     }},
    {"statfs.limits", "pathconf tells limits that hold",
     [](const Context&) {
       make_file("f");
       that(::pathconf(".", _PC_PATH_MAX) >= 4096, "_PC_PATH_MAX is at least 4096");
       that(::pathconf("f", _PC_LINK_MAX) >= 8, "_PC_LINK_MAX is at least 8");
     }},
};

}  // namespace

Cases statfs_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
