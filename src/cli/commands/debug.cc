#include <algorithm>

#include "cenote/base/format.h"
#include "context.h"
#include "debug_listing.h"
#include "encryption_key.h"
#include "store_checking.h"
#include "store_inspection.h"
#include "store_salvage.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string path, cache = "64MiB";
  SettingFlags flags;
};

Result<> debug_store(Context& context, const Arguments& arguments) {
  TRY(const std::uint64_t cache_bytes, parse_bytes(arguments.cache));
  arguments.flags.apply(context.settings);
  TRY(const auto key, encryption_key(context.settings));
  TRY(const InspectedPath inspected, InspectedPath::open(arguments.path, key));
  Json all = Json::array();
  for (const InspectedPath::Member& member : inspected.members()) {
    TRY(const StoreInspection inspection, inspect_store(member, cache_bytes));
    context.out.line(to_text(inspection));
    all.push_back(to_json(inspection));
    if (inspection.flaw) context.exit = exit_code(inspection.flaw->code());
  }
  context.out.document({{"stores", std::move(all)}});
  return {};
}

struct CheckArguments {
  std::string path, cache = "256MiB";
  SettingFlags flags;
  bool data = true;
  std::uint64_t findings = 1000;
};

Result<> debug_check(Context& context, const CheckArguments& arguments) {
  StoreChecking checking;
  checking.data = arguments.data;
  checking.most_findings = arguments.findings;
  checking.progress = !context.quiet && !context.out.json();
  TRY(checking.cache_bytes, parse_bytes(arguments.cache));
  arguments.flags.apply(context.settings);
  TRY(const auto key, encryption_key(context.settings));
  TRY(const InspectedPath inspected, InspectedPath::open(arguments.path, key));
  Json all = Json::array();
  for (const InspectedPath::Member& member : inspected.members()) {
    TRY(StoreVerdict verdict, check_one_store(member, checking, context.out));
    all.push_back(std::move(verdict.document));
    // Damage in one store is not hidden by what else is wrong with another.
    if (verdict.trouble && context.exit != ExitCode::kCorrupt) context.exit = exit_code(*verdict.trouble);
  }
  context.out.document({{"stores", std::move(all)}});
  return {};
}

void add_check(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<CheckArguments>();
  CLI::App* verb = add_verb(
      debug, "check",
      "Prove that stores are whole: superblocks, log, every page, the use of every block, all stored data; changes "
      "nothing",
      "  cenote debug check /var/lib/cenote              # all stores of a data directory\n"
      "  cenote debug check /dev/nvme0n1 --no-data       # the structure only: no reading of stored data\n"
      "  cenote debug check /var/lib/cenote/targets/0 --json\n"
      "Goes on after damage and names what is damaged or lost: block, page, tree, container, object, dkey, akey, "
      "range.\n"
      "Exit code 7 if damage was found; warnings alone leave it at 0.");
  verb->add_option("PATH", arguments->path, "data directory, or the file or device of one store")->required();
  verb->add_flag("--data,!--no-data", arguments->data,
                 "read stored data and compare it with its checksums, as is done without it; --no-data: do not");
  verb->add_option("--findings", arguments->findings, "most findings to list for one store; all are counted")
      ->capture_default_str();
  verb->add_option("--cache", arguments->cache, "memory for pages")->capture_default_str();
  add_key_flags(*verb, arguments->flags);
  verb->callback([=, &context] { context.action = [=, &context] { return debug_check(context, *arguments); }; });
}

struct SalvageArguments {
  std::string path, into, target, size, cache = "256MiB";
  SettingFlags flags;
  bool coordinator = false, force = false;
  std::uint64_t findings = 1000;
};

/// The store that is meant among those of a data directory; a path of one store means that one.
Result<InspectedPath::Member> chosen_store(const InspectedPath& inspected, const SalvageArguments& arguments) {
  const auto& members = inspected.members();
  const bool chosen = arguments.coordinator || !arguments.target.empty();
  if (members.size() == 1 && !chosen) return members.front();
  if (members.size() == 1)
    return failf(Code::kInvalidArgument,
                 "'{}' is one store: --target and --coordinator choose among those of a directory", arguments.path);
  if (!chosen)
    return failf(Code::kInvalidArgument, "'{}' has several stores: choose one with --target NUMBER or --coordinator",
                 arguments.path);
  const std::string name = arguments.coordinator ? "coordinator" : "target " + arguments.target;
  const auto found = std::ranges::find(members, name, &InspectedPath::Member::name);
  if (found != members.end()) return *found;
  return failf(Code::kInvalidArgument, "'{}' has no {}", arguments.path, name);
}

