// A coordinator that was lost for good is made anew of what the engines of its system remember.

#include <fmt/chrono.h>

#include <chrono>

#include "cenote/base/format.h"
#include "cenote/embedded/reactor_thread.h"
#include "cenote/engine/control_recovery.h"
#include "cenote/engine/data_directory.h"
#include "context.h"
#include "etcd_source.h"
#include "setting_flags.h"

namespace cenote::cli {
namespace {

using engine::GivenCopy;
using engine::RecoveryPlan;

constexpr Duration kPatience = std::chrono::minutes(10);

struct Arguments {
  std::vector<std::string> from;
  bool incomplete = false, dry_run = false, forget_unknown = false;
  SettingFlags flags;
};

std::string time_text(WallTime time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::time_t{seconds.count()}));
}

Result<std::vector<GivenCopy>> read_copies(const std::vector<std::string>& paths) {
  std::vector<GivenCopy> copies;
  for (const std::string& path : paths) {
    TRY(const Bytes bytes, engine::DataDirectory::read_control_copy_at(path));
    auto file = engine::decode_control_copy(bytes);
    if (!file) return fail(file.error().with_context(path));
    copies.push_back({path, *std::move(file)});
  }
  return copies;
}

std::string rank_of(const RecoveryPlan& plan, const Uuid& engine) {
  for (const RecoveryPlan::Engine& each : plan.engines)
    if (each.engine.place.engine == engine) return std::to_string(each.engine.place.rank.value());
  return "-";
}

void show_copies(const Context& context, const std::vector<GivenCopy>& copies, const RecoveryPlan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const engine::ControlCopyHead& head = copies[i].file.head;
    rows.push_back({rank_of(plan, head.engine), std::to_string(head.revision.value()), time_text(head.written),
                    i == plan.newest ? "newest" : "", copies[i].source});
  }
  context.out.line(fmt::format("system '{}' ({}): {} engines, {} pools, {} containers, {} snapshots", plan.system.name,
                               plan.system.id.to_string(), plan.engines.size(), plan.pools, plan.containers,
                               plan.snapshots));
  context.out.table({"ENGINE", "REVISION", "WRITTEN", "", "COPY"}, rows);
  for (const RecoveryPlan::Engine& each : plan.engines) {
    if (each.given) continue;
    const auto& place = each.engine.place;
    context.out.line(fmt::format("no copy of engine {} ({}), which has {}", place.rank.value(),
                                 place.engine.to_string(),
                                 each.engine.pools == 0 ? std::string("no part in any pool")
                                                        : fmt::format("a part in {} pools", each.engine.pools)));
  }
}

Json document_of(const std::vector<GivenCopy>& copies, const RecoveryPlan& plan, bool done) {
  Json given = Json::array();
  for (const GivenCopy& copy : copies) {
    given.push_back({{"path", copy.source},
                     {"engine", copy.file.head.engine.to_string()},
                     {"revision", copy.file.head.revision.value()},
                     {"written", time_text(copy.file.head.written)}});
  }
  Json missing = Json::array();
  for (const cluster::Rank rank : plan.missing()) missing.push_back(rank.value());
  return {{"system", plan.system.id.to_string()},
          {"name", plan.system.name},
          {"copies", std::move(given)},
          {"newest", copies[plan.newest].source},
          {"engines", plan.engines.size()},
          {"missing", std::move(missing)},
          {"pools", plan.pools},
          {"containers", plan.containers},
          {"snapshots", plan.snapshots},
          {"recovered", done}};
}

Result<> check_complete(const RecoveryPlan& plan, bool incomplete) {
  std::vector<std::string> ranks;
  for (const cluster::Rank rank : plan.missing()) ranks.push_back(std::to_string(rank.value()));
  if (ranks.empty() || incomplete) return {};
  return failf(
      Code::kNotFound,
      "{} of {} engines have no copy here, though they have parts in pools: {}; give theirs by --from, or say "
      "--incomplete: what only they know is lost then, and one of them that comes back may have served what the "
      "others have forgotten",
      ranks.size(), plan.engines.size(), fmt::join(ranks, ", "));
}

