// fallocate(2) in its modes, posix_fallocate(3).

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

Fd data_file(std::size_t bytes) {
  Fd file = open_file("f", O_CREAT | O_RDWR);
  write_all(file, pattern(bytes));
  return file;
}

std::string with_zeros(std::string data, std::size_t at, std::size_t length) {
  return data.replace(at, length, std::string(length, '\0'));
}

constexpr Row kRows[] = {
    {"fallocate.grows", "without flags it grows the file with zeros",
     [](const Context&) {
       const Fd file = data_file(100);
       offered(::fallocate(file.get(), 0, 50, 100'000), "fallocate");
       that(content_of(file) == pattern(100) + std::string(100'050 - 100, '\0'), "data stays, the rest is zeros");
     }},
    {"fallocate.within", "within a file it changes neither size nor data",
     [](const Context&) {
       const Fd file = data_file(100'000);
       offered(::fallocate(file.get(), 0, 1000, 5000), "fallocate");
       that(content_of(file) == pattern(100'000), "the content stays");
     }},
    {"fallocate.keep_size", "FALLOC_FL_KEEP_SIZE does not grow the file",
     [](const Context&) {
       const Fd file = data_file(100);
       offered(::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, 100'000), "KEEP_SIZE");
       same(content_of(file), pattern(100), "content");
     }},
    {"fallocate.kept_space_is_zeros", "space kept behind the end reads as zeros when the file grows into it",
     [](const Context&) {
       const Fd file = data_file(100);
       offered(::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, 100'000), "KEEP_SIZE");
       ok(::ftruncate(file.get(), 50'000));
       that(content_of(file) == pattern(100) + std::string(50'000 - 100, '\0'), "the rest is zeros");
     }},
    {"fallocate.punch", "a punched hole reads as zeros, its neighbours stay, on any borders",
     [](const Context&) {
       const Fd file = data_file(3 << 20);
       std::string model = pattern(3 << 20);
       for (const auto& [at, length] :
            {std::pair{4096u, 8192u}, {20'000u, 1u}, {30'001u, 70'003u}, {1'000'000u, 1'100'000u}}) {
         offered(::fallocate(file.get(), kPunch, at, length), "PUNCH_HOLE");
         model = with_zeros(model, at, length);
         that(content_of(file) == model, "exactly the hole is zeros");
       }
     }},
    {"fallocate.punch_needs_keep_size", "FALLOC_FL_PUNCH_HOLE alone is refused",
     [](const Context&) {
       const Fd file = data_file(10'000);
       fails({EOPNOTSUPP, EINVAL}, ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE, 0, 4096));
       same(content_of(file), pattern(10'000), "content");
     }},
    {"fallocate.punch_past_the_end", "a hole across and past the end does not change the size",
     [](const Context&) {
       const Fd file = data_file(10'000);
       offered(::fallocate(file.get(), kPunch, 9000, 100'000), "PUNCH_HOLE");
       ok(::fallocate(file.get(), kPunch, 200'000, 100'000));
       same(content_of(file), with_zeros(pattern(10'000), 9000, 1000), "content");
     }},
    {"fallocate.punch_frees_space", "punching gives space back",
     [](const Context&) {
       const Fd file = data_file(4 << 20);
       ok(::fsync(file.get()));
       const blkcnt_t before = status_of(file).st_blocks;
       offered(::fallocate(file.get(), kPunch, 0, 4 << 20), "PUNCH_HOLE");
       ok(::fsync(file.get()));
       that(status_of(file).st_blocks < before / 4, "it has less than a quarter of its blocks");
     }},
    {"fallocate.punch_is_found", "SEEK_HOLE finds a punched hole",
     [](const Context&) {
       const Fd file = data_file(4 << 20);
       offered(::fallocate(file.get(), kPunch, 1 << 20, 2 << 20), "PUNCH_HOLE");
       const off_t hole = ok(::lseek(file.get(), 0, SEEK_HOLE));
       same(hole, 1 << 20, "start of the hole");
       same(ok(::lseek(file.get(), hole, SEEK_DATA)), 3 << 20, "end of the hole");
     }},
    {"fallocate.punch_moves_times", "punching moves mtime and ctime",
     [](const Context&) {
       const Fd file = data_file(100'000);
       moves_times("f", Times::kModifyAndChange,
                   [&] { offered(::fallocate(file.get(), kPunch, 0, 8192), "PUNCH_HOLE"); });
     }},
    {"fallocate.write_into_hole", "a hole can be written again",
     [](const Context&) {
       const Fd file = data_file(100'000);
       offered(::fallocate(file.get(), kPunch, 0, 100'000), "PUNCH_HOLE");
       write_at(file, "new", 50'000);
       that(content_of(file) == std::string(50'000, '\0') + "new" + std::string(100'000 - 50'003, '\0'),
            "only the new");
     }},
    {"fallocate.zero_range", "FALLOC_FL_ZERO_RANGE zeroes its range and grows the file",
     [](const Context&) {
       const Fd file = data_file(10'000);
       offered(::fallocate(file.get(), FALLOC_FL_ZERO_RANGE, 5001, 20'000), "ZERO_RANGE");
       same(content_of(file), pattern(10'000).substr(0, 5001) + std::string(20'000, '\0'), "content");
     }},
    {"fallocate.zero_range_keep_size", "FALLOC_FL_ZERO_RANGE with KEEP_SIZE does not grow the file",
     [](const Context&) {
       const Fd file = data_file(10'000);
       offered(::fallocate(file.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5001, 20'000), "ZERO_RANGE");
       same(content_of(file), with_zeros(pattern(10'000), 5001, 4999), "content");
     }},
    {"fallocate.collapse", "FALLOC_FL_COLLAPSE_RANGE takes a range out",
     [](const Context&) {
       const Fd file = data_file(4 << 20);
       offered(::fallocate(file.get(), FALLOC_FL_COLLAPSE_RANGE, 1 << 20, 1 << 20), "COLLAPSE_RANGE");
       that(content_of(file) == pattern(4 << 20).erase(1 << 20, 1 << 20), "the rest moves up");
     }},
    {"fallocate.insert", "FALLOC_FL_INSERT_RANGE puts a hole in",
     [](const Context&) {
       const Fd file = data_file(4 << 20);
       offered(::fallocate(file.get(), FALLOC_FL_INSERT_RANGE, 1 << 20, 1 << 20), "INSERT_RANGE");
       that(content_of(file) == pattern(4 << 20).insert(1 << 20, 1 << 20, '\0'), "the rest moves down");
     }},
    {"fallocate.invalid", "negative offsets and lengths that are not positive are EINVAL",
     [](const Context&) {
       const Fd file = data_file(100);
       fails(EINVAL, ::fallocate(file.get(), 0, -1, 10));
       fails(EINVAL, ::fallocate(file.get(), 0, 0, 0));
       fails(EINVAL, ::fallocate(file.get(), kPunch, 0, -1));
       fails(EOPNOTSUPP, ::fallocate(file.get(), 0x4000, 0, 10));
       same(content_of(file), pattern(100), "content");
     }},
    {"fallocate.bad_descriptor", "it needs a descriptor of a regular file open for writing",
     [](const Context&) {
       make_file("f", "data");
       make_directory("d");
       make_fifo("p");
       fails(EBADF, ::fallocate(open_file("f", O_RDONLY).get(), 0, 0, 10));
       fails(EBADF, ::fallocate(open_file("d", O_RDONLY).get(), 0, 0, 10));
       fails(ESPIPE, ::fallocate(open_file("p", O_RDWR).get(), 0, 0, 10));
     }},
    {"fallocate.size_limit", "growing past RLIMIT_FSIZE is EFBIG",
     [](const Context&) {
       const Fd file = data_file(100);
       const rlimit limit{1000, 1000};
       ok(::setrlimit(RLIMIT_FSIZE, &limit));
       std::signal(SIGXFSZ, SIG_IGN);
       fails({EFBIG, EOPNOTSUPP}, ::fallocate(file.get(), 0, 0, 2000));
       same(status_of(file).st_size, 100, "st_size");
     }},
    {"fallocate.overflow", "a range past the largest offset is EFBIG",
     [](const Context&) {
       const Fd file = data_file(100);
       fails({EFBIG, EOPNOTSUPP}, ::fallocate(file.get(), 0, INT64_MAX - 10, 20));
       same(status_of(file).st_size, 100, "st_size");
     }},
    {"fallocate.posix", "posix_fallocate(3) grows the file, whether or not the file system offers fallocate",
     [](const Context&) {
       const Fd file = data_file(100);
       same(::posix_fallocate(file.get(), 50, 20'000), 0, "its result");
       same(content_of(file), pattern(100) + std::string(20'050 - 100, '\0'), "content");
     }},
    {"fallocate.growth_moves_times", "growing moves mtime and ctime",
     [](const Context&) {
       const Fd file = data_file(100);
       moves_times("f", Times::kModifyAndChange, [&] { offered(::fallocate(file.get(), 0, 0, 8192), "fallocate"); });
     }},
};

}  // namespace

Cases fallocate_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
