// A check: the walk, what is stored, what numbers say, and repairs.

#include "cenote/posix/check.h"

#include "cenote/base/format.h"
#include "check_numbers.h"
#include "check_objects.h"
#include "check_repair.h"
#include "impl.h"
#include "session.h"

namespace cenote::posix {
namespace {

constexpr Duration kDestroyingTime = std::chrono::seconds(30);
constexpr int kAttempts = 5;

/// Sessions, and what they keep open.
Task<Result<>> read_sessions(async::Container view, CheckState& state, Until until) {
  Records records(view);
  CO_TRY(const auto sessions, co_await Session::list(records, until));
  for (const Session::Other& session : sessions) {
    ++state.counts.sessions;
    state.sessions.insert(session.number);
    auto journal = co_await Session::read(records, session.number, until);
    if (!journal && tells_of_damage(journal.error())) {
      state.incomplete = true;
      state.faults.add(FindingKind::kUnreadable, sessions_object(state.redundancy), {}, journal.error().to_string());
      continue;
    }
    CO_CHECK_OK(journal);
    for (const ObjectId& object : journal->open_files) {
      const bool is_file = object.dkey_flavour() == KeyFlavour::kUint64;
      state.ledger.add({.number = object.low(),
                        .type = is_file ? FileType::kFile : FileType::kSymlink,
                        .how = Reached::How::kOpen,
                        .has_companion = true});
    }
  }
  co_return Result<>();
}

/// All that there is to find, as the view has it.
Task<Result<LocatedMap>> find_faults(async::Container view, CheckState& state, Until until) {
  CO_CHECK_OK(co_await read_sessions(view, state, until));
  CheckPass pass(view, state);
  CO_CHECK_OK(co_await pass.run(root_object(state.redundancy), "/", until));
  state.ledger.sort();
  // Where something could not be read, nobody knows what it leads to.
  if (state.incomplete) co_return co_await locate(view, state, {}, until);
  CO_TRY(auto strays, co_await find_strays(view, state, until));
  CO_CHECK_OK(co_await follow_stray_directories(pass, view, state, strays, until));
  if (!state.incomplete) {
    CO_TRY(auto unnamed, co_await judge_numbers(view, state, until));
    // One that has names is another finding.
    std::erase_if(state.faults.all(), [&](const Fault& fault) {
      return fault.finding.kind == FindingKind::kStaleRemoved && has_names(state.ledger, fault.finding.object.low());
    });
    CO_CHECK_OK(co_await judge_strays(view, state, std::move(strays), std::move(unnamed), until));
  }
  state.tell_progress();
  co_return co_await locate(view, state, pass.orphans(), until);
}

/// Looks at everything in the view.
Task<Result<LocatedMap>> look(async::Container view, CheckState& state, std::uint32_t* marks, Until until) {
  CO_TRY(const auto superblock, co_await load_superblock(view, until));
  if (!superblock) {
    co_return failf(Code::kNotFound, "container '{}' holds no files yet: nothing was ever made in it",
                    view.info().label);
  }
  *marks = superblock->touch_marks;
  co_return co_await find_faults(view, state, until);
}

/// Whether a request may have taken effect; it is sent again then.
bool leaves_doubt(const Result<>& outcome) {
  return !outcome && (outcome.error() == Code::kConnectionLost || outcome.error() == Code::kOutcomeUnknown);
}

/// A snapshot of a name that nobody else takes.
Task<Result<>> make_snapshot(async::Container container, std::string name, Until until) {
  for (int attempt = 1;; ++attempt) {
    const auto made = co_await container.create_snapshot(name, until);
    Result<> outcome;
    if (!made) outcome = fail(made.error());
    if (attempt > 1 && !outcome && outcome.error() == Code::kExists) co_return Result<>();
    if (attempt == kAttempts || !leaves_doubt(outcome)) co_return outcome;
  }
}

Task<Result<>> destroy_snapshot(async::Container container, std::string name, Until until) {
  for (int attempt = 1;; ++attempt) {
    auto outcome = co_await container.destroy_snapshot(name, until);
    if (!outcome && outcome.error() == Code::kNotFound) co_return Result<>();
    if (attempt == kAttempts || !leaves_doubt(outcome)) co_return outcome;
  }
}

/// The same in a snapshot that is there for this alone.
Task<Result<LocatedMap>> look_at_moment(async::Container container, CheckState& state, std::uint32_t* marks,
                                        Until until) {
  Reactor& reactor = container.client().reactor();
  const std::string name = fmt::format("fs-check-{:x}", reactor.wall_now().time_since_epoch().count());
  auto made = co_await make_snapshot(container, name, until);
  if (leaves_doubt(made)) {
    static_cast<void>(co_await destroy_snapshot(container, name, Until::at(reactor.now() + kDestroyingTime)));
  }
  CO_CHECK_OK(std::move(made));
  auto view = co_await container.at_snapshot(name, until);
  Result<LocatedMap> located = LocatedMap();
  if (view) {
    located = co_await look(*std::move(view), state, marks, until);
  } else {
    located = fail(std::move(view).error());
  }
  // Also when the check was cancelled.
  const auto destroyed = co_await destroy_snapshot(container, name, Until::at(reactor.now() + kDestroyingTime));
  if (located && !destroyed) co_return fail(destroyed.error().with_context(fmt::format("snapshot '{}'", name)));
  co_return located;
}

}  // namespace

Task<Result<CheckReport>> check_files(async::Container container, CheckOptions options, Until until) {
  const bool is_view = container.snapshot().has_value();
  if (is_view && options.repair)
    co_return fail(Code::kReadOnly, "a snapshot never changes: check the container itself to repair it");
  CheckState state{.options = options,
                   .redundancy = container.redundancy(),
                   .counts = {},
                   .ledger = {},
                   .faults = Faults(options.most_findings),
                   .sessions = {}};
  std::uint32_t marks = 0;
  Result<LocatedMap> looked = LocatedMap();
  if (is_view) {
    looked = co_await look(container, state, &marks, until);
  } else {
    looked = co_await look_at_moment(container, state, &marks, until);
  }
  CO_TRY(const LocatedMap located, std::move(looked));
  if (options.repair) {
    Repairer repairer(container, state, located, marks);
    CO_CHECK_OK(co_await repairer.run(until));
  }
  CheckReport report{.counts = state.counts,
                     .findings = {},
                     .findings_omitted = state.faults.omitted(),
                     .incomplete = state.incomplete};
  for (Fault& fault : state.faults.all()) report.findings.push_back(std::move(fault.finding));
  co_return report;
}

}  // namespace cenote::posix
