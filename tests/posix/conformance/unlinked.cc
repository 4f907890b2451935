// Files and directories that have lost their last name and are still open.

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

/// An open file of this content whose name is gone.
Fd nameless(std::string_view content) {
  Fd file = open_file("f", O_CREAT | O_RDWR);
  write_all(file, content);
  ok(::unlink("f"));
  return file;
}

constexpr Row kRows[] = {
    {"unlinked.read_and_write", "it is read, written and grown as before",
     [](const Context&) {
       const Fd file = nameless(pattern(100'000));
       that(content_of(file) == pattern(100'000), "the content is as written");
       write_at(file, "new", 50'000);
       write_at(file, "end", 200'000);
       same(status_of(file).st_size, 200'003, "st_size");
       same(read_at(file, 3, 50'000), "new", "what was written");
     }},
    {"unlinked.no_links", "fstat tells no links, and the same inode",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       const ino_t inode = status_of(file).st_ino;
       ok(::unlink("f"));
       same(status_of(file).st_nlink, 0, "st_nlink");
       same(status_of(file).st_ino, inode, "st_ino");
     }},
    {"unlinked.truncate", "ftruncate and fsync work",
     [](const Context&) {
       const Fd file = nameless(pattern(10'000));
       ok(::ftruncate(file.get(), 100));
       ok(::ftruncate(file.get(), 200));
       ok(::fsync(file.get()));
       same(content_of(file), pattern(10'000).substr(0, 100) + std::string(100, '\0'), "content");
     }},
    {"unlinked.attributes", "fchmod, fchown, futimens and fsetxattr work",
     [](const Context&) {
       const Fd file = nameless("data");
       ok(::fchmod(file.get(), 0600));
       ok(::fchown(file.get(), ::geteuid(), ::getegid()));
       const timespec times[] = {{1'000'000, 1}, {2'000'000, 2}};
       ok(::futimens(file.get(), times));
       const struct stat status = status_of(file);
       same(status.st_mode & 07777, 0600, "mode");
       same(status.st_mtim.tv_sec, 2'000'000, "mtime");
       ok(::fsetxattr(file.get(), "user.name", "value", 5, 0));
       char value[10];
       same(ok(::fgetxattr(file.get(), "user.name", value, sizeof value)), 5, "bytes of the attribute");
     }},
    {"unlinked.map", "it can be mapped, and a mapping outlives its descriptor",
     [](const Context&) {
       Fd file = nameless(std::string(4096, 'a'));
       void* const map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
       that(map != MAP_FAILED, "mmap succeeds");
       char* const bytes = static_cast<char*>(map);
       bytes[1] = 'b';
       same(read_at(file, 3, 0), "aba", "content");
       file.close();
       same(std::string(bytes, 3), "aba", "mapped bytes");
       ok(::munmap(map, 4096));
     }},
    {"unlinked.new_file_of_its_name", "a new file of its name is another one",
     [](const Context&) {
       const Fd file = nameless("old");
       make_file("f", "new");
       same(content_of(file), "old", "content without a name");
       that(status_of(file).st_ino != status_of("f").st_ino, "the inodes differ");
       write_at(file, "OLD", 0);
       same(content_of("f"), "new", "content of the new one");
     }},
    {"unlinked.several_descriptors", "all its descriptors, duplicates and children see one file",
     [](const Context&) {
       make_file("f", "data");
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDONLY);
       ok(::unlink("f"));
       in_process([&] { write_at(a, "DATA", 0); });
       same(content_of(b), "DATA", "content");
     }},
    {"unlinked.closed_one_by_one", "it lives until its last descriptor is closed",
     [](const Context&) {
       make_file("f", pattern(5000));
       Fd a = open_file("f", O_RDONLY), b = open_file("f", O_RDONLY);
       ok(::unlink("f"));
       a.close();
       same(content_of(b), pattern(5000), "content");
     }},
    {"unlinked.by_another_process", "a file that another process unlinked stays whole here",
     [](const Context&) {
       make_file("f", pattern(300'000));
       const Fd file = open_file("f", O_RDWR);
       in_process([] { ok(::unlink("f")); });
       that(content_of(file) == pattern(300'000), "the content is as written");
       same(status_of(file).st_nlink, 0, "st_nlink");
     }},
    {"unlinked.reopened", "/proc/self/fd opens it again, with an offset of its own",
     [](const Context&) {
       const Fd file = nameless("data");
       const Fd again = open_file(fmt::format("/proc/self/fd/{}", file.get()), O_RDWR);
       same(content_of(again), "data", "content");
       same(::lseek(again.get(), 0, SEEK_CUR), 0, "offset");
     }},
    {"unlinked.cannot_be_linked", "it gets no name again",
     [](const Context&) {
       const Fd file = nameless("data");
       const std::string self = fmt::format("/proc/self/fd/{}", file.get());
       fails(ENOENT, ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
     }},
    {"unlinked.locks", "locks on it work",
     [](const Context&) {
       make_file("f");
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(::unlink("f"));
       ok(::flock(a.get(), LOCK_EX));
       fails(EWOULDBLOCK, ::flock(b.get(), LOCK_EX | LOCK_NB));
     }},
    {"unlinked.append", "O_APPEND appends to it",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR | O_APPEND);
       write_all(file, "one");
       ok(::unlink("f"));
       write_all(file, "two");
       same(content_of(file), "onetwo", "content");
     }},
    {"unlinked.many", "200 of them keep their contents apart",
     [](const Context&) {
       std::vector<Fd> files;
       for (unsigned i = 0; i < 200; ++i) files.push_back(nameless(pattern(1000, i)));
       for (unsigned i = 0; i < 200; ++i) same(content_of(files[i]), pattern(1000, i), "content");
       that(names_in(".").empty(), "the directory is empty");
     }},
    {"unlinked.directory_is_empty", "its directory can be removed while it is open",
     [](const Context&) {
       make_directory("d");
       const Fd file = open_file("d/f", O_CREAT | O_RDWR);
       write_all(file, "data");
       ok(::unlink("d/f"));
       that(names_in("d").empty(), "the directory lists nothing");
       ok(::rmdir("d"));
       same(content_of(file), "data", "content");
     }},
    {"unlinked.working_directory", "a removed working directory is empty, has no way and takes no names",
     [](const Context&) {
       make_directory("d");
       ok(::chdir("d"));
       ok(::rmdir("../d"));
       fails(ENOENT, ::open("f", O_CREAT | O_RDWR, 0644));
       fails(ENOENT, ::mkdir("e", 0755));
       fails(ENOENT, ::link("/proc/self/status", "g"));
       char path[4096];
       errno = 0;
       that(::getcwd(path, sizeof path) == nullptr && errno == ENOENT, "getcwd is ENOENT");
       struct stat status{};
       ok(::stat(".", &status));
       same(status.st_nlink, 0, "st_nlink");
     }},
    {"unlinked.working_directory_up", "'..' of a removed working directory leads up",
     [](const Context&) {
       make_directory("d");
       make_file("f");
       ok(::chdir("d"));
       ok(::rmdir("../d"));
       ok(::chdir(".."));
       that(exists("f"), "the file above is there");
     }},
};

}  // namespace

Cases unlinked_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
