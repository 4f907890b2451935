#include <fstream>
#include <iostream>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"
#include "context.h"
#include "local_file.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string container, object, dkey, akey, value, file, snapshot;
  std::string object_class;
  bool array = false;
  std::uint64_t offset = 0, bytes = 0;
};

Bytes key_bytes(const std::string& key) { return to_bytes(as_bytes(key)); }

Result<std::string> payload_of(const Arguments& arguments) {
  if (arguments.file.empty()) return arguments.value;
  if (arguments.file == "-") return read_all(std::cin);
  std::ifstream in(arguments.file, std::ios::binary);
  if (!in) return failf(Code::kNotFound, "cannot read '{}'", arguments.file);
  return read_all(in);
}

/// The library's own check of a range tells people where the range of a double ends.
CLI::Validator whole_number() {
  return {[](const std::string& text) {
            const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            return digits ? std::string() : fmt::format("'{}' is no whole number from 0", text);
          },
          "UINT"};
}

Result<ObjectId> object_of(Context& context, Container& container, const Arguments& arguments) {
  if (arguments.object != "new") return ObjectId::parse(arguments.object);
  ObjectClass object_class = with_redundancy(ObjectClass::kSX, container.redundancy());
  if (!arguments.object_class.empty()) {
    TRY(object_class, parse_class(arguments.object_class));
    const bool served =
        ObjectId::make(object_class, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 0).validate().has_value();
    if (!served)
      return failf(Code::kUnsupported, "this version keeps no objects of class {}: S1, SX and RP_2G1 to RP_6GX it does",
                   arguments.object_class);
  }
  return container.allocate_object(object_class, KeyFlavour::kLexical, KeyFlavour::kLexical, context.bounds());
}

Result<> put(Context& context, const Arguments& arguments) {
  TRY(const std::string payload, payload_of(arguments));
  TRY(Container container, open_container(context, arguments.container));
  TRY(const ObjectId object, object_of(context, container, arguments));
  UpdateRequest request;
  request.object = object;
  request.dkey = key_bytes(arguments.dkey);
  AkeyUpdate& akey = request.akeys.emplace_back();
  akey.akey = key_bytes(arguments.akey);
  akey.bytes = payload.size();
  if (arguments.array) {
    akey.kind = ValueKind::kArray;
    akey.ranges.push_back({arguments.offset, payload.size()});
  }
  TRY(const UpdateReply reply, container.update(std::move(request), {as_bytes(payload)}, context.bounds()));
  context.out.line(
      fmt::format("{} bytes in object {} at epoch {}", payload.size(), object.to_string(), reply.epoch.value()));
  context.out.document({{"object", object.to_string()}, {"bytes", payload.size()}, {"epoch", reply.epoch.value()}});
  return {};
}

Result<> get(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container, arguments.snapshot));
  TRY(const ObjectId object, ObjectId::parse(arguments.object));
  FetchRequest request;
  request.object = object;
  request.dkey = key_bytes(arguments.dkey);
  AkeyFetch& akey = request.akeys.emplace_back();
  akey.akey = key_bytes(arguments.akey);
  akey.max_bytes = kMaxSingleValueBytes;
  if (arguments.array) {
    akey.kind = ValueKind::kArray;
    akey.max_bytes = arguments.bytes;
    akey.ranges.push_back({arguments.offset, arguments.bytes});
  }
  Bytes data(akey.max_bytes);
  TRY(const FetchReply reply, container.fetch(std::move(request), {MutableBytes(data)}, context.bounds()));
  if (!reply.akeys[0].exists) {
    return failf(Code::kNotFound, "object {} has no '{}' / '{}'", object.to_string(), arguments.dkey, arguments.akey);
  }
  if (!arguments.array) data.resize(reply.akeys[0].bytes);
  if (!context.out.json()) return context.out.value(as_text(data));
  Json document = {{"object", object.to_string()}, {"bytes", data.size()}, {"epoch", reply.epoch.value()}};
  put_value(document, as_text(data));
  context.out.document(document);
  return {};
}

/// What a listing shows, from the arguments given: objects, the dkeys of one, the akeys of one dkey, or its extents.
ListLevel level_of(const Arguments& arguments) {
  if (arguments.object.empty()) return ListLevel::kObjects;
  if (arguments.dkey.empty()) return ListLevel::kDkeys;
  return arguments.akey.empty() ? ListLevel::kAkeys : ListLevel::kExtents;
}

