// Which engines have a part in pools: verbs of `pool` and of `system`.

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/protocol/pool_changes.h"
#include "context.h"
#include "pool_moves.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string pool;
  std::vector<std::uint32_t> engines;
  bool wait = false, follow = false;
};

struct Verb {
  PoolOperation operation;
  const char* begun;      ///< what "engine 2" does now
  const char* under_way;  ///< and what it did before
  const char* done;       ///< and what there is nothing to do about
  const char* last;       ///< its state in the end
};

constexpr Verb kVerbs[] = {
    {PoolOperation::kExclude, "is excluded; others make its data anew",
     "is excluded already; its data is being made anew", "has no part in the pool any more", "down-out"},
    {PoolOperation::kDrain, "is being drained", "is being drained already", "has no part in the pool any more",
     "down-out"},
    {PoolOperation::kReintegrate, "gets its part of the pool again", "is getting its part already",
     "has its part of the pool", "up-in"},
    {PoolOperation::kExtend, "gets a part of the pool", "is getting its part already", "has its part of the pool",
     "up-in"},
};

const Verb& verb_of(PoolOperation operation) { return *std::ranges::find(kVerbs, operation, &Verb::operation); }

std::string change_text(const EngineChange& engine, PoolOperation operation) {
  const Verb& verb = verb_of(operation);
  const char* const what = engine.outcome == kChangeBegun      ? verb.begun
                           : engine.outcome == kChangeUnderWay ? verb.under_way
                                                               : verb.done;
  return fmt::format("engine {} {}", engine.rank, what);
}

std::string changes_text(const PoolChanged& changed, PoolOperation operation) {
  std::vector<std::string> texts;
  for (const EngineChange& engine : changed.engines) texts.push_back(change_text(engine, operation));
  return fmt::format("{}", fmt::join(texts, "; "));
}

/// What was wished for has come about when nothing moves any more; something else may have happened meanwhile.
Result<> check_end(const PoolMoves& moves, PoolOperation operation, const std::vector<std::uint32_t>& ranks) {
  for (const std::uint32_t rank : ranks) {
    const auto engine = std::ranges::find(moves.engines, rank, &MappedEngineInfo::rank);
    const std::string state = engine == moves.engines.end() ? "gone from the pool" : engine->state;
    if (state != verb_of(operation).last)
      return failf(Code::kConditionFailed, "pool '{}': engine {} is {} in the end: something else happened meanwhile",
                   moves.label, rank, state);
  }
  return {};
}

Result<> change(Context& context, const Arguments& arguments, PoolOperation operation) {
  // Before the client has threads.
  StopSignals signals;
  TRY(Client * client, context.client());
  StopOfCalls stop(signals);
  const ChangeEngines request{.operation = operation, .engines = arguments.engines};
  TRY(const PoolChanged changed, client->change_engines(arguments.pool, request, stop.bounded(context.bounds())));
  Json document = Json::parse(to_json(changed));
  context.out.line(fmt::format("pool '{}': {}", changed.label, changes_text(changed, operation)));
  if (arguments.wait) {
    TRY(const PoolMoves moves, follow_moves(context, *client, arguments.pool, stop, false));
    document["moves"] = Json::parse(to_json(moves));
    context.out.line(fmt::format("pool '{}': {}", moves.label, moves_text(moves, {})));
    context.out.document(document);
    return moves.at_rest() ? check_end(moves, operation, arguments.engines) : Result<>();
  }
  context.out.document(document);
  return {};
}

/// Which of the engines that are named an operation is about in a pool: those that have a part in it, or for an
/// extension those that never had one.
std::vector<std::uint32_t> concerned(const PoolInfo& pool, std::vector<std::uint32_t> ranks, PoolOperation operation) {
  const bool is_new = operation == PoolOperation::kExtend;
  std::erase_if(ranks, [&](std::uint32_t rank) {
    const bool known = std::ranges::find(pool.engines, rank, &MappedEngineInfo::rank) != pool.engines.end();
    return known == is_new;
  });
  return ranks;
}

Result<> check_ranks(Client& client, const Arguments& arguments, CallBounds bounds) {
  TRY(const SystemInfo system, client.system(bounds));
  for (const std::uint32_t rank : arguments.engines) {
    if (std::ranges::find(system.engines, rank, &EngineInfo::rank) == system.engines.end())
      return failf(Code::kNotFound, "there is no engine {}: see 'cenote system query'", rank);
  }
  return {};
}

