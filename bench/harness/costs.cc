#include "harness/costs.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "harness/hooks.h"

namespace cenote::bench {
namespace {

std::optional<std::uint64_t> system_call_tracepoint() {
  for (const char* path : {"/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
                           "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"}) {
    std::ifstream file(path);
    if (std::uint64_t id = 0; file >> id) return id;
  }
  return std::nullopt;
}

// Counts system calls of the calling thread, with those of threads it makes later when `inherit` is set.
int open_counter(std::uint64_t tracepoint, bool inherit) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.size = sizeof attributes;
  attributes.config = tracepoint;
  attributes.disabled = 1;
  attributes.inherit = inherit ? 1 : 0;
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

std::uint64_t read_counter(int fd) {
  std::uint64_t count = 0;
  if (fd < 0 || ::read(fd, &count, sizeof count) != sizeof count) return 0;
  return count;
}

Costs costs_of(const HookCounts& counts, std::uint64_t system_calls) {
  return Costs{.system_calls = system_calls,
               .allocations = counts.allocations,
               .allocated_bytes = counts.allocated_bytes,
               .payload_copied_bytes = counts.payload_copied_bytes};
}

}  // namespace

Costs operator-(const Costs& a, const Costs& b) {
  return Costs{.system_calls = a.system_calls - b.system_calls,
               .allocations = a.allocations - b.allocations,
               .allocated_bytes = a.allocated_bytes - b.allocated_bytes,
               .payload_copied_bytes = a.payload_copied_bytes - b.payload_copied_bytes};
}

struct CostMeter::Impl {
  Costs read_process() const { return costs_of(hook_counts_of_process(), read_counter(process_fd)); }
  Costs read_thread() const { return costs_of(hook_counts_of_thread(), read_counter(thread_fd)); }
  void control(unsigned long request) const {
    for (const int fd : {process_fd, thread_fd}) {
      if (fd >= 0) ::ioctl(fd, request, 0);
    }
  }

  int process_fd = -1;
  int thread_fd = -1;
  Costs process_start, thread_start;
  Costs process, thread;
};

CostMeter::CostMeter() : impl_(std::make_unique<Impl>()) {
  const std::optional<std::uint64_t> tracepoint = system_call_tracepoint();
  if (!tracepoint) return;
  impl_->process_fd = open_counter(*tracepoint, true);
  impl_->thread_fd = open_counter(*tracepoint, false);
}

CostMeter::~CostMeter() {
  enable_hooks(false);
  for (const int fd : {impl_->process_fd, impl_->thread_fd}) {
    if (fd >= 0) ::close(fd);
  }
}

bool CostMeter::counts_system_calls() const { return impl_->process_fd >= 0 && impl_->thread_fd >= 0; }

void CostMeter::start() {
  impl_->process_start = impl_->read_process();
  impl_->thread_start = impl_->read_thread();
  enable_hooks(true);
  impl_->control(PERF_EVENT_IOC_ENABLE);
}

void CostMeter::stop() {
  impl_->control(PERF_EVENT_IOC_DISABLE);
  enable_hooks(false);
  impl_->process = impl_->read_process() - impl_->process_start;
  impl_->thread = impl_->read_thread() - impl_->thread_start;
}

Costs CostMeter::of_process() const { return impl_->process; }
Costs CostMeter::of_thread() const { return impl_->thread; }

}  // namespace cenote::bench
