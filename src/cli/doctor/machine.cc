#include "machine.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include "cenote/base/format.h"
#include "cenote/runtime/uring_reactor.h"
#include "open_files.h"
#include "settings.h"
#include "write_test.h"

namespace cenote::cli {
namespace {

namespace stdfs = std::filesystem;

constexpr std::uint64_t kOpenFilesWanted = 4096;
constexpr std::uint64_t kFreeBytesWanted = 2ull << 30;
constexpr Duration kMedianWanted = std::chrono::milliseconds(5);
constexpr Duration kWorstWanted = std::chrono::milliseconds(200);

std::string reason(int error) { return std::generic_category().message(error); }

Finding check_io_uring() {
  utsname system{};
  ::uname(&system);
  const auto reactor = UringReactor::create({});
  if (reactor) return ok("io_uring", fmt::format("usable, Linux {}", system.release));
  return bad(
      "io_uring", fmt::format("Linux {}: {}", system.release, reactor.error().message()),
      "every engine needs it: Linux 5.19 or newer, 'sysctl kernel.io_uring_disabled' 0, and in a container a seccomp "
      "profile that allows it");
}

Finding check_memlock(const engine::EngineOptions& options) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::uint64_t targets =
      options.targets != 0 ? options.targets : engine::default_targets(std::thread::hardware_concurrency());
  const MemlockLimit found{limit.rlim_cur, limit.rlim_cur == RLIM_INFINITY || ::geteuid() == 0};
  return judge_memlock(found, targets * options.buffer_bytes);
}

Finding check_open_files() { return judge_open_files(open_files_limit()); }

Finding check_memory(const engine::EngineOptions& options) {
  const std::uint64_t targets =
      options.targets != 0 ? options.targets : engine::default_targets(std::thread::hardware_concurrency());
  const std::uint64_t memory = engine::usable_memory();
  const std::uint64_t cache =
      options.cache_bytes != 0 ? options.cache_bytes : engine::default_cache_bytes(memory, targets);
  return judge_memory(memory, targets * (cache + options.buffer_bytes) + options.request_bytes);
}

Finding check_clock() {
  timex state{};
  const int answer = ::adjtimex(&state);
  const auto synchronised = answer < 0 ? std::nullopt : std::optional((state.status & STA_UNSYNC) == 0);
  return judge_clock(WallTime(std::chrono::system_clock::now().time_since_epoch()), synchronised);
}

/// The directory itself, or the nearest one above it that exists.
std::string existing_part(const std::string& path) {
  std::error_code ignored;
  stdfs::path part = stdfs::absolute(path, ignored).lexically_normal();
  while (!stdfs::exists(part, ignored) && part.has_relative_path()) part = part.parent_path();
  return part.string();
}

Finding check_data_directory(const std::string& path, const std::string& existing) {
  std::error_code ignored;
  if (!stdfs::is_directory(existing, ignored)) {
    return bad("data directory", fmt::format("'{}' is a file", existing), "name a directory with --data");
  }
  if (::access(existing.c_str(), W_OK | X_OK) != 0) {
    return bad("data directory", fmt::format("'{}' cannot be written by this user: {}", existing, reason(errno)),
               "run the engine as its owner, or name another directory with --data");
  }
  if (!stdfs::exists(path, ignored))
    return ok("data directory", fmt::format("'{}' does not exist yet and can be created", path));
  if (stdfs::exists(path + "/engine.json", ignored))
    return ok("data directory", fmt::format("'{}' holds an engine's data", path));
  if (stdfs::is_empty(path, ignored)) return ok("data directory", fmt::format("'{}' is empty", path));
  return bad("data directory", fmt::format("'{}' holds other things", path),
             "an engine only takes an empty directory, or its own");
}

Finding check_free_space(const std::string& existing) {
  struct statvfs info{};
  if (::statvfs(existing.c_str(), &info) != 0) {
    return bad("free space", fmt::format("cannot be asked of '{}': {}", existing, reason(errno)),
               "check that the disk is mounted");
  }
  return judge_free_space(existing, std::uint64_t{info.f_bavail} * info.f_frsize,
                          std::uint64_t{info.f_blocks} * info.f_frsize);
}

/// The devices and files that the settings name for the roles of the targets, if they do.
Finding check_devices(const engine::EngineOptions& options) {
  std::size_t count = 0;
  for (const auto* paths : {&options.target_paths, &options.wal_paths, &options.data_paths}) {
    for (const std::string& path : *paths) {
      ++count;
      std::error_code ignored;
      const bool there = stdfs::exists(path, ignored);
      const std::string writable = there ? path : stdfs::absolute(path, ignored).parent_path().string();
      if (::access(writable.c_str(), R_OK | W_OK) == 0) continue;
      return bad("devices",
                 fmt::format("'{}' cannot be {} by this user: {}", path, there ? "used" : "made", reason(errno)),
                 "give the engine's user access, or name another one");
    }
  }
  return ok("devices", fmt::format("{} named, all can be used", count));
}

}  // namespace