/// Calls `use(coordinator, until)` on a reactor of its own.
template <typename Use>
Task<Result<>> with_coordinator(UringReactor& reactor, EtcdSource& source, Use use) {
  CO_TRY(auto coordinator, co_await source.open(reactor, Logger()));
  auto outcome = co_await use(*coordinator, Until::at(reactor.now() + kPatience));
  static_cast<void>(co_await coordinator->close());
  co_return outcome;
}

template <typename Use>
Result<> at_coordinator(Context& context, Use use) {
  TRY(auto outside, coordinator_options(context.settings));
  if (!outside)
    return fail(Code::kInvalidArgument, "name the coordinator by --coordinator, as the engines are started with");
  EtcdSource source({.options = *std::move(outside)}, [] { return false; });
  TRY(const auto thread, ReactorThread::start());
  auto outcome = thread->run([&] { return with_coordinator(thread->reactor(), source, use); });
  if (!outcome) return fail(outcome.error().with_context("coordinator at " + source.place()));
  return {};
}

Result<> forget_unknown(Context& context) {
  CHECK_OK(at_coordinator(context, [](cluster::Coordinator& coordinator, Until until) {
    return engine::end_recovery(coordinator, until);
  }));
  context.out.line("what engines hold and no record knows goes when they get a part in a pool");
  context.out.document({{"forget_unknown", true}});
  return {};
}

Result<> recover(Context& context, const Arguments& arguments) {
  arguments.flags.apply(context.settings);
  if (arguments.forget_unknown) return forget_unknown(context);
  if (arguments.from.empty())
    return fail(Code::kInvalidArgument,
                "name the data directories of the engines, or copies of their files "
                "'control-copy', by --from");
  TRY(const auto copies, read_copies(arguments.from));
  TRY(const RecoveryPlan plan, engine::plan_recovery(copies));
  show_copies(context, copies, plan);
  CHECK_OK(check_complete(plan, arguments.incomplete));
  // One that is left to the old coordinator, which may only be out of reach, would be of two systems at once.
  for (const std::string& path : arguments.from) CHECK_OK(engine::DataDirectory::check_stopped(path));
  CHECK_OK(at_coordinator(context, [&](cluster::Coordinator& coordinator, Until until) {
    return arguments.dry_run ? engine::check_recovery(plan, coordinator, until)
                             : engine::carry_out(plan, coordinator, until);
  }));
  context.out.line(arguments.dry_run
                       ? std::string("the coordinator would take it; nothing was written")
                       : std::string("recovered: start all engines with this coordinator, at about the same time"));
  context.out.document(document_of(copies, plan, !arguments.dry_run));
  return {};
}

}  // namespace

void add_system_recover(CLI::App& system, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      system, "recover", "Make a coordinator that was lost for good anew, of what the engines remember",
      "  cenote system recover --from ./data1 --from ./data2 --from ./data3 --coordinator http://10.0.1.9:2379 "
      "--dry-run\n"
      "  cenote system recover --from ./data1 --from /tmp/control-copy.2 --from /tmp/control-copy.3 \\\n"
      "    --coordinator http://10.0.1.9:2379\n"
      "  cenote system recover --forget-unknown --coordinator http://10.0.1.9:2379    # when all is found to be there\n"
      "Stop all engines first. Each keeps a copy of what the coordinator holds in its data directory, in the file\n"
      "'control-copy'; the newest is taken, so give those of all engines. The coordinator's root has to be empty. "
      "Broken\n"
      "off, it can be run again. See docs/operations/coordinator.md, 'The coordinator was lost'.");
  verb->add_option("--from", arguments->from,
                   "data directory of an engine, or a copy of its file 'control-copy'; once for each engine")
      ->type_name("DIR_OR_FILE")
      ->allow_extra_args(false);
  for (const char* key : {"server.coordinator", "server.coordinator-root", "server.coordinator-ca",
                          "server.coordinator-cert", "server.coordinator-key"})
    arguments->flags.add(*verb, key);
  verb->add_flag("--incomplete", arguments->incomplete, "although engines with parts in pools have no copy here");
  verb->add_flag("--dry-run", arguments->dry_run, "only say what would be done, and whether the coordinator is empty");
  verb->add_flag("--forget-unknown", arguments->forget_unknown,
                 "after a recovery: let go of what engines hold and no record knows");
  verb->callback([=, &context] { context.action = [=, &context] { return recover(context, *arguments); }; });
}

}  // namespace cenote::cli
