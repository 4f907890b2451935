#include "debug_listing.h"

#include <charconv>

#include "cenote/base/format.h"
#include "encryption_key.h"
#include "store_listing.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string path, cache = "256MiB";
  TreeListing tree{.limit = 100};
  LogGroupsListing log{.limit = 1000};
  ObjectListing object;
  RequestListing requests{.limit = 1000};
  SettingFlags flags;
};

using List = std::function<Result<Json>(StoreListing&)>;

/// Lists every store below the path. A store that does not have what was named is left out, unless none has it.
Result<> list_stores(Context& context, const Arguments& arguments, const List& list) {
  TRY(const std::uint64_t cache_bytes, parse_bytes(arguments.cache));
  arguments.flags.apply(context.settings);
  TRY(const auto key, encryption_key(context.settings));
  TRY(const InspectedPath inspected, InspectedPath::open(arguments.path, key));
  Json all = Json::array();
  std::optional<Error> missing;
  for (const InspectedPath::Member& member : inspected.members()) {
    StoreListing store{.member = member, .out = context.out, .cache_bytes = cache_bytes};
    auto listed = list(store);
    if (store.damages > 0) context.exit = ExitCode::kCorrupt;
    if (listed) {
      all.push_back(*std::move(listed));
    } else if (listed.error() == Code::kNotFound || listed.error() == Code::kContainerNotFound) {
      missing = listed.error();
    } else {
      return fail(listed.error().with_context(member.path));
    }
  }
  if (all.empty() && missing) return fail(*std::move(missing));
  context.out.document({{"stores", std::move(all)}});
  return {};
}

void add_common(CLI::App& verb, Arguments& arguments) {
  verb.add_option("PATH", arguments.path, "data directory, or the file or device of one store")->required();
  verb.add_option("--cache", arguments.cache, "memory for pages")->capture_default_str();
  add_key_flags(verb, arguments.flags);
}

void add_tree_verb(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      debug, "tree", "Show entries of one tree of a store, decoded where it is a container's; changes nothing",
      "  cenote debug tree /var/lib/cenote/targets/0 object.system\n"
      "  cenote debug tree /dev/nvme0n1 object.container.4 --from 0002210000000001.0000000000000002 --limit 20\n"
      "  cenote debug tree /dev/nvme0n1 7 --from 0x6b6579 --values --json");
  add_common(*verb, *arguments);
  verb->add_option("TREE", arguments->tree.tree, "name or number, as 'cenote debug store' shows them")->required();
  verb->add_option("--from", arguments->tree.from,
                   "first key: text, 0x and hexadecimal digits, or, in the tree of a container, an object");
  verb->add_option("--limit", arguments->tree.limit, "most entries to show")->capture_default_str();
  verb->add_flag("--values", arguments->tree.values, "show values, too, in hexadecimal");
  verb->callback([=, &context] {
    context.action = [=, &context] {
      return list_stores(context, *arguments, [&](StoreListing& store) { return list_tree(store, arguments->tree); });
    };
  });
}

void add_log_verb(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      add_verb(debug, "log", "Show the groups of a store's log that recovery would replay; changes nothing",
               "  cenote debug log /var/lib/cenote/targets/0\n"
               "  cenote debug log /dev/nvme0n1 --limit 5 --operations --json");
  add_common(*verb, *arguments);
  verb->add_option("--limit", arguments->log.limit, "most groups to show")->capture_default_str();
  verb->add_flag("--operations", arguments->log.operations, "show every operation of each group");
  verb->callback([=, &context] {
    context.action = [=, &context] {
      return list_stores(context, *arguments,
                         [&](StoreListing& store) { return list_log_groups(store, arguments->log); });
    };
  });
}

void add_space_verb(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      add_verb(debug, "space", "Show what takes the space of a store, and how the free space is cut; changes nothing",
               "  cenote debug space /var/lib/cenote\n"
               "  cenote debug space /dev/nvme0n1 --json");
  add_common(*verb, *arguments);
  verb->callback([=, &context] {
    context.action = [=, &context] {
      return list_stores(context, *arguments, [](StoreListing& store) { return list_space(store); });
    };
  });
}

void add_object_verb(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  const auto dkey = std::make_shared<std::string>();
  CLI::App* verb = add_verb(
      debug, "object", "Show every stored version of one object, and whether its data is whole; changes nothing",
      "  cenote debug object /var/lib/cenote 4b8ad6ce-8f2f-4b58-9d2c-ad0be0b7c1f4 0002210000000001.0000000000000002\n"
      "  cenote debug object /dev/nvme0n1 4b8ad6ce-8f2f-4b58-9d2c-ad0be0b7c1f4 0002210000000001.0000000000000002 "
      "--dkey 3 --json\n"
      "'cenote debug space' shows the containers of a store, 'cenote debug tree' their objects.");
  add_common(*verb, *arguments);
  verb->add_option("CONTAINER", arguments->object.container, "id of the container")->required();
  verb->add_option("OID", arguments->object.object, "the object")->required();
  CLI::Option* only =
      verb->add_option("--dkey", *dkey, "only this dkey, as it is printed; a number where dkeys are numbers");
  verb->callback([=, &context] {
    if (only->count() > 0) arguments->object.dkey = *dkey;
    context.action = [=, &context] {
      return list_stores(context, *arguments,
                         [&](StoreListing& store) { return list_object(store, arguments->object); });
    };
  });
}

void add_dtx_verb(CLI::App& debug, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  const auto session = std::make_shared<std::string>();
  CLI::App* verb = add_verb(
      debug, "dtx",
      "Show the kept results of updates, punches and transactions that may be sent again; changes nothing",
      "  cenote debug dtx /var/lib/cenote/targets/0\n"
      "  cenote debug dtx /dev/nvme0n1 --session 3f1c9a5577e0b2d4 --json\n"
      "A result is kept until its client has seen it or may no longer ask, so that nothing takes effect twice.\n"
      "A transaction lies within one target and is one batch of its log: none is ever undecided.");
  add_common(*verb, *arguments);
  CLI::Option* only = verb->add_option("--session", *session, "only of this session, in hexadecimal");
  verb->add_option("--limit", arguments->requests.limit, "most results to show; all are counted")
      ->capture_default_str();
  verb->callback([=, &context] {
    context.action = [=, &context]() -> Result<> {
      if (only->count() > 0) {
        std::uint64_t number = 0;
        const char* const end = session->data() + session->size();
        const auto parsed = std::from_chars(session->data(), end, number, 16);
        if (parsed.ec != std::errc() || parsed.ptr != end)
          return failf(Code::kInvalidArgument, "--session: '{}' is no hexadecimal number of at most 16 digits",
                       *session);
        arguments->requests.session = number;
      }
      return list_stores(context, *arguments,
                         [&](StoreListing& store) { return list_requests(store, arguments->requests); });
    };
  });
}

}  // namespace

void add_debug_listings(CLI::App& debug, Context& context) {
  add_tree_verb(debug, context);
  add_log_verb(debug, context);
  add_space_verb(debug, context);
  add_object_verb(debug, context);
  add_dtx_verb(debug, context);
}

}  // namespace cenote::cli
