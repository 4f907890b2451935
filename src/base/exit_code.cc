#include "cenote/base/exit_code.h"

#include "cenote/base/assert.h"

namespace cenote {

ExitCode exit_code(Code code) {
  // No default: a new code does not compile until somebody has decided what a script sees.
  switch (code) {
    case Code::kOk:
      return ExitCode::kOk;

    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kMisaligned:
    case Code::kKeyTooLarge:
    case Code::kValueTooLarge:
    case Code::kNameTooLong:
      return ExitCode::kUsage;

    case Code::kNotFound:
    case Code::kPoolNotFound:
    case Code::kContainerNotFound:
    case Code::kGone:
      return ExitCode::kNotFound;

    case Code::kExists:
    case Code::kConditionFailed:
    case Code::kTypeMismatch:
    case Code::kNotEmpty:
    case Code::kNotADirectory:
    case Code::kIsADirectory:
    case Code::kTooManyLinks:
      return ExitCode::kConflict;

    case Code::kUnreachable:
    case Code::kConnectionLost:
    case Code::kSessionExpired:
    case Code::kRequestExpired:
      return ExitCode::kUnreachable;

    case Code::kNoSpace:
    case Code::kDeviceFull:
    case Code::kQuotaExceeded:
      return ExitCode::kNoSpace;

    case Code::kCorrupt:
    case Code::kChecksumMismatch:
      return ExitCode::kCorrupt;

    case Code::kPermissionDenied:
    case Code::kKeyNeeded:
    case Code::kWrongKey:
    case Code::kReadOnly:
      return ExitCode::kPermission;

    case Code::kResourceExhausted:
    case Code::kLocked:
    case Code::kBusy:
    case Code::kStaleMap:
    case Code::kNotReady:
    case Code::kTxRestart:
    case Code::kUndecided:
    case Code::kCompacted:
    case Code::kLeaseExpired:
      return ExitCode::kBusy;

    case Code::kDeadlineExceeded:
    case Code::kOutcomeUnknown:
      return ExitCode::kTimeout;

    case Code::kUnsupported:
    case Code::kNewerFormat:
    case Code::kVersionMismatch:
    case Code::kUnknownOpcode:
      return ExitCode::kVersion;

    case Code::kCancelled:
      return ExitCode::kInterrupted;

    case Code::kMalformed:
    case Code::kClockOff:
    case Code::kInternal:
    case Code::kStopped:
    case Code::kIoError:
    case Code::kDeviceDead:
    case Code::kFenced:
    case Code::kPageFault:
    case Code::kMustWait:
    case Code::kForeign:
    case Code::kEpochTooOld:
    case Code::kProtocolError:
      return ExitCode::kFailure;
  }
  // Codes come from code_from_wire or from the enumeration, which never give a number without a name.
  ASSERT(false);
}

}  // namespace cenote
