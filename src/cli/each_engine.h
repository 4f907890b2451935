#pragma once

#include <span>
#include <string>
#include <vector>

#include "cenote/protocol/control_requests.h"

namespace cenote::cli {

/// What an engine said when it was asked itself.
struct EngineAnswer {
  EngineInfo engine;
  Result<SystemInfo> system = fail(Code::kInternal);
};

/// Asks every engine of `engines` that is not gone about itself, many at a time; the others get kNotReady. None takes
/// longer than `timeout` to be connected with, and as long to answer. In the order of `engines`.
std::vector<EngineAnswer> ask_engines(const std::vector<EngineInfo>& engines, Duration timeout);

/// Whether the answer is of another engine than that of `rank`: behind an address like 127.0.0.1, which every machine
/// takes for its own.
bool is_of_another(const SystemInfo& answer, std::uint32_t rank, std::span<const EngineInfo> engines);

}  // namespace cenote::cli
