#pragma once

#include <system_error>

#include "cenote/base/error.h"

namespace cenote {

/// kResourceExhausted for what the constructor of std::thread throws, with what to do. Whoever starts a thread catches
/// it there: an exception that unwinds a half-started engine or client would only end in an abort.
Error thread_refused(const std::system_error& refused);

}  // namespace cenote
