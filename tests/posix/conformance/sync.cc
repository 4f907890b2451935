// fsync(2), fdatasync(2), syncfs(2), sync_file_range(2): what they accept. What they keep through a crash is shown by
// posix_tree --journal.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr Row kRows[] = {
    {"sync.file", "fsync and fdatasync of a file with new data succeed and keep it",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "one");
       ok(::fsync(file.get()));
       write_all(file, "two");
       ok(::fdatasync(file.get()));
       same(content_of("f"), "onetwo", "content");
     }},
    {"sync.read_only_descriptor", "a descriptor for reading syncs what others wrote",
     [](const Context&) {
       make_file("f", "data");
       ok(::fsync(open_file("f", O_RDONLY).get()));
       ok(::fdatasync(open_file("f", O_RDONLY).get()));
     }},
    {"sync.directory", "fsync and fdatasync of a directory succeed",
     [](const Context&) {
       make_directory("d");
       make_file("d/f");
       const Fd directory = open_file("d", O_RDONLY | O_DIRECTORY);
       ok(::fsync(directory.get()));
       ok(::fdatasync(directory.get()));
     }},
    {"sync.unlinked", "fsync of a file without a name succeeds",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "data");
       ok(::unlink("f"));
       ok(::fsync(file.get()));
       same(content_of(file), "data", "content");
     }},
    {"sync.file_system", "syncfs succeeds",
     [](const Context&) {
       make_file("f", "data");
       ok(::syncfs(open_file(".", O_RDONLY).get()));
     }},
    {"sync.range", "sync_file_range succeeds and refuses unknown flags",
     [](const Context&) {
       make_file("f", pattern(100'000));
       const Fd file = open_file("f", O_RDWR);
       ok(::sync_file_range(file.get(), 4096, 8192, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
       fails(EINVAL, ::sync_file_range(file.get(), 0, 0, 0x100));
     }},
    {"sync.bad_descriptor", "a descriptor that is not open is EBADF, a fifo EINVAL",
     [](const Context&) {
       make_fifo("p");
       fails(EBADF, ::fsync(987));
       fails(EBADF, ::fdatasync(987));
       fails(EINVAL, ::fsync(open_file("p", O_RDWR).get()));
     }},
    {"sync.moves_no_times", "fsync moves neither mtime nor ctime",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "data");
       moves_times("f", Times::kNone, [&] { ok(::fsync(file.get())); });
     }},
    {"sync.times_before_and_after", "times of a write are the same before and after fsync and for other processes",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "data");
       const Moment before = moment(status_of(file).st_mtim);
       ok(::fsync(file.get()));
       in_process([&] { that(moment(status_of("f").st_mtim) == before, "mtime is the same"); });
     }},
};

}  // namespace

Cases sync_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
