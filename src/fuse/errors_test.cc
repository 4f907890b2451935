#include "errors.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>

namespace cenote::fuse {
namespace {

/// Every code there is, by what a program sees.
const std::map<Code, int>& expected() {
  static const std::map<Code, int> expected{
      {Code::kOk, 0},
      {Code::kInvalidArgument, EINVAL},
      {Code::kNotFound, ENOENT},
      {Code::kExists, EEXIST},
      {Code::kOutOfRange, EFBIG},
      {Code::kMalformed, EIO},
      {Code::kUnsupported, EOPNOTSUPP},
      {Code::kResourceExhausted, EAGAIN},
      {Code::kPermissionDenied, EACCES},
      {Code::kInternal, EIO},
      {Code::kCancelled, EINTR},
      {Code::kDeadlineExceeded, ETIMEDOUT},
      {Code::kStopped, EIO},
      {Code::kIoError, EIO},
      {Code::kDeviceDead, EIO},
      {Code::kDeviceFull, ENOSPC},
      {Code::kMisaligned, EINVAL},
      {Code::kNoSpace, ENOSPC},
      {Code::kCorrupt, EIO},
      {Code::kFenced, EIO},
      {Code::kKeyTooLarge, ENAMETOOLONG},
      {Code::kValueTooLarge, E2BIG},
      {Code::kPageFault, EIO},
      {Code::kMustWait, EIO},
      {Code::kNewerFormat, EIO},
      {Code::kForeign, EIO},
      {Code::kLocked, EAGAIN},
      {Code::kKeyNeeded, EACCES},
      {Code::kWrongKey, EACCES},
      {Code::kEpochTooOld, ESTALE},
      {Code::kConditionFailed, EIO},
      {Code::kChecksumMismatch, EIO},
      {Code::kTypeMismatch, EIO},
      {Code::kTxRestart, EAGAIN},
      {Code::kUndecided, EAGAIN},
      {Code::kUnreachable, ETIMEDOUT},
      {Code::kConnectionLost, ETIMEDOUT},
      {Code::kProtocolError, EIO},
      {Code::kVersionMismatch, EIO},
      {Code::kSessionExpired, ETIMEDOUT},
      {Code::kRequestExpired, ETIMEDOUT},
      {Code::kUnknownOpcode, EIO},
      {Code::kBusy, EAGAIN},
      {Code::kStaleMap, EAGAIN},
      {Code::kNotReady, ETIMEDOUT},
      {Code::kPoolNotFound, ESTALE},
      {Code::kContainerNotFound, ESTALE},
      {Code::kNotEmpty, ENOTEMPTY},
      {Code::kQuotaExceeded, EDQUOT},
      {Code::kOutcomeUnknown, EIO},
      {Code::kCompacted, EIO},
      {Code::kLeaseExpired, EIO},
      {Code::kClockOff, ETIMEDOUT},
      {Code::kNotADirectory, ENOTDIR},
      {Code::kIsADirectory, EISDIR},
      {Code::kTooManyLinks, ELOOP},
      {Code::kNameTooLong, ENAMETOOLONG},
      {Code::kReadOnly, EROFS},
      {Code::kGone, ESTALE},
  };
  return expected;
}

TEST(ErrnoOf, EveryCodeHasTheNumberThatIsExpected) {
  constexpr std::uint16_t kAllNumbers = 1000;
  std::size_t seen = 0;
  for (std::uint16_t number = 0; number < kAllNumbers; ++number) {
    const Code code = code_from_wire(number);
    if (static_cast<std::uint16_t>(code) != number) continue;
    ++seen;
    ASSERT_TRUE(expected().contains(code)) << code_name(code);
    EXPECT_EQ(errno_of(code), expected().at(code)) << code_name(code);
  }
  EXPECT_EQ(seen, expected().size());
}

}  // namespace
}  // namespace cenote::fuse
