// mmap(2): what is mapped and what is read and written are one.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>
#include <cstring>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr std::size_t kPage = 4096;

/// A mapping, ended at the end.
class Map {
 public:
  Map(const Fd& file, std::size_t length, int protection, int flags, off_t offset = 0, Here here = Here::current())
      : length_(length) {
    void* const address = ::mmap(nullptr, length, protection, flags, file.get(), offset);
    if (address == MAP_FAILED) fail("mmap: expected success, got " + error_name(errno), here);
    bytes_ = static_cast<char*>(address);
  }
  ~Map() { ::munmap(bytes_, length_); }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  // Volatile, since others change what is mapped.
  volatile char& operator[](std::size_t at) const { return bytes_[at]; }
  std::string part(std::size_t at, std::size_t length) const { return {bytes_ + at, length}; }
  void put(std::size_t at, std::string_view data) const { data.copy(bytes_ + at, data.size()); }
  void sync(Here here = Here::current()) const { ok(::msync(bytes_, length_, MS_SYNC), here); }

 private:
  char* bytes_ = nullptr;
  std::size_t length_;
};

Map shared(const Fd& file, std::size_t length, off_t offset = 0) {
  return {file, length, PROT_READ | PROT_WRITE, MAP_SHARED, offset};
}

Fd data_file(std::size_t bytes) {
  Fd file = open_file("f", O_CREAT | O_RDWR);
  write_all(file, pattern(bytes));
  return file;
}

/// Whether touching a byte is SIGBUS; in a process of its own, since that is how it must end.
bool is_bus_error(const std::function<void()>& touch) {
  Process process([&] {
    std::signal(SIGBUS, SIG_DFL);
    touch();
  });
  return process.outcome().what.find("SIGBUS") != std::string::npos;
}

long map_error(const char* path, int open_flags, std::size_t length, int protection, int flags, off_t offset = 0) {
  const Fd file = open_file(path, open_flags);
  return ::mmap(nullptr, length, protection, flags, file.get(), offset) == MAP_FAILED ? -1 : 0;
}

