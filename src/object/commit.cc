#include "commit.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "object_count.h"

namespace cenote::object {
namespace {

// What one run checks before other work gets its turn; the store keeps all pages that a run met until it ends.
constexpr std::size_t kReadsPerRun = 32;

}  // namespace

Result<bool> is_unchanged(const Reader& reader, const AkeyRead& read, Epoch since) {
  KeyPath path(read.object, read.dkey);
  path.set_akey(read.akey);
  TRY(const Epoch hidden, dkey_hidden(reader, path));
  if (hidden > since) return false;
  TRY(const AkeyState state, akey_state(reader, path, hidden));
  if (state.is == AkeyState::Is::kArray) {
    if (state.born > since) return false;
  } else if (state.hidden > since) {
    return false;
  }
  if (state.is == AkeyState::Is::kSingle) {
    TRY(const auto newest, find_single(reader, path, state.hidden));
    return !newest || newest->epoch <= since;
  }
  if (state.is == AkeyState::Is::kAbsent) return true;
  Versions versions;
  for (RecordRange range : read.ranges) {
    while (range.count > 0) {
      const RecordRange part = first_piece(range, state.record_bytes);
      versions.clear();
      CHECK_OK(collect_versions(reader, path, state, part, versions));
      if (versions.newest() > since) return false;
      range = {range.first + part.count, range.count - part.count};
    }
  }
  return true;
}

namespace {

std::unexpected<Error> restart(const ObjectId& object, ByteView dkey, ByteView akey) {
  return failf(Code::kTxRestart, "{}: changed since the transaction read it; run it again",
               describe(object, dkey, akey));
}

}  // namespace

Result<> Commit::prepare(const Container& container, const media::Buffer& payload) {
  std::uint64_t offset = 0;
  for (const UpdateRequest& update : request_.updates) {
    UpdatePayload part{.data = payload.data() + offset, .registered_index = payload.registered_index()};
    for (const AkeyUpdate& akey : update.akeys) part.bytes += akey.bytes;
    offset += part.bytes;
    part.owns_last_block = &update == &request_.updates.back();
    CHECK_OK(updates_.emplace_back(core_, update, part, member_).prepare(container));
  }
  return {};
}

Task<Result<>> Commit::write(Until until) {
  for (Update& update : updates_) CO_CHECK_OK(co_await update.write(until));
  co_return Result<>();
}

void Commit::watch() {
  for (const AkeyRead& read : request_.reads) watch_.add(read.object);
  for (const QueryRead& query : request_.queries) watch_.add(query.request.object);
  for (const ListRead& list : request_.lists) {
    if (list.request.level == ListLevel::kObjects)
      watch_.add_all();
    else
      watch_.add(list.request.object);
  }
}

Task<Result<>> Commit::check_reads(Until until, store::Lsn& seen) {
  watch();
  for (std::span<const AkeyRead> left(request_.reads); !left.empty();) {
    const auto reads = left.first(std::min(left.size(), kReadsPerRun));
    left = left.subspan(reads.size());
    CO_CHECK_OK(co_await core_.store.run(
        [&](store::View& view) {
          auto result = check_akeys(reads, view, seen);
          seen = std::max(seen, view.seen());
          return result;
        },
        until));
    if (!left.empty()) co_await core_.reactor.yield();
  }
  CO_CHECK_OK(co_await check_lists(until, seen));
  co_return co_await check_queries(until, seen);
}

/// That what was read of the container can still be told from what is there now.
Result<> Commit::check_snapshot(const Container& container) const {
  if (check_bound(container, request_.snapshot)) return {};
  return fail(Code::kTxRestart,
              "the transaction began too long ago, or the container was rolled back since; run it again");
}

Result<> Commit::check_akeys(std::span<const AkeyRead> reads, store::View& view, store::Lsn& seen) const {
  TRY(const Container* container, core_.find_container(request_.container, seen));
  CHECK_OK(check_snapshot(*container));
  const Reader reader = container->reader(view, kEpochLatest);
  for (const AkeyRead& read : reads) {
    TRY(const bool unchanged, is_unchanged(reader, read, request_.snapshot));
    if (!unchanged) return restart(read.object, read.dkey, read.akey);
  }
  return {};
}

Task<Result<>> Commit::check_lists(Until until, store::Lsn& seen) {
  for (const ListRead& read : request_.lists) {
    CO_TRY(const ListReply reply, co_await list(core_, read.request, {}, until, seen));
    if (digest_of(reply) != read.digest) co_return restart(read.request.object, read.request.dkey, read.request.akey);
  }
  co_return Result<>();
}

Task<Result<>> Commit::check_queries(Until until, store::Lsn& seen) {
  for (const QueryRead& read : request_.queries) {
    CO_TRY(const QueryReply reply, co_await query(core_, read.request, {}, until, seen));
    const bool same = reply.exists == read.reply.exists && equal(reply.dkey, read.reply.dkey) &&
                      reply.record_bytes == read.reply.record_bytes && reply.records == read.reply.records;
    if (!same) co_return restart(read.request.object, read.request.dkey, read.request.akey);
  }
  co_return Result<>();
}

Result<> Commit::put_changes(const Container& container, const Reader& reader, EpochPair epochs, store::Lsn& seen) {
  core_.batch.clear();
  if (updates_.empty()) core_.batch.set_space_class(store::SpaceClass::kReclaim);
  TransactionPunches punched;
  punches_.clear();
  for (const PunchRequest& request : request_.punches)
    CHECK_OK(punches_.emplace_back(core_, request, member_).put(reader, epochs.first, epochs.second, &punched));
  for (Update& update : updates_) {
    CHECK_OK(update.plan(container, reader, &punched, seen));
    update.put(container, epochs.second);
  }
  return {};
}

Result<Usage> Commit::added_by(const Container& container, store::View& view) const {
  Usage added;
  std::vector<ObjectId> objects;
  for (const Update& update : updates_) {
    added.bytes += update.added_bytes();
    if (!update.finds_object(container)) objects.push_back(update.object());
  }
  for (const Punch& punch : punches_)
    if (punch.may_bring(container)) objects.push_back(punch.object());
  TRY(added.objects, count_born(container, view, objects));
  return added;
}

void Commit::applied(Container& container, Epoch epoch, store::Lsn lsn) {
  for (Punch& punch : punches_) punch.applied(container);
  for (Update& update : updates_) update.applied(container, epoch, lsn);
  for (const PunchRequest& punch : request_.punches) core_.watches.note(container.id, punch.object);
  for (const UpdateRequest& update : request_.updates) core_.watches.note(container.id, update.object);
}

Result<> Commit::check_still(const Container& container) const {
  if (request_.has_reads()) CHECK_OK(check_snapshot(container));
  if (!watch_.changed()) return {};
  return fail(Code::kTxRestart, "others changed what the transaction read while it was committed; run it again");
}

Result<UpdateReply> Commit::attempt(store::View& view, store::Lsn& seen) {
  TRY(Container * container, core_.find_container(request_.container, seen));
  TRY(const auto known, core_.sessions.check(request_.id, core_.wall_now()));
  if (known) {
    ++core_.counters.repeated;
    seen = std::max(seen, known->lsn);
    return UpdateReply{known->epoch};
  }
  CHECK_OK(check_still(*container));
  CHECK_OK(core_.check_decided(request_, kEpochLatest));
  const EpochPair epochs = core_.clock.next_pair(core_.wall_now());
  CHECK_OK(put_changes(*container, container->reader(view, kEpochLatest), epochs, seen));
  Core::Stamp stamp{.request = request_.id, .epoch = epochs.second, .ceiling = {}};
  TRY(stamp.added, added_by(*container, view));
  core_.stamp(*container, stamp);
  if (core_.batch.empty()) return UpdateReply{stamp.epoch};
  TRY(const store::Lsn lsn, core_.apply_charged(*container, stamp, view));
  applied(*container, stamp.epoch, lsn);
  seen = std::max(seen, lsn);
  return UpdateReply{stamp.epoch};
}

namespace {

Task<Result<UpdateReply>> run_commit(Core& core, const CommitRequest& request, media::Buffer& payload, Until until,
                                     store::Lsn& seen) {
  CO_TRY(const Container* container, core.find_container(request.container, seen));
  const std::uint64_t bytes = payload_bytes(request);
  if (container->account && bytes > 0) CO_CHECK_OK(container->account->check_room({bytes, 0}));
  Commit commit(core, request);
  CO_CHECK_OK(commit.prepare(*container, payload));
  CO_CHECK_OK(core.data_written(co_await commit.write(until)));
  CO_CHECK_OK(co_await commit.check_reads(until, seen));
  co_return co_await core.store.run(
      [&commit, &seen](store::View& view) {
        auto result = commit.attempt(view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until);
}

}  // namespace

Task<Result<BeginReply>> begin(Core& core, const BeginRequest& request, Until until, store::Lsn& seen) {
  CO_CHECK_OK(core.find_container(request.container, seen));
  const Epoch snapshot = core.clock.next_pair(core.wall_now()).second;
  CO_CHECK_OK(co_await reach_epoch(core, snapshot, until, seen));
  co_return BeginReply{snapshot};
}

Task<Result<UpdateReply>> commit(Core& core, const CommitRequest& request, media::Buffer& payload,
                                 std::uint64_t payload_bytes, Until until, store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  if (cenote::payload_bytes(request) != payload_bytes || payload.size() < payload_bytes)
    co_return failf(Code::kInvalidArgument, "payload: {} bytes, the akeys hold {}", payload_bytes,
                    cenote::payload_bytes(request));
  // Looked at again when the transaction is applied: what it read may have changed since its first arrival, by itself.
  CO_TRY(const auto known, core.sessions.check(request.id, core.wall_now()));
  if (known) {
    ++core.counters.repeated;
    seen = std::max(seen, known->lsn);
    co_return UpdateReply{known->epoch};
  }
  auto result = co_await run_commit(core, request, payload, until, seen);
  if (result) ++core.counters.commits;
  if (!result && result.error() == Code::kTxRestart) ++core.counters.restarts;
  co_return result;
}

}  // namespace cenote::object
