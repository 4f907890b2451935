// utimensat(2): what it sets and who may; what else moves the times of a file.

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr timespec kNow{0, UTIME_NOW}, kOmit{0, UTIME_OMIT};
constexpr timespec kOld{1'000'000'000, 111}, kOlder{900'000'000, 222};

long set_times(const char* path, const timespec& access, const timespec& modification, int flags = 0) {
  const timespec times[] = {access, modification};
  return ::utimensat(AT_FDCWD, path, times, flags);
}

void times_are(const char* path, const timespec& access, const timespec& modification, Here here = Here::current()) {
  const struct stat status = status_of(path);
  same(status.st_atim.tv_sec, access.tv_sec, "seconds of atime", here);
  same(status.st_atim.tv_nsec, access.tv_nsec, "nanoseconds of atime", here);
  same(status.st_mtim.tv_sec, modification.tv_sec, "seconds of mtime", here);
  same(status.st_mtim.tv_nsec, modification.tv_nsec, "nanoseconds of mtime", here);
}

constexpr Row kRows[] = {
    {"times.set", "both times are set as asked, of files, directories and fifos",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_fifo("p");
       for (const char* name : {"f", "d", "p"}) {
         ok(set_times(name, kOld, kOlder));
         times_are(name, kOld, kOlder);
       }
     }},
    {"times.set_of_descriptor", "futimens sets the times of an open file, for reading too",
     [](const Context&) {
       make_file("f");
       const timespec times[] = {kOld, kOlder};
       ok(::futimens(open_file("f", O_RDONLY).get(), times));
       times_are("f", kOld, kOlder);
     }},
    {"times.microseconds", "utimes sets microseconds",
     [](const Context&) {
       make_file("f");
       const timeval times[] = {{1'000'000, 5}, {2'000'000, 999'999}};
       ok(::utimes("f", times));
       times_are("f", {1'000'000, 5'000}, {2'000'000, 999'999'000});
     }},
    {"times.now", "UTIME_NOW and no times at all set both to now",
     [](const Context&) {
       make_file("f");
       make_file("g");
       ok(set_times("f", kOld, kOlder));
       ok(set_times("g", kOld, kOlder));
       ok(set_times("f", kNow, kNow));
       ok(::utimensat(AT_FDCWD, "g", nullptr, 0));
       for (const char* name : {"f", "g"}) {
         const struct stat status = status_of(name);
         that(status.st_atim.tv_sec > 1'600'000'000, "atime is now");
         that(moment(status.st_atim) == moment(status.st_mtim), "both times are the same");
         that(moment(status.st_mtim) <= moment(status.st_ctim), "now is not later than ctime");
       }
     }},
    {"times.omit", "UTIME_OMIT leaves a time, twice both and ctime",
     [](const Context&) {
       make_file("f");
       ok(set_times("f", kOld, kOld));
       ok(set_times("f", kOmit, kOlder));
       times_are("f", kOld, kOlder);
       ok(set_times("f", kOlder, kOmit));
       times_are("f", kOlder, kOlder);
       moves_times("f", Times::kNone, [] { ok(set_times("f", kOmit, kOmit)); });
     }},
    {"times.setting_moves_ctime", "setting a time moves ctime",
     [](const Context&) {
       make_file("f");
       moves_times("f", Times::kChange, [] { ok(set_times("f", kOld, kOmit)); });
     }},
    {"times.invalid_nanoseconds", "nanoseconds of a second or more or below zero are EINVAL",
     [](const Context&) {
       make_file("f");
       ok(set_times("f", kOld, kOlder));
       fails(EINVAL, set_times("f", {1, 1'000'000'000}, kOmit));
       fails(EINVAL, set_times("f", kOmit, {1, -1}));
       times_are("f", kOld, kOlder);
     }},
    {"times.before_1970", "times before 1970 are kept",
     [](const Context&) {
       make_file("f");
       ok(set_times("f", {-1'000'000, 5}, {-1, 999'999'999}));
       times_are("f", {-1'000'000, 5}, {-1, 999'999'999});
     }},
    {"times.after_2038", "times after 2038 are kept",
     [](const Context&) {
       make_file("f");
       ok(set_times("f", {4'102'444'800, 1}, {5'000'000'000, 2}));
       times_are("f", {4'102'444'800, 1}, {5'000'000'000, 2});
     }},
    {"times.of_symlink", "AT_SYMLINK_NOFOLLOW sets the times of the link, otherwise those of its target",
     [](const Context&) {
       make_file("f");
       make_symlink("f", "l");
       ok(set_times("f", kOld, kOld));
       ok(set_times("l", kOlder, kOlder, AT_SYMLINK_NOFOLLOW));
       times_are("l", kOlder, kOlder);
       times_are("f", kOld, kOld);
       ok(set_times("l", kOlder, kOld));
       times_are("f", kOlder, kOld);
     }},
    {"times.missing", "setting times of what is not there is ENOENT and makes nothing",
     [](const Context&) {
       fails(ENOENT, set_times("f", kOld, kOld));
       that(!exists("f"), "nothing was made");
     }},
    {"times.set_by_writer", "whoever may write a file may set both times to now, and nothing else",
     [](const Context& c) {
       make_file("f", "", 0666);
       as_user(c.users[0], [] {
         ok(set_times("f", kNow, kNow));
         ok(::utimensat(AT_FDCWD, "f", nullptr, 0));
         fails(EPERM, set_times("f", kOld, kOld));
         fails(EPERM, set_times("f", kNow, kOmit));
         fails(EPERM, set_times("f", kOmit, kNow));
       });
     },
     Needs::kRoot},
    {"times.set_by_reader", "whoever may only read a file sets no times: the present is EACCES, others EPERM",
     [](const Context& c) {
       make_file("f", "", 0644);
       as_user(c.users[0], [] {
         fails(EACCES, set_times("f", kNow, kNow));
         fails(EACCES, ::utimensat(AT_FDCWD, "f", nullptr, 0));
         fails(EPERM, set_times("f", kOld, kOld));
       });
     },
     Needs::kRoot},
    {"times.set_by_owner", "an owner sets times whatever the mode",
     [](const Context& c) {
       as_user(c.users[0], [] {
         make_file("f", "", 0);
         ok(set_times("f", kOld, kOlder));
         times_are("f", kOld, kOlder);
         ok(set_times("f", kNow, kNow));
       });
     },
     Needs::kRoot},
    {"times.omit_by_anyone", "leaving both times needs no permission",
     [](const Context& c) {
       make_file("f", "", 0);
       as_user(c.users[0], [] { ok(set_times("f", kOmit, kOmit)); });
     },
     Needs::kRoot},
    {"times.write", "a write moves mtime and ctime",
     [](const Context&) {
       make_file("f", "data");
       const Fd file = open_file("f", O_WRONLY);
       moves_times("f", Times::kModifyAndChange, [&] { write_all(file, "x"); });
       moves_times("f", Times::kModifyAndChange, [&] { write_at(file, "x", 100); });
     }},
    {"times.write_after_setting", "a write moves an mtime that was set, a close after setting does not",
     [](const Context&) {
       make_file("f");
       Fd file = open_file("f", O_WRONLY);
       write_all(file, "one");
       const timespec times[] = {kOld, kOlder};
       ok(::futimens(file.get(), times));
       file.close();
       times_are("f", kOld, kOlder);
       write_all(open_file("f", O_WRONLY), "two");
       that(status_of("f").st_mtim.tv_sec > 1'600'000'000, "mtime is now");
     }},
    {"times.read", "a read moves neither mtime nor ctime, and atime forward or not at all",
     [](const Context&) {
       make_file("f", "data");
       const Moment before = moment(status_of("f").st_atim);
       moves_times("f", Times::kNone, [] { same(content_of("f"), "data", "content"); });
       that(moment(status_of("f").st_atim) >= before, "atime does not go back");
     }},
    {"times.read_with_old_access_time", "atime stays, or moves on with a read, when it is older than mtime",
     [](const Context&) {
       make_file("f", "data");
       ok(set_times("f", kOlder, kOld));
       same(content_of("f"), "data", "content");
       const struct stat status = status_of("f");
       that(status.st_atim.tv_sec == kOlder.tv_sec || status.st_atim.tv_sec > 1'600'000'000, "atime is old or now");
       same(status.st_mtim.tv_sec, kOld.tv_sec, "mtime");
     }},
    {"times.link", "link and unlink move the file's ctime only",
     [](const Context&) {
       make_file("f");
       moves_times("f", Times::kChange, [] { ok(::link("f", "g")); });
       moves_times("f", Times::kChange, [] { ok(::unlink("g")); });
     }},
    {"times.rename", "a rename moves the file's ctime only",
     [](const Context&) {
       make_file("g");
       const Moment before = moment(status_of("g").st_mtim);
       const Fd file = open_file("g", O_RDONLY);
       const Moment change = moment(status_of(file).st_ctim);
       let_time_pass();
       ok(::rename("g", "f"));
       that(moment(status_of("f").st_mtim) == before, "mtime stays");
       that(moment(status_of("f").st_ctim) > change, "ctime moves on");
     }},
    {"times.stat_and_access", "looking at a file moves no times",
     [](const Context&) {
       make_file("f", "data");
       moves_times("f", Times::kNone, [] {
         ok(::access("f", R_OK));
         status_of("f");
         open_file("f", O_RDONLY);
       });
     }},
    {"times.seen_by_others", "times are the same for every process",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "data");
       const struct stat status = status_of(file);
       in_process([&] {
         that(moment(status_of("f").st_mtim) == moment(status.st_mtim), "mtime is the same");
         that(moment(status_of("f").st_ctim) == moment(status.st_ctim), "ctime is the same");
       });
     }},
};

}  // namespace

Cases time_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
