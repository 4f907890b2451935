#include "errors.h"

#include <cerrno>

#include "cenote/base/assert.h"

namespace cenote::fuse {

// NOLINTNEXTLINE(readability-function-size): a table.
int errno_of(Code code) {
  // No default: a new code does not compile until somebody has decided what a program sees.
  switch (code) {
    case Code::kOk:
      return 0;

    case Code::kInvalidArgument:
    case Code::kMisaligned:
      return EINVAL;
    case Code::kNotFound:
      return ENOENT;
    case Code::kExists:
      return EEXIST;
    case Code::kOutOfRange:
      return EFBIG;
    case Code::kUnsupported:
      return EOPNOTSUPP;
    case Code::kPermissionDenied:
    case Code::kKeyNeeded:
    case Code::kWrongKey:
      return EACCES;
    case Code::kKeyTooLarge:
    case Code::kNameTooLong:
      return ENAMETOOLONG;
    case Code::kValueTooLarge:
      return E2BIG;
    case Code::kNotEmpty:
      return ENOTEMPTY;
    case Code::kNotADirectory:
      return ENOTDIR;
    case Code::kIsADirectory:
      return EISDIR;
    case Code::kTooManyLinks:
      return ELOOP;
    case Code::kReadOnly:
      return EROFS;

    case Code::kNoSpace:
    case Code::kDeviceFull:
      return ENOSPC;
    case Code::kQuotaExceeded:
      return EDQUOT;

    case Code::kCancelled:
      return EINTR;

    // What the servers would have answered is not known: they kept silent until the deadline.
    case Code::kDeadlineExceeded:
    case Code::kUnreachable:
    case Code::kConnectionLost:
    case Code::kSessionExpired:
    case Code::kRequestExpired:
    case Code::kNotReady:
    case Code::kClockOff:
      return ETIMEDOUT;

    case Code::kResourceExhausted:
    case Code::kLocked:
    case Code::kBusy:
    case Code::kStaleMap:
    case Code::kTxRestart:
    case Code::kUndecided:
      return EAGAIN;

    // The mount shows something that is not there any more.
    case Code::kGone:
    case Code::kEpochTooOld:
    case Code::kPoolNotFound:
    case Code::kContainerNotFound:
      return ESTALE;

    case Code::kMalformed:
    case Code::kInternal:
    case Code::kStopped:
    case Code::kIoError:
    case Code::kDeviceDead:
    case Code::kCorrupt:
    case Code::kFenced:
    case Code::kPageFault:
    case Code::kMustWait:
    case Code::kNewerFormat:
    case Code::kForeign:
    case Code::kConditionFailed:
    case Code::kChecksumMismatch:
    case Code::kTypeMismatch:
    case Code::kProtocolError:
    case Code::kVersionMismatch:
    case Code::kUnknownOpcode:
    case Code::kOutcomeUnknown:
    case Code::kCompacted:
    case Code::kLeaseExpired:
      return EIO;
  }
  // Codes come from code_from_wire or from the enumeration, which never give a number without a name.
  ASSERT(false);
}

}  // namespace cenote::fuse
