#include <algorithm>
#include <charconv>

#include "cenote/base/format.h"
#include "cenote/protocol/control_requests.h"
#include "context.h"
#include "damage_listing.h"
#include "each_engine.h"

namespace cenote::cli {
namespace {

// An engine that is up answers at once; the others should not wait for one that is lost.
constexpr Duration kPatience = std::chrono::seconds(5);

void show_targets(Context& context, const SystemInfo& system) {
  std::vector<std::vector<std::string>> rows;
  for (const TargetInfo& target : system.targets) {
    rows.push_back({std::to_string(target.index), human_bytes(target.total_bytes), human_bytes(target.free_bytes),
                    target.state, target.id.to_string()});
  }
  context.out.table({"TARGET", "SIZE", "FREE", "STATE", "UUID"}, rows);
  if (system.control_state != "up") context.out.line("control state: " + system.control_state);
  context.out.document(Json::parse(to_json(system)));
}

struct ListArguments {
  std::optional<std::uint32_t> engine;
};

/// What an engine answers beyond its targets that somebody should know.
void add_remarks(const EngineAnswer& answer, std::vector<std::string>& remarks) {
  const std::string who = fmt::format("engine {}", answer.engine.rank);
  if (!answer.system) {
    if (answer.engine.state != kEngineGone)
      remarks.push_back(fmt::format("{}: {}", who, answer.system.error().message()));
  } else if (answer.system->control_state != "up") {
    remarks.push_back(fmt::format("{}: control state: {}", who, answer.system->control_state));
  }
}

void show_engines(Context& context, const std::vector<EngineAnswer>& answers) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> remarks;
  for (const EngineAnswer& answer : answers) {
    const std::string rank = std::to_string(answer.engine.rank);
    if (!answer.system) {
      const bool gone = answer.engine.state == kEngineGone;
      rows.push_back({rank, "-", "-", "-", gone ? "the engine is gone" : "no answer of the engine", "-"});
    } else {
      for (const TargetInfo& target : answer.system->targets)
        rows.push_back({rank, std::to_string(target.index), human_bytes(target.total_bytes),
                        human_bytes(target.free_bytes), target.state, target.id.to_string()});
    }
    add_remarks(answer, remarks);
  }
  context.out.table({"ENGINE", "TARGET", "SIZE", "FREE", "STATE", "UUID"}, rows);
  for (const std::string& remark : remarks) context.out.line(remark);
}

/// What every engine says of itself: its targets, or why there are none.
Json answers_json(const std::vector<EngineAnswer>& answers) {
  Json engines = Json::array();
  for (const EngineAnswer& answer : answers) {
    Json json{{"engine", answer.engine.rank}, {"state", answer.engine.state}};
    if (answer.system) {
      const Json system = Json::parse(to_json(*answer.system));
      json["control_state"] = system["control_state"];
      json["targets"] = system["targets"];
    } else {
      json["no_answer"] = answer.system.error().message();
    }
    engines.push_back(std::move(json));
  }
  return engines;
}

/// The engine that was asked has told of itself already.
std::vector<EngineAnswer> only_answer(const SystemInfo& system) {
  EngineInfo engine{.rank = 0, .id = {}, .state = kEngineUp};
  if (!system.engines.empty()) engine = system.engines.front();
  return {{.engine = std::move(engine), .system = system}};
}

Result<> list(Context& context, const ListArguments& arguments) {
  TRY(Client * client, context.client());
  TRY(SystemInfo system, client->system(context.bounds()));
  std::vector<EngineInfo> engines = system.engines;
  if (arguments.engine) {
    std::erase_if(engines, [&](const EngineInfo& engine) { return engine.rank != *arguments.engine; });
    if (engines.empty())
      return failf(Code::kNotFound, "there is no engine {}: see 'cenote system query'", *arguments.engine);
  }
  const bool alone = system.engines.size() <= 1;
  const std::vector<EngineAnswer> answers =
      alone ? only_answer(system) : ask_engines(engines, std::min<Duration>(kPatience, context.bounds().timeout));
  if (arguments.engine) {
    // Then the rest of the document is its own, too.
    TRY(system, answers.front().system);
  }
  show_engines(context, answers);
  if (system.stopped_since_s != 0) context.out.line(stopped_text(system));
  Json document = Json::parse(to_json(system));
  document["targets_of_engines"] = answers_json(answers);
  context.out.document(document);
  return {};
}

/// Of "": none.
Result<std::optional<std::uint32_t>> parse_target(const std::string& text) {
  if (text.empty()) return std::nullopt;
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end) return number;
  return failf(Code::kInvalidArgument, "'{}' is no number of a target: see 'cenote engine list'", text);
}

struct GrowArguments {
  std::string target, size;
};

Result<> grow(Context& context, const GrowArguments& arguments) {
  GrowTargets request;
  TRY(request.target, parse_target(arguments.target));
  if (!arguments.size.empty()) {
    TRY(request.size_bytes, parse_bytes(arguments.size));
    if (request.size_bytes == 0)
      return fail(Code::kInvalidArgument, "--size 0: give a size like 200GiB, or leave it out");
  }
  TRY(Client * client, context.client());
  TRY(const SystemInfo system, client->grow_targets(request, context.bounds()));
  show_targets(context, system);
  return {};
}

struct ScrubArguments {
  std::string target;
  bool start = false, pause = false, resume = false;
};

