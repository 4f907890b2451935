#include "harness/machine.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

#include "cenote/base/format.h"

namespace cenote::bench {
namespace {

constexpr auto kNanosecondsPerSecond = std::int64_t{1'000'000'000};

Duration from_ticks(std::uint64_t ticks) {
  return Duration(static_cast<std::int64_t>(ticks) * (kNanosecondsPerSecond / ::sysconf(_SC_CLK_TCK)));
}

Duration from_timeval(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

double percent_of(Duration part, Duration whole) {
  return whole.count() <= 0 ? 0 : double(part.count()) / double(whole.count()) * 100;
}

void spin(const std::stop_token& stop, unsigned cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  ::pthread_setaffinity_np(::pthread_self(), sizeof cpus, &cpus);
  const sched_param parameter{};
  ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &parameter);
  // No pause instruction: some hypervisors take a loop of those as leave to run someone else.
  // Whoever polls here and leaves the processor to others wants it back at once.
  while (!stop.stop_requested()) ::sched_yield();
}

}  // namespace

Instant now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

Result<CpuTimes> cpu_times() {
  // "cpu user nice system idle iowait irq softirq steal ...": guest times are part of user.
  std::ifstream file("/proc/stat");
  std::string label;
  std::array<std::uint64_t, 8> ticks{};
  file >> label;
  for (std::uint64_t& value : ticks) file >> value;
  if (!file) return fail(Code::kUnsupported, "/proc/stat cannot be read");
  CpuTimes times;
  for (const std::uint64_t value : ticks) times.total += from_ticks(value);
  times.steal = from_ticks(ticks[7]);
  times.busy = times.total - from_ticks(ticks[3]) - from_ticks(ticks[4]) - times.steal;
  return times;
}

Duration own_cpu_time() {
  Duration time{};
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    time += from_timeval(usage.ru_utime) + from_timeval(usage.ru_stime);
  }
  return time;
}

Result<Duration> cpu_time_of(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/stat", pid);
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The second field is the program's name in parentheses and may hold anything; utime and stime are fields 14 and 15.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return failf(Code::kNotFound, "{} cannot be read: has the process ended?", path);
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  fields >> user >> system;
  return from_ticks(user + system);
}

Result<ResidentMemory> resident_memory_of(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/status", pid);
  std::ifstream file(path);
  ResidentMemory memory;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name;
    std::uint64_t kibibytes = 0;
    fields >> name >> kibibytes;
    if (name == "VmRSS:") memory.bytes = kibibytes * 1024;
    if (name == "RssAnon:") memory.anonymous_bytes = kibibytes * 1024;
  }
  if (memory.bytes == 0) return failf(Code::kNotFound, "{} cannot be read: has the process ended?", path);
  return memory;
}

Disturbance::Disturbance() : start_(cpu_times().value_or(CpuTimes{})), own_start_(own_cpu_time()) {}

double Disturbance::steal_percent() const {
  const CpuTimes end = cpu_times().value_or(start_);
  return percent_of(end.steal - start_.steal, end.total - start_.total);
}

double Disturbance::foreign_percent() const {
  const CpuTimes end = cpu_times().value_or(start_);
  const Duration foreign = (end.busy - start_.busy) - (own_cpu_time() - own_start_);
  return percent_of(std::max(foreign, Duration::zero()), end.total - start_.total);
}

Result<> confine_to_one_core() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return fail(Code::kUnsupported, "sched_getaffinity failed");
  int last = CPU_SETSIZE - 1;
  while (last > 0 && !CPU_ISSET(last, &allowed)) --last;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  if (::sched_setaffinity(0, sizeof one, &one) != 0) return fail(Code::kUnsupported, "sched_setaffinity failed");
  return {};
}

Result<> warm_memory(const std::filesystem::path& folder, std::uint64_t bytes) {
  const std::string path = (folder / "warm").string();
  std::error_code error;
  const std::uint64_t free = std::filesystem::space(folder, error).available;
  if (error) return failf(Code::kIoError, "cannot ask '{}' for its space: {}", folder.string(), error.message());
  std::ofstream file(path, std::ios::binary);
  const std::vector<char> piece(1u << 20, 'w');
  for (std::uint64_t left = std::min(bytes, free / 8 * 7); left >= piece.size() && file; left -= piece.size()) {
    file.write(piece.data(), std::streamsize(piece.size()));
  }
  const bool written = file.good();
  file.close();
  std::filesystem::remove(path, error);
  if (!written) return failf(Code::kIoError, "cannot write '{}'", path);
  return {};
}

KeepAwake::KeepAwake() {
  for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) spinners_.emplace_back(spin, cpu);
}

KeepAwake::~KeepAwake() = default;

}  // namespace cenote::bench
