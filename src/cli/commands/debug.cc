#include "context.h"
#include "store_inspection.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string path, cache = "64MiB";
};

Result<> debug_store(Context& context, const Arguments& arguments) {
  TRY(const std::uint64_t cache_bytes, parse_bytes(arguments.cache));
  TRY(const InspectedPath inspected, InspectedPath::open(arguments.path));
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
  verb->callback([=, &context] { context.action = [=, &context] { return debug_store(context, *arguments); }; });
}

}  // namespace cenote::cli