std::string left_of(const TargetScrub& target) {
  if (!target.left_s) return "-";
  const std::uint64_t minutes = *target.left_s / 60;
  return minutes < 60 ? fmt::format("{} min", minutes + 1) : fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string rate_of(const TargetScrub& target) {
  return target.state == kScrubOff ? "-" : human_bytes(target.bytes_per_second) + "/s";
}

void show_scrub(Context& context, const SystemScrub& scrub) {
  std::vector<std::vector<std::string>> rows;
  for (const TargetScrub& target : scrub.targets) {
    rows.push_back({std::to_string(target.index), target.state,
                    fmt::format("{} of {}", human_bytes(target.pass_bytes), human_bytes(target.used_bytes)),
                    rate_of(target), left_of(target), local_time_text(target.began_s), local_time_text(target.ended_s),
                    std::to_string(target.repaired), std::to_string(target.damages)});
  }
  context.out.table({"TARGET", "STATE", "READ", "RATE", "LEFT", "BEGAN", "ENDED", "REPAIRED", "DAMAGES"}, rows);
  show_damages(context.out, scrub.findings, scrub.findings_omitted);
  context.out.document(Json::parse(to_json(scrub)));
  const bool damaged = std::ranges::any_of(scrub.targets, [](const TargetScrub& target) { return target.damages > 0; });
  if (damaged) context.exit = ExitCode::kCorrupt;
}

Result<> scrub(Context& context, const ScrubArguments& arguments) {
  ControlScrub request;
  TRY(request.target, parse_target(arguments.target));
  TRY(Client * client, context.client());
  if (!arguments.start && !arguments.pause && !arguments.resume) {
    TRY(SystemScrub scrub, client->scrub(context.bounds()));
    std::erase_if(scrub.targets,
                  [&](const auto& target) { return request.target.value_or(target.index) != target.index; });
    std::erase_if(scrub.findings,
                  [&](const auto& found) { return request.target.value_or(found.target) != found.target; });
    if (scrub.targets.empty())
      return failf(Code::kNotFound, "no target {}: see 'cenote engine list'", arguments.target);
    show_scrub(context, scrub);
    return {};
  }
  request.action = arguments.start ? ScrubAction::kStart : arguments.pause ? ScrubAction::kPause : ScrubAction::kResume;
  TRY(const SystemScrub scrub, client->control_scrub(request, context.bounds()));
  show_scrub(context, scrub);
  // What was asked for has happened.
  context.exit = ExitCode::kOk;
  return {};
}

void add_scrub(CLI::App& engine, Context& context) {
  const auto arguments = std::make_shared<ScrubArguments>();
  CLI::App* verb = add_verb(engine, "scrub", "Show what the scrub of each target does, and all damage that it found",
                            "  cenote engine scrub\n"
                            "  cenote engine scrub --json\n"
                            "  cenote engine scrub --start             # a pass over everything begins now\n"
                            "  cenote engine scrub --pause --target 1   # until --resume or a restart\n"
                            "It speaks to one engine only: the one at --server.\n"
                            "Exit code 7: some damage is known. What is damaged stays listed until a later pass finds "
                            "it whole or gone: write it again, then --start.");
  verb->add_option("--target", arguments->target, "number of one target; all when left out");
  CLI::Option* start =
      verb->add_flag("--start", arguments->start, "begin a pass now, or go on with the one that waits");
  CLI::Option* pause = verb->add_flag("--pause", arguments->pause, "read nothing until --resume or a restart");
  CLI::Option* resume = verb->add_flag("--resume", arguments->resume, "end the pause");
  start->excludes(pause)->excludes(resume);
  pause->excludes(resume);
  verb->callback([=, &context] { context.action = [=, &context] { return scrub(context, *arguments); }; });
}

}  // namespace

void add_engine(CLI::App& app, Context& context) {
  CLI::App* engine =
      add_noun(app, "engine", "The engine and its targets", "A target is a store on devices of its own.");
  const auto listed = std::make_shared<ListArguments>();
  CLI::App* verb = add_verb(*engine, "list", "List the targets of all engines: size, free space, state",
                            "  cenote engine list\n"
                            "  cenote engine list --engine 2\n"
                            "  cenote engine list --json\n"
                            "Each engine is asked itself; one that does not answer within 5 s has a row that says so. "
                            "Of a document\n"
                            "'targets' are those of the engine at --server, and 'targets_of_engines' all.");
  verb->add_option("--engine", listed->engine, "rank of the only one to list: see 'cenote system query'")
      ->check(CLI::Validator(check_rank, "RANK"));
  verb->callback([=, &context] { context.action = [=, &context] { return list(context, *listed); }; });

  add_scrub(*engine, context);

  const auto arguments = std::make_shared<GrowArguments>();
  verb = add_verb(*engine, "grow", "Use devices and files that became larger, at once and without a restart",
                  "  cenote engine grow                        # all targets, as large as their devices are now\n"
                  "  cenote engine grow --target 1\n"
                  "  cenote engine grow --size 200GiB          # makes the files of all targets so large first\n"
                  "It speaks to one engine only: the one at --server.\n"
                  "Nothing is ever made smaller.");
  verb->add_option("--target", arguments->target, "number of one target; all when left out");
  verb->add_option("--size", arguments->size,
                   "make the file of each target so large first, like 200GiB; of its data device where it has one");
  verb->callback([=, &context] { context.action = [=, &context] { return grow(context, *arguments); }; });
}

}  // namespace cenote::cli
