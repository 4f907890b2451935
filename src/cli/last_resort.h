#pragma once

#include <exception>

#include "cenote/base/error.h"

namespace cenote::cli {

/// From now on a thread that gets no memory ends the program with one line and exit code 1. Nothing could be done with
/// less: every thread may be in the middle of anything. Stores survive it like any crash.
void end_when_out_of_memory();

/// What a user is told of an exception that came out of a command: the libraries below throw when the system refuses
/// them threads and the like.
Error failure_of(const std::exception& exception);

}  // namespace cenote::cli