Finding judge_memlock(MemlockLimit limit, std::uint64_t wanted_bytes) {
  if (limit.unlimited) return ok("locked memory", "no limit");
  if (limit.bytes >= wanted_bytes) return ok("locked memory", fmt::format("up to {}", human_bytes(limit.bytes)));
  return warn(
      "locked memory", fmt::format("only up to {}", human_bytes(limit.bytes)),
      fmt::format(
          "I/O buffers stay unregistered, which costs some speed: allow {} ('ulimit -l', or LimitMEMLOCK= of the "
          "service)",
          human_bytes(wanted_bytes)));
}

Finding judge_open_files(std::uint64_t limit) {
  if (limit >= kOpenFilesWanted) return ok("open files", fmt::format("up to {}", limit));
  return warn("open files", fmt::format("only up to {}", limit),
              fmt::format("each client takes one: allow {} or more ('ulimit -n', or LimitNOFILE= of the service)",
                          kOpenFilesWanted));
}

Finding judge_memory(std::uint64_t total_bytes, std::uint64_t wanted_bytes) {
  const std::string found =
      fmt::format("{}, of which an engine may take {}", human_bytes(total_bytes), human_bytes(wanted_bytes));
  if (wanted_bytes <= total_bytes / 2) return ok("memory", found);
  return warn("memory", found, "lower server.cache or server.targets, or add memory");
}

Finding judge_free_space(const std::string& path, std::uint64_t free_bytes, std::uint64_t total_bytes) {
  const std::string found = fmt::format("{} of {} at '{}'", human_bytes(free_bytes), human_bytes(total_bytes), path);
  if (free_bytes < engine::kMinTargetBytes * 2) {
    return bad("free space", found, "no new engine fits: free some, or choose another disk with --data");
  }
  if (free_bytes < kFreeBytesWanted) return warn("free space", found, "enough to try things only");
  return ok("free space", found);
}

Finding judge_clock(WallTime now, std::optional<bool> synchronised) {
  const std::chrono::sys_days today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(now.time_since_epoch())));
  const std::chrono::year_month_day date(today);
  const std::string text = fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  if (date.year() < std::chrono::year(2025) || date.year() > std::chrono::year(2100)) {
    return bad("clock", text, "versions carry the time of their writing: set the clock before anything is stored");
  }
  if (synchronised && !*synchronised) {
    return warn("clock", text + ", not synchronised",
                "run an NTP client (chrony, systemd-timesyncd) before machines work together");
  }
  return ok("clock", text + (synchronised ? ", synchronised" : ""));
}

Finding judge_writes(const std::string& path, const WriteTest& test) {
  const auto text = [](Duration duration) {
    return fmt::format("{:.2f} ms", std::chrono::duration<double, std::milli>(duration).count());
  };
  const std::string found =
      fmt::format("at '{}' {}take {} (median), {} at worst", path, test.direct ? "" : "through the page cache ",
                  text(test.median), text(test.worst));
  if (test.median > kMedianWanted) {
    return warn("durable writes", found,
                "every write waits for the disk: an SSD with power-loss protection takes 0.02 to 0.1 ms");
  }
  if (test.worst > kWorstWanted)
    return warn("durable writes", found, "some writes will wait that long: look for what else uses the disk");
  if (!test.direct)
    return warn("durable writes", found, "this file system has no direct I/O, which costs a copy per write");
  return ok("durable writes", found);
}

Findings check_machine(const engine::EngineOptions& options) {
  const std::string existing = existing_part(options.data_directory);
  Findings findings = {
      check_io_uring(),          check_memlock(options), check_open_files(),
      check_memory(options),     check_clock(),          check_data_directory(options.data_directory, existing),
      check_free_space(existing)};
  if (!options.target_paths.empty() || !options.wal_paths.empty() || !options.data_paths.empty()) {
    findings.push_back(check_devices(options));
  }
  if (::access(existing.c_str(), W_OK | X_OK) == 0) {
    const auto test = test_writes(existing);
    findings.push_back(
        test ? judge_writes(existing, *test)
             : bad("durable writes", test.error().message(), "an engine cannot work here: choose another disk"));
  }
  return findings;
}

}  // namespace cenote::cli