/// Of every pool one line; the first refusal decides how the command ends.
Result<> change_everywhere(Context& context, const Arguments& arguments, PoolOperation operation) {
  StopSignals signals;
  TRY(Client * client, context.client());
  StopOfCalls stop(signals);
  CHECK_OK(check_ranks(*client, arguments, stop.bounded(context.bounds())));
  TRY(const auto pools, client->list_pools(stop.bounded(context.bounds())));
  Json answers = Json::array();
  std::vector<std::pair<std::string, std::vector<std::uint32_t>>> changed;
  const auto refuse = [&](const PoolInfo& pool, const Error& error) {
    if (context.exit == ExitCode::kOk) context.exit = exit_code(error.code());
    context.out.line(fmt::format("pool '{}': refused: {}", pool.label, error.message()));
    answers.push_back({{"pool", pool.id.to_string()}, {"label", pool.label}, {"refused", error.message()}});
  };
  for (const PoolInfo& pool : pools) {
    const ChangeEngines request{.operation = operation, .engines = concerned(pool, arguments.engines, operation)};
    if (request.engines.empty()) continue;
    const auto done = client->change_engines(pool.id.to_string(), request, stop.bounded(context.bounds()));
    if (!done) {
      refuse(pool, done.error());
      continue;
    }
    context.out.line(fmt::format("pool '{}': {}", pool.label, changes_text(*done, operation)));
    answers.push_back(Json::parse(to_json(*done)));
    changed.emplace_back(pool.label, request.engines);
  }
  if (answers.empty()) {
    context.out.line(operation == PoolOperation::kExtend ? "every pool has a part of what was named already"
                                                         : "no pool has a part of what was named");
  }
  for (const auto& [pool, ranks] : changed) {
    if (!arguments.wait || context.exit == ExitCode::kInterrupted) break;
    TRY(const PoolMoves moves, follow_moves(context, *client, pool, stop, false));
    context.out.line(fmt::format("pool '{}': {}", pool, moves_text(moves, {})));
    if (moves.at_rest()) CHECK_OK(check_end(moves, operation, ranks));
  }
  context.out.document({{"pools", std::move(answers)}});
  return {};
}

Result<> status(Context& context, const Arguments& arguments) {
  StopSignals signals;
  TRY(Client * client, context.client());
  StopOfCalls stop(signals);
  PoolMoves moves;
  if (arguments.follow) {
    TRY(moves, follow_moves(context, *client, arguments.pool, stop, context.out.json()));
  } else {
    TRY(moves, client->query_moves(arguments.pool, stop.bounded(context.bounds())));
    context.out.document(moves_json(moves, {}));
  }
  context.out.line(fmt::format("pool '{}': {}", moves.label, moves_text(moves, {})));
  if (moves.paused && !moves.moving)
    context.out.line(fmt::format("paused: no data moves until 'cenote pool rebuild resume {}'", moves.label));
  show_moves(context, moves);
  return {};
}

Result<> pause(Context& context, const Arguments& arguments, bool paused) {
  TRY(Client * client, context.client());
  TRY(const PoolMoves moves, client->pause_moves(arguments.pool, paused, context.bounds()));
  context.out.line(fmt::format("pool '{}': data {}", moves.label,
                               paused ? "does not move until 'cenote pool rebuild resume'" : "moves where it has to"));
  context.out.document(moves_json(moves, {}));
  return {};
}

void add_engines(CLI::App& verb, const std::shared_ptr<Arguments>& arguments) {
  verb.add_option("--engine", arguments->engines, "ranks, separated by commas: see 'cenote system query'")
      ->required()
      ->delimiter(',')
      ->check(CLI::Validator(check_rank, "RANK"));
  verb.add_flag("--wait", arguments->wait,
                "return when the data has moved, and show how it does; Ctrl-C ends the waiting only");
}

void add_change(CLI::App& pool, Context& context, const std::shared_ptr<Arguments>& arguments, PoolOperation operation,
                const std::string& description, const std::string& examples) {
  CLI::App* verb = add_verb(pool, std::string(operation_name(operation)), description, examples);
  verb->add_option("POOL", arguments->pool, "label or UUID")->required();
  add_engines(*verb, arguments);
  verb->callback([=, &context] { context.action = [=, &context] { return change(context, *arguments, operation); }; });
}

