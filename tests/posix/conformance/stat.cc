// stat(2), lstat(2), fstat(2), statx(2), access(2).

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ctime>
#include <set>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct stat followed(const char* path) {
  struct stat status{};
  ok(::stat(path, &status));
  return status;
}

struct statx extended(const char* path) {
  struct statx status{};
  ok(::statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &status));
  return status;
}

constexpr Row kRows[] = {
    {"stat.types", "every kind of file has its type",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_symlink("f", "l");
       make_fifo("p");
       ok(::mknod("s", S_IFSOCK | 0644, 0));
       that(S_ISREG(status_of("f").st_mode), "f is a regular file");
       that(S_ISDIR(status_of("d").st_mode), "d is a directory");
       that(S_ISLNK(status_of("l").st_mode), "l is a link");
       that(S_ISFIFO(status_of("p").st_mode), "p is a fifo");
       that(S_ISSOCK(status_of("s").st_mode), "s is a socket");
     }},
    {"stat.three_calls_agree", "stat, lstat and fstat tell the same about a file",
     [](const Context&) {
       make_file("f", pattern(12'345), 0640);
       const struct stat a = followed("f"), b = status_of("f"), c = status_of(open_file("f", O_RDONLY));
       for (const struct stat& other : {b, c}) {
         same(other.st_ino, a.st_ino, "st_ino");
         same(other.st_dev, a.st_dev, "st_dev");
         same(other.st_mode, a.st_mode, "st_mode");
         same(other.st_nlink, a.st_nlink, "st_nlink");
         same(other.st_size, a.st_size, "st_size");
         same(other.st_blocks, a.st_blocks, "st_blocks");
         that(moment(other.st_mtim) == moment(a.st_mtim), "mtime is the same");
         that(moment(other.st_ctim) == moment(a.st_ctim), "ctime is the same");
       }
     }},
    {"stat.follows", "stat follows a link, lstat does not",
     [](const Context&) {
       make_file("f", "12345");
       make_symlink("f", "l");
       same(followed("l").st_ino, status_of("f").st_ino, "st_ino of stat");
       that(status_of("l").st_ino != status_of("f").st_ino, "the link has an inode of its own");
       same(status_of("l").st_size, 1, "st_size of the link");
     }},
    {"stat.size", "st_size is the size of a file and the length of a link's target",
     [](const Context&) {
       make_file("f", pattern(70'001));
       make_symlink(std::string(200, 't'), "l");
       same(status_of("f").st_size, 70'001, "st_size of the file");
       same(status_of("l").st_size, 200, "st_size of the link");
     }},
    {"stat.size_while_writing", "st_size follows every write at once",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       for (int i = 1; i <= 20; ++i) {
         write_all(file, pattern(1000));
         same(status_of("f").st_size, i * 1000, "st_size");
       }
     }},
    {"stat.blocks", "st_blocks counts what synced data takes, st_blksize is positive",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, pattern(1 << 20));
       ok(::fsync(file.get()));
       const struct stat status = status_of(file);
       that(status.st_blocks >= (1 << 20) / 512, "1 MiB of data has blocks");
       that(status.st_blocks <= (4 << 20) / 512, "1 MiB of data has no more blocks than 4 MiB");
       that(status.st_blksize > 0, "st_blksize is positive");
     }},
    {"stat.inode_stays", "st_ino stays over writing, renaming, linking and reopening",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       const ino_t inode = status_of("f").st_ino;
       write_all(open_file("f", O_WRONLY), "data");
       ok(::rename("f", "d/g"));
       ok(::link("d/g", "h"));
       ok(::unlink("d/g"));
       same(status_of("h").st_ino, inode, "st_ino");
       same(status_of(open_file("h", O_RDONLY)).st_ino, inode, "st_ino of the descriptor");
     }},
    {"stat.inodes_differ", "files that exist at one time have different st_ino and one st_dev",
     [](const Context&) {
       std::set<ino_t> inodes;
       for (int i = 0; i < 100; ++i) {
         const std::string name = std::to_string(i);
         i % 2 == 0 ? make_file(name) : make_directory(name);
         inodes.insert(status_of(name).st_ino);
         same(status_of(name).st_dev, status_of(".").st_dev, "st_dev");
       }
       same(inodes.size(), 100, "different inodes");
     }},
    {"stat.dots", "'.' and '..' are the directory and its parent",
     [](const Context&) {
       make_directory("d");
       make_directory("d/e");
       same(status_of("d/.").st_ino, status_of("d").st_ino, "st_ino of d/.");
       same(status_of("d/e/..").st_ino, status_of("d").st_ino, "st_ino of d/e/..");
       same(status_of("d/..").st_ino, status_of(".").st_ino, "st_ino of d/..");
     }},
    {"stat.owner", "a new file belongs to its maker and the maker's group",
     [](const Context& c) {
       as_user(c.users[0], [] {
         make_file("f");
         make_directory("d");
         make_symlink("f", "l");
       });
       for (const char* name : {"f", "d", "l"}) {
         same(status_of(name).st_uid, c.users[0].id, "st_uid");
         same(status_of(name).st_gid, c.users[0].id, "st_gid");
       }
     },
     Needs::kRoot},
    {"stat.nanoseconds", "times keep their nanoseconds",
     [](const Context&) {
       make_file("f");
       const timespec times[] = {{1'234'567'890, 123'456'789}, {1'334'567'890, 987'654'321}};
       ok(::utimensat(AT_FDCWD, "f", times, 0));
       same(status_of("f").st_atim.tv_nsec, 123'456'789, "nanoseconds of atime");
       same(status_of("f").st_mtim.tv_nsec, 987'654'321, "nanoseconds of mtime");
     }},
    {"stat.times_of_new", "a new file's times are those of its making, by a clock near ours",
     [](const Context&) {
       make_directory("d");
       let_time_pass();
       open_file("f", O_CREAT | O_WRONLY);
       const struct stat status = status_of("f");
       that(moment(status.st_mtim) > moment(status_of("d").st_ctim), "mtime is later than that of an earlier one");
       that(moment(status.st_mtim) == moment(status.st_ctim), "mtime and ctime are the same");
       that(std::abs(std::difftime(status.st_mtim.tv_sec, std::time(nullptr))) < 600,
            "mtime is within 10 minutes of now");
       that(std::abs(std::difftime(status.st_atim.tv_sec, std::time(nullptr))) < 600,
            "atime is within 10 minutes of now");
     }},
    {"stat.extended", "statx tells what stat tells",
     [](const Context&) {
       make_file("f", "12345", 0640);
       const struct stat status = status_of("f");
       const struct statx more = extended("f");
       same(more.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS, "mask");
       same(more.stx_ino, status.st_ino, "stx_ino");
       same(more.stx_mode, status.st_mode, "stx_mode");
       same(more.stx_size, status.st_size, "stx_size");
       same(more.stx_nlink, status.st_nlink, "stx_nlink");
       same(more.stx_mtime.tv_sec, status.st_mtim.tv_sec, "stx_mtime");
       same(more.stx_mtime.tv_nsec, status.st_mtim.tv_nsec, "nanoseconds of stx_mtime");
     }},
    {"stat.birth_time", "the birth time, where told, does not change",
     [](const Context&) {
       make_file("f");
       const struct statx before = extended("f");
       if ((before.stx_mask & STATX_BTIME) == 0) throw NotOffered{"birth times"};
       let_time_pass();
       write_all(open_file("f", O_WRONLY), "data");
       const struct statx after = extended("f");
       same(after.stx_btime.tv_sec, before.stx_btime.tv_sec, "seconds");
       same(after.stx_btime.tv_nsec, before.stx_btime.tv_nsec, "nanoseconds");
     }},
    {"stat.empty_path", "fstatat with AT_EMPTY_PATH tells about the descriptor",
     [](const Context&) {
       make_file("f", "12345");
       struct stat status{};
       ok(::fstatat(open_file("f", O_PATH).get(), "", &status, AT_EMPTY_PATH));
       same(status.st_size, 5, "st_size");
       fails(ENOENT, ::fstatat(AT_FDCWD, "", &status, 0));
     }},
    {"stat.trailing_slash", "a file's name with a slash after it is ENOTDIR, a link to a directory is followed",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_symlink("d", "l");
       struct stat status{};
       fails(ENOTDIR, ::stat("f/", &status));
       fails(ENOTDIR, ::lstat("f/", &status));
       that(S_ISDIR(status_of("l/").st_mode), "lstat of 'l/' is the directory");
     }},
    {"stat.bad_descriptor", "fstat of a descriptor that is not open is EBADF",
     [](const Context&) {
       struct stat status{};
       fails(EBADF, ::fstat(987, &status));
     }},
    {"stat.directory_links", "a directory has 2 links and one for each directory in it, or always 1",
     [](const Context&) {
       make_directory("d");
       const nlink_t empty = links_of("d");
       make_directory("d/a");
       make_directory("d/b");
       make_file("d/f");
       if (empty == 1) return same(links_of("d"), 1, "st_nlink");
       same(empty, 2, "st_nlink of an empty directory");
       same(links_of("d"), 4, "st_nlink with two directories");
       ok(::rmdir("d/a"));
       same(links_of("d"), 3, "st_nlink with one directory");
     }},
    {"stat.access", "access(2) tells whether a file is there and may be used",
     [](const Context& c) {
       make_file("f", "", 0640);
       make_file("x", "", 0711);
       ok(::access("f", F_OK));
       fails(ENOENT, ::access("g", F_OK));
       ok(::access("f", R_OK | W_OK));
       fails(EACCES, ::access("f", X_OK));
       ok(::access("x", X_OK));
       as_user(c.users[0], [] {
         ok(::access("f", F_OK));
         fails(EACCES, ::access("f", R_OK));
         ok(::access("x", X_OK));
         fails(EACCES, ::access("x", W_OK));
         fails(EACCES, ::faccessat(AT_FDCWD, "x", R_OK, AT_EACCESS));
       });
     },
     Needs::kRoot},
    {"stat.access_real_user", "access(2) asks for the real user, AT_EACCESS for the effective one",
     [](const Context& c) {
       make_file("f", "", 0600);
       in_process([&] {
         ok(::setresuid(c.users[0].id, 0, 0));
         fails(EACCES, ::access("f", R_OK));
         ok(::faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
       });
     },
     Needs::kRoot},
};

}  // namespace

Cases stat_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
