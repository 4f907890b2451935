#include "cenote/runtime/scope.h"

#include <utility>

#include "cenote/runtime/root_task.h"

namespace cenote {
namespace {

detail::RootTask run_in_gate(Gate& gate, Task<> task) {
  {
    // Freed before the gate is left: whoever waits for the scope may then destroy what the frame's parameters refer to.
    Task<> running = std::move(task);
    co_await std::move(running);
  }
  gate.leave();
}

}  // namespace

bool Scope::spawn(Task<> task) {
  if (stopping() || !gate_.enter()) return false;
  reactor_.schedule(run_in_gate(gate_, std::move(task)).handle);
  return true;
}

Task<> Scope::stop() {
  cancel_.cancel();
  co_await gate_.close();
}

Task<> Scope::drain() { return gate_.close(); }

}  // namespace cenote
