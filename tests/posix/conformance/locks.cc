// flock(2).

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr int kShared = LOCK_SH | LOCK_NB, kExclusive = LOCK_EX | LOCK_NB;

constexpr Row kRows[] = {
    {"flock.exclusive", "an exclusive lock keeps every other out, in this process and others",
     [](const Context&) {
       make_file("f");
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       fails(EWOULDBLOCK, ::flock(b.get(), kExclusive));
       fails(EWOULDBLOCK, ::flock(b.get(), kShared));
       in_process([] { fails(EWOULDBLOCK, ::flock(open_file("f", O_RDWR).get(), kShared)); });
     }},
    {"flock.shared", "shared locks stand beside each other and keep exclusive ones out",
     [](const Context&) {
       make_file("f");
       const Fd a = open_file("f", O_RDONLY), b = open_file("f", O_RDONLY);
       ok(::flock(a.get(), kShared));
       ok(::flock(b.get(), kShared));
       in_process([] {
         const Fd c = open_file("f", O_RDWR);
         ok(::flock(c.get(), kShared));
         fails(EWOULDBLOCK, ::flock(c.get(), kExclusive));
       });
     }},
    {"flock.unlock", "LOCK_UN lets others in, also one that held nothing",
     [](const Context&) {
       make_file("f");
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(::flock(a.get(), LOCK_UN));
       ok(::flock(a.get(), kExclusive));
       ok(::flock(a.get(), LOCK_UN));
       ok(::flock(b.get(), kExclusive));
     }},
    {"flock.close", "a lock ends with the last duplicate of its descriptor",
     [](const Context&) {
       make_file("f");
       Fd a = open_file("f", O_RDWR), copy(::dup(a.get()));
       const Fd b = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       a.close();
       fails(EWOULDBLOCK, ::flock(b.get(), kExclusive));
       copy.close();
       ok(::flock(b.get(), kExclusive));
     }},
    {"flock.shared_with_children", "a child has its parent's lock and can end it",
     [](const Context&) {
       make_file("f");
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       in_process([&] { ok(::flock(a.get(), kExclusive)); });
       fails(EWOULDBLOCK, ::flock(b.get(), kExclusive));
       in_process([&] { ok(::flock(a.get(), LOCK_UN)); });
       ok(::flock(b.get(), kExclusive));
     }},
    {"flock.end_of_process", "a lock ends with its process, also one that was killed",
     [](const Context&) {
       make_file("f");
       int ends[2];
       ok(::pipe(ends));
       Process holder([&] {
         const Fd file = open_file("f", O_RDWR);
         ok(::flock(file.get(), kExclusive));
         ok(::write(ends[1], "x", 1));
         ::pause();
       });
       char byte = 0;
       ok(::read(ends[0], &byte, 1));
       const Fd file = open_file("f", O_RDWR);
       fails(EWOULDBLOCK, ::flock(file.get(), kExclusive));
       holder.kill();
       holder.outcome();
       ok(::flock(file.get(), LOCK_EX));
     }},
    {"flock.convert", "a lock is made shared and exclusive again where nobody else holds one",
     [](const Context&) {
       make_file("f");
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       ok(::flock(a.get(), kShared));
       ok(::flock(b.get(), kShared));
       fails(EWOULDBLOCK, ::flock(a.get(), kExclusive));
       ok(::flock(b.get(), LOCK_UN));
       ok(::flock(a.get(), kExclusive));
     }},
    {"flock.waiting", "who waits for a lock gets it when it is free",
     [](const Context&) {
       make_file("f", "0");
       const Fd file = open_file("f", O_RDWR);
       ok(::flock(file.get(), LOCK_EX));
       Process waiter([] {
         const Fd mine = open_file("f", O_RDWR);
         ok(::flock(mine.get(), LOCK_EX));
         same(content_of(mine), "1", "content when the lock is there");
       });
       write_at(file, "1", 0);
       // Closing would not do: the child has the descriptor, too.
       ok(::flock(file.get(), LOCK_UN));
       waiter.join();
     }},
    {"flock.excludes", "under exclusive locks two processes count without losing one",
     [](const Context&) {
       make_file("f", "0000");
       const auto count = [] {
         const Fd file = open_file("f", O_RDWR);
         for (int i = 0; i < 100; ++i) {
           ok(::flock(file.get(), LOCK_EX));
           write_at(file, fmt::format("{:04}", std::stoi(read_at(file, 4, 0)) + 1), 0);
           ok(::flock(file.get(), LOCK_UN));
         }
       };
       Process a(count), b(count);
       a.join();
       b.join();
       same(content_of("f"), "0200", "count");
     }},
    {"flock.of_directory", "a directory can be locked",
     [](const Context&) {
       make_directory("d");
       const Fd a = open_file("d", O_RDONLY), b = open_file("d", O_RDONLY);
       ok(::flock(a.get(), kExclusive));
       fails(EWOULDBLOCK, ::flock(b.get(), kShared));
     }},
    {"flock.read_only_descriptor", "a descriptor for reading may take an exclusive lock",
     [](const Context&) {
       make_file("f");
       ok(::flock(open_file("f", O_RDONLY).get(), kExclusive));
     }},
    {"flock.stays_over_rename", "a lock belongs to the file, whatever its name",
     [](const Context&) {
       make_file("f");
       make_file("g");
       const Fd a = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       ok(::rename("f", "h"));
       make_file("f");
       ok(::flock(open_file("f", O_RDWR).get(), kExclusive));
       fails(EWOULDBLOCK, ::flock(open_file("h", O_RDWR).get(), kExclusive));
     }},
    {"flock.apart_from_records", "locks of flock and of fcntl do not meet",
     [](const Context&) {
       make_file("f", "data");
       const Fd a = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       in_process([] {
         struct flock lock{};
         lock.l_type = F_WRLCK;
         ok(::fcntl(open_file("f", O_RDWR).get(), F_SETLK, &lock));
       });
     }},
    {"flock.invalid", "an unknown operation is EINVAL, a descriptor that is not open EBADF",
     [](const Context&) {
       make_file("f");
       fails(EINVAL, ::flock(open_file("f", O_RDWR).get(), 0));
       fails(EBADF, ::flock(987, LOCK_EX));
     }},
    {"flock.io_is_free", "a lock is advice: reading and writing go on without it",
     [](const Context&) {
       make_file("f", "data");
       const Fd a = open_file("f", O_RDWR);
       ok(::flock(a.get(), kExclusive));
       in_process([] { write_at(open_file("f", O_RDWR), "DATA", 0); });
       same(content_of("f"), "DATA", "content");
     }},
};

}  // namespace

Cases lock_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
