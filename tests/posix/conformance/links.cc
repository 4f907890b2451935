// link(2) and unlink(2).

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr Row kRows[] = {
    {"link.second_name", "a link is another name of the same file",
     [](const Context&) {
       make_file("f", "data");
       ok(::link("f", "g"));
       same(links_of("f"), 2, "st_nlink");
       same(status_of("g").st_ino, status_of("f").st_ino, "st_ino");
       write_all(open_file("g", O_WRONLY), "DATA");
       same(content_of("f"), "DATA", "content through the other name");
       ok(::chmod("f", 0600));
       mode_is("g", 0600);
     }},
    {"link.across_directories", "a file may have names in several directories and loses none with another",
     [](const Context&) {
       make_directory("d");
       make_directory("e");
       make_file("d/f", "data");
       ok(::link("d/f", "e/g"));
       ok(::unlink("d/f"));
       ok(::rmdir("d"));
       same(links_of("e/g"), 1, "st_nlink");
       same(content_of("e/g"), "data", "content");
     }},
    {"link.existing", "a link over any name that exists is EEXIST",
     [](const Context&) {
       make_file("f");
       make_file("g", "content");
       make_directory("d");
       make_symlink("nowhere", "l");
       for (const char* name : {"f", "g", "d", "l"}) fails(EEXIST, ::link("f", name));
       same(links_of("f"), 1, "st_nlink");
       same(content_of("g"), "content", "content");
     }},
    {"link.missing", "a link to nothing is ENOENT, below a file ENOTDIR",
     [](const Context&) {
       make_file("f");
       fails(ENOENT, ::link("nothing", "g"));
       fails(ENOENT, ::link("f", "nothing/g"));
       fails(ENOTDIR, ::link("f", "f/g"));
       fails(ENOTDIR, ::link("f/", "g"));
       same(links_of("f"), 1, "st_nlink");
     }},
    {"link.directory", "a link to a directory is EPERM",
     [](const Context&) {
       make_directory("d");
       fails(EPERM, ::link("d", "e"));
       that(!exists("e"), "nothing was made");
     }},
    {"link.symlink", "link takes a symbolic link itself, AT_SYMLINK_FOLLOW its target",
     [](const Context&) {
       make_file("f");
       make_symlink("f", "l");
       ok(::link("l", "a"));
       that(S_ISLNK(status_of("a").st_mode), "a is the symbolic link");
       same(links_of("l"), 2, "st_nlink of the symbolic link");
       ok(::linkat(AT_FDCWD, "l", AT_FDCWD, "b", AT_SYMLINK_FOLLOW));
       same(status_of("b").st_ino, status_of("f").st_ino, "st_ino of b");
     }},
    {"link.special_files", "fifos and sockets can have several names",
     [](const Context&) {
       make_fifo("p");
       ok(::mknod("s", S_IFSOCK | 0644, 0));
       ok(::link("p", "p2"));
       ok(::link("s", "s2"));
       same(links_of("p"), 2, "st_nlink");
       same(links_of("s2"), 2, "st_nlink");
     }},
    {"link.many", "a file can have 1,000 names",
     [](const Context&) {
       make_file("f");
       for (int i = 1; i < 1000; ++i) {
         ok(::link("f", fmt::format("name-{}", i).c_str()));
       }
       same(links_of("f"), 1000, "st_nlink");
       for (int i = 1; i < 1000; ++i) ok(::unlink(fmt::format("name-{}", i).c_str()));
       same(links_of("f"), 1, "st_nlink");
     }},
    {"link.limit", "where a file can have fewer than 70,000 names, one more is EMLINK and changes nothing",
     [](const Context&) {
       make_file("f");
       int made = 1;
       while (made < 70'000 && ::link("f", fmt::format("name-{}", made).c_str()) == 0) ++made;
       if (made == 70'000) throw NotOffered{"a limit of links below 70,000"};
       fails(EMLINK, -1);
       same(links_of("f"), made, "st_nlink");
       ok(::unlink("name-1"));
       ok(::link("f", "again"));
     },
     Needs::kPatience},
    {"link.descriptor", "linkat with AT_EMPTY_PATH links what a descriptor names",
     [](const Context&) {
       make_file("f", "data");
       ok(::linkat(open_file("f", O_PATH).get(), "", AT_FDCWD, "g", AT_EMPTY_PATH));
       same(status_of("g").st_ino, status_of("f").st_ino, "st_ino");
     },
     Needs::kRoot},
    {"link.other_file_system", "a link to another file system is EXDEV",
     [](const Context&) {
       make_file("f");
       fails(EXDEV, ::link("/proc/self/status", "g"));
       that(!exists("g"), "nothing was made");
     }},
    {"link.needs_write_in_directory", "a link needs permission to write its directory",
     [](const Context& c) {
       make_directory("d", 0755);
       as_user(c.users[0], [] {
         make_file("f");
         fails(EACCES, ::link("f", "d/g"));
       });
     },
     Needs::kRoot},
    {"link.race", "of two processes that make one name by link exactly one succeeds",
     [](const Context&) {
       make_file("f");
       for (int round = 0; round < 10; ++round) {
         const std::string name = "l" + std::to_string(round);
         const auto make = [&] {
           if (::link("f", name.c_str()) != 0) fails(EEXIST, -1);
         };
         Process first(make), second(make);
         first.join();
         second.join();
         same(links_of("f"), round + 2, "st_nlink");
       }
     }},
    {"unlink.last_name", "unlink of the only name removes the file",
     [](const Context&) {
       make_file("f", "data");
       ok(::unlink("f"));
       fails(ENOENT, ::open("f", O_RDONLY));
       that(names_in(".").empty(), "the directory is empty");
     }},
    {"unlink.one_of_two", "unlink of one name leaves the other, with one link less",
     [](const Context&) {
       make_file("f", "data");
       ok(::link("f", "g"));
       ok(::unlink("f"));
       same(links_of("g"), 1, "st_nlink");
       same(content_of("g"), "data", "content");
     }},
    {"unlink.missing", "unlink of nothing is ENOENT, below a file and with a slash after a file ENOTDIR",
     [](const Context&) {
       make_file("f");
       fails(ENOENT, ::unlink("nothing"));
       fails(ENOENT, ::unlink(""));
       fails(ENOTDIR, ::unlink("f/g"));
       fails(ENOTDIR, ::unlink("f/"));
       that(exists("f"), "the file is still there");
     }},
    {"unlink.directory", "unlink of a directory is EISDIR on Linux, whoever asks",
     [](const Context&) {
       make_directory("d");
       fails(EISDIR, ::unlink("d"));
       fails(EISDIR, ::unlink("d/"));
       that(exists("d"), "it is still there");
     }},
    {"unlink.symlink", "unlink removes a symbolic link, not its target",
     [](const Context&) {
       make_file("f");
       make_symlink("f", "l");
       ok(::unlink("l"));
       that(exists("f"), "the target is still there");
     }},
    {"unlink.special_files", "unlink removes fifos and sockets",
     [](const Context&) {
       make_fifo("p");
       ok(::mknod("s", S_IFSOCK | 0644, 0));
       ok(::unlink("p"));
       ok(::unlink("s"));
       that(names_in(".").empty(), "the directory is empty");
     }},
    {"unlink.read_only_file", "unlink needs permission to write the directory, not the file",
     [](const Context& c) {
       make_directory("d", 0777);
       make_file("d/f", "", 0);
       make_directory("e", 0755);
       make_file("e/f", "", 0666);
       as_user(c.users[0], [] {
         ok(::unlink("d/f"));
         fails(EACCES, ::unlink("e/f"));
       });
     },
     Needs::kRoot},
    {"unlink.race", "of two processes that remove one name exactly one succeeds",
     [](const Context&) {
       for (int round = 0; round < 10; ++round) {
         const std::string name = "f" + std::to_string(round);
         make_file(name);
         const auto remove = [&] {
           if (::unlink(name.c_str()) != 0) return fails(ENOENT, -1);
           write_all(open_file("winners", O_CREAT | O_APPEND | O_WRONLY), "x");
         };
         Process first(remove), second(remove);
         first.join();
         second.join();
       }
       same(content_of("winners").size(), 10, "winners of 10 rounds");
     }},
    {"unlink.name_is_free", "a name is free at once when its file is gone",
     [](const Context&) {
       for (int round = 0; round < 50; ++round) {
         make_file("f", std::to_string(round));
         ok(::unlink("f"));
         make_directory("f");
         ok(::rmdir("f"));
       }
     }},
};

}  // namespace

Cases link_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
