#pragma once

#include <array>
#include <string_view>

#include "cenote/base/exit_code.h"

namespace cenote::cli {

struct ExitCodeDoc {
  ExitCode code;
  std::string_view meaning;
};

/// What help and manual page say of the exit codes; docs/operations/errors.md says more.
inline constexpr std::array<ExitCodeDoc, 13> kExitCodeDocs{{
    {ExitCode::kOk, "done"},
    {ExitCode::kFailure, "failed"},
    {ExitCode::kUsage, "wrong usage"},
    {ExitCode::kNotFound, "not found"},
    {ExitCode::kConflict, "exists or conflicts"},
    {ExitCode::kUnreachable, "unreachable"},
    {ExitCode::kNoSpace, "no space"},
    {ExitCode::kCorrupt, "damaged data"},
    {ExitCode::kPermission, "not permitted"},
    {ExitCode::kBusy, "busy or locked"},
    {ExitCode::kTimeout, "timed out"},
    {ExitCode::kVersion, "version mismatch"},
    {ExitCode::kInterrupted, "interrupted"},
}};

}  // namespace cenote::cli
