#include "cenote/base/format.h"
#include "cenote/embedded/reactor_thread.h"
#include "context.h"
#include "encryption_key.h"
#include "store_inspection.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string path, new_file, new_command;
  SettingFlags flags;
};

Result<SecretKey> new_key(const Arguments& arguments) {
  if (arguments.new_file.empty() == arguments.new_command.empty())
    return fail(Code::kInvalidArgument, "name the new key: by --new-key-file or by --new-key-command");
  return arguments.new_file.empty() ? key_from_command(arguments.new_command) : key_from_file(arguments.new_file);
}

Task<Result<>> rekey_store(UringReactor& reactor, InspectedPath::Member member, SecretKey to) {
  CO_TRY(auto devices, co_await InspectedDevices::open(reactor, member));
  auto outcome = co_await store::Store::rekey(
      reactor, devices.roles(), {.system = member.system, .target = member.target, .from = *member.key, .to = to});
  co_await devices.close();
  co_return outcome;
}

Result<> rekey(Context& context, const Arguments& arguments) {
  arguments.flags.apply(context.settings);
  TRY(const auto from, encryption_key(context.settings));
  if (!from) return fail(Code::kInvalidArgument, "name the present key: by --encryption-key-file or its command");
  TRY(const SecretKey to, new_key(arguments));
  TRY(const InspectedPath stores, InspectedPath::open(arguments.path, from, InspectedPath::Purpose::kChange));
  TRY(const auto thread, ReactorThread::start());
  Json done = Json::array();
  for (const InspectedPath::Member& member : stores.members()) {
    const auto outcome = thread->run([&] { return rekey_store(thread->reactor(), member, to); });
    if (!outcome) return fail(outcome.error().with_context(member.name));
    context.out.line(fmt::format("{}  {}  opens with the new key", member.name, member.path));
    done.push_back({{"name", member.name}, {"path", member.path}});
  }
  context.out.document({{"stores", std::move(done)}, {"key_fingerprint", to_hex(to.fingerprint())}});
  return {};
}

}  // namespace

void add_rekey(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      app, "rekey", "Put another key in the place of the one that stores are encrypted under",
      "  cenote rekey /var/lib/cenote --encryption-key-file old --new-key-file new    # the server is stopped\n"
      "Takes moments: only the keys of the stores are encrypted anew. Interrupted, it can be run again.");
  verb->add_option("PATH", arguments->path, "data directory, or the file or device of one store")->required();
  add_key_flags(*verb, arguments->flags);
  verb->add_option("--new-key-file", arguments->new_file, "file with the new key");
  verb->add_option("--new-key-command", arguments->new_command, "shell command that prints the new key");
  verb->callback([=, &context] { context.action = [=, &context] { return rekey(context, *arguments); }; });
}

}  // namespace cenote::cli