Result<> debug_salvage(Context& context, const SalvageArguments& arguments) {
  StoreSalvage salvage;
  salvage.into = arguments.into;
  salvage.force = arguments.force;
  salvage.most_findings = arguments.findings;
  salvage.progress = !context.quiet && !context.out.json();
  TRY(salvage.cache_bytes, parse_bytes(arguments.cache));
  if (!arguments.size.empty()) {
    TRY(salvage.data_bytes, parse_bytes(arguments.size));
  }
  arguments.flags.apply(context.settings);
  TRY(const auto key, encryption_key(context.settings));
  TRY(const InspectedPath inspected, InspectedPath::open(arguments.path, key));
  TRY(const InspectedPath::Member member, chosen_store(inspected, arguments));
  TRY(SalvageVerdict verdict, salvage_store(member, salvage, context.out));
  if (verdict.lost) context.exit = ExitCode::kCorrupt;
  context.out.document(std::move(verdict.document));
  return {};
}

void add_salvage(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<SalvageArguments>();
  CLI::App* verb = add_verb(
      debug, "salvage", "Copy all that can be read of a damaged store into a new one; changes nothing of the old one",
      "  cenote debug salvage /var/lib/cenote --target 0 --into /mnt/spare/0\n"
      "  cenote debug salvage /dev/nvme0n1 --into /mnt/spare/nvme0n1 --json\n"
      "The new store has the identity of the old one and takes its place: stop the server, move the old files away and "
      "the new ones there. Whatever is lost is named: block, page, tree, container, object, dkey, akey, range. Values "
      "whose data is damaged are kept so that readers are told; older ones never come back in their place.\n"
      "Exit code 0: everything was copied; 7: something was lost; others: nothing was made.");
  verb->add_option("PATH", arguments->path, "data directory, or the file or device of one store")->required();
  verb->add_option("--into", arguments->into,
                   "the new file; for devices of their own for log and data also FILE.wal and FILE.data")
      ->required()
      ->type_name("FILE");
  CLI::Option* target = verb->add_option("--target", arguments->target, "of a data directory: the store of this target")
                            ->type_name("NUMBER");
  verb->add_flag("--coordinator", arguments->coordinator, "of a data directory: the store of its control state")
      ->excludes(target);
  verb->add_flag("--force", arguments->force, "replace what is there under the name");
  verb->add_option("--size", arguments->size,
                   "make the file that holds the data so large; as the old one when left out");
  verb->add_option("--findings", arguments->findings, "most findings to list; all are counted")->capture_default_str();
  verb->add_option("--cache", arguments->cache, "memory for pages, of each of the two stores")->capture_default_str();
  add_key_flags(*verb, arguments->flags);
  verb->callback([=, &context] { context.action = [=, &context] { return debug_salvage(context, *arguments); }; });
}

}  // namespace

void add_debug(CLI::App& app, Context& context) {
  CLI::App* debug =
      add_noun(app, "debug", "Look inside stores that no server has open", "Nothing is changed or repaired.");
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      add_verb(*debug, "store", "Show superblocks, log, trees and space of stores, and check them; changes nothing",
               "  cenote debug store /var/lib/cenote              # all stores of a data directory\n"
               "  cenote debug store /var/lib/cenote/targets/0    # one of them\n"
               "  cenote debug store /dev/nvme0n1 --json\n"
               "Exit code 7 if one is damaged, 1 if one belongs to another system or in another place.");
  verb->add_option("PATH", arguments->path, "data directory, or the file or device of one store")->required();
  verb->add_option("--cache", arguments->cache, "memory for pages")->capture_default_str();
  add_key_flags(*verb, arguments->flags);
  verb->callback([=, &context] { context.action = [=, &context] { return debug_store(context, *arguments); }; });
  add_check(*debug, context);
  add_salvage(*debug, context);
  add_debug_listings(*debug, context);
}

}  // namespace cenote::cli
