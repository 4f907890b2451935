#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/protocol/scrub_info.h"
#include "context.h"
#include "damage_listing.h"
#include "progress.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string container, rate = "0";
  bool stop = false;
};

/// A short check shows its end at once, and a long one costs the server nothing.
constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

/// Asks until the check has ended; a signal ends it on the server, too. What it came to.
Result<ContainerCheck> follow(Context& context, Client& client, const ContainerName& name, ContainerCheck check,
                              StopSignals& signals) {
  Progress progress("checking", check.total_bytes, !context.quiet && !context.out.json(), "");
  for (Duration pause = kFirstPause; check.state == kCheckRunning; pause = std::min(2 * pause, kLongestPause)) {
    if (signals.wait_for(pause)) {
      // Whoever cannot wait for the server says so again.
      signals.let_the_next_one_kill();
      TRY(check, client.cancel_check(name.pool, name.container, context.bounds()));
      context.exit = ExitCode::kInterrupted;
      continue;
    }
    TRY(check, client.query_check(name.pool, name.container, context.bounds()));
    // What snapshots keep and metadata come on top of what the container holds.
    progress.expect(std::max(check.total_bytes, check.proved_bytes()));
    progress.update(check.proved_bytes(), 0);
  }
  return check;
}

void show_targets(Context& context, const ContainerCheck& check) {
  std::vector<std::vector<std::string>> rows;
  for (const CheckedTarget& target : check.targets) {
    rows.push_back({std::to_string(target.index), target.state, human_bytes(target.read_bytes),
                    human_bytes(target.verified_bytes), human_bytes(target.unprotected_bytes),
                    std::to_string(target.leaves), std::to_string(target.pages), std::to_string(target.entries),
                    std::to_string(target.repaired), std::to_string(target.damages)});
  }
  context.out.table(
      {"TARGET", "STATE", "READ", "VERIFIED", "UNPROTECTED", "LEAVES", "PAGES", "ENTRIES", "REPAIRED", "DAMAGES"},
      rows);
  for (const CheckedTarget& target : check.targets) {
    if (!target.error.empty()) context.out.line(fmt::format("target {}: {}", target.index, target.error));
  }
}

std::string result_text(const ContainerCheck& check, const std::string& name) {
  std::uint64_t damages = 0, repaired = 0;
  for (const CheckedTarget& target : check.targets) {
    damages += target.damages;
    repaired += target.repaired;
  }
  const std::string time = fmt::format("{:.1f} s", static_cast<double>(check.elapsed_ms) / 1000);
  if (check.state == kCheckWhole && repaired > 0) {
    return fmt::format("'{}' is whole again: {} pages were damaged on the disk and are written anew", name, repaired);
  }
  if (check.state == kCheckWhole) return fmt::format("'{}' is whole: everything was read and proved in {}", name, time);
  if (check.state == kCheckCancelled) return fmt::format("the check of '{}' was ended after {}", name, time);
  if (check.state == kCheckFailed) return fmt::format("the check of '{}' could not go on", name);
  return fmt::format("'{}' is DAMAGED: {} finding{}", name, damages, damages == 1 ? "" : "s");
}

void show(Context& context, const ContainerCheck& check, const std::string& name) {
  show_targets(context, check);
  show_damages(context.out, check.findings, check.findings_omitted);
  context.out.line(result_text(check, name));
  Json document = Json::parse(to_json(check));
  document["whole"] = check.state == kCheckWhole;
  context.out.document(document);
  if (check.state == kCheckDamaged) context.exit = ExitCode::kCorrupt;
  if (check.state == kCheckFailed) context.exit = ExitCode::kFailure;
  if (check.state == kCheckCancelled && context.exit == ExitCode::kOk) context.exit = ExitCode::kInterrupted;
}

Result<> check(Context& context, const Arguments& arguments) {
  TRY(const ContainerName name, parse_container(arguments.container));
  BeginCheck request;
  TRY(request.bytes_per_second, parse_bytes(arguments.rate));
  // Before the client has threads.
  StopSignals signals;
  TRY(Client * client, context.client());
  if (arguments.stop) {
    TRY(const ContainerCheck ended, client->cancel_check(name.pool, name.container, context.bounds()));
    show(context, ended, arguments.container);
    // That it ended was the wish.
    if (ended.state == kCheckCancelled) context.exit = ExitCode::kOk;
    return {};
  }
  TRY(ContainerCheck begun, client->begin_check(name.pool, name.container, request, context.bounds()));
  TRY(const ContainerCheck ended, follow(context, *client, name, std::move(begun), signals));
  show(context, ended, arguments.container);
  return {};
}

}  // namespace

void add_container_check(CLI::App& container, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      container, "check", "Read and prove everything that is stored in a container, while it is in use",
      "  cenote container check scratch/home                 # as fast as the disks give\n"
      "  cenote container check scratch/home --rate 64MiB    # of each target, per second\n"
      "  cenote container check scratch/home --json\n"
      "  cenote container check scratch/home --stop          # ends one that runs\n"
      "Metadata is read from the disks and proved, data is compared with its checksums, old versions and snapshots "
      "included.\n"
      "Exit code 7: something is damaged; it is named. Ctrl-C ends the check on the server, too. One check of a "
      "container runs at a time.");
  verb->add_option("POOL/CONTAINER", arguments->container, "the container")->required();
  verb->add_option(
          "--rate", arguments->rate,
          "read at most so much per second from each target, like 64MiB; 0: what the disks give, and a quarter "
          "of it while others use the target")
      ->capture_default_str();
  verb->add_flag("--stop", arguments->stop, "end the check that runs, and show how far it came");
  verb->callback([=, &context] { context.action = [=, &context] { return check(context, *arguments); }; });
}

}  // namespace cenote::cli
