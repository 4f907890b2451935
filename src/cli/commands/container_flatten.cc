#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/protocol/control_requests.h"
#include "context.h"
#include "progress.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

/// Asks until it is no clone any more, or until a signal; the server goes on all the same.
Result<ContainerInfo> follow(Context& context, Client& client, const ContainerName& name, ContainerInfo info,
                             StopSignals& signals) {
  Progress progress("copying", 0, !context.quiet && !context.out.json(), "");
  std::string obstacle;
  for (Duration pause = kFirstPause; info.clone_of; pause = std::min(2 * pause, kLongestPause)) {
    if (signals.wait_for(pause)) {
      context.exit = ExitCode::kInterrupted;
      break;
    }
    TRY(info, client.query_container(name.pool, name.container, context.bounds()));
    if (!info.flattening) continue;
    progress.expect(info.flattening->copied_bytes + info.flattening->left_bytes);
    progress.update(info.flattening->copied_bytes, 0);
    if (info.flattening->obstacle == obstacle) continue;
    obstacle = info.flattening->obstacle;
    progress.finish();
    if (!obstacle.empty()) context.out.line("waiting: " + obstacle);
  }
  progress.finish();
  return info;
}

Result<> flatten(Context& context, const std::string& text, bool wait) {
  TRY(const ContainerName name, parse_container(text));
  // Before the client has threads.
  StopSignals signals;
  TRY(Client * client, context.client());
  TRY(ContainerInfo info, client->flatten_container(name.pool, name.container, context.bounds()));
  if (wait) {
    TRY(info, follow(context, *client, name, std::move(info), signals));
  }
  if (info.clone_of) {
    context.out.line(fmt::format("'{}' is being flattened: see 'cenote container query {}'", text, text));
  } else {
    context.out.line(fmt::format("'{}' is no clone (any more)", text));
  }
  context.out.document(Json::parse(to_json(info)));
  return {};
}

}  // namespace

void add_container_flatten(CLI::App& container, Context& context) {
  struct Arguments {
    std::string container;
    bool wait = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      container, "flatten", "Copy what a clone shows of its source, so that it needs it no more",
      "  cenote container flatten scratch/experiment           # in the background\n"
      "  cenote container flatten scratch/experiment --wait    # until it is done\n"
      "  cenote container query scratch/experiment             # how far it is\n"
      "What is copied is charged to the clone; it is refused if all of it does not fit its quotas. Whoever uses "
      "the clone sees no\n"
      "difference. The server goes on after a restart, and when there is space again. A source that was "
      "destroyed goes with the\n"
      "last of its clones that needs it.");
  verb->add_option("POOL/CONTAINER", arguments->container, "the clone")->required();
  verb->add_flag("--wait", arguments->wait, "return when it is done; Ctrl-C ends the waiting only");
  verb->callback([=, &context] {
    context.action = [=, &context] { return flatten(context, arguments->container, arguments->wait); };
  });
}

}  // namespace cenote::cli
