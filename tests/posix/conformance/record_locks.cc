// Byte-range locks of fcntl(2): of processes, and of open files (F_OFD_...).

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct flock range(short type, off_t start, off_t length, short whence = SEEK_SET) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = whence;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

long lock(const Fd& file, short type, off_t start, off_t length, int command = F_SETLK) {
  struct flock wanted = range(type, start, length);
  return ::fcntl(file.get(), command, &wanted);
}

void refused(long result, Here here = Here::current()) { fails({EAGAIN, EACCES}, result, here); }

/// Whether another process could lock this for writing now.
bool is_free(off_t start, off_t length) {
  bool free = true;
  try {
    in_process([&] { ok(lock(open_file("f", O_RDWR), F_WRLCK, start, length)); });
  } catch (const Failure&) {
    free = false;
  }
  return free;
}

constexpr Row kRows[] = {
    {"record.write_lock", "a write lock keeps other processes' locks off its bytes only",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 10, 20));
       in_process([] {
         const Fd mine = open_file("f", O_RDWR);
         refused(lock(mine, F_WRLCK, 10, 1));
         refused(lock(mine, F_RDLCK, 29, 1));
         refused(lock(mine, F_WRLCK, 0, 0));
         ok(lock(mine, F_WRLCK, 0, 10));
         ok(lock(mine, F_WRLCK, 30, 0));
       });
     }},
    {"record.read_lock", "read locks stand beside each other and keep write locks off",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_RDLCK, 0, 50));
       in_process([] {
         const Fd mine = open_file("f", O_RDWR);
         ok(lock(mine, F_RDLCK, 0, 50));
         refused(lock(mine, F_WRLCK, 40, 20));
       });
     }},
    {"record.test", "F_GETLK tells who holds what, and F_UNLCK where nobody does",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 10, 20));
       const pid_t holder = ::getpid();
       in_process([&] {
         const Fd mine = open_file("f", O_RDWR);
         struct flock found = range(F_RDLCK, 0, 0);
         ok(::fcntl(mine.get(), F_GETLK, &found));
         same(found.l_type, F_WRLCK, "type");
         same(found.l_start, 10, "start");
         same(found.l_len, 20, "length");
         same(found.l_pid, holder, "pid");
         found = range(F_WRLCK, 50, 10);
         ok(::fcntl(mine.get(), F_GETLK, &found));
         same(found.l_type, F_UNLCK, "type where nobody locks");
       });
     }},
    {"record.own_locks_do_not_conflict", "a process converts its own locks, through any descriptor",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(lock(a, F_WRLCK, 0, 50));
       ok(lock(b, F_RDLCK, 25, 50));
       ok(lock(b, F_WRLCK, 0, 0));
     }},
    {"record.split", "unlocking the middle leaves both ends locked",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 30));
       ok(lock(file, F_UNLCK, 10, 10));
       that(is_free(10, 10), "the middle is free");
       that(!is_free(9, 1), "the byte before is locked");
       that(!is_free(20, 1), "the byte after is locked");
     }},
    {"record.merge", "locks side by side are one, and are unlocked at once",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 10));
       ok(lock(file, F_WRLCK, 20, 10));
       ok(lock(file, F_WRLCK, 10, 10));
       in_process([] {
         struct flock found = range(F_WRLCK, 0, 0);
         ok(::fcntl(open_file("f", O_RDWR).get(), F_GETLK, &found));
         same(found.l_start, 0, "start");
         same(found.l_len, 30, "length");
       });
       ok(lock(file, F_UNLCK, 0, 0));
       that(is_free(0, 0), "all is free");
     }},
    {"record.downgrade_middle", "reading the middle of a write lock lets readers in there only",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 30));
       ok(lock(file, F_RDLCK, 10, 10));
       in_process([] {
         const Fd mine = open_file("f", O_RDWR);
         ok(lock(mine, F_RDLCK, 10, 10));
         refused(lock(mine, F_RDLCK, 9, 2));
         refused(lock(mine, F_WRLCK, 12, 1));
       });
     }},
    {"record.to_the_end", "a length of 0 reaches to the end, wherever that goes",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 50, 0));
       that(is_free(0, 50), "what is before is free");
       that(!is_free(1'000'000'000'000, 1), "a byte far past the end is locked");
       ok(::ftruncate(file.get(), 10));
       that(!is_free(60, 1), "it stays after a truncate");
     }},
    {"record.origins", "offsets count from the start, the offset and the end; lengths may be negative",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(::lseek(file.get(), 40, SEEK_SET));
       struct flock wanted = range(F_WRLCK, 5, 5, SEEK_CUR);
       ok(::fcntl(file.get(), F_SETLK, &wanted));
       wanted = range(F_WRLCK, -10, 5, SEEK_END);
       ok(::fcntl(file.get(), F_SETLK, &wanted));
       wanted = range(F_WRLCK, 20, -5);
       ok(::fcntl(file.get(), F_SETLK, &wanted));
       that(is_free(0, 15) && !is_free(15, 1) && !is_free(19, 1) && is_free(20, 25), "15 to 20");
       that(!is_free(45, 1) && is_free(50, 40) && !is_free(90, 1) && is_free(95, 0), "45 to 50 and 90 to 95");
     }},
    {"record.close_ends_all", "closing any descriptor of the file ends the process's locks on it",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 0));
       open_file("f", O_RDONLY).close();
       that(is_free(0, 0), "all is free");
     }},
    {"record.not_inherited", "a child has none of its parent's locks",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 10));
       in_process([&] { refused(lock(file, F_WRLCK, 0, 10)); });
       that(!is_free(0, 1), "the child's end did not end it");
     }},
    {"record.end_of_process", "locks end with their process",
     [](const Context&) {
       make_file("f", pattern(100));
       in_process([] {
         Fd file = open_file("f", O_RDWR);
         ok(lock(file, F_WRLCK, 0, 0));
         file.release();
       });
       that(is_free(0, 0), "all is free");
     }},
    {"record.needs_access", "a write lock needs a descriptor for writing, a read lock one for reading",
     [](const Context&) {
       make_file("f");
       fails(EBADF, lock(open_file("f", O_RDONLY), F_WRLCK, 0, 0));
       fails(EBADF, lock(open_file("f", O_WRONLY), F_RDLCK, 0, 0));
       ok(lock(open_file("f", O_RDONLY), F_RDLCK, 0, 0));
     }},
    {"record.invalid", "a range that begins before 0 and unknown types are EINVAL",
     [](const Context&) {
       make_file("f");
       const Fd file = open_file("f", O_RDWR);
       fails(EINVAL, lock(file, F_WRLCK, -1, 10));
       fails(EINVAL, lock(file, F_WRLCK, 5, -10));
       fails(EINVAL, lock(file, 77, 0, 10));
     }},
    {"record.waiting", "who waits with F_SETLKW gets the lock when it is free",
     [](const Context&) {
       make_file("f", "0");
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 0));
       Process waiter([] {
         const Fd mine = open_file("f", O_RDWR);
         ok(lock(mine, F_WRLCK, 0, 0, F_SETLKW));
         same(content_of(mine), "1", "content when the lock is there");
       });
       write_at(file, "1", 0);
       ok(lock(file, F_UNLCK, 0, 0));
       waiter.join();
     }},
    {"record.deadlock", "of two processes that wait for each other one is told EDEADLK",
     [](const Context&) {
       make_file("f", pattern(100));
       int here[2], there[2];
       ok(::pipe(here));
       ok(::pipe(there));
       const auto cross = [](off_t first, off_t second, int say, int hear) {
         const Fd file = open_file("f", O_RDWR);
         ok(lock(file, F_WRLCK, first, 10));
         char byte = 0;
         ok(::write(say, &byte, 1));
         ok(::read(hear, &byte, 1));
         if (lock(file, F_WRLCK, second, 10, F_SETLKW) == 0) return;
         fails(EDEADLK, -1);
         write_all(open_file("deadlocks", O_CREAT | O_APPEND | O_WRONLY), "x");
       };
       Process a([&] { cross(0, 50, here[1], there[0]); }), b([&] { cross(50, 0, there[1], here[0]); });
       a.join();
       b.join();
       same(content_of("deadlocks"), "x", "deadlocks told");
     }},
    {"record.excludes", "under write locks two processes count without losing one",
     [](const Context&) {
       make_file("f", "0000");
       const auto count = [] {
         const Fd file = open_file("f", O_RDWR);
         for (int i = 0; i < 100; ++i) {
           ok(lock(file, F_WRLCK, 0, 4, F_SETLKW));
           write_at(file, fmt::format("{:04}", std::stoi(read_at(file, 4, 0)) + 1), 0);
           ok(lock(file, F_UNLCK, 0, 4));
         }
       };
       Process a(count), b(count);
       a.join();
       b.join();
       same(content_of("f"), "0200", "count");
     }},
    {"record.many", "200 ranges of one file are held at once",
     [](const Context&) {
       make_file("f", pattern(1000));
       const Fd file = open_file("f", O_RDWR);
       for (off_t at = 0; at < 400; at += 2) ok(lock(file, F_WRLCK, at, 1));
       in_process([] {
         const Fd mine = open_file("f", O_RDWR);
         for (off_t at = 0; at < 400; at += 2) {
           refused(lock(mine, F_WRLCK, at, 1));
           ok(lock(mine, F_WRLCK, at + 1, 1));
         }
       });
     }},
    {"open_file_lock.conflict", "locks of two opens conflict within one process",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(lock(a, F_WRLCK, 0, 10, F_OFD_SETLK));
       refused(lock(b, F_WRLCK, 5, 10, F_OFD_SETLK));
       refused(lock(b, F_RDLCK, 5, 1, F_OFD_SETLK));
       ok(lock(b, F_WRLCK, 10, 10, F_OFD_SETLK));
     }},
    {"open_file_lock.close", "a lock ends with the last duplicate of its open, not with another open",
     [](const Context&) {
       make_file("f", pattern(100));
       Fd a = open_file("f", O_RDWR), copy(::dup(a.get()));
       const Fd b = open_file("f", O_RDWR);
       ok(lock(a, F_WRLCK, 0, 10, F_OFD_SETLK));
       open_file("f", O_RDWR).close();
       a.close();
       refused(lock(b, F_WRLCK, 0, 10, F_OFD_SETLK));
       copy.close();
       ok(lock(b, F_WRLCK, 0, 10, F_OFD_SETLK));
     }},
    {"open_file_lock.shared_with_children", "a child shares the lock of an open and can end it",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd a = open_file("f", O_RDWR), b = open_file("f", O_RDWR);
       ok(lock(a, F_WRLCK, 0, 10, F_OFD_SETLK));
       in_process([&] {
         ok(lock(a, F_WRLCK, 0, 20, F_OFD_SETLK));
         ok(lock(a, F_UNLCK, 0, 0, F_OFD_SETLK));
       });
       ok(lock(b, F_WRLCK, 0, 0, F_OFD_SETLK));
     }},
    {"open_file_lock.meets_process_locks", "locks of opens and of processes conflict",
     [](const Context&) {
       make_file("f", pattern(100));
       const Fd a = open_file("f", O_RDWR);
       ok(lock(a, F_WRLCK, 0, 10, F_OFD_SETLK));
       in_process([] {
         const Fd mine = open_file("f", O_RDWR);
         refused(lock(mine, F_WRLCK, 0, 10));
         struct flock found = range(F_WRLCK, 0, 10);
         ok(::fcntl(mine.get(), F_GETLK, &found));
         same(found.l_pid, -1, "pid of a lock of an open");
       });
     }},
    {"open_file_lock.waiting", "who waits with F_OFD_SETLKW gets the lock when it is free",
     [](const Context&) {
       make_file("f", "0");
       const Fd file = open_file("f", O_RDWR);
       ok(lock(file, F_WRLCK, 0, 0, F_OFD_SETLK));
       Process waiter([] {
         const Fd mine = open_file("f", O_RDWR);
         ok(lock(mine, F_WRLCK, 0, 0, F_OFD_SETLKW));
         same(content_of(mine), "1", "content when the lock is there");
       });
       write_at(file, "1", 0);
       ok(lock(file, F_UNLCK, 0, 0, F_OFD_SETLK));
       waiter.join();
     }},
};

}  // namespace

Cases record_lock_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
