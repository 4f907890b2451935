// Operations per second of a directory, from several threads, each on names and a file of its own: what F and the mount
// itself are measured with.
//   fs_load [--json] DIR [THREADS [SECONDS]]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Load {
  std::string directory;
  unsigned threads = 1;
  double seconds = 1;
  bool json = false;
};

[[noreturn]] void fail(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

void require(bool good, const std::string& what) {
  if (!good) fail(what);
}

/// Runs `step(thread, number)` over and over in every thread and returns how often per second. Numbers grow from 0, or
/// stay below `count` if that is given, in which case they end with it.
double rate(const Load& load, const std::function<void(unsigned, std::uint64_t)>& step,
            std::vector<std::uint64_t>* counts, bool until_counts) {
  std::atomic<std::uint64_t> done{0};
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(load.seconds));
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < load.threads; ++thread) {
    threads.emplace_back([&, thread] {
      std::uint64_t number = 0;
      while (until_counts ? number < (*counts)[thread] : Clock::now() < end) step(thread, number++);
      (*counts)[thread] = number;
      done += number;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(done) / std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The first one begins the document that `main` ends.
void print(const Load& load, const char* name, double value) {
  if (load.json) {
    static bool first = true;
    fmt::print("{}\"{}\": {:.1f}", std::exchange(first, false) ? "{" : ", ", name, value);
    return;
  }
  fmt::print("{:<12} {:>10.0f}/s {:>8.1f} us each\n", name, value, 1e6 / value);
}

void names(const Load& load) {
  const auto path = [&](unsigned thread, std::uint64_t number) {
    return fmt::format("{}/{}-{}", load.directory, thread, number);
  };
  std::vector<std::uint64_t> counts(load.threads);
  const auto create = [&](unsigned thread, std::uint64_t number) {
    const int file = ::open(path(thread, number).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    require(file >= 0, "create");
    ::close(file);
  };
  const auto stat = [&](unsigned thread, std::uint64_t number) {
    struct stat status{};
    require(::stat(path(thread, number).c_str(), &status) == 0, "stat");
  };
  const auto unlink = [&](unsigned thread, std::uint64_t number) {
    require(::unlink(path(thread, number).c_str()) == 0, "unlink");
  };
  print(load, "create", rate(load, create, &counts, false));
  print(load, "stat", rate(load, stat, &counts, true));
  print(load, "unlink", rate(load, unlink, &counts, true));
}

void data(const Load& load, const char* read_name, const char* write_name, std::size_t bytes, std::size_t file_bytes) {
  std::vector<int> files;
  std::vector<void*> buffers;
  for (unsigned thread = 0; thread < load.threads; ++thread) {
    const std::string path = fmt::format("{}/data-{}", load.directory, thread);
    files.push_back(::open(path.c_str(), O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0644));
    require(files.back() >= 0 && ::ftruncate(files.back(), static_cast<off_t>(file_bytes)) == 0, "open");
    buffers.push_back(std::aligned_alloc(4096, bytes));
  }
  const auto offset = [&](std::uint64_t number) {
    return static_cast<off_t>(number * 2654435761u % (file_bytes / bytes) * bytes);
  };
  const auto write = [&](unsigned thread, std::uint64_t number) {
    require(::pwrite(files[thread], buffers[thread], bytes, offset(number)) == static_cast<ssize_t>(bytes), "write");
  };
  const auto read = [&](unsigned thread, std::uint64_t number) {
    require(::pread(files[thread], buffers[thread], bytes, offset(number)) == static_cast<ssize_t>(bytes), "read");
  };
  std::vector<std::uint64_t> counts(load.threads);
  print(load, write_name, rate(load, write, &counts, false));
  print(load, read_name, rate(load, read, &counts, false));
  for (unsigned thread = 0; thread < load.threads; ++thread) {
    ::close(files[thread]);
    ::unlink(fmt::format("{}/data-{}", load.directory, thread).c_str());
    std::free(buffers[thread]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Load load;
  if (argc > 1 && argv[1] == std::string_view("--json")) {
    load.json = true;
    --argc, ++argv;
  }
  if (argc < 2) return fmt::print(stderr, "usage: fs_load [--json] DIR [THREADS [SECONDS]]\n"), 2;
  load.directory = argv[1];
  if (argc > 2) load.threads = static_cast<unsigned>(std::max(1, std::atoi(argv[2])));
  if (argc > 3) load.seconds = std::max(0.01, std::atof(argv[3]));
  names(load);
  data(load, "4K read", "4K write", 4096, 16u << 20);
  data(load, "1M read", "1M write", 1u << 20, 64u << 20);
  if (load.json) fmt::print("}}\n");
  return 0;
}
