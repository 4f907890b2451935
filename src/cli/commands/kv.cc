#include <iostream>

#include "cenote/base/format.h"
#include "context.h"
#include "local_file.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string container, key, value, prefix, snapshot;
  bool only_new = false, from_stdin = false, values = false;
  std::uint64_t limit = 0;
};

Result<std::string> read_stdin() {
  std::string data = read_all(std::cin);
  if (data.size() > kMaxSingleValueBytes) {
    return failf(Code::kValueTooLarge, "the value has more than {} bytes: store it as a file or an array",
                 kMaxSingleValueBytes);
  }
  return data;
}

/// In the words of this command; the layers below call it a dkey.
Result<> check_key(std::string_view key) {
  if (!key.empty() && key.size() <= kMaxDkeyBytes) return {};
  return failf(Code::kInvalidArgument, "the key has {} bytes; allowed are 1 to {}", key.size(), kMaxDkeyBytes);
}

/// Files are objects, too, and a key written among them could become a part of one.
Result<Container> open_keys(Context& context, const std::string& name, const std::string& snapshot = {}) {
  TRY(Container container, open_container(context, name, snapshot));
  if (container.info().type != "posix") return container;
  return failf(Code::kTypeMismatch,
               "container '{}' holds files (its type is 'posix'), not keys: use 'cenote fs', or another container",
               name);
}

Result<> put(Context& context, const Arguments& arguments) {
  CHECK_OK(check_key(arguments.key));
  std::string value = arguments.value;
  if (arguments.from_stdin) {
    TRY(value, read_stdin());
  }
  TRY(Container container, open_keys(context, arguments.container));
  const auto condition = arguments.only_new ? Precondition::kAbsent : Precondition::kNone;
  auto stored = container.kv().put(arguments.key, value, condition, context.bounds());
  if (!stored && stored.error() == Code::kConditionFailed) {
    return failf(Code::kExists, "key '{}' exists already", arguments.key);
  }
  CHECK_OK(std::move(stored));
  context.out.document({{"key", arguments.key}, {"bytes", value.size()}});
  return {};
}

Result<> get(Context& context, const Arguments& arguments) {
  CHECK_OK(check_key(arguments.key));
  TRY(Container container, open_keys(context, arguments.container, arguments.snapshot));
  TRY(const auto value, container.kv().get(arguments.key, context.bounds()));
  if (!value) return failf(Code::kNotFound, "no key '{}' in container '{}'", arguments.key, arguments.container);
  if (!context.out.json()) return context.out.value(as_text(*value));
  Json document = {{"key", arguments.key}, {"bytes", value->size()}};
  put_value(document, as_text(*value));
  context.out.document(document);
  return {};
}

Result<> list(Context& context, const Arguments& arguments) {
  TRY(Container container, open_keys(context, arguments.container, arguments.snapshot));
  Kv kv = container.kv();
  Json keys = Json::array();
  std::uint64_t left = arguments.limit == 0 ? UINT64_MAX : arguments.limit;
  std::string after;
  do {
    const auto page_limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, kMaxListEntries));
    TRY(Kv::Page page, kv.list(arguments.prefix, after, page_limit, context.bounds()));
    for (const std::string& key : page.keys) {
      context.out.line(printable(as_bytes(key), kMaxDkeyBytes));
      if (context.out.json()) keys.push_back(key);
    }
    left -= page.keys.size();
    after = std::move(page.after);
  } while (!after.empty() && left > 0);
  context.out.document({{"keys", std::move(keys)}, {"complete", after.empty()}});
  return {};
}

Result<> remove(Context& context, const Arguments& arguments) {
  CHECK_OK(check_key(arguments.key));
  TRY(Container container, open_keys(context, arguments.container));
  CHECK_OK(container.kv().remove(arguments.key, context.bounds()));
  context.out.document({{"deleted", arguments.key}});
  return {};
}

}  // namespace

void add_kv(CLI::App& app, Context& context) {
  CLI::App* kv = add_noun(app, "kv", "Keys and values of a container",
                          "For containers of type 'kv' or of none. Keys are up to 512 bytes, values up to 1 MiB.");
  const auto arguments = std::make_shared<Arguments>();
  const auto bind = [&](CLI::App* verb, Result<> (*run)(Context&, const Arguments&)) {
    verb->callback([=, &context] { context.action = [=, &context] { return run(context, *arguments); }; });
  };
  const auto add_container_name = [&](CLI::App* verb) {
    verb->add_option("POOL/CONTAINER", arguments->container, "the container")->required();
  };

  CLI::App* verb = add_verb(*kv, "put", "Store a value; durable when the command returns",
                            "  cenote kv put scratch/things colour blue\n"
                            "  cenote kv put scratch/things photo --stdin < photo.jpg\n"
                            "  cenote kv put scratch/things lock me --new    # fails if the key exists");
  add_container_name(verb);
  verb->add_option("KEY", arguments->key, "1 to 512 bytes")->required();
  CLI::Option* value = verb->add_option("VALUE", arguments->value, "the value, up to 1 MiB; empty when left out");
  CLI::Option* from_stdin = verb->add_flag("--stdin", arguments->from_stdin, "read the value from standard input");
  value->excludes(from_stdin);
  verb->add_flag("--new", arguments->only_new, "fail if the key exists");
  bind(verb, put);

  verb = add_verb(*kv, "get", "Print a value as it is",
                  "  cenote kv get scratch/things colour\n  cenote kv get scratch/things photo > photo.jpg\n"
                  "  cenote container snapshot create scratch/things monday\n"
                  "  cenote kv get scratch/things colour --snapshot monday");
  add_container_name(verb);
  verb->add_option("KEY", arguments->key, "the key")->required();
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, get);

  verb = add_verb(*kv, "list", "List keys in order",
                  "  cenote kv list scratch/things\n  cenote kv list scratch/things --prefix 2024- --limit 10");
  add_container_name(verb);
  verb->add_option("--prefix", arguments->prefix, "only keys that start with this");
  verb->add_option("--limit", arguments->limit, "at most so many; 0: all")->capture_default_str();
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, list);

  verb = add_verb(*kv, "del", "Delete a key", "  cenote kv del scratch/things colour");
  add_container_name(verb);
  verb->add_option("KEY", arguments->key, "the key")->required();
  bind(verb, remove);
}

}  // namespace cenote::cli