void add_rebuild(CLI::App& pool, Context& context, const std::shared_ptr<Arguments>& arguments) {
  CLI::App* rebuild = pool.add_subcommand("rebuild", "The move of data to where the pool wants it");
  rebuild->require_subcommand(1);
  rebuild->footer(
      "Data moves when an engine was lost, excluded, drained, reintegrated or added. It needs no command, and goes on "
      "after restarts.\n"
      "Arguments and examples of each: 'cenote pool rebuild SUBCOMMAND --help'.");
  const auto bind = [&](CLI::App* verb, std::function<Result<>()> run) {
    verb->add_option("POOL", arguments->pool, "label or UUID")->required();
    verb->callback([run = std::move(run), &context] { context.action = run; });
  };
  CLI::App* verb = add_verb(*rebuild, "status", "Show what moves, how far it is, and what stands in the way",
                            "  cenote pool rebuild status scratch\n"
                            "  cenote pool rebuild status scratch --follow          # until it is done\n"
                            "  cenote pool rebuild status scratch --follow --json   # one line for each answer\n"
                            "How much is to move in all is an estimate, by what engines hold and their weights.");
  bind(verb, [=, &context] { return status(context, *arguments); });
  verb->add_flag("--follow", arguments->follow, "go on until nothing moves any more, with rate and time left");
  verb = add_verb(*rebuild, "pause", "Let no data of the pool move until it is resumed",
                  "  cenote pool rebuild pause scratch\n"
                  "What is lost stays lost as long as it is not made anew: a pool that is degraded stays so.");
  bind(verb, [=, &context] { return pause(context, *arguments, true); });
  verb = add_verb(*rebuild, "resume", "Let it move again", "  cenote pool rebuild resume scratch");
  bind(verb, [=, &context] { return pause(context, *arguments, false); });
}

}  // namespace

void add_pool_engines(CLI::App& pool, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  add_change(
      pool, context, arguments, PoolOperation::kExclude, "Take engines that are lost out of a pool",
      "  cenote pool exclude scratch --engine 2\n"
      "Others make anew what was there, from the copies that are left; it is refused if there are none. An engine "
      "that does not\n"
      "answer is excluded by itself, and taken back when it is there again, unless this was said of it too; one that "
      "runs is better\n"
      "drained.");
  add_change(
      pool, context, arguments, PoolOperation::kDrain, "Move the data of engines to the others of a pool",
      "  cenote pool drain scratch --engine 2 --wait    # then the others have all of it\n"
      "  cenote pool drain scratch --engine 2,3\n"
      "It serves until the others have its data, and no copy is missing meanwhile. It stays out until 'reintegrate' "
      "takes it back.");
  add_change(
      pool, context, arguments, PoolOperation::kReintegrate, "Give engines their part of a pool again",
      "  cenote pool reintegrate scratch --engine 2 --wait\n"
      "Of engines that were excluded, or drained. They are told what they missed, and get their data from the "
      "others.\n"
      "Engines that were lost need no command: they are taken back by themselves when they have been there for a "
      "while.");
  add_change(
      pool, context, arguments, PoolOperation::kExtend, "Give engines that are new a part of a pool",
      "  cenote pool extend scratch --engine 3,4 --wait\n"
      "The size that is promised to the pool stays as it is. A fault domain of theirs has as many levels as those "
      "of the others.");
  add_rebuild(pool, context, arguments);
}

void add_system_engines(CLI::App& system, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](PoolOperation operation, const std::string& description, const std::string& examples) {
    CLI::App* verb = add_verb(system, std::string(operation_name(operation)), description, examples);
    add_engines(*verb, arguments);
    verb->callback([=, &context] {
      context.action = [=, &context] { return change_everywhere(context, *arguments, operation); };
    });
  };
  constexpr const char* kRemark =
      "\nEvery pool answers in a line of its own; the command fails if one of them refused, and others go on.";
  add(PoolOperation::kExclude, "Take engines that are lost out of all pools",
      std::string("  cenote system exclude --engine 2") + kRemark);
  add(PoolOperation::kDrain, "Move all data away from engines",
      std::string("  cenote system drain --engine 2 --wait    # then it can be switched off") + kRemark);
  add(PoolOperation::kReintegrate, "Give engines their part of all pools again that had one",
      std::string("  cenote system reintegrate --engine 2 --wait") + kRemark);
  add(PoolOperation::kExtend, "Give engines that are new a part of all pools",
      std::string("  cenote system extend --engine 3 --wait") + kRemark);
}

}  // namespace cenote::cli
