// renameat2(2): RENAME_NOREPLACE and RENAME_EXCHANGE.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

long rename_with(unsigned flags, const char* from, const char* to) {
  return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}
long exchange(const char* a, const char* b) { return rename_with(RENAME_EXCHANGE, a, b); }

/// A file system that knows no flags answers EINVAL.
void exchange_offered(const char* a, const char* b, Here here = Here::current()) {
  const long result = exchange(a, b);
  if (result == -1 && errno == EINVAL) throw NotOffered{"RENAME_EXCHANGE"};
  ok(result, here);
}

constexpr Row kRows[] = {
    {"rename2.no_replace_new", "RENAME_NOREPLACE moves to a name that is free",
     [](const Context&) {
       make_file("f", "data");
       make_directory("d");
       ok(rename_with(RENAME_NOREPLACE, "f", "d/g"));
       same(content_of("d/g"), "data", "content");
       that(!exists("f"), "the old name is gone");
     }},
    {"rename2.no_replace_existing", "RENAME_NOREPLACE onto any name that exists is EEXIST, its own too",
     [](const Context&) {
       make_file("f", "data");
       make_file("g", "other");
       make_directory("d");
       make_symlink("nowhere", "l");
       ok(::link("f", "f2"));
       for (const char* name : {"g", "d", "l", "f", "f2"}) fails(EEXIST, rename_with(RENAME_NOREPLACE, "f", name));
       same(content_of("g"), "other", "content");
     }},
    {"rename2.no_replace_missing", "RENAME_NOREPLACE of nothing is ENOENT",
     [](const Context&) { fails(ENOENT, rename_with(RENAME_NOREPLACE, "f", "g")); }},
    {"rename2.no_replace_directory", "RENAME_NOREPLACE does not replace an empty directory",
     [](const Context&) {
       make_directory("d");
       make_directory("e");
       fails(EEXIST, rename_with(RENAME_NOREPLACE, "d", "e"));
       ok(rename_with(RENAME_NOREPLACE, "d", "g"));
     }},
    {"rename2.no_replace_race", "of two processes that take one name with RENAME_NOREPLACE exactly one succeeds",
     [](const Context&) {
       for (int round = 0; round < 10; ++round) {
         make_file("a");
         make_file("b");
         const auto move = [](const char* from) {
           if (rename_with(RENAME_NOREPLACE, from, "f") != 0) fails(EEXIST, -1);
         };
         Process first([&] { move("a"); }), second([&] { move("b"); });
         first.join();
         second.join();
         that(exists("a") != exists("b"), "one of them is left");
         ok(::unlink(exists("a") ? "a" : "b"));
         ok(::unlink("f"));
       }
     }},
    {"rename2.exchange_files", "RENAME_EXCHANGE swaps two files",
     [](const Context&) {
       make_file("f", "one");
       make_file("g", "two");
       const ino_t inode = status_of("f").st_ino;
       exchange_offered("f", "g");
       same(content_of("f"), "two", "content of f");
       same(content_of("g"), "one", "content of g");
       same(status_of("g").st_ino, inode, "st_ino");
     }},
    {"rename2.exchange_kinds", "RENAME_EXCHANGE swaps a file, a directory with entries, a link and a fifo",
     [](const Context&) {
       make_file("f", "data");
       make_directory("d");
       make_file("d/inside");
       make_symlink("x", "l");
       make_fifo("p");
       exchange_offered("f", "d");
       that(exists("f/inside"), "the directory is at f");
       same(content_of("d"), "data", "content at d");
       ok(exchange("f", "l"));
       same(target_of("f"), "x", "target at f");
       ok(exchange("l", "p"));
       that(exists("p/inside"), "the directory is at p");
       that(S_ISFIFO(status_of("l").st_mode), "the fifo is at l");
     }},
    {"rename2.exchange_across", "RENAME_EXCHANGE across directories keeps '..' and the parents' links right",
     [](const Context&) {
       make_directory("a");
       make_directory("b");
       make_directory("a/d");
       make_file("b/f");
       const nlink_t parent = links_of("a");
       exchange_offered("a/d", "b/f");
       same(status_of("b/f/..").st_ino, status_of("b").st_ino, "st_ino of '..'");
       that(S_ISREG(status_of("a/d").st_mode), "the file is at a/d");
       if (parent > 1) {
         same(links_of("a"), 2, "st_nlink of a");
         same(links_of("b"), 3, "st_nlink of b");
       }
     }},
    {"rename2.exchange_missing", "RENAME_EXCHANGE with a name that is free is ENOENT",
     [](const Context&) {
       make_file("f", "data");
       fails(ENOENT, exchange("f", "g"));
       fails(ENOENT, exchange("g", "f"));
       same(content_of("f"), "data", "content");
     }},
    {"rename2.exchange_with_ancestor", "RENAME_EXCHANGE of a directory with one above or below is refused",
     [](const Context&) {
       make_directory("d");
       make_directory("d/e");
       fails(EINVAL, exchange("d", "d/e"));
       fails({EINVAL, ENOTEMPTY}, exchange("d/e", "d"));
       that(exists("d/e"), "they are as they were");
     }},
    {"rename2.exchange_same_file", "RENAME_EXCHANGE of two names of one file leaves both",
     [](const Context&) {
       make_file("f");
       ok(::link("f", "g"));
       exchange_offered("f", "g");
       same(links_of("f"), 2, "st_nlink");
     }},
    {"rename2.exchange_times", "RENAME_EXCHANGE moves the times of both parents",
     [](const Context&) {
       make_directory("a");
       make_directory("b");
       make_file("a/f");
       make_file("b/g");
       moves_times("a", Times::kModifyAndChange,
                   [] { moves_times("b", Times::kModifyAndChange, [] { exchange_offered("a/f", "b/g"); }); });
     }},
    {"rename2.exchange_atomic", "names that are swapped again and again are never missing",
     [](const Context&) {
       make_file("f", "one");
       make_file("g", "two");
       exchange_offered("f", "g");
       Process swapper([] {
         for (;;) ok(exchange("f", "g"));
       });
       for (int i = 0; i < 300; ++i) {
         const std::string content = content_of("f");
         that(content == "one" || content == "two", "it is one of the files");
       }
     }},
    {"rename2.exchange_sticky", "in a sticky directory RENAME_EXCHANGE needs both to be one's own",
     [](const Context& c) {
       make_directory("d", 01777);
       make_file("d/theirs");
       as_user(c.users[0], [] {
         make_file("d/mine");
         fails(EPERM, exchange("d/mine", "d/theirs"));
         fails(EPERM, exchange("d/theirs", "d/mine"));
       });
     },
     Needs::kRoot},
    {"rename2.flags_exclude_each_other", "RENAME_EXCHANGE with RENAME_NOREPLACE, and unknown flags, are EINVAL",
     [](const Context&) {
       make_file("f");
       make_file("g");
       fails(EINVAL, rename_with(RENAME_EXCHANGE | RENAME_NOREPLACE, "f", "g"));
       fails(EINVAL, rename_with(1U << 20, "f", "h"));
       that(exists("f") && exists("g"), "both are there");
     }},
};

}  // namespace

Cases rename_flag_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
