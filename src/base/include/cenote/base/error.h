#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace cenote {

/// What went wrong. Codes are stable: they travel in replies and stand in `--json` output. Each layer owns a band of
/// one hundred; docs/operations/errors.md lists each with what a user can do about it.
enum class Code : std::uint16_t {
  // 0-99 base
  kOk = 0,                 ///< Never stored in an Error.
  kInvalidArgument = 1,    ///< The caller passed something no state of the system could accept.
  kNotFound = 2,           ///< The named thing does not exist.
  kExists = 3,             ///< The named thing exists already.
  kOutOfRange = 4,         ///< A number, size or offset is beyond its limit.
  kMalformed = 5,          ///< Bytes that do not decode: wrong magic, length, checksum of a message, padding.
  kUnsupported = 6,        ///< A format or feature newer than, or absent from, this build.
  kResourceExhausted = 7,  ///< A bounded queue, pool or table is full; try again later.
  kPermissionDenied = 8,   ///< The caller may not do this.
  kInternal = 9,           ///< A defect of Cenote.

  // 100-199 runtime
  kCancelled = 100,         ///< The operation was cancelled by its owner.
  kDeadlineExceeded = 101,  ///< The deadline passed first; the operation may or may not have taken effect.
  kStopped = 102,           ///< The scope, gate or reactor is shutting down.

  // 200-299 media
  kIoError = 200,     ///< The device reported an error.
  kDeviceDead = 201,  ///< The device is gone or fenced; nothing on it can be reached until it is reopened.
  kDeviceFull = 202,  ///< The file system below a file device has no room.
  kMisaligned = 203,  ///< Offset, length or buffer is not a multiple of the block.

  // 300-399 store
  kNoSpace = 300,        ///< No free block for the write; deletes and aggregation still work.
  kCorrupt = 301,        ///< Stored bytes are damaged; the message names what was lost.
  kFenced = 302,         ///< The store takes no changes since a write or flush failed; reopen it.
  kKeyTooLarge = 303,    ///< Key longer than the limit.
  kValueTooLarge = 304,  ///< Value longer than the limit.
  kPageFault = 305,      ///< Internal to `store`: a page is not cached; `Store::run` fetches it and runs again.
  kMustWait = 306,       ///< Internal to `store`: no log or cache room at this moment; `Store::run` waits.
  kNewerFormat = 307,    ///< Written by a newer Cenote that this one cannot read.
  kForeign = 308,        ///< The media or directory belongs to another system, engine or target.
  kLocked = 309,         ///< Another process has it open.
  kKeyNeeded = 310,      ///< The store is encrypted and no key was given.
  kWrongKey = 311,       ///< The store is encrypted under another key than the one given.

  // 400-499 object
  kEpochTooOld = 400,       ///< The epoch lies below the aggregation bound; its versions are merged.
  kConditionFailed = 401,   ///< A conditional update, fetch or punch met the opposite state.
  kChecksumMismatch = 402,  ///< Data does not match the checksum that its writer computed.
  kTypeMismatch = 403,      ///< A single value was used as an array, a key of one flavour as another, or the like.
  kTxRestart = 404,         ///< Conflict with a concurrent transaction; run it again at a later epoch.
  kUndecided = 405,         ///< Something prepared is in the way of which it is not known whether it takes effect.

  // 500-599 rpc
  kUnreachable = 500,      ///< No connection to the peer.
  kConnectionLost = 501,   ///< The connection broke before the answer; a retry is safe.
  kProtocolError = 502,    ///< The peer sent what the protocol does not allow; the connection was closed.
  kVersionMismatch = 503,  ///< No protocol version in common.
  kSessionExpired = 504,   ///< The server no longer knows this client session.
  kRequestExpired = 505,   ///< The request arrived after its expiry and was not executed.
  kUnknownOpcode = 506,    ///< The peer does not know this request.
  kBusy = 507,             ///< The server has no credit for this request; try again.

