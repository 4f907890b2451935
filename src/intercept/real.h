#pragma once

#include <dlfcn.h>

#include <atomic>

namespace cenote::intercept {

/// The function of this name that a program would call without this library: looked for when it is used first, as
/// programs may call before any constructor has run.
template <typename Signature>
class Real {
 public:
  constexpr explicit Real(const char* name) : name_(name) {}

  template <typename... Arguments>
  auto operator()(Arguments... arguments) {
    return get()(arguments...);
  }
  /// nullptr: the C library has none.
  Signature* get() {
    Signature* function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Signature*>(::dlsym(RTLD_NEXT, name_));
      function_.store(function, std::memory_order_relaxed);
    }
    return function;
  }

 private:
  const char* name_;
  std::atomic<Signature*> function_{nullptr};
};

}  // namespace cenote::intercept
