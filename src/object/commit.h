#pragma once

#include <list>
#include <span>

#include "punch.h"
#include "update.h"

namespace cenote::object {

/// Whether an akey is what it was at an epoch that can still be read.
Result<bool> is_unchanged(const Reader& reader, const AkeyRead& read, Epoch since);

/// One transaction. Its reads are checked in several runs, under a watch that notices what others change meanwhile; its
/// changes are one batch.
class Commit {
 public:
  Commit(Core& core, const CommitRequest& request, Member member = Member::kComplete)
      : core_(core), request_(request), member_(member), watch_(core.watches, request.container) {}

  Result<> prepare(const Container& container, const media::Buffer& payload);
  Task<Result<>> write(Until until);
  Task<Result<>> check_reads(Until until, store::Lsn& seen);
  Result<UpdateReply> attempt(store::View& view, store::Lsn& seen);

  // Parts of an attempt, for whoever applies the changes in another way.
  /// That nothing that was read has changed since `check_reads`.
  Result<> check_still(const Container& container) const;
  /// Leaves the changes in the core's batch, which holds nothing else.
  Result<> put_changes(const Container& container, const Reader& reader, EpochPair epochs, store::Lsn& seen);
  /// Once they are put: whether the akey at that place is an array that they bring into being.
  bool is_birth(const Place& place) const {
    return std::ranges::any_of(updates_, [&place](const Update& update) { return update.is_birth(place); });
  }
  /// Once they are put: what they add to the container.
  Result<Usage> added_by(const Container& container, store::View& view) const;
  /// The extents of the updates belong to whoever claimed them.
  void claimed() {
    for (Update& update : updates_) update.pieces_applied();
  }

 private:
  void watch();
  Result<> check_snapshot(const Container& container) const;
  Result<> check_akeys(std::span<const AkeyRead> reads, store::View& view, store::Lsn& seen) const;
  Task<Result<>> check_lists(Until until, store::Lsn& seen);
  Task<Result<>> check_queries(Until until, store::Lsn& seen);
  void applied(Container& container, Epoch epoch, store::Lsn lsn);

  Core& core_;
  const CommitRequest& request_;
  const Member member_;
  Watch watch_;
  // Lists: their items stay where they are, and most often there is one.
  std::list<Update> updates_;
  std::list<Punch> punches_;
};

}  // namespace cenote::object
