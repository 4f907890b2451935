// lseek(2), with SEEK_DATA and SEEK_HOLE.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr off_t kMiB = 1 << 20;

/// Data in [4, 5) MiB of a file of 8 MiB.
Fd sparse_file() {
  Fd file = open_file("f", O_CREAT | O_RDWR);
  write_at(file, pattern(kMiB), 4 * kMiB);
  ok(::ftruncate(file.get(), 8 * kMiB));
  return file;
}

constexpr Row kRows[] = {
    {"seek.set_current_end", "offsets count from the start, the offset and the end",
     [](const Context&) {
       make_file("f", "0123456789");
       const Fd file = open_file("f", O_RDWR);
       same(::lseek(file.get(), 3, SEEK_SET), 3, "SEEK_SET");
       same(::lseek(file.get(), 2, SEEK_CUR), 5, "SEEK_CUR");
       same(::lseek(file.get(), -1, SEEK_END), 9, "SEEK_END");
     }},
    {"seek.past_the_end", "an offset past the end is fine and does not grow the file",
     [](const Context&) {
       make_file("f", "0123456789");
       const Fd file = open_file("f", O_RDWR);
       same(::lseek(file.get(), 1'000'000, SEEK_SET), 1'000'000, "offset");
       same(status_of(file).st_size, 10, "st_size");
     }},
    {"seek.invalid", "a negative result and an unknown origin are EINVAL and leave the offset",
     [](const Context&) {
       make_file("f", "0123456789");
       const Fd file = open_file("f", O_RDWR);
       ok(::lseek(file.get(), 5, SEEK_SET));
       fails(EINVAL, ::lseek(file.get(), -1, SEEK_SET));
       fails(EINVAL, ::lseek(file.get(), -6, SEEK_CUR));
       fails(EINVAL, ::lseek(file.get(), -11, SEEK_END));
       fails(EINVAL, ::lseek(file.get(), 0, 77));
       same(::lseek(file.get(), 0, SEEK_CUR), 5, "offset");
     }},
    {"seek.end_follows_others", "SEEK_END is the end as another process left it",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       in_process([] { write_all(open_file("f", O_WRONLY), pattern(5000)); });
       same(::lseek(file.get(), 0, SEEK_END), 5000, "the end");
       in_process([] { ok(::truncate("f", 100)); });
       same(::lseek(file.get(), 0, SEEK_END), 100, "the end");
     }},
    {"seek.data_in_data", "SEEK_DATA within data stays where it is",
     [](const Context&) {
       const Fd file = sparse_file();
       same(::lseek(file.get(), 4 * kMiB + 5, SEEK_DATA), 4 * kMiB + 5, "offset");
     }},
    {"seek.data_after_hole", "SEEK_DATA finds the data after a hole, and not later than it begins",
     [](const Context&) {
       const off_t found = ok(::lseek(sparse_file().get(), 0, SEEK_DATA));
       that(found <= 4 * kMiB, "no data is skipped");
       that(found > 0, "the hole before it is known");
     }},
    {"seek.hole_after_data", "SEEK_HOLE finds the hole after data, and not before the data ends",
     [](const Context&) {
       const off_t found = ok(::lseek(sparse_file().get(), 4 * kMiB, SEEK_HOLE));
       that(found >= 5 * kMiB, "no data is called a hole");
       that(found < 8 * kMiB, "the hole after it is known");
     }},
    {"seek.hole_in_hole", "SEEK_HOLE within a hole stays where it is",
     [](const Context&) { same(::lseek(sparse_file().get(), 100, SEEK_HOLE), 100, "offset"); }},
    {"seek.hole_at_end", "the end of a file without holes is a hole",
     [](const Context&) {
       make_file("f", pattern(10'000));
       const Fd file = open_file("f", O_RDONLY);
       same(::lseek(file.get(), 0, SEEK_HOLE), 10'000, "the only hole");
       same(::lseek(file.get(), 9'999, SEEK_HOLE), 10'000, "from the last byte");
     }},
    {"seek.past_the_end_for_data", "SEEK_DATA and SEEK_HOLE at or past the end are ENXIO",
     [](const Context&) {
       make_file("f", pattern(10'000));
       const Fd file = open_file("f", O_RDONLY);
       for (const off_t offset : {off_t{10'000}, off_t{20'000}}) {
         fails(ENXIO, ::lseek(file.get(), offset, SEEK_DATA));
         fails(ENXIO, ::lseek(file.get(), offset, SEEK_HOLE));
       }
     }},
    {"seek.data_in_last_hole", "SEEK_DATA in the hole at the end is ENXIO",
     [](const Context&) { fails(ENXIO, ::lseek(sparse_file().get(), 6 * kMiB, SEEK_DATA)); }},
    {"seek.empty_file", "SEEK_DATA and SEEK_HOLE of an empty file are ENXIO",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       fails(ENXIO, ::lseek(file.get(), 0, SEEK_DATA));
       fails(ENXIO, ::lseek(file.get(), 0, SEEK_HOLE));
     }},
    {"seek.only_hole", "a file that was only grown is one hole",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       ok(::ftruncate(file.get(), kMiB));
       same(::lseek(file.get(), 0, SEEK_HOLE), 0, "the hole");
       fails(ENXIO, ::lseek(file.get(), 0, SEEK_DATA));
     }},
    {"seek.data_negative", "SEEK_DATA and SEEK_HOLE of a negative offset are ENXIO",
     [](const Context&) {
       make_file("f", "data");
       const Fd file = open_file("f", O_RDONLY);
       fails({ENXIO, EINVAL}, ::lseek(file.get(), -1, SEEK_DATA));
       fails({ENXIO, EINVAL}, ::lseek(file.get(), -1, SEEK_HOLE));
     }},
    {"seek.walk", "walking data and holes covers the file and skips no byte that is not zero",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       std::string model(10 * kMiB, '\0');
       for (const off_t at : {off_t{0}, kMiB + 1, 3 * kMiB + 4096, 9 * kMiB}) {
         write_at(file, pattern(5000), at);
         model.replace(static_cast<std::size_t>(at), 5000, pattern(5000));
       }
       ok(::ftruncate(file.get(), 10 * kMiB));
       off_t end_of_data = 0;
       for (;;) {
         const off_t data = ::lseek(file.get(), end_of_data, SEEK_DATA);
         const off_t hole_end = data < 0 ? off_t{10 * kMiB} : data;
         if (data < 0) fails(ENXIO, -1);
         const auto hole = std::string_view(model).substr(static_cast<std::size_t>(end_of_data),
                                                          static_cast<std::size_t>(hole_end - end_of_data));
         that(hole.find_first_not_of('\0') == std::string_view::npos, "a hole is zeros");
         if (data < 0) break;
         end_of_data = ok(::lseek(file.get(), data, SEEK_HOLE));
         that(end_of_data > data, "data has a length");
         if (end_of_data == 10 * kMiB) break;
       }
     }},
    {"seek.sees_unsynced_data", "SEEK_DATA knows data that no fsync wrote out yet",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       ok(::ftruncate(file.get(), 8 * kMiB));
       write_at(file, "x", 6 * kMiB);
       const off_t found = ok(::lseek(file.get(), 0, SEEK_DATA));
       that(found <= 6 * kMiB, "the byte is not skipped");
     }},
};

}  // namespace

Cases seek_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