void print_extent(Context& context, const ListedExtent& extent, Json& entries) {
  context.out.line(fmt::format("{}-{}  epoch {}  {}", extent.range.first, extent.range.first + extent.range.count - 1,
                               extent.epoch.value(), human_bytes(extent.stored_bytes)));
  entries.push_back({{"first", extent.range.first},
                     {"count", extent.range.count},
                     {"epoch", extent.epoch.value()},
                     {"stored_bytes", extent.stored_bytes}});
}

Result<> list(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container, arguments.snapshot));
  ListRequest request;
  request.level = level_of(arguments);
  if (request.level != ListLevel::kObjects) {
    TRY(request.object, ObjectId::parse(arguments.object));
  }
  request.dkey = key_bytes(arguments.dkey);
  request.akey = key_bytes(arguments.akey);
  Json entries = Json::array();
  do {
    TRY(ListReply page, container.list(request, context.bounds()));
    for (const ListedKey& key : page.keys) {
      std::string text(as_text(key.key));
      std::string object_class;
      if (request.level == ListLevel::kObjects) {
        const ObjectId listed(load_be<std::uint64_t>(key.key.data()), load_be<std::uint64_t>(key.key.data() + 8));
        text = listed.to_string();
        object_class = "  " + class_name(listed.object_class());
      }
      context.out.line(printable(as_bytes(text), kMaxDkeyBytes) + object_class);
      entries.push_back(std::move(text));
    }
    for (const ListedExtent& extent : page.extents) print_extent(context, extent, entries);
    request.anchor = std::move(page.anchor);
  } while (!request.anchor.empty());
  context.out.document({{"entries", std::move(entries)}});
  return {};
}

Result<> punch(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container));
  PunchRequest request;
  TRY(request.object, ObjectId::parse(arguments.object));
  request.condition = Precondition::kPresent;
  request.level = arguments.dkey.empty()   ? PunchLevel::kObject
                  : arguments.akey.empty() ? PunchLevel::kDkey
                                           : PunchLevel::kAkey;
  request.dkey = key_bytes(arguments.dkey);
  if (!arguments.akey.empty()) request.akeys.push_back(key_bytes(arguments.akey));
  auto punched = container.punch(std::move(request), context.bounds());
  if (!punched && punched.error() == Code::kConditionFailed) {
    return failf(Code::kNotFound, "nothing there to punch in object {}", arguments.object);
  }
  CHECK_OK(punched);
  context.out.line(fmt::format("punched at epoch {}", punched->epoch.value()));
  context.out.document({{"epoch", punched->epoch.value()}});
  return {};
}

Result<> stat(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container, arguments.snapshot));
  TRY(const ObjectId object, ObjectId::parse(arguments.object));
  ListRequest request;
  request.level = ListLevel::kDkeys;
  request.object = object;
  std::uint64_t dkeys = 0;
  do {
    TRY(ListReply page, container.list(request, context.bounds()));
    dkeys += page.keys.size();
    request.anchor = std::move(page.anchor);
  } while (!request.anchor.empty());
  if (dkeys == 0)
    return failf(Code::kNotFound, "container '{}' has no object {}", arguments.container, arguments.object);
  const std::string object_class = class_name(object.object_class());
  context.out.line(fmt::format("object {}  class {}  dkeys {}", object.to_string(), object_class, dkeys));
  context.out.document({{"object", object.to_string()}, {"class", object_class}, {"dkeys", dkeys}});
  return {};
}

}  // namespace

