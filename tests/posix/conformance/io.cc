// read(2), write(2) and their relatives; sparse and large files.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <csignal>
#include <limits>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr off_t kGiB = off_t{1} << 30;

void limit_file_size(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  ok(::setrlimit(RLIMIT_FSIZE, &limit));
  std::signal(SIGXFSZ, SIG_IGN);
}

/// Writes pieces that cross blocks, pages and stripes; each length at an offset just before a border.
void across_borders(const Context&) {
  const Fd file = open_file("f", O_CREAT | O_RDWR);
  std::string model;
  for (const std::size_t border : {512u, 4096u, 65536u, 1048576u, 2097152u}) {
    for (const std::size_t length : {1u, 2u, 4095u, 4096u, 4097u, 70000u}) {
      const std::size_t at = border - std::min<std::size_t>(border, length / 2);
      const std::string data = pattern(length, static_cast<unsigned>(border + length));
      write_at(file, data, static_cast<off_t>(at));
      if (model.size() < at + length) model.resize(at + length);
      model.replace(at, length, data);
    }
  }
  that(content_of(file) == model, "every byte is as written");
}

constexpr Row kRows[] = {
    {"io.round_trip", "what was written is read, through the same and another descriptor",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, pattern(10'000));
       same(content_of(file), pattern(10'000), "content");
       same(content_of("f"), pattern(10'000), "content");
     }},
    {"io.end_of_file", "a read at or past the end returns 0, one across it what there is",
     [](const Context&) {
       make_file("f", "0123456789");
       const Fd file = open_file("f", O_RDONLY);
       same(read_at(file, 10, 10), "", "at the end");
       same(read_at(file, 10, kGiB), "", "past the end");
       same(read_at(file, 10, 7), "789", "across the end");
     }},
    {"io.offset_moves", "read and write move the offset by what they did, pread and pwrite do not",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "0123456789");
       same(::lseek(file.get(), 0, SEEK_CUR), 10, "offset after write");
       write_at(file, "x", 2);
       same(read_at(file, 3, 1), "1x3", "pread");
       same(::lseek(file.get(), 0, SEEK_CUR), 10, "offset after pread and pwrite");
       ok(::lseek(file.get(), 8, SEEK_SET));
       char bytes[10];
       same(::read(file.get(), bytes, sizeof bytes), 2, "bytes read");
       same(::lseek(file.get(), 0, SEEK_CUR), 10, "offset after read");
     }},
    {"io.negative_offset", "a negative offset is EINVAL",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       char byte = 0;
       fails(EINVAL, ::pread(file.get(), &byte, 1, -1));
       fails(EINVAL, ::pwrite(file.get(), &byte, 1, -1));
       same(status_of(file).st_size, 0, "st_size");
     }},
    {"io.largest_offset", "a write at the largest offset is EFBIG",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       const char byte = 0;
       fails({EFBIG, EINVAL}, ::pwrite(file.get(), &byte, 1, std::numeric_limits<off_t>::max()));
       same(status_of(file).st_size, 0, "st_size");
     }},
    {"io.hole_reads_zeros", "what was never written below the end reads as zeros",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_at(file, "end", 3'000'000);
       same(status_of(file).st_size, 3'000'003, "st_size");
       that(content_of(file) == std::string(3'000'000, '\0') + "end", "the hole is zeros");
     }},
    {"io.hole_takes_no_space", "a hole takes no space",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_at(file, "x", 64 << 20);
       ok(::fsync(file.get()));
       that(status_of(file).st_blocks < (16 << 20) / 512, "a hole of 64 MiB has fewer blocks than 16 MiB would");
     }},
    {"io.past_4_gib", "offsets around 4 GiB and at 1 TiB are told apart",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_at(file, "four", 4 * kGiB - 2);
       write_at(file, "low", 0);
       write_at(file, "tera", 1024 * kGiB);
       same(status_of(file).st_size, 1024 * kGiB + 4, "st_size");
       same(read_at(file, 4, 4 * kGiB - 2), "four", "around 4 GiB");
       same(read_at(file, 3, 0), "low", "at 0");
       same(read_at(file, 8, 1024 * kGiB - 4), std::string_view("\0\0\0\0tera", 8), "at 1 TiB");
     }},
    {"io.across_borders", "writes of many lengths across the borders of blocks, pages and chunks are exact",
     across_borders},
    {"io.overwrite", "overwriting in the middle leaves the rest",
     [](const Context&) {
       make_file("f", "0123456789");
       write_at(open_file("f", O_WRONLY), "abc", 4);
       same(content_of("f"), "0123abc789", "content");
     }},
    {"io.eight_mib", "one write of 8 MiB is read back whole",
     [](const Context&) {
       const std::string data = pattern(8 << 20);
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, data);
       that(content_of("f") == data, "the content is what was written");
     }},
    {"io.vectors", "readv, writev, preadv and pwritev take their pieces in order",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       char one[] = "one", empty[] = "", three[] = "three";
       const iovec out[] = {{one, 3}, {empty, 0}, {three, 5}};
       same(ok(::writev(file.get(), out, 3)), 8, "bytes of writev");
       same(ok(::pwritev(file.get(), out, 3, 6)), 8, "bytes of pwritev");
       same(content_of(file), "onethronethree", "content");
       char left[4], right[20];
       const iovec in[] = {{left, 4}, {right, 20}};
       same(ok(::preadv(file.get(), in, 2, 1)), 13, "bytes of preadv");
       same(std::string(left, 4) + std::string(right, 9), "nethronethree", "what was read");
       ok(::lseek(file.get(), 10, SEEK_SET));
       same(ok(::readv(file.get(), in, 2)), 4, "bytes of readv");
     }},
    {"io.nothing", "writing nothing changes nothing, past the end either",
     [](const Context&) {
       make_file("f", "data");
       const Fd file = open_file("f", O_RDWR);
       moves_times("f", Times::kNone, [&] {
         same(ok(::write(file.get(), "", 0)), 0, "bytes");
         same(ok(::pwrite(file.get(), "", 0, 100)), 0, "bytes");
       });
       same(status_of(file).st_size, 4, "st_size");
     }},
    {"io.positioned_append", "on Linux pwrite of an O_APPEND descriptor appends, whatever the offset",
     [](const Context&) {
       make_file("f", "data");
       write_at(open_file("f", O_WRONLY | O_APPEND), "end", 0);
       same(content_of("f"), "dataend", "content");
     }},
    {"io.bad_buffer", "a buffer that is not there is EFAULT and changes nothing",
     [](const Context&) {
       make_file("f", "data");
       const Fd file = open_file("f", O_RDWR);
       // Behind the back of what checks buffers in sanitized builds.
       char* const nowhere =
           reinterpret_cast<char*>(std::uintptr_t{4096});  // NOLINT(performance-no-int-to-ptr): no address
       fails(EFAULT, ::syscall(SYS_pread64, file.get(), nowhere, 4, 0));
       fails(EFAULT, ::syscall(SYS_pwrite64, file.get(), nowhere, 4, 0));
       same(content_of(file), "data", "content");
     }},
    {"io.size_limit", "RLIMIT_FSIZE cuts a write at the limit, then it is EFBIG",
     [](const Context&) {
       limit_file_size(1000);
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       const std::string data = pattern(1500);
       same(ok(::write(file.get(), data.data(), data.size())), 1000, "bytes written");
       fails(EFBIG, ::write(file.get(), data.data(), 1));
       fails(EFBIG, ::pwrite(file.get(), data.data(), 1, 5000));
       same(content_of(file), data.substr(0, 1000), "content");
     }},
    {"io.size_limit_signal", "a write past RLIMIT_FSIZE raises SIGXFSZ",
     [](const Context&) {
       limit_file_size(10);
       static volatile std::sig_atomic_t signals = 0;
       std::signal(SIGXFSZ, [](int) { signals = signals + 1; });
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       fails(EFBIG, ::pwrite(file.get(), "x", 1, 10));
       same(int{signals}, 1, "signals");
     }},
    {"io.write_after_shrink", "an offset past the end after a shrink writes there, with a hole before",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       write_all(file, "0123456789");
       ok(::ftruncate(file.get(), 3));
       write_all(file, "x");
       same(content_of(file), std::string_view("012\0\0\0\0\0\0\0x", 11), "content");
     }},
    {"io.copy_file_range", "copy_file_range(2) copies within a file system, offsets as asked",
     [](const Context&) {
       const std::string data = pattern(300'000);
       make_file("f", data);
       const Fd from = open_file("f", O_RDONLY), to = open_file("g", O_CREAT | O_RDWR);
       off_t in = 1000, out = 5;
       for (std::size_t left = 200'000; left > 0;) {
         const ssize_t copied = ok(::copy_file_range(from.get(), &in, to.get(), &out, left, 0));
         that(copied > 0, "it goes on");
         left -= static_cast<std::size_t>(copied);
       }
       same(in, 201'000, "offset in");
       same(out, 200'005, "offset out");
       that(content_of("g") == std::string(5, '\0') + data.substr(1000, 200'000), "the copy is exact");
     }},
    {"io.copy_file_range_overlap", "copy_file_range(2) of overlapping ranges of one file is EINVAL",
     [](const Context&) {
       make_file("f", pattern(10'000));
       const Fd file = open_file("f", O_RDWR);
       off_t in = 0, out = 100;
       fails(EINVAL, ::copy_file_range(file.get(), &in, file.get(), &out, 200, 0));
     }},
    {"io.send_file", "sendfile(2) sends from one file to another",
     [](const Context&) {
       make_file("f", pattern(50'000));
       const Fd from = open_file("f", O_RDONLY), to = open_file("g", O_CREAT | O_RDWR);
       same(ok(::sendfile(to.get(), from.get(), nullptr, 50'000)), 50'000, "bytes");
       that(content_of("g") == pattern(50'000), "the copy is exact");
     }},
    {"io.other_process_sees_at_once", "a write is seen by other processes when it returns, before any close",
     [](const Context&) {
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       for (int i = 0; i < 10; ++i) {
         const std::string data = fmt::format("{:04}", i);
         write_at(file, data, 0);
         in_process([&] {
           same(content_of("f"), data, "content");
           same(status_of("f").st_size, 4, "st_size");
         });
       }
     }},
    {"io.two_writers", "two processes that write different places of one file do not disturb each other",
     [](const Context&) {
       make_file("f");
       const auto write_every_second = [](unsigned first) {
         const Fd file = open_file("f", O_WRONLY);
         for (unsigned i = first; i < 200; i += 2) write_at(file, pattern(777, i), i * 777);
       };
       Process a([&] { write_every_second(0); }), b([&] { write_every_second(1); });
       a.join();
       b.join();
       const std::string content = content_of("f");
       same(content.size(), 200 * 777, "bytes");
       for (unsigned i = 0; i < 200; ++i) same(content.substr(i * 777, 777), pattern(777, i), "piece");
     }},
    {"io.same_content_after_reopen", "content is the same after close and open",
     [](const Context&) {
       write_at(open_file("f", O_CREAT | O_WRONLY), pattern(123'457), 789);
       that(content_of("f") == std::string(789, '\0') + pattern(123'457), "the content is what was written");
     }},
    {"io.bytewise", "a file grown byte by byte is whole",
     [](const Context&) {
       const std::string data = pattern(2000);
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       for (const char byte : data) write_all(file, {&byte, 1});
       same(content_of(file), data, "content");
     }},
    {"io.backwards", "a file written from its end to its start is whole",
     [](const Context&) {
       const std::string data = pattern(100'000);
       const Fd file = open_file("f", O_CREAT | O_RDWR);
       for (std::size_t at = data.size(); at > 0; at -= 1000) {
         write_at(file, std::string_view(data).substr(at - 1000, 1000), static_cast<off_t>(at - 1000));
       }
       that(content_of(file) == data, "the content is what was written");
     }},
};

}  // namespace

Cases io_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
