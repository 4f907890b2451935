#include <algorithm>
#include <iterator>

#include "cenote/base/format.h"
#include "context.h"
#include "doctor/machine.h"
#include "doctor/system.h"
#include "server_options.h"
#include "setting_flags.h"

namespace cenote::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(2);

const char* colour_of(Finding::Level level) {
  switch (level) {
    case Finding::Level::kOk:
      return "\x1b[32m";
    case Finding::Level::kWarn:
      return "\x1b[33m";
    case Finding::Level::kFail:
      return "\x1b[31m";
  }
  return "";
}

void print(const Context& context, const Findings& findings) {
  Json all = Json::array();
  for (const Finding& finding : findings) {
    const std::string level = fmt::format("{:<4}", level_name(finding.level));
    const bool colours = context.out.colours();
    context.out.line(fmt::format("{}{}{}  {}: {}", colours ? colour_of(finding.level) : "", level,
                                 colours ? "\x1b[0m" : "", finding.check, finding.found));
    if (!finding.advice.empty()) context.out.line("      " + finding.advice);
    all.push_back({{"check", finding.check},
                   {"level", std::string(level_name(finding.level))},
                   {"found", finding.found},
                   {"advice", finding.advice}});
  }
  context.out.document({{"findings", std::move(all)}});
}

Result<> examine(Context& context, const SettingFlags& flags) {
  flags.apply(context.settings);
  TRY(const engine::EngineOptions options, engine_options(context.settings));
  Findings findings = check_machine(options);
  std::ranges::move(check_system(context.settings, std::min<Duration>(kPatience, context.bounds().timeout)),
                    std::back_inserter(findings));
  print(context, findings);
  const bool failed = std::ranges::count(findings, Finding::Level::kFail, &Finding::level) > 0;
  if (failed) context.exit = ExitCode::kFailure;
  return {};
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  const auto flags = std::make_shared<SettingFlags>();
  CLI::App* doctor = add_verb(app, "doctor", "Check this machine, and the system that runs, and explain what is wrong",
                              "  cenote doctor\n"
                              "  cenote doctor --data /mnt/nvme/cenote        # before an engine is started there\n"
                              "  cenote doctor --server storage1:7777 --json  # what is wrong with that system?\n"
                              "Exit code 1 if any check fails; warnings alone are 0.");
  for (const char* key : {"server.data", "server.listen", "server.control", "server.targets", "server.cache"})
    flags->add(*doctor, key);
  doctor->callback([=, &context] { context.action = [=, &context] { return examine(context, *flags); }; });
}

}  // namespace cenote::cli
