#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "process/child_process.h"

namespace cenote::bench {

/// A running engine, `cenote server` or `cenote dev`, that has said where it is.
class EngineProcess {
 public:
  /// `verb` and what follows it; the engine listens at a port of its own.
  static Result<std::unique_ptr<EngineProcess>> start(const std::string& binary, std::vector<std::string> verb);

  ChildProcess& process() { return *process_; }
  const std::string& address() const { return address_; }
  Duration ready_after() const { return ready_after_; }

 private:
  EngineProcess() = default;

  std::unique_ptr<ChildProcess> process_;
  std::string address_;
  Duration ready_after_{};
};

/// Runs a command of `cenote` to its end.
Result<ChildProcess::Ended> run_command(const std::vector<std::string>& arguments);
/// The same with one that prints a JSON document.
Result<nlohmann::json> ask_command(const std::vector<std::string>& arguments);

}  // namespace cenote::bench
