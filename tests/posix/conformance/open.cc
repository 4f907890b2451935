// open(2), and what its flags promise.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr Row kRows[] = {
    {"open.creates", "O_CREAT makes an empty regular file of one link and of the mode less the umask",
     [](const Context&) {
       ::umask(022);
       const Fd file = open_file("f", O_CREAT | O_RDWR, 0666);
       mode_is("f", 0644);
       const struct stat status = status_of(file);
       that(S_ISREG(status.st_mode), "it is a regular file");
       same(status.st_size, 0, "st_size");
       same(status.st_nlink, 1, "st_nlink");
     }},
    {"open.keeps_mode_of_existing", "O_CREAT of a file that exists changes neither mode nor content",
     [](const Context&) {
       make_file("f", "content", 0600);
       open_file("f", O_CREAT | O_RDWR, 0644);
       mode_is("f", 0600);
       same(content_of("f"), "content", "content");
     }},
    {"open.creates_what_cannot_be_written_again", "the mode of a new file does not bind the descriptor that made it",
     [](const Context& c) {
       as_user(c.users[0], [] {
         const Fd file = open_file("f", O_CREAT | O_RDWR, 0400);
         write_all(file, "data");
         same(content_of(file), "data", "content");
         fails(EACCES, ::open("f", O_WRONLY));
       });
     },
     Needs::kRoot},
    {"open.missing", "without O_CREAT a missing file is ENOENT",
     [](const Context&) {
       fails(ENOENT, ::open("f", O_RDONLY));
       fails(ENOENT, ::open("f", O_RDWR | O_TRUNC));
       that(!exists("f"), "nothing was made");
     }},
    {"open.empty_path", "the empty path is ENOENT",
     [](const Context&) { fails(ENOENT, ::open("", O_RDONLY | O_CREAT, 0644)); }},
    {"open.exclusive_new", "O_EXCL makes a file that was not there",
     [](const Context&) {
       open_file("f", O_CREAT | O_EXCL | O_RDWR);
       that(exists("f"), "it is there");
     }},
    {"open.exclusive_existing", "O_EXCL refuses any name that exists",
     [](const Context&) {
       make_file("f", "content");
       make_directory("d");
       make_fifo("p");
       fails(EEXIST, ::open("f", O_CREAT | O_EXCL | O_RDWR | O_TRUNC, 0644));
       fails(EEXIST, ::open("d", O_CREAT | O_EXCL | O_RDWR, 0644));
       fails(EEXIST, ::open("p", O_CREAT | O_EXCL | O_RDWR, 0644));
       same(content_of("f"), "content", "content");
     }},
    {"open.exclusive_symlink", "O_EXCL does not follow a link, not even one that leads nowhere",
     [](const Context&) {
       make_symlink("target", "l");
       fails(EEXIST, ::open("l", O_CREAT | O_EXCL | O_RDWR, 0644));
       that(!exists("target"), "the target was not made");
     }},
    {"open.exclusive_race", "of several processes that make one name with O_EXCL exactly one succeeds",
     [](const Context&) {
       for (int round = 0; round < 10; ++round) {
         const std::string name = "f" + std::to_string(round);
         const auto make = [&] {
           const Fd file(::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644));
           if (!file.is_open()) return fails(EEXIST, -1);
           const Fd winners = open_file("winners", O_CREAT | O_APPEND | O_WRONLY);
           write_all(winners, "x");
         };
         Process first(make), second(make);
         first.join();
         second.join();
       }
       same(content_of("winners").size(), 10, "winners of 10 rounds");
     }},
    {"open.creates_through_symlink", "O_CREAT makes the target of a link that leads nowhere",
     [](const Context&) {
       make_symlink("target", "l");
       write_all(open_file("l", O_CREAT | O_WRONLY), "data");
       same(content_of("target"), "data", "content of the target");
     }},
    {"open.truncates", "O_TRUNC empties the file and keeps its inode",
     [](const Context&) {
       make_file("f", pattern(100'000));
       const ino_t inode = status_of("f").st_ino;
       const Fd file = open_file("f", O_WRONLY | O_TRUNC);
       same(status_of(file).st_size, 0, "st_size");
       same(status_of("f").st_ino, inode, "st_ino");
     }},
    {"open.truncate_moves_times", "O_TRUNC moves mtime and ctime",
     [](const Context&) {
       make_file("f", "content");
       moves_times("f", Times::kModifyAndChange, [] { open_file("f", O_WRONLY | O_TRUNC); });
     }},
    {"open.plain_moves_no_times", "opening and closing moves neither mtime nor ctime",
     [](const Context&) {
       make_file("f", "content");
       moves_times("f", Times::kNone, [] { open_file("f", O_RDWR | O_CREAT); });
     }},
    {"open.append", "O_APPEND writes at the end, wherever the offset is and whoever else wrote",
     [](const Context&) {
       make_file("f", "one");
       const Fd a = open_file("f", O_RDWR | O_APPEND), b = open_file("f", O_WRONLY | O_APPEND);
       ok(::lseek(a.get(), 0, SEEK_SET));
       write_all(a, "two");
       same(::lseek(a.get(), 0, SEEK_CUR), 6, "offset after the write");
       write_all(b, "three");
       write_all(a, "four");
       same(content_of("f"), "onetwothreefour", "content");
     }},
    {"open.append_after_truncate", "O_APPEND writes at the end as it is now",
     [](const Context&) {
       make_file("f", pattern(5000));
       const Fd file = open_file("f", O_WRONLY | O_APPEND);
       ok(::truncate("f", 2));
       write_all(file, "end");
       same(content_of("f"), pattern(5000).substr(0, 2) + "end", "content");
     }},
    {"open.append_processes", "records appended by two processes are all there, whole, each one's in order",
     [](const Context&) {
       const auto append = [](char who) {
         const Fd file = open_file("f", O_CREAT | O_WRONLY | O_APPEND);
         for (int i = 0; i < 200; ++i) write_all(file, fmt::format("{}{:06}\n", who, i));
       };
       Process a([&] { append('a'); }), b([&] { append('b'); });
       a.join();
       b.join();
       const std::string content = content_of("f");
       same(content.size(), 400 * 8, "bytes");
       int next[2] = {0, 0};
       for (std::size_t at = 0; at < content.size(); at += 8) {
         const char who = content[at] == 'a' ? 'a' : 'b';
         same(content.substr(at, 8), fmt::format("{}{:06}\n", who, next[who - 'a']++), "record");
       }
     }},
    {"open.directory_flag", "O_DIRECTORY opens directories only",
     [](const Context&) {
       make_directory("d");
       make_file("f");
       make_symlink("f", "lf");
       make_symlink("d", "ld");
       open_file("d", O_RDONLY | O_DIRECTORY);
       open_file("ld", O_RDONLY | O_DIRECTORY);
       fails(ENOTDIR, ::open("f", O_RDONLY | O_DIRECTORY));
       fails(ENOTDIR, ::open("lf", O_RDONLY | O_DIRECTORY));
     }},
    {"open.directory_for_writing", "a directory cannot be opened for writing",
     [](const Context&) {
       make_directory("d");
       fails(EISDIR, ::open("d", O_WRONLY));
       fails(EISDIR, ::open("d", O_RDWR));
       fails(EISDIR, ::open("d", O_CREAT | O_RDWR, 0644));
     }},
    {"open.directory_read", "read(2) of a directory is EISDIR",
     [](const Context&) {
       make_directory("d");
       char byte = 0;
       fails(EISDIR, ::read(open_file("d", O_RDONLY).get(), &byte, 1));
     }},
    {"open.trailing_slash", "a name with a slash after it is that of a directory",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       fails(ENOTDIR, ::open("f/", O_RDONLY));
       fails(EISDIR, ::open("new/", O_CREAT | O_RDWR, 0644));
       open_file("d/", O_RDONLY);
       that(!exists("new"), "nothing was made");
     }},
    {"open.no_follow", "O_NOFOLLOW refuses a link as the last name only",
     [](const Context&) {
       make_directory("d");
       make_file("d/f");
       make_symlink("d/f", "lf");
       make_symlink("d", "ld");
       fails(ELOOP, ::open("lf", O_RDONLY | O_NOFOLLOW));
       open_file("ld/f", O_RDONLY | O_NOFOLLOW);
       fails({ELOOP, ENOTDIR}, ::open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
     }},
    {"open.path_descriptor", "O_PATH names a file without opening it",
     [](const Context&) {
       make_file("f", "data", 0);
       make_symlink("f", "l");
       const Fd file = open_file("f", O_PATH), link = open_file("l", O_PATH | O_NOFOLLOW);
       char byte = 0;
       fails(EBADF, ::read(file.get(), &byte, 1));
       fails(EBADF, ::fchmod(file.get(), 0600));
       that(S_ISREG(status_of(file).st_mode), "the first is a regular file");
       that(S_ISLNK(status_of(link).st_mode), "the second is a link");
     }},
    {"open.symlink_loop", "a loop of links is ELOOP",
     [](const Context&) {
       make_symlink("b", "a");
       make_symlink("a", "b");
       fails(ELOOP, ::open("a", O_RDONLY));
       fails(ELOOP, ::open("a", O_CREAT | O_RDWR, 0644));
       fails(ELOOP, ::open("a/f", O_RDONLY));
     }},
    {"open.temporary", "O_TMPFILE makes a file without a name that can be written, read and given one",
     [](const Context&) {
       const Fd file(offered(::open(".", O_TMPFILE | O_RDWR, 0600), "O_TMPFILE"));
       write_all(file, "data");
       same(status_of(file).st_nlink, 0, "st_nlink without a name");
       that(names_in(".").empty(), "the directory is empty");
       const std::string self = fmt::format("/proc/self/fd/{}", file.get());
       ok(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
       same(content_of("f"), "data", "content");
       same(status_of(file).st_nlink, 1, "st_nlink with a name");
     }},
    {"open.temporary_exclusive", "O_TMPFILE with O_EXCL makes a file that never gets a name",
     [](const Context&) {
       const Fd file(offered(::open(".", O_TMPFILE | O_EXCL | O_RDWR, 0600), "O_TMPFILE"));
       const std::string self = fmt::format("/proc/self/fd/{}", file.get());
       fails(ENOENT, ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
     }},
    {"open.temporary_for_reading", "O_TMPFILE that is not for writing is EINVAL",
     [](const Context&) { fails({EINVAL, EOPNOTSUPP}, ::open(".", O_TMPFILE | O_RDONLY, 0600)); }},
    {"open.access_mode", "a descriptor reads and writes only as it was opened",
     [](const Context&) {
       make_file("f", "data");
       char byte = 0;
       fails(EBADF, ::read(open_file("f", O_WRONLY).get(), &byte, 1));
       fails(EBADF, ::write(open_file("f", O_RDONLY).get(), &byte, 1));
       fails(EBADF, ::pwrite(open_file("f", O_RDONLY).get(), &byte, 1, 0));
     }},
    {"open.offsets", "each open has an offset of its own; duplicates and children share it",
     [](const Context&) {
       make_file("f", "0123456789");
       const Fd a = open_file("f", O_RDONLY), b = open_file("f", O_RDONLY), copy(::dup(a.get()));
       ok(::lseek(a.get(), 4, SEEK_SET));
       same(::lseek(b.get(), 0, SEEK_CUR), 0, "offset of the other open");
       same(::lseek(copy.get(), 0, SEEK_CUR), 4, "offset of the duplicate");
       in_process([&] { ok(::lseek(a.get(), 7, SEEK_SET)); });
       same(::lseek(a.get(), 0, SEEK_CUR), 7, "offset after a child moved it");
     }},
    {"open.at", "openat(2) starts at its directory, also after that was renamed",
     [](const Context&) {
       make_directory("d");
       make_file("d/f", "data");
       const Fd directory = open_file("d", O_RDONLY | O_DIRECTORY);
       ok(::rename("d", "e"));
       const Fd file(ok(::openat(directory.get(), "f", O_RDONLY)));
       same(content_of(file), "data", "content");
       const Fd made(ok(::openat(directory.get(), "g", O_CREAT | O_RDWR, 0644)));
       that(exists("e/g"), "the new file is in the renamed directory");
     }},
    {"open.at_file", "openat(2) of a descriptor that is no directory is ENOTDIR",
     [](const Context&) {
       make_file("f");
       fails(ENOTDIR, ::openat(open_file("f", O_RDONLY).get(), "g", O_CREAT | O_RDWR, 0644));
     }},
    {"open.survives_rename", "a descriptor follows its file through a rename",
     [](const Context&) {
       make_file("f", "old");
       const Fd file = open_file("f", O_RDWR);
       ok(::rename("f", "g"));
       write_at(file, "new", 0);
       same(content_of("g"), "new", "content");
     }},
    {"open.survives_chmod", "a descriptor keeps working when the mode no longer allows it",
     [](const Context& c) {
       as_user(c.users[0], [] {
         make_file("f", "old");
         const Fd file = open_file("f", O_RDWR);
         ok(::chmod("f", 0));
         write_at(file, "new", 0);
         same(content_of(file), "new", "content");
         fails(EACCES, ::open("f", O_RDONLY));
       });
     },
     Needs::kRoot},
    {"open.synchronous", "O_SYNC and O_DSYNC are accepted and kept",
     [](const Context&) {
       const Fd sync = open_file("f", O_CREAT | O_RDWR | O_SYNC), data = open_file("g", O_CREAT | O_RDWR | O_DSYNC);
       write_all(sync, "data");
       write_all(data, "data");
       same(::fcntl(sync.get(), F_GETFL) & O_SYNC, O_SYNC, "O_SYNC");
       same(::fcntl(data.get(), F_GETFL) & O_SYNC, O_DSYNC, "O_DSYNC");
       same(content_of("f") + content_of("g"), "datadata", "content");
     }},
    {"open.direct", "O_DIRECT is refused with EINVAL or reads and writes aligned blocks",
     [](const Context&) {
       const Fd file(::open("f", O_CREAT | O_RDWR | O_DIRECT, 0644));
       if (!file.is_open()) return fails(EINVAL, -1);
       constexpr std::size_t kBlock = 4096;
       alignas(kBlock) static char block[kBlock];
       const std::string data = pattern(kBlock);
       data.copy(block, kBlock);
       same(ok(::pwrite(file.get(), block, kBlock, 2 * kBlock)), kBlock, "bytes written");
       std::fill_n(block, kBlock, '\0');
       same(ok(::pread(file.get(), block, kBlock, 2 * kBlock)), kBlock, "bytes read");
       same(std::string(block, kBlock), data, "block read directly");
       same(content_of("f"), std::string(2 * kBlock, '\0') + data, "content");
     }},
    {"open.no_access_time", "O_NOATIME is for the owner and root only",
     [](const Context& c) {
       make_file("f", "data", 0644);
       as_user(c.users[0], [] { fails(EPERM, ::open("f", O_RDONLY | O_NOATIME)); });
       open_file("f", O_RDONLY | O_NOATIME);
     },
     Needs::kRoot},
    {"open.invalid_flags_of_temporary", "O_TMPFILE with O_CREAT is EINVAL",
     [](const Context&) { fails({EINVAL, EOPNOTSUPP}, ::open(".", O_TMPFILE | O_RDWR | O_CREAT, 0600)); }},
};

}  // namespace

Cases open_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
