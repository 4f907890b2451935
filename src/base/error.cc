#include "cenote/base/error.h"

#include <array>

namespace cenote {
namespace {

struct CodeName {
  Code code;
  std::string_view name;
};

// Every code of the enumeration, in its order; base_test checks that names are unique.
constexpr std::array kCodeNames = {
    CodeName{Code::kOk, "ok"},
    CodeName{Code::kInvalidArgument, "invalid_argument"},
    CodeName{Code::kNotFound, "not_found"},
    CodeName{Code::kExists, "exists"},
    CodeName{Code::kOutOfRange, "out_of_range"},
    CodeName{Code::kMalformed, "malformed"},
    CodeName{Code::kUnsupported, "unsupported"},
    CodeName{Code::kResourceExhausted, "resource_exhausted"},
    CodeName{Code::kPermissionDenied, "permission_denied"},
    CodeName{Code::kInternal, "internal"},
    CodeName{Code::kCancelled, "cancelled"},
    CodeName{Code::kDeadlineExceeded, "deadline_exceeded"},
    CodeName{Code::kStopped, "stopped"},
    CodeName{Code::kIoError, "io_error"},
    CodeName{Code::kDeviceDead, "device_dead"},
    CodeName{Code::kDeviceFull, "device_full"},
    CodeName{Code::kMisaligned, "misaligned"},
    CodeName{Code::kNoSpace, "no_space"},
    CodeName{Code::kCorrupt, "corrupt"},
    CodeName{Code::kFenced, "fenced"},
    CodeName{Code::kKeyTooLarge, "key_too_large"},
    CodeName{Code::kValueTooLarge, "value_too_large"},
    CodeName{Code::kPageFault, "page_fault"},
    CodeName{Code::kMustWait, "must_wait"},
    CodeName{Code::kNewerFormat, "newer_format"},
    CodeName{Code::kForeign, "foreign"},
    CodeName{Code::kLocked, "locked"},
    CodeName{Code::kKeyNeeded, "key_needed"},
    CodeName{Code::kWrongKey, "wrong_key"},
    CodeName{Code::kEpochTooOld, "epoch_too_old"},
    CodeName{Code::kConditionFailed, "condition_failed"},
    CodeName{Code::kChecksumMismatch, "checksum_mismatch"},
    CodeName{Code::kTypeMismatch, "type_mismatch"},
    CodeName{Code::kTxRestart, "tx_restart"},
    CodeName{Code::kUndecided, "undecided"},
    CodeName{Code::kUnreachable, "unreachable"},
    CodeName{Code::kConnectionLost, "connection_lost"},
    CodeName{Code::kProtocolError, "protocol_error"},
    CodeName{Code::kVersionMismatch, "version_mismatch"},
    CodeName{Code::kSessionExpired, "session_expired"},
    CodeName{Code::kRequestExpired, "request_expired"},
    CodeName{Code::kUnknownOpcode, "unknown_opcode"},
    CodeName{Code::kBusy, "busy"},
    CodeName{Code::kStaleMap, "stale_map"},
    CodeName{Code::kNotReady, "not_ready"},
    CodeName{Code::kPoolNotFound, "pool_not_found"},
    CodeName{Code::kContainerNotFound, "container_not_found"},
    CodeName{Code::kNotEmpty, "not_empty"},
    CodeName{Code::kQuotaExceeded, "quota_exceeded"},
    CodeName{Code::kOutcomeUnknown, "outcome_unknown"},
    CodeName{Code::kCompacted, "compacted"},
    CodeName{Code::kLeaseExpired, "lease_expired"},
    CodeName{Code::kClockOff, "clock_off"},
    CodeName{Code::kNotADirectory, "not_a_directory"},
    CodeName{Code::kIsADirectory, "is_a_directory"},
    CodeName{Code::kTooManyLinks, "too_many_links"},
    CodeName{Code::kNameTooLong, "name_too_long"},
    CodeName{Code::kReadOnly, "read_only"},
    CodeName{Code::kGone, "gone"},
};

}  // namespace

std::string_view code_name(Code code) {
  for (const CodeName& entry : kCodeNames) {
    if (entry.code == code) return entry.name;
  }
  return "unknown";
}

Code code_from_wire(std::uint16_t number) {
  for (const CodeName& entry : kCodeNames) {
    if (static_cast<std::uint16_t>(entry.code) == number) return entry.code;
  }
  return Code::kInternal;
}

std::string Error::to_string() const {
  std::string text(code_name(code_));
  if (!message_.empty()) text.append(": ").append(message_);
  return text;
}

Error Error::with_context(std::string_view context) const {
  std::string text(context);
  if (!message_.empty()) text.append(": ").append(message_);
  return Error(code_, std::move(text));
}

}  // namespace cenote