void add_object(CLI::App& app, Context& context) {
  CLI::App* object =
      add_noun(app, "object", "Objects: dkeys, akeys, values and extents as they are",
               "What lies below keys, values and files. An object holds dkeys, a dkey holds akeys, an akey holds one "
               "value or an array\n"
               "of bytes. Writing into the objects of files (type 'posix') can damage them: use 'cenote fs' there.");
  const auto arguments = std::make_shared<Arguments>();
  const auto bind = [&](CLI::App* verb, Result<> (*run)(Context&, const Arguments&)) {
    verb->callback([=, &context] { context.action = [=, &context] { return run(context, *arguments); }; });
  };
  const auto add_container_name = [&](CLI::App* verb) {
    verb->add_option("POOL/CONTAINER", arguments->container, "the container")->required();
  };

  CLI::App* verb = add_verb(*object, "put", "Write a value, or bytes of an array",
                            "  ID=$(cenote object put scratch/things new name text hello | cut -d ' ' -f 5)\n"
                            "  cenote object put scratch/things $ID name text goodbye\n"
                            "  cenote object put scratch/things $ID chunk data --array --offset 4096 --file /bin/true");
  add_container_name(verb);
  verb->add_option("OBJECT", arguments->object, "object id, or 'new' for one of its own")->required();
  verb->add_option("DKEY", arguments->dkey, "distribution key")->required();
  verb->add_option("AKEY", arguments->akey, "attribute key")->required();
  verb->add_option("VALUE", arguments->value, "the bytes, unless --file is given");
  verb->add_option("--file", arguments->file, "take the bytes from this file; '-' for standard input");
  CLI::Option* array = verb->add_flag("--array", arguments->array, "write into an array of bytes");
  verb->add_option("--offset", arguments->offset, "first byte of the array that is written")
      ->check(whole_number())
      ->needs(array)
      ->capture_default_str();
  verb->add_option("--class", arguments->object_class,
                   "class of a new object: S1 lies on one target, the dkeys of SX on all; RP_3GX is SX with three "
                   "replicas. Unless given, SX with as many replicas as the pool asks for");
  bind(verb, put);

  verb = add_verb(*object, "get", "Print a value, or bytes of an array",
                  "  ID=$(cenote object put scratch/things new name text hello | cut -d ' ' -f 5)\n"
                  "  cenote object get scratch/things $ID name text\n"
                  "  cenote object put scratch/things $ID chunk data hello --array --offset 4096\n"
                  "  cenote object get scratch/things $ID chunk data --array --offset 4096 --bytes 5\n"
                  "Bytes of an array that were never written are zeros.");
  add_container_name(verb);
  verb->add_option("OBJECT", arguments->object, "object id, as 'object list' prints it")->required();
  verb->add_option("DKEY", arguments->dkey, "distribution key")->required();
  verb->add_option("AKEY", arguments->akey, "attribute key")->required();
  array = verb->add_flag("--array", arguments->array, "read from an array");
  verb->add_option("--offset", arguments->offset, "first byte")
      ->check(whole_number())
      ->needs(array)
      ->capture_default_str();
  array->needs(
      verb->add_option("--bytes", arguments->bytes, "how many")->check(CLI::Range(1u, kMaxPayloadBytes))->needs(array));
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, get);

  verb = add_verb(*object, "list", "List objects, or the dkeys, akeys or extents of one",
                  "  cenote object list scratch/things\n"
                  "  ID=$(cenote object put scratch/things new name text hello | cut -d ' ' -f 5)\n"
                  "  cenote object list scratch/things $ID            # its dkeys\n"
                  "  cenote object list scratch/things $ID name       # the akeys of one");
  add_container_name(verb);
  verb->add_option("OBJECT", arguments->object, "object id, as 'object list' prints it");
  verb->add_option("DKEY", arguments->dkey, "distribution key");
  verb->add_option("AKEY", arguments->akey, "attribute key");
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, list);

  verb = add_verb(*object, "punch", "Delete an object, a dkey or an akey",
                  "  ID=$(cenote object put scratch/things new name text hello | cut -d ' ' -f 5)\n"
                  "  cenote object punch scratch/things $ID name\n"
                  "What was punched stays readable in the past for a minute; then its space returns.");
  add_container_name(verb);
  verb->add_option("OBJECT", arguments->object, "object id, as 'object list' prints it")->required();
  verb->add_option("DKEY", arguments->dkey, "distribution key");
  verb->add_option("AKEY", arguments->akey, "attribute key");
  bind(verb, punch);

  verb = add_verb(*object, "stat", "Show what an object is",
                  "  ID=$(cenote object put scratch/things new name text hello | cut -d ' ' -f 5)\n"
                  "  cenote object stat scratch/things $ID");
  add_container_name(verb);
  verb->add_option("OBJECT", arguments->object, "object id, as 'object list' prints it")->required();
  add_snapshot_option(*verb, arguments->snapshot);
  bind(verb, stat);
}

}  // namespace cenote::cli
