// truncate(2) and ftruncate(2).

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <limits>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr Row kRows[] = {
    {"truncate.grow", "growing fills with zeros",
     [](const Context&) {
       make_file("f", "data");
       ok(::truncate("f", 2'000'000));
       that(content_of("f") == "data" + std::string(2'000'000 - 4, '\0'), "the rest is zeros");
     }},
    {"truncate.shrink", "shrinking keeps the beginning",
     [](const Context&) {
       make_file("f", pattern(2'000'000));
       for (const off_t size : {1'500'000, 1 << 20, 4097, 4096, 1, 0}) {
         ok(::truncate("f", size));
         that(content_of("f") == pattern(2'000'000).substr(0, static_cast<std::size_t>(size)), "the beginning stays");
       }
     }},
    {"truncate.shrink_and_grow", "what was cut off does not come back",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, pattern(100'000));
       ok(::ftruncate(file.get(), 1234));
       ok(::ftruncate(file.get(), 100'000));
       that(content_of(file) == pattern(100'000).substr(0, 1234) + std::string(100'000 - 1234, '\0'),
            "the rest is zeros");
     }},
    {"truncate.shrink_and_write_behind", "a write past a new end leaves zeros where old data was",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, pattern(20'000));
       ok(::ftruncate(file.get(), 5000));
       write_at(file, "x", 19'000);
       that(content_of(file) == pattern(20'000).substr(0, 5000) + std::string(14'000, '\0') + "x", "zeros between");
     }},
    {"truncate.keeps_offset", "ftruncate does not move the offset",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "0123456789");
       ok(::ftruncate(file.get(), 2));
       same(::lseek(file.get(), 0, SEEK_CUR), 10, "offset");
     }},
    {"truncate.seen_by_others", "a new size is seen at once through other descriptors and processes",
     [](const Context&) {
       make_file("f", "0123456789");
       const Fd file = open_file("f", O_RDWR), other = open_file("f", O_RDONLY);
       ok(::ftruncate(file.get(), 4));
       same(content_of(other), "0123", "content");
       in_process([] { same(content_of("f"), "0123", "content"); });
     }},
    {"truncate.read_only_descriptor", "ftruncate of what is not open for writing is EINVAL or EBADF",
     [](const Context&) {
       make_file("f", "data");
       fails({EINVAL, EBADF}, ::ftruncate(open_file("f", O_RDONLY).get(), 1));
       same(content_of("f"), "data", "content");
     }},
    {"truncate.negative", "a negative size is EINVAL",
     [](const Context&) {
       make_file("f", "data");
       fails(EINVAL, ::truncate("f", -1));
       fails(EINVAL, ::ftruncate(open_file("f", O_RDWR).get(), -1));
       same(content_of("f"), "data", "content");
     }},
    {"truncate.largest", "the largest size works or is EFBIG or EINVAL, and then changes nothing",
     [](const Context&) {
       make_file("f", "data");
       const off_t size = std::numeric_limits<off_t>::max();
       if (::truncate("f", size) == 0) return same(status_of("f").st_size, size, "st_size");
       fails({EFBIG, EINVAL}, -1);
       same(content_of("f"), "data", "content");
     }},
    {"truncate.one_tib", "a size of 1 TiB takes no space",
     [](const Context&) {
       make_file("f", "data");
       ok(::truncate("f", off_t{1} << 40));
       same(status_of("f").st_size, off_t{1} << 40, "st_size");
       that(status_of("f").st_blocks < 2048, "it has fewer blocks than 1 MiB");
       ok(::truncate("f", 0));
     }},
    {"truncate.size_limit", "growing past RLIMIT_FSIZE is EFBIG, shrinking is not",
     [](const Context&) {
       make_file("f", pattern(3000));
       const rlimit limit{1000, 1000};
       ok(::setrlimit(RLIMIT_FSIZE, &limit));
       std::signal(SIGXFSZ, SIG_IGN);
       fails(EFBIG, ::truncate("f", 4000));
       same(status_of("f").st_size, 3000, "st_size");
       ok(::truncate("f", 500));
     }},
    {"truncate.directory", "truncate of a directory is EISDIR",
     [](const Context&) {
       make_directory("d");
       fails(EISDIR, ::truncate("d", 0));
     }},
    {"truncate.fifo", "truncate of a fifo is EINVAL",
     [](const Context&) {
       make_fifo("p");
       fails(EINVAL, ::truncate("p", 0));
     }},
    {"truncate.follows_symlink", "truncate follows a link",
     [](const Context&) {
       make_file("f", "data");
       make_symlink("f", "l");
       ok(::truncate("l", 2));
       same(content_of("f"), "da", "content");
     }},
    {"truncate.times", "a change of size moves mtime and ctime",
     [](const Context&) {
       make_file("f", "data");
       moves_times("f", Times::kModifyAndChange, [] { ok(::truncate("f", 2)); });
       moves_times("f", Times::kModifyAndChange, [] { ok(::truncate("f", 200)); });
     }},
    {"truncate.same_size_times", "ftruncate to the size that is moves mtime and ctime",
     [](const Context&) {
       make_file("f", "data");
       const Fd file = open_file("f", O_RDWR);
       moves_times("f", Times::kModifyAndChange, [&] { ok(::ftruncate(file.get(), 4)); });
     }},
    {"truncate.failed_moves_no_times", "a truncate that fails moves no times",
     [](const Context&) {
       make_file("f", "data");
       moves_times("f", Times::kNone, [] { fails(EINVAL, ::truncate("f", -1)); });
     }},
    {"truncate.frees_space", "shrinking gives space back",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, pattern(4 << 20));
       ok(::fsync(file.get()));
       const blkcnt_t before = status_of(file).st_blocks;
       ok(::ftruncate(file.get(), 0));
       ok(::fsync(file.get()));
       that(status_of(file).st_blocks < before / 4, "it has less than a quarter of its blocks");
     }},
    {"truncate.without_permission", "truncate needs permission to write, ftruncate a descriptor that has it",
     [](const Context& c) {
       make_file("f", "data", 0644);
       as_user(c.users[0], [] { fails(EACCES, ::truncate("f", 0)); });
       same(content_of("f"), "data", "content");
     },
     Needs::kRoot},
    {"truncate.append_descriptor", "ftruncate of an O_APPEND descriptor works",
     [](const Context&) {
       make_file("f", "data");
       ok(::ftruncate(open_file("f", O_WRONLY | O_APPEND).get(), 1));
       same(content_of("f"), "d", "content");
     }},
};

}  // namespace

Cases truncate_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
