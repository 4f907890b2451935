#include "commit.h"

#include "base64.h"
#include "cenote/base/format.h"

namespace cenote::etcd {
namespace {

using cluster::KeyValue;
using cluster::LeaseId;
using cluster::Revision;
using cluster::Transaction;

/// How many commits may be on their way, and so how many slots a session has.
constexpr std::uint64_t kMaxCommits = 32;

std::string done_mark(const Slot& slot) { return fmt::format("done {}", slot.commits); }
std::string refused_mark(const Slot& slot) { return fmt::format("refused {}", slot.commits); }

Json put(const std::string& key, const std::string& value, LeaseId lease) {
  Json request{{"key", to_base64(key)}, {"value", to_base64(value)}};
  if (lease != cluster::kNoLease) request["lease"] = std::to_string(lease.value());
  return Json{{"request_put", std::move(request)}};
}

Json read_revision(const std::string& key) {
  return Json{{"request_range", {{"key", to_base64(key)}, {"keys_only", true}}}};
}

Json equals(const std::string& key, Revision revision) {
  return Json{{"key", to_base64(key)},
              {"target", "MOD"},
              {"result", "EQUAL"},
              {"mod_revision", std::to_string(revision.value())}};
}

std::string txn_request(const Transaction& transaction, const std::string& keys, const Slot& slot, LeaseId session) {
  Json compare = Json::array({equals(slot.key, slot.last)});
  Json success = Json::array();
  Json failure = Json::array({Json{{"request_range", {{"key", to_base64(slot.key)}}}}});
  for (const auto& [key, revision] : transaction.comparisons()) {
    compare.push_back(equals(keys + key, revision));
    failure.push_back(read_revision(keys + key));
  }
  for (const auto& [key, value, lease] : transaction.changes()) {
    if (value) {
      success.push_back(put(keys + key, *value, lease));
    } else {
      success.push_back(Json{{"request_delete_range", {{"key", to_base64(keys + key)}}}});
    }
  }
  success.push_back(put(slot.key, done_mark(slot), session));
  // Only the first copy to arrive leaves a mark: what an earlier one wrote is what later ones are told.
  const Json refuse{{"compare", Json::array({equals(slot.key, slot.last)})},
                    {"success", Json::array({put(slot.key, refused_mark(slot), session)})}};
  failure.push_back(Json{{"request_txn", refuse}});
  return Json{{"compare", std::move(compare)}, {"success", std::move(success)}, {"failure", std::move(failure)}}.dump();
}

/// The entry that a range of one key found, inside the answer to a transaction.
Result<std::optional<KeyValue>> found_at(const Json& answer, std::size_t index) {
  const auto responses = answer.find("responses");
  if (responses == answer.end() || !responses->is_array() || responses->size() <= index ||
      !(*responses)[index].is_object()) {
    return fail(Code::kProtocolError, "etcd's answer to a transaction lacks a part");
  }
  TRY(auto entries, entries_of(member_of((*responses)[index], "response_range")));
  if (entries.empty()) return std::optional<KeyValue>();
  return std::optional(std::move(entries.front()));
}

/// Which comparison did not hold when the transaction was refused.
Error refusal(const Json& answer, const Transaction& transaction) {
  std::size_t index = 1;
  for (const auto& [key, revision] : transaction.comparisons()) {
    const auto found = found_at(answer, index++);
    if (!found) return found.error();
    const Revision actual = *found ? (*found)->modified : Revision(0);
    if (actual == revision) continue;
    return Error(Code::kConditionFailed, fmt::format("'{}' changed meanwhile (revision {}, expected {})", key,
                                                     actual.value(), revision.value()));
  }
  return Error(Code::kConditionFailed, "what the transaction was decided on changed meanwhile");
}

/// Moves the slot on, so that no copy of its transaction takes effect any more, unless one has moved it.
std::string fence_request(const Slot& slot, LeaseId session) {
  return Json{{"compare", Json::array({equals(slot.key, slot.last)})},
              {"success", Json::array({put(slot.key, refused_mark(slot), session)})},
              {"failure", Json::array({Json{{"request_range", {{"key", to_base64(slot.key)}}}}})}}
      .dump();
}

/// What an answer says of the commit for which `slot` was taken; the slot is then as the answer left it. `refused`
/// tells why the transaction was refused, if it was.
template <typename Refused>
Result<Revision> decision_of(const Json& answer, Slot& slot, bool succeeded, Refused refused) {
  const Revision before = slot.last, now = header_of(answer).revision;
  if (now <= before) return fail(Code::kProtocolError, "etcd's answer to a transaction has no revision");
  slot.last = now;
  if (succeeded) return now;
  TRY(const auto mark, found_at(answer, 0));
  const Revision marked = mark ? mark->modified : Revision(0);
  if (marked == before) return fail(refused());
  if (!mark) return fail(Code::kSessionExpired, "the session with etcd has ended");
  slot.last = marked;
  if (mark->value == done_mark(slot)) return marked;
  if (mark->value == refused_mark(slot)) return fail(refused());
  return failf(Code::kProtocolError, "somebody else writes '{}' in etcd", slot.key);
}

std::unexpected<Error> unknown(const Error& why) {
  return failf(Code::kOutcomeUnknown, "the transaction may have taken effect, or may yet: {}", why.to_string());
}

}  // namespace

Committer::Committer(Reactor& home, Gateway& gateway, Sessions& sessions, const EtcdOptions& options)
    : gateway_(gateway), sessions_(sessions), options_(options), running_(home, kMaxCommits) {}

Task<Result<Revision>> Committer::commit(Transaction transaction, Until until) {
  CO_CHECK_OK(co_await running_.acquire(1, until));
  auto outcome = co_await commit_admitted(std::move(transaction), until);
  running_.release();
  co_return outcome;
}

Task<Result<Revision>> Committer::commit_admitted(Transaction transaction, Until until) {
  // A new session is always better than the last one, unless etcd ends them faster than it serves them.
  constexpr int kSessions = 3;
  for (int count = 1;; ++count) {
    CO_TRY(const auto session, co_await sessions_.session(until));
    Slot slot = Sessions::take_slot(*session);
    ++slot.commits;
    Decision decision = co_await try_commit(transaction, session, slot, until);
    if (decision.slot_known) {
      session->free.push_back(std::move(slot));
    } else {
      // What is still on its way has no effect any more when the session ends, and it ends only if nobody renews it.
      sessions_.forget(session);
    }
    if (!decision.new_session) co_return std::move(decision.outcome);
    if (count == kSessions) co_return fail(Code::kUnreachable, "etcd ends every session before it can be used");
  }
}

Task<Committer::Decision> Committer::try_commit(const Transaction& transaction, std::shared_ptr<Session> session,
                                                Slot& slot, Until until) {
  const std::string keys = options_.root + "k/";
  auto called = co_await gateway_.call("/v3/kv/txn", txn_request(transaction, keys, slot, session->lease), until);
  if (!called.answer) {
    const Error error = called.answer.error();
    if (error == Code::kLeaseExpired) co_return co_await settle(session, slot, called.uncertain, until);
    if (!called.uncertain) co_return Decision{fail(error)};
    co_return Decision{.outcome = unknown(error), .slot_known = false};
  }
  auto outcome = decision_of(*called.answer, slot, flag_of(*called.answer, "succeeded"),
                             [&] { return refusal(*called.answer, transaction); });
  co_return decide(std::move(outcome), called.uncertain);
}

// The slot was seen; but it may have vanished, or be somebody else's.
Committer::Decision Committer::decide(Result<Revision> outcome, bool uncertain) {
  const bool gone = !outcome && outcome.error() == Code::kSessionExpired;
  const bool strange = !outcome && outcome.error() == Code::kProtocolError;
  if (!gone && !strange) return Decision{std::move(outcome)};
  if (uncertain || strange) return Decision{.outcome = unknown(outcome.error()), .slot_known = false};
  return Decision{.outcome = std::move(outcome), .new_session = true, .slot_known = false};
}

// A lease of the transaction is gone. Leases do not come back, so no copy takes effect any more; but one may have
// before.
Task<Committer::Decision> Committer::settle(std::shared_ptr<Session> session, Slot& slot, bool uncertain, Until until) {
  auto called = co_await gateway_.call("/v3/kv/txn", fence_request(slot, session->lease), until);
  if (!called.answer) {
    const Error error = called.answer.error();
    if (error == Code::kLeaseExpired) {
      co_return decide(fail(Code::kSessionExpired, "the session with etcd has ended"), uncertain);
    }
    if (uncertain) co_return Decision{.outcome = unknown(error), .slot_known = false};
    co_return Decision{.outcome = fail(error), .slot_known = false};
  }
  const auto refused = [] { return Error(Code::kLeaseExpired, "a lease of the transaction has ended"); };
  if (flag_of(*called.answer, "succeeded")) {
    slot.last = header_of(*called.answer).revision;
    co_return Decision{fail(refused())};
  }
  co_return decide(decision_of(*called.answer, slot, false, refused), uncertain);
}

}  // namespace cenote::etcd
