#include "context.h"
#include "debug_listing.h"
#include "encryption_key.h"
#include "store_checking.h"
#include "store_inspection.h"

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
  add_debug_listings(*debug, context);
}

}  // namespace cenote::cli
