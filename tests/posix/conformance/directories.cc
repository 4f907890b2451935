// mkdir(2), rmdir(2), chdir(2).

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr Row kRows[] = {
    {"directory.make", "mkdir makes an empty directory of the mode less the umask",
     [](const Context&) {
       ::umask(022);
       ok(::mkdir("d", 0777));
       mode_is("d", 0755);
       that(S_ISDIR(status_of("d").st_mode), "it is a directory");
       that(names_in("d").empty(), "it is empty");
     }},
    {"directory.make_sticky", "mkdir keeps the sticky bit asked for",
     [](const Context&) {
       ::umask(0);
       ok(::mkdir("d", 01777));
       mode_is("d", 01777);
     }},
    {"directory.make_existing", "mkdir of any name that exists is EEXIST",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_symlink("nowhere", "l");
       for (const char* name : {"f", "d", "d/", "l", ".", "..", "d/."}) fails(EEXIST, ::mkdir(name, 0755));
       that(!exists("nowhere"), "the target of the link was not made");
     }},
    {"directory.make_without_parent", "mkdir below nothing is ENOENT, below a file ENOTDIR",
     [](const Context&) {
       make_file("f");
       fails(ENOENT, ::mkdir("d/e", 0755));
       fails(ENOTDIR, ::mkdir("f/e", 0755));
       fails(ENOENT, ::mkdir("", 0755));
     }},
    {"directory.make_trailing_slash", "mkdir takes a slash after the name",
     [](const Context&) {
       ok(::mkdir("d///", 0755));
       that(S_ISDIR(status_of("d").st_mode), "it is a directory");
     }},
    {"directory.make_at", "mkdirat makes it in a directory that is open",
     [](const Context&) {
       make_directory("d");
       ok(::mkdirat(open_file("d", O_RDONLY).get(), "e", 0700));
       mode_is("d/e", 0700);
     }},
    {"directory.make_race", "of two processes that make one directory exactly one succeeds",
     [](const Context&) {
       for (int round = 0; round < 10; ++round) {
         const std::string name = "d" + std::to_string(round);
         const auto make = [&] {
           if (::mkdir(name.c_str(), 0755) != 0) return fails(EEXIST, -1);
           write_all(open_file("winners", O_CREAT | O_APPEND | O_WRONLY), "x");
         };
         Process first(make), second(make);
         first.join();
         second.join();
       }
       same(content_of("winners").size(), 10, "winners of 10 rounds");
     }},
    {"directory.remove", "rmdir removes an empty directory, with a slash after its name too",
     [](const Context&) {
       make_directory("d");
       make_directory("e");
       ok(::rmdir("d"));
       ok(::rmdir("e/"));
       that(names_in(".").empty(), "both are gone");
     }},
    {"directory.remove_not_empty", "rmdir of a directory with anything in it is ENOTEMPTY",
     [](const Context&) {
       for (const std::string name : {"a", "b", "c"}) make_directory(name);
       make_file("a/f");
       make_directory("b/d");
       make_symlink("nowhere", "c/l");
       for (const char* name : {"a", "b", "c"}) fails({ENOTEMPTY, EEXIST}, ::rmdir(name));
       ok(::unlink("a/f"));
       ok(::rmdir("a"));
     }},
    {"directory.remove_what_is_none", "rmdir of a file, a fifo and a link to a directory is ENOTDIR",
     [](const Context&) {
       make_file("f");
       make_fifo("p");
       make_directory("d");
       make_symlink("d", "l");
       for (const char* name : {"f", "p", "l", "f/"}) fails(ENOTDIR, ::rmdir(name));
       fails(ENOTDIR, ::rmdir("l/"));
       that(exists("d"), "the directory is still there");
     }},
    {"directory.remove_missing", "rmdir of nothing is ENOENT, below a file ENOTDIR",
     [](const Context&) {
       make_file("f");
       fails(ENOENT, ::rmdir("d"));
       fails(ENOTDIR, ::rmdir("f/d"));
       make_directory("d");
       ok(::rmdir("d"));
       fails(ENOENT, ::rmdir("d"));
     }},
    {"directory.remove_dots", "rmdir of '.' is EINVAL, of '..' ENOTEMPTY",
     [](const Context&) {
       make_directory("d");
       fails(EINVAL, ::rmdir("d/."));
       fails({ENOTEMPTY, EEXIST, EBUSY, EINVAL}, ::rmdir("d/.."));
       that(exists("d"), "it is still there");
     }},
    {"directory.remove_mount_point", "rmdir and rename of a mount point are EBUSY",
     [](const Context&) {
       make_directory("d");
       ok(::unshare(CLONE_NEWNS));
       ok(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
       ok(::mount("tmpfs", "d", "tmpfs", 0, "size=64k"));
       fails(EBUSY, ::rmdir("d"));
       fails(EBUSY, ::rename("d", "e"));
       ok(::umount("d"));
       ok(::rmdir("d"));
     },
     Needs::kRoot},
    {"directory.remove_at", "unlinkat removes a directory only with AT_REMOVEDIR, and then only directories",
     [](const Context&) {
       make_directory("d");
       make_file("f");
       fails({EISDIR, EPERM}, ::unlinkat(AT_FDCWD, "d", 0));
       fails(ENOTDIR, ::unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
       fails(EINVAL, ::unlinkat(AT_FDCWD, "f", 0x8000));
       ok(::unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
       ok(::unlinkat(AT_FDCWD, "f", 0));
     }},
    {"directory.remove_open", "a directory that is open can be removed; nothing can be made in it then",
     [](const Context&) {
       make_directory("d");
       const Fd directory = open_file("d", O_RDONLY);
       ok(::rmdir("d"));
       fails(ENOENT, ::mkdirat(directory.get(), "e", 0755));
       fails(ENOENT, ::openat(directory.get(), "f", O_CREAT | O_RDWR, 0644));
       fails(ENOENT, ::symlinkat("x", directory.get(), "l"));
       same(status_of(directory).st_nlink, 0, "st_nlink");
     }},
    {"directory.remove_race", "of two processes that remove one directory exactly one succeeds",
     [](const Context&) {
       for (int round = 0; round < 10; ++round) {
         const std::string name = "d" + std::to_string(round);
         make_directory(name);
         const auto remove = [&] {
           if (::rmdir(name.c_str()) != 0) return fails(ENOENT, -1);
           write_all(open_file("winners", O_CREAT | O_APPEND | O_WRONLY), "x");
         };
         Process first(remove), second(remove);
         first.join();
         second.join();
       }
       same(content_of("winners").size(), 10, "winners of 10 rounds");
     }},
    {"directory.deep", "directories nest 200 deep",
     [](const Context&) {
       for (int depth = 0; depth < 200; ++depth) {
         ok(::mkdir("deeper", 0755));
         ok(::chdir("deeper"));
       }
       make_file("f", "deep");
       same(content_of("f"), "deep", "content");
       ok(::unlink("f"));
       for (int depth = 0; depth < 200; ++depth) {
         ok(::chdir(".."));
         ok(::rmdir("deeper"));
       }
     }},
    {"directory.wide", "1,000 directories stand beside each other, with their links counted or not at all",
     [](const Context&) {
       make_directory("d");
       for (int i = 0; i < 1000; ++i) ok(::mkdir(fmt::format("d/{}", i).c_str(), 0755));
       that(links_of("d") == 1002 || links_of("d") == 1, "st_nlink is 1002, or 1");
       same(names_in("d").size(), 1000, "entries");
       for (int i = 0; i < 1000; ++i) ok(::rmdir(fmt::format("d/{}", i).c_str()));
       that(links_of("d") == 2 || links_of("d") == 1, "st_nlink is 2, or 1");
     }},
    {"directory.change", "chdir goes to directories only, and getcwd tells where",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_symlink("d", "l");
       fails(ENOTDIR, ::chdir("f"));
       fails(ENOENT, ::chdir("nothing"));
       ok(::chdir("l"));
       char path[4096];
       that(::getcwd(path, sizeof path) != nullptr, "getcwd succeeds");
       that(std::string_view(path).ends_with("/d"), "getcwd names the directory, not the link");
     }},
    {"directory.change_to_descriptor", "fchdir goes where a descriptor is, also after a rename",
     [](const Context&) {
       make_directory("d");
       make_file("d/f");
       const Fd directory = open_file("d", O_RDONLY);
       ok(::rename("d", "e"));
       ok(::fchdir(directory.get()));
       that(exists("f"), "its file is there");
       fails(ENOTDIR, ::fchdir(open_file("f", O_RDONLY).get()));
     }},
    {"directory.change_needs_search", "chdir and fchdir need permission to search",
     [](const Context& c) {
       make_directory("d", 0644);
       as_user(c.users[0], [] {
         fails(EACCES, ::chdir("d"));
         fails(EACCES, ::fchdir(open_file("d", O_RDONLY).get()));
       });
     },
     Needs::kRoot},
};

}  // namespace

Cases directory_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