  // 600-699 cluster and engine
  kStaleMap = 600,           ///< The request was made for another pool-map version.
  kNotReady = 601,           ///< The engine is starting or stopping.
  kPoolNotFound = 602,       ///< No such pool.
  kContainerNotFound = 603,  ///< No such container.
  kNotEmpty = 604,           ///< A pool with containers, or a directory with entries.
  kQuotaExceeded = 605,      ///< A hard limit of a pool or container was reached.
  kOutcomeUnknown = 606,     ///< The answer about a change was lost for good; it took effect, or never will, or soon.
  kCompacted = 607,          ///< Changes that were asked for are forgotten; read the whole state again.
  kLeaseExpired = 608,       ///< The lease has ended, and what it held is gone.
  kClockOff = 609,           ///< The wall clock of the engine's machine is too far from those of the others.

  // 700-799 posix
  kNotADirectory = 700,  ///< A path component is not a directory.
  kIsADirectory = 701,   ///< A file was needed and the path names a directory.
  kTooManyLinks = 702,   ///< Symbolic links nested too deeply.
  kNameTooLong = 703,    ///< A path component or the whole path is over its limit.
  kReadOnly = 704,       ///< The mount, snapshot or container is read-only.
  kGone = 705,           ///< What was found before was removed since.
};

/// The stable lower-case name of a code, for logs and `--json` ("not_found").
std::string_view code_name(Code code);

/// The inverse of `code_name` for numbers that came over the wire; unknown ones become kInternal.
Code code_from_wire(std::uint16_t number);

/// A failure: a code for programs and one sentence for people (what happened, to what, what to do next). The message
/// may be empty on internal hot paths, where building it would cost more than the failure.
class Error {
 public:
  explicit Error(Code code) : code_(code) {}
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  /// "not_found: no pool named 'scratch'".
  std::string to_string() const;

  /// The same failure with "`context`: " put before its message.
  Error with_context(std::string_view context) const;

  friend bool operator==(const Error& error, Code code) { return error.code_ == code; }

 private:
  Code code_;
  std::string message_;
};

template <typename T = void>
using Result = std::expected<T, Error>;

/// `return fail(Code::kNotFound, "no pool named '{}'", name)` builds the unexpected value; see format.h for the
/// formatting overload.
inline std::unexpected<Error> fail(Code code) { return std::unexpected<Error>(std::in_place, code); }
inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected<Error>(std::in_place, code, std::move(message));
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace cenote

#define CENOTE_CONCAT_2(a, b) a##b
#define CENOTE_CONCAT(a, b) CENOTE_CONCAT_2(a, b)
#define CENOTE_TRY_AS(keyword, result, decl, expr)                       \
  auto result = (expr);                                                  \
  if (!result) [[unlikely]]                                              \
    keyword std::unexpected<::cenote::Error>(std::move(result).error()); \
  decl = *std::move(result)
#define CENOTE_CHECK_AS(keyword, expr)                                             \
  do {                                                                             \
    auto cenote_checked = (expr);                                                  \
    if (!cenote_checked) [[unlikely]]                                              \
      keyword std::unexpected<::cenote::Error>(std::move(cenote_checked).error()); \
  } while (false)

/// `TRY(auto page, read_page(id));` declares `page` from the value, or returns the error to the caller.
#define TRY(decl, ...) CENOTE_TRY_AS(return, CENOTE_CONCAT(cenote_try_, __COUNTER__), decl, (__VA_ARGS__))
/// `CHECK_OK(flush());` returns the error to the caller, if there is one.
#define CHECK_OK(...) CENOTE_CHECK_AS(return, (__VA_ARGS__))
/// The same two for the body of a coroutine: `CO_TRY(auto page, co_await read_page(id));`.
#define CO_TRY(decl, ...) CENOTE_TRY_AS(co_return, CENOTE_CONCAT(cenote_try_, __COUNTER__), decl, (__VA_ARGS__))
#define CO_CHECK_OK(...) CENOTE_CHECK_AS(co_return, (__VA_ARGS__))