constexpr Row kRows[] = {
    {"mmap.reads_the_file", "a mapping shows the file, and zeros from its end to the end of the page",
     [](const Context&) {
       const Fd file = data_file(10'000);
       const Map map(file, 3 * kPage, PROT_READ, MAP_SHARED);
       same(map.part(0, 10'000), pattern(10'000), "what is mapped");
       same(map.part(10'000, 3 * kPage - 10'000), std::string(3 * kPage - 10'000, '\0'), "behind the end");
     }},
    {"mmap.write_is_read", "what is written through a shared mapping is read at once, by others too",
     [](const Context&) {
       const Fd file = data_file(10'000);
       const Map map = shared(file, 10'000);
       map.put(5000, "mapped");
       same(read_at(file, 6, 5000), "mapped", "what is read");
       in_process([] { same(read_at(open_file("f", O_RDONLY), 6, 5000), "mapped", "what another reads"); });
     }},
    {"mmap.sees_writes", "a shared mapping shows writes at once, of others too",
     [](const Context&) {
       const Fd file = data_file(10'000);
       const Map map(file, 10'000, PROT_READ, MAP_SHARED);
       same(map.part(0, 10), pattern(10), "before");
       write_at(file, "written", 3);
       same(map.part(3, 7), "written", "what is mapped");
       in_process([] { write_at(open_file("f", O_WRONLY), "by another", 6000); });
       same(map.part(6000, 10), "by another", "what is mapped");
     }},
    {"mmap.two_mappings", "two mappings of one file show each other's writes, between processes too",
     [](const Context&) {
       const Fd file = data_file(10'000), again = open_file("f", O_RDWR);
       const Map a = shared(file, 10'000), b = shared(again, 10'000);
       a.put(0, "one");
       same(b.part(0, 3), "one", "what is mapped");
       in_process([] { shared(open_file("f", O_RDWR), 10'000).put(4096, "two"); });
       same(a.part(4096, 3), "two", "what is mapped");
     }},
    {"mmap.private", "what is written to a private mapping stays there",
     [](const Context&) {
       const Fd file = data_file(10'000);
       const Map map(file, 10'000, PROT_READ | PROT_WRITE, MAP_PRIVATE);
       map.put(100, "private");
       same(map.part(100, 7), "private", "what is mapped");
       same(content_of(file), pattern(10'000), "content");
     }},
    {"mmap.private_of_read_only", "a descriptor for reading can be mapped privately for writing",
     [](const Context&) {
       data_file(10'000);
       const Map map(open_file("f", O_RDONLY), kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE);
       map.put(0, "x");
       same(content_of("f"), pattern(10'000), "content");
     }},
    {"mmap.outlives_its_descriptor", "a mapping outlives the descriptor, and the changes made then are kept",
     [](const Context&) {
       Fd file = data_file(10'000);
       {
         const Map map = shared(file, 10'000);
         file.close();
         map.put(5000, "late");
       }
       same(read_at(open_file("f", O_RDONLY), 4, 5000), "late", "content");
     }},
    {"mmap.synced", "msync and munmap keep what was written",
     [](const Context&) {
       const Fd file = data_file(100'000);
       {
         const Map map = shared(file, 100'000);
         for (std::size_t at = 0; at < 100'000; at += 7000) map.put(at, "mapped");
         map.sync();
       }
       std::string model = pattern(100'000);
       for (std::size_t at = 0; at < 100'000; at += 7000) model.replace(at, 6, "mapped");
       that(content_of("f") == model, "the content is as written");
     }},
    {"mmap.moves_times", "writing through a mapping moves mtime and ctime, at the latest with msync",
     [](const Context&) {
       const Fd file = data_file(10'000);
       ok(::fsync(file.get()));
       moves_times("f", Times::kModifyAndChange, [&] {
         const Map map = shared(file, 10'000);
         map.put(0, "x");
         map.sync();
       });
     }},
    {"mmap.hole", "writing through a mapping fills a hole",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       ok(::ftruncate(file.get(), 100'000));
       const Map map = shared(file, 100'000);
       map.put(50'000, "filled");
       that(content_of(file) == std::string(50'000, '\0') + "filled" + std::string(49'994, '\0'),
            "only that is filled");
     }},
    {"mmap.offset", "a mapping may begin at any page",
     [](const Context&) {
       const Fd file = data_file(100'000);
       const Map map = shared(file, 2 * kPage, 5 * kPage);
       same(map.part(0, 2 * kPage), pattern(100'000).substr(5 * kPage, 2 * kPage), "what is mapped");
       map.put(10, "here");
       same(read_at(file, 4, 5 * kPage + 10), "here", "what is read");
     }},
    {"mmap.behind_the_end_is_not_kept", "what is written behind the end of the file is not part of it",
     [](const Context&) {
       const Fd file = data_file(100);
       {
         const Map map = shared(file, kPage);
         map.put(90, std::string(100, 'x'));
         map.sync();
       }
       same(status_of(file).st_size, 100, "st_size");
       same(content_of(file), pattern(100).substr(0, 90) + std::string(10, 'x'), "content");
     }},
    {"mmap.past_the_end", "touching a page past the end is SIGBUS",
     [](const Context&) {
       const Fd file = data_file(100);
       that(is_bus_error([&] {
              const Map map = shared(file, 3 * kPage);
              map[2 * kPage] = 'x';
            }),
            "it is SIGBUS");
     }},
    {"mmap.past_a_new_end", "touching what a truncate cut off is SIGBUS, also where it had been read",
     [](const Context&) {
       const Fd file = data_file(5 * kPage);
       that(is_bus_error([&] {
              const Map map = shared(file, 5 * kPage);
              if (map[4 * kPage] == 0) return;
              ok(::ftruncate(file.get(), kPage));
              if (map[4 * kPage] == 0) return;
            }),
            "it is SIGBUS");
     }},
    {"mmap.grows_with_the_file", "a mapping shows what a growing file gets",
     [](const Context&) {
       const Fd file = data_file(100);
       const Map map = shared(file, 3 * kPage);
       ok(::ftruncate(file.get(), 3 * kPage));
       map.put(2 * kPage, "grown");
       same(read_at(file, 5, 2 * kPage), "grown", "what is read");
       same(map.part(100, 10), std::string(10, '\0'), "behind the old end");
     }},
    {"mmap.truncate_and_grow", "a mapping shows zeros where a file was cut and grew again",
     [](const Context&) {
       const Fd file = data_file(3 * kPage);
       const Map map = shared(file, 3 * kPage);
       map.put(kPage + 5, "gone");
       ok(::ftruncate(file.get(), kPage + 5));
       ok(::ftruncate(file.get(), 3 * kPage));
       same(map.part(kPage, 5), pattern(3 * kPage).substr(kPage, 5), "what stays");
       same(map.part(kPage + 5, 4), std::string(4, '\0'), "what was cut off");
     }},
    {"mmap.access", "a mapping needs a descriptor that may read, a shared one for writing one that may write",
     [](const Context&) {
       make_file("f", pattern(100));
       fails(EACCES, map_error("f", O_RDONLY, 100, PROT_READ | PROT_WRITE, MAP_SHARED));
       fails(EACCES, map_error("f", O_WRONLY, 100, PROT_READ, MAP_SHARED));
       fails(EACCES, map_error("f", O_WRONLY, 100, PROT_READ, MAP_PRIVATE));
     }},
    {"mmap.invalid", "no length and an offset within a page are EINVAL, a directory ENODEV",
     [](const Context&) {
       make_file("f", pattern(10'000));
       make_directory("d");
       fails(EINVAL, map_error("f", O_RDONLY, 0, PROT_READ, MAP_SHARED));
       fails(EINVAL, map_error("f", O_RDONLY, 100, PROT_READ, MAP_SHARED, 100));
       fails(ENODEV, map_error("d", O_RDONLY, 100, PROT_READ, MAP_SHARED));
     }},
    {"mmap.shared_with_children", "a child writes through its parent's mapping",
     [](const Context&) {
       const Fd file = data_file(10'000);
       const Map map = shared(file, 10'000);
       in_process([&] { map.put(0, "child"); });
       same(map.part(0, 5), "child", "what is mapped");
       same(read_at(file, 5, 0), "child", "what is read");
     }},
    {"mmap.large", "a mapping of 32 MiB holds what is written to each of its pages",
     [](const Context&) {
       constexpr std::size_t kBytes = 32 << 20;
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       ok(::ftruncate(file.get(), kBytes));
       {
         const Map map = shared(file, kBytes);
         for (std::size_t page = 0; page < kBytes / kPage; ++page) map.put(page * kPage, fmt::format("{:08}", page));
       }
       for (std::size_t page = 0; page < kBytes / kPage; page += 99) {
         same(read_at(file, 8, static_cast<off_t>(page * kPage)), fmt::format("{:08}", page), "page");
       }
     }},
    {"mmap.write_from_own_mapping", "a write whose data is a mapping of the same file ends and is right",
     [](const Context&) {
       const Fd file = data_file(100'000);
       const Map map = shared(file, 100'000);
       same(ok(::pwrite(file.get(), const_cast<const char*>(&map[0]), 30'000, 60'000)), 30'000, "bytes");
       same(map.part(60'000, 30'000), pattern(100'000).substr(0, 30'000), "what was copied");
     }},
};

}  // namespace

Cases mmap_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
