#include "commit.h"

#include "base64.h"
#include "cenote/base/format.h"

namespace cenote::etcd {
namespace {

using cluster::KeyValue;
using cluster::LeaseId;
using cluster::Revision;
using cluster::Transaction;

/// How many commits may be on their way, and so how many slots there are, but for those that are lost.
constexpr std::uint64_t kMaxCommits = 32;
/// A session that has lost so many slots to unknown outcomes is given up for a new one.
constexpr std::size_t kMaxSlots = 8 * kMaxCommits;

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

/// What an answer says of the commit for which `slot` was taken; the slot is then as the answer left it.
Result<Revision> decision_of(const Json& answer, const Transaction& transaction, Slot& slot) {
  const Revision before = slot.last, now = header_of(answer).revision;
  if (now <= before) return fail(Code::kProtocolError, "etcd's answer to a transaction has no revision");
  slot.last = now;
  if (flag_of(answer, "succeeded")) return now;
  TRY(const auto mark, found_at(answer, 0));
  const Revision marked = mark ? mark->modified : Revision(0);
  if (marked == before) return fail(refusal(answer, transaction));
  slot.last = marked;
  if (mark && mark->value == done_mark(slot)) return marked;
  if (mark && mark->value == refused_mark(slot)) return fail(refusal(answer, transaction));
  return failf(Code::kProtocolError, "somebody else writes '{}' in etcd", slot.key);
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
    CO_TRY(auto session, co_await sessions_.session(until));
    Decision decision = co_await try_commit(transaction, std::move(session), until);
    if (!decision.new_session || count == kSessions) co_return std::move(decision.outcome);
  }
}

Task<Committer::Decision> Committer::try_commit(const Transaction& transaction, std::shared_ptr<Session> session,
                                                Until until) {
  Slot slot = Sessions::take_slot(*session);
  ++slot.commits;
  const std::string keys = options_.root + "k/";
  auto called = co_await gateway_.call("/v3/kv/txn", txn_request(transaction, keys, slot, session->lease), until);
  if (!called.answer) {
    const bool certain = !called.uncertain;
    Decision decision = co_await without_answer(std::move(called), session, until);
    if (certain && !session->ended) session->free.push_back(std::move(slot));
    if (session->made > kMaxSlots) sessions_.forget(session);
    co_return decision;
  }
  auto outcome = decision_of(*called.answer, transaction, slot);
  if (!outcome && outcome.error() == Code::kProtocolError) {
    sessions_.forget(session);
    co_return Decision{failf(Code::kOutcomeUnknown, "{}", outcome.error().message())};
  }
  session->free.push_back(std::move(slot));
  co_return Decision{std::move(outcome)};
}

Task<Committer::Decision> Committer::without_answer(Gateway::Called called, std::shared_ptr<Session> session,
                                                    Until until) {
  const Error error = called.answer.error();
  if (error == Code::kLeaseExpired) {
    // Which one? No attempt can take effect any more, since leases do not come back.
    const auto alive = co_await sessions_.keep_alive(session->lease, until);
    if (alive) co_return Decision{fail(Code::kLeaseExpired, "a lease of the transaction has ended")};
    if (alive.error() == Code::kLeaseExpired) {
      sessions_.forget(session);
      if (!called.uncertain) co_return Decision{fail(alive.error().with_context("session with etcd")), true};
    } else if (!called.uncertain) {
      co_return Decision{fail(alive.error())};
    }
  }
  if (!called.uncertain) co_return Decision{fail(error)};
  co_return Decision{
      failf(Code::kOutcomeUnknown, "the transaction may have taken effect, or may yet: {}", error.to_string())};
}

}  // namespace cenote::etcd
