#pragma once

#include "cenote/base/error.h"

namespace cenote {

/// What the programs of Cenote return to the shell. Stable: scripts branch on them; docs/operations/errors.md is their
/// reference.
enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,      ///< None of the others; the message says what.
  kUsage = 2,        ///< The command line or the configuration is wrong; nothing was done.
  kNotFound = 3,     ///< What was named does not exist.
  kConflict = 4,     ///< It exists already, or its state forbids the operation.
  kUnreachable = 5,  ///< No answer, or no connection; nothing was done, or a retry is safe.
  kNoSpace = 6,      ///< Space or quota is used up.
  kCorrupt = 7,      ///< Stored data is damaged.
  kPermission = 8,   ///< The caller may not do this.
  kBusy = 9,         ///< Busy or locked at this moment; try again later.
  kTimeout = 10,     ///< The time given was not enough; the operation may have taken effect.
  kVersion = 11,     ///< The two sides, or the program and the data, are of versions that do not fit.
  kInterrupted = 130,
};

/// The exit code of a program that ends because of `code`.
ExitCode exit_code(Code code);

}  // namespace cenote
