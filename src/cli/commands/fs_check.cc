#include <unistd.h>

#include "cenote/base/format.h"
#include "cenote/posix/check.h"
#include "context.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(200);

struct Arguments {
  std::string container, snapshot;
  bool repair = false;
};

/// One line on the terminal, and a look whether the check is to end: the check calls it now and then.
class Watch {
 public:
  Watch(bool draws, StopSignals& signals) : draws_(draws && ::isatty(STDERR_FILENO) == 1), signals_(signals) {}
  ~Watch() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void look(const posix::CheckCounts& counts) {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_ < kRedraw) return;
    looked_ = now;
    if (!stopped_ && signals_.wait_for(Duration::zero())) {
      stopped_ = true;
      signals_.let_the_next_one_kill();
      cancel_.cancel();
    }
    if (!draws_) return;
    drawn_ = true;
    const double seconds = std::max(std::chrono::duration<double>(now - started_).count(), 1e-9);
    const std::uint64_t done = counts.names + counts.objects;
    fmt::print(stderr, "\r\x1b[Kchecking: {} names in {} directories, {} objects, {:.0f}/s", counts.names,
               counts.directories, counts.objects, static_cast<double>(done) / seconds);
    std::fflush(stderr);
  }
  bool stopped() const { return stopped_; }
  Until until() { return {.cancel = &cancel_}; }

 private:
  bool draws_;
  StopSignals& signals_;
  CancelSource cancel_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now(), looked_ = started_;
  bool drawn_ = false, stopped_ = false;
};

Task<Result<posix::CheckReport>> run_check(async::Client* client, ContainerName name, const Arguments* arguments,
                                           Watch* watch) {
  CO_TRY(async::Container container, co_await client->open_container(name.pool, name.container));
  if (!arguments->snapshot.empty()) {
    CO_TRY(container, co_await container.at_snapshot(arguments->snapshot));
  }
  posix::CheckOptions options{.repair = arguments->repair,
                              .progress = [=](const posix::CheckCounts& counts) { watch->look(counts); }};
  co_return co_await posix::check_files(std::move(container), std::move(options), watch->until());
}

std::string_view state_name(posix::RepairState state) {
  switch (state) {
    case posix::RepairState::kNotTried:
      return "not-tried";
    case posix::RepairState::kDone:
      return "done";
    case posix::RepairState::kChanged:
      return "changed";
    case posix::RepairState::kFailed:
      return "failed";
  }
  return "?";
}

std::string outcome_text(const posix::Finding& finding) {
  const std::string_view remedy = posix::repair_of(finding.kind);
  switch (finding.repair) {
    case posix::RepairState::kNotTried:
      return remedy.empty() ? "no repair for it" : fmt::format("with --repair: {}", remedy);
    case posix::RepairState::kDone:
      return fmt::format("repaired: {}", remedy);
    case posix::RepairState::kChanged:
      return "changed meanwhile and left alone: check again";
    case posix::RepairState::kFailed:
      return fmt::format("not repaired: {}", finding.failure);
  }
  return {};
}

void show_findings(const Context& context, const posix::CheckReport& report) {
  for (const posix::Finding& finding : report.findings) {
    const std::string place =
        finding.path.empty() ? "object " + finding.object.to_string() : "'" + printable(as_bytes(finding.path)) + "'";
    context.out.line(
        fmt::format("{}: {}: {}; {}", posix::finding_name(finding.kind), place, finding.detail, outcome_text(finding)));
  }
  if (report.findings_omitted > 0)
    context.out.line(fmt::format("{} more findings: repair these, and check again", report.findings_omitted));
  if (report.incomplete)
    context.out.line("something could not be read: nobody can say what nothing leads to, so that was not looked for");
}

std::string result_text(const posix::CheckReport& report, const std::string& name, double seconds) {
  const posix::CheckCounts& counts = report.counts;
  const std::string looked = fmt::format("{} names in {} directories, {} objects, in {:.1f} s", counts.names,
                                         counts.directories, counts.objects, seconds);
  const std::uint64_t left = report.left(), repaired = report.findings.size() + report.findings_omitted - left;
  if (left == 0 && repaired == 0) return fmt::format("the tree of '{}' is whole: {}", name, looked);
  if (left == 0) return fmt::format("the tree of '{}' is whole again: {} repaired; {}", name, repaired, looked);
  return fmt::format("the tree of '{}' is DAMAGED: {} finding{} left{}; {}", name, left, left == 1 ? "" : "s",
                     repaired > 0 ? fmt::format(", {} repaired", repaired) : "", looked);
}

Json json_of(const posix::CheckReport& report, double seconds) {
  Json findings = Json::array();
  for (const posix::Finding& finding : report.findings) {
    findings.push_back({{"kind", posix::finding_name(finding.kind)},
                        {"path", finding.path},
                        {"object", finding.object.to_string()},
                        {"detail", finding.detail},
                        {"remedy", posix::repair_of(finding.kind)},
                        {"repair", state_name(finding.repair)},
                        {"failure", finding.failure}});
  }
  return {{"whole", report.left() == 0},
          {"incomplete", report.incomplete},
          {"directories", report.counts.directories},
          {"names", report.counts.names},
          {"objects", report.counts.objects},
          {"removed", report.counts.removed},
          {"sessions", report.counts.sessions},
          {"findings", std::move(findings)},
          {"findings_omitted", report.findings_omitted},
          {"left", report.left()},
          {"seconds", seconds}};
}

Result<> check(Context& context, const Arguments& arguments) {
  TRY(const ContainerName name, parse_container(arguments.container));
  // Before the client has threads.
  StopSignals signals;
  TRY(Client * client, context.client());
  const auto started = std::chrono::steady_clock::now();
  Watch watch(!context.quiet && !context.out.json(), signals);
  auto checked = client->run([&](async::Client& inner) { return run_check(&inner, name, &arguments, &watch); });
  if (!checked && watch.stopped()) {
    context.exit = ExitCode::kInterrupted;
    context.out.line(fmt::format("the check of '{}' was ended", arguments.container));
    context.out.document({{"whole", nullptr}, {"cancelled", true}});
    return {};
  }
  TRY(const posix::CheckReport report, std::move(checked));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  show_findings(context, report);
  context.out.line(result_text(report, arguments.container, seconds));
  context.out.document(json_of(report, seconds));
  if (report.left() > 0) context.exit = ExitCode::kCorrupt;
  return {};
}

}  // namespace

void add_fs_check(CLI::App& fs, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      fs, "check", "Prove that the tree of a container is consistent, while it is in use, and repair it",
      "  cenote fs check scratch/home                     # says what is wrong, changes nothing\n"
      "  cenote fs check scratch/home --repair            # and does something about it\n"
      "  cenote fs check scratch/home --snapshot evening  # as it was then\n"
      "  cenote fs check scratch/home --json\n"
      "Names, inodes, counts and objects are compared with each other, in a snapshot that is taken for it and "
      "destroyed\n"
      "afterwards. That stored data is what was written is proved by 'cenote container check'. What no name leads to "
      "goes\n"
      "to /lost+found. Exit code 0: whole, or everything was repaired; 7: something is left. Ctrl-C ends the check.");
  verb->add_option("POOL/CONTAINER", arguments->container, "a container of type 'posix'")->required();
  verb->add_flag("--repair", arguments->repair, "repair what is found, as far as it has not changed meanwhile");
  add_snapshot_option(*verb, arguments->snapshot);
  verb->callback([=, &context] { context.action = [=, &context] { return check(context, *arguments); }; });
}

}  // namespace cenote::cli
