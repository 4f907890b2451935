#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/watch.h"
#include "cenote/engine/engine_options.h"
#include "cenote/object/object_store.h"
#include "cenote/object/scrub.h"
#include "cenote/object/space_account.h"
#include "cenote/protocol/control_requests.h"
#include "container_targets.h"

/// What the leader of the control state asks of the targets of an engine, and what is answered: the calls of
/// ContainerTargets as messages between engines. docs/protocols/targets.md is the specification.
namespace cenote::engine {

/// One call. The numbers stand on the wire.
enum class TargetsOp : std::uint8_t {
  kDescribe = 1,
  kCreate = 2,
  kCharge = 3,
  kLimits = 4,
  kDestroy = 5,
  kNewestEpoch = 6,
  kHoldAnswers = 7,
  kReleaseAnswers = 8,
  kAddSnapshot = 9,
  kRemoveSnapshot = 10,
  kRollBack = 11,
  kCheckRollback = 12,
  kMeasureFlattening = 13,
  kStartFlattening = 14,
  kFlattening = 15,
  kUsed = 16,
  kBeginScrub = 17,
  kScrubProgress = 18,
  kCancelScrub = 19,
  kEndScrub = 20,
  kListContainers = 21,
  kListSnapshots = 22,
  kMoves = 23,
  kKeepCopy = 24,
};

/// Whether it changes something, so that the order of such calls matters.
bool is_change(TargetsOp op);

/// Longest text of a message; longer ones are cut when they are encoded.
inline constexpr std::size_t kMaxTargetsTextBytes = 4096;

/// An account of a pool or container, as the engine is to keep it for its targets.
struct AccountTerms {
  Uuid id;
  std::string name;
  object::Usage limit{object::SpaceAccount::kNoLimit, object::SpaceAccount::kNoLimit};
  object::Usage soft_limit{object::SpaceAccount::kNoLimit, object::SpaceAccount::kNoLimit};
  friend bool operator==(const AccountTerms&, const AccountTerms&) = default;
};

/// A call to one engine. Which of the fields below `op` it has depends on that; the others are not sent.
struct TargetsRequest {
  /// Of the leader who asks: the revision of its election. An engine refuses one lower than it has seen.
  std::uint64_t token = 0;
  /// Rises with every call of this leader to any engine; an engine makes no change that is older than its last one.
  std::uint64_t number = 0;
  TargetsOp op = TargetsOp::kDescribe;
  Uuid container{};
  Uuid id{};      ///< of the rollback, the scrub, or the pool that is asked about; of kListContainers: after which
  Epoch epoch{};  ///< of the snapshot, or to which to roll back
  object::ContainerProperties properties{};
  std::optional<object::CloneSource> source{};
  AccountTerms account{};         ///< the container's, or of either kind for kLimits
  AccountTerms pool_account{};    ///< a null id: the container's account has no parent
  std::uint64_t hold_number = 0;  ///< of the kHoldAnswers that is to end
  std::uint64_t bytes_per_second = 0;
  cluster::Revision revision{};  ///< up to which the engine's copy of the control state is to have everything
  std::vector<std::uint32_t> findings_known{};  ///< of each target, how many findings of the scrub were told already
};

/// One target's part of a scrub.
struct ScrubbedTarget {
  object::ScrubReport report{};
  std::uint64_t found = 0, damages = 0;
  /// What came of it, once the scrub has ended.
  Code outcome = Code::kOk;
  std::string error{};
  std::vector<object::TargetFinding> findings{};  ///< after those that were known; a reply may not have room for all
};

struct ScrubNews {
  bool ended = false;
  std::vector<ScrubbedTarget> targets{};
};

/// The targets of an engine, as a whole.
struct TargetsAbout {
  bool encrypted = false;
  std::uint64_t capacity_bytes = 0;           ///< that pools may promise
  std::vector<std::uint64_t> target_bytes{};  ///< of each, what placement goes by
  friend bool operator==(const TargetsAbout&, const TargetsAbout&) = default;
};

/// The answer; which of the fields it has depends on what was asked.
struct TargetsReply {
  TargetsAbout about{};
  Epoch epoch{};
  object::Usage usage{};
  std::optional<FlattenInfo> flattening{};
  ScrubNews scrub{};
  std::vector<HeldContainer> containers{};
  std::vector<Epoch> snapshots{};
  std::vector<TargetMoveStatus> moves{};
};

/// What a finding takes in a reply.
std::size_t encoded_bytes(const object::TargetFinding& finding);

void encode(const TargetsRequest& request, Bytes& out);
/// kMalformed, kOutOfRange; kUnsupported for a call that this build does not know.
Result<TargetsRequest> decode_targets_request(ByteView from);
/// Of an answer to `op`.
void encode(TargetsOp op, const TargetsReply& reply, Bytes& out);
Result<TargetsReply> decode_targets_reply(TargetsOp op, ByteView from);

}  // namespace cenote::engine
