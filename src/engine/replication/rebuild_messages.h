#pragma once

#include <string>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/pool_map.h"

// How a target copies what it should hold from those that have it (docs/protocols/entries.md, "Rebuild").
namespace cenote::engine {

/// Bytes of a place in a walk at most; opaque to who is given one.
inline constexpr std::size_t kMaxPlaceBytes = 4096;
/// Memory that a page of history or results fits.
inline constexpr std::size_t kPageRoomBytes = 2u << 20;

/// kReadHistory: the next part of what the asker should hold of a container and the asked one leads. The page is the
/// payload of the reply.
struct ReadHistoryMessage {
  Uuid container;  ///< that clients know: the one asked for, or a clone of it
  Uuid tree;       ///< the one asked for
  cluster::TargetId asker;
  Epoch have;  ///< of data up to it the asker may have what it needs (ObjectStore::read_history)
  Bytes from;  ///< empty: the beginning
};
/// kReadResults: the same of the results of requests that are kept.
struct ReadResultsMessage {
  Uuid container;  ///< of the pool
  Bytes from;
};
struct PageAnswer {
  Bytes next;  ///< empty: that was all
  // Of history only.
  Bytes again, resume;
  std::uint64_t bytes = 0, objects = 0, stubs = 0;
};
/// kReadEntry: an entry that the asked one, a complete member of its group, may have whole. The page is the payload of
/// the reply, whose body is empty.
struct ReadEntryMessage {
  Uuid container;  ///< that clients know: as of ReadHistoryMessage
  Uuid tree;
  Bytes key;  ///< in the container's tree
};
/// kAwaitSettled: answered when the asked one works on the version of the message, and holds nothing undecided of the
/// pool that was begun in an earlier one.
struct AwaitSettledMessage {
  Uuid container;  ///< of the pool
};

/// How far a copy of a tree is, as the target notes it with the tree.
struct CopyProgress {
  cluster::MapVersion version;  ///< in which all that follows was copied
  std::uint32_t sources = 0;    ///< that were read to their end
  Bytes resume;                 ///< where a walk through the next one can begin; empty: at its beginning
  std::uint64_t bytes = 0, objects = 0;
};

/// How far a target is with what it lacks of a pool.
struct MoveStatus {
  Uuid pool;
  cluster::MapVersion version;
  cluster::TargetId target;
  std::uint64_t bytes = 0, objects = 0;  ///< copied in this version, since the engine started
  bool done = false;
  std::string obstacle = {};  ///< why it does not go on at the moment; empty: nothing does
};

void encode(const ReadHistoryMessage& message, Bytes& out);
void encode(const ReadResultsMessage& message, Bytes& out);
void encode(const PageAnswer& answer, Bytes& out);
void encode(const ReadEntryMessage& message, Bytes& out);
void encode(const AwaitSettledMessage& message, Bytes& out);
void encode(const CopyProgress& progress, Bytes& out);
Result<ReadHistoryMessage> decode_read_history(ByteView from);
Result<ReadResultsMessage> decode_read_results(ByteView from);
Result<PageAnswer> decode_page_answer(ByteView from);
Result<ReadEntryMessage> decode_read_entry(ByteView from);
Result<AwaitSettledMessage> decode_await_settled(ByteView from);
Result<CopyProgress> decode_copy_progress(ByteView from);

}  // namespace cenote::engine
