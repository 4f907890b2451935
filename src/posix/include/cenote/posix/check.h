#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/client/async.h"
#include "cenote/posix/attributes.h"

namespace cenote::posix {

/// What can be wrong with a tree; docs/operations/fs-check.md says what each means.
enum class FindingKind : std::uint8_t {
  kUnreadable,           ///< stored, and cannot be read
  kDamagedEntry,         ///< what a name has is no entry
  kDamagedDirectory,     ///< a directory has no record of its own that is one
  kMissingDirectory,     ///< a name leads to a directory of which nothing is there
  kMissingInode,         ///< names lead to something whose inode is not there
  kSecondName,           ///< another name of a directory
  kWrongParent,          ///< a directory says that it is elsewhere
  kWrongLinkCount,       ///< a file says that it has more names or fewer
  kSeveralInodes,        ///< of one file
  kWrongPlaceHint,       ///< what a rename wrote down of the place leads elsewhere
  kTailNotFlagged,       ///< data behind the first chunk that the inode does not know of
  kCompanionNotFlagged,  ///< a companion that the inode does not know of
  kStaleRemoved,         ///< removed, and its session is no more
  kDamagedRemoved,       ///< removed, and its record is none
  kUnlistedRemoved,      ///< removed, and not in the journal of its session
  kRemovedAndNamed,      ///< removed, and names lead to it
  kStaleSession,         ///< the journal of a session that is no more
  kOrphanDirectory,      ///< no name leads to it
  kOrphanFile,           ///< no name leads to it
  kOrphanCompanion,      ///< what belonged to something of which nothing else is there
  kForeignObject,        ///< an object that is none of a tree's
};
inline constexpr std::size_t kFindingKinds = 21;

/// Stable, for programs: "wrong-link-count".
std::string_view finding_name(FindingKind kind);
/// What repair does about it, in words; empty: nothing.
std::string_view repair_of(FindingKind kind);

enum class RepairState : std::uint8_t {
  kNotTried,  ///< nobody asked, or there is nothing to do about it
  kDone,
  kChanged,  ///< it is not there any more as it was found: checking again tells what is
  kFailed,
};

struct Finding {
  FindingKind kind = FindingKind::kUnreadable;
  ObjectId object;
  std::string path;    ///< the place of the damage; empty: there is no path to it
  std::string detail;  ///< one sentence
  RepairState repair = RepairState::kNotTried;
  std::string failure;  ///< of a repair that failed
};

struct CheckCounts {
  std::uint64_t directories = 0;
  std::uint64_t names = 0;    ///< of everything
  std::uint64_t objects = 0;  ///< that are stored, of all kinds
  std::uint64_t removed = 0;  ///< what waits to be freed
  std::uint64_t sessions = 0;
};

struct CheckOptions {
  bool repair = false;
  /// Reads at once, each of a page of a directory or the like, of about a megabyte.
  std::uint32_t parallel = 16;
  /// More are counted and not repaired.
  std::size_t most_findings = 10000;
  /// Called now and then, with what was looked at so far.
  std::function<void(const CheckCounts&)> progress;
};

struct CheckReport {
  CheckCounts counts;
  std::vector<Finding> findings;
  std::uint64_t findings_omitted = 0;
  /// Something could not be read, so that nobody can say what nothing leads to, nor how many names there are.
  bool incomplete = false;

  /// Findings that are still there.
  std::uint64_t left() const;
};

/// Proves that the tree of a container of type posix is consistent: that every record decodes, every directory has one
/// name, every file as many as it says, and that nothing is stored that nothing leads to. Of the container itself it
/// reads in a snapshot of its own, which it takes away again, so that clients may work in it meanwhile; of a view of a
/// snapshot in that.
///
/// Repairs are transactions that look at the newest data first, and leave alone what is not as it was found. What no
/// name leads to goes to the directory /lost+found.
///
/// Memory: 16 bytes for each name, about 100 for each directory, 16 for each object that nothing leads to, and 300 for
/// each directory that is known and was not looked at yet.
///
/// kReadOnly: to repair a snapshot. kMalformed, kCorrupt, ...: of the superblock, without which nothing can be said.
Task<Result<CheckReport>> check_files(async::Container container, CheckOptions options, Until until = {});

}  // namespace cenote::posix
