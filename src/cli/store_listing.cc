#include "store_listing.h"

#include <fmt/chrono.h>

#include <algorithm>

#include "cenote/base/bytes.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/embedded/reactor_thread.h"
#include "cenote/media/uring_device.h"
#include "settings.h"
#include "store_findings.h"

namespace cenote::cli {
namespace {

using Use = std::function<Task<Result<>>(store::Examination&)>;

/// Opens the store for looking, lets `use` look, and prints what is damaged on the way.
Task<Result<>> examine(UringReactor& reactor, StoreListing* listing, Use use) {
  CO_TRY(auto devices, co_await InspectedDevices::open(reactor, listing->member));
  store::ExamineOptions options;
  options.system = listing->member.system;
  options.target = listing->member.target;
  options.key = listing->member.key;
  options.cache_bytes = listing->cache_bytes;
  options.found = [listing](store::Finding finding) {
    if (finding.severity == store::Severity::kDamage) ++listing->damages;
    listing->out.line(fmt::format("  damaged  {}", finding.message));
  };
  auto examination = co_await store::Examination::open(reactor, devices.roles(), std::move(options));
  Result<> outcome;
  if (examination) {
    outcome = co_await use(**examination);
    co_await (*examination)->close();
  } else {
    outcome = fail(std::move(examination).error());
  }
  co_await devices.close();
  co_return outcome;
}

Result<> with_examination(StoreListing& listing, const Use& use) {
  TRY(const auto thread, ReactorThread::start());
  return thread->run([&] { return examine(thread->reactor(), &listing, use); });
}

Json extents_json(const std::vector<store::Extent>& extents) {
  Json json = Json::array();
  for (const store::Extent& extent : extents)
    json.push_back({{"block", extent.first.value()}, {"blocks", extent.blocks}});
  return json;
}

Json entry_json(const object::EntryDescription& entry) {
  Json json = {{"object", entry.object.to_string()}, {"type", entry.type}, {"epoch", entry.epoch.value()}};
  if (entry.dkey) json["dkey"] = *entry.dkey;
  if (entry.akey) json["akey"] = *entry.akey;
  if (entry.first) json["first"] = *entry.first;
  if (entry.records) json["records"] = *entry.records;
  if (entry.record_bytes > 0) json["record_bytes"] = entry.record_bytes;
  if (!entry.holds_data) return json;
  json["bytes"] = entry.bytes;
  json["inline"] = entry.is_inline;
  json["checksummed"] = entry.checksummed;
  json["compression"] = object::to_string(entry.compression);
  json["encrypted"] = entry.encrypted;
  if (!entry.is_inline) json["extents"] = extents_json(entry.extents);
  return json;
}

std::string extents_text(const object::EntryDescription& entry) {
  if (!entry.holds_data) return "";
  if (entry.is_inline) return "inline";
  std::string text;
  for (const store::Extent& extent : entry.extents)
    text += fmt::format("{}{}+{}", text.empty() ? "" : " ", extent.first.value(), extent.blocks);
  return text;
}

std::string records_text(const object::EntryDescription& entry) {
  if (!entry.first) return "";
  return fmt::format("{}-{}", *entry.first, *entry.first + *entry.records - 1);
}

/// Everything of a version but whose it is.
std::string version_text(const object::EntryDescription& entry) {
  std::string text = fmt::format("{} at {}", entry.type, entry.epoch.value());
  if (entry.first) text += ", records " + records_text(entry);
  if (entry.record_bytes > 0) text += fmt::format(" of {} bytes", entry.record_bytes);
  if (entry.holds_data) text += fmt::format(", {} bytes ", entry.bytes);
  if (entry.compression != object::Compression::kNone)
    text += fmt::format("packed by {} ", object::to_string(entry.compression));
  if (entry.encrypted) text += "encrypted ";
  if (entry.holds_data && !entry.is_inline) text += "at ";
  return text + extents_text(entry);
}

Task<Result<>> walk_tree(store::Examination& examination, const TreeListing* listing, const Output* out,
                         Json* entries) {
  const auto& trees = examination.trees();
  const auto found = std::ranges::find_if(trees, [listing](const store::TreeReport& tree) {
    return tree.name == listing->tree || std::to_string(tree.id.value()) == listing->tree;
  });
  if (found == trees.end()) co_return failf(Code::kNotFound, "no tree '{}'", listing->tree);
  const store::TreeId tree = found->id;
  const bool of_container = object::is_container_tree(found->name);
  CO_TRY(const Bytes from, parse_key_argument(listing->from, of_container));
  std::uint64_t given = 0;
  store::TreeWalk walk(examination, tree, store::TreeWalk::Purpose::kShow, from);
  while (given < listing->limit && co_await walk.next()) {
    for (std::uint32_t i = 0; i < walk.count() && given < listing->limit; ++i, ++given) {
      const ByteView key = walk.key(i);
      const ByteView value = walk.value(i);
      const auto entry = of_container ? object::describe_entry(key, value) : Result<object::EntryDescription>();
      Json json = of_container && entry ? entry_json(*entry) : Json::object();
      std::string text = of_container ? object::describe_key_prefix(key) + "  " : printable(key, 1024) + "  ";
      if (of_container) text += entry ? version_text(*entry) : "damaged: " + entry.error().message();
      if (of_container && !entry) json["flaw"] = entry.error().message();
      if (!of_container) text += fmt::format("{} bytes", value.size());
      json["key"] = to_hex(key);
      json["value_bytes"] = value.size();
      if (listing->values) json["value"] = to_hex(value);
      if (listing->values) text += "  " + to_hex(value);
      out->line("  " + text);
      entries->push_back(std::move(json));
    }
  }
  co_return Result<>();
}

Task<Result<>> walk_object(store::Examination& examination, object::ShowObjectOptions options) {
  co_return co_await object::show_object(examination, std::move(options));
}

Task<Result<>> measure_space(store::Examination& examination, std::vector<store::SpaceReport>* devices,
                             std::vector<object::ContainerSpace>* containers) {
  *devices = examination.space();
  *containers = co_await object::container_space(examination);
  co_return Result<>();
}

Task<Result<store::LogListing>> read_log(UringReactor& reactor, InspectedPath::Member member,
                                         store::LogListingOptions options) {
  CO_TRY(auto devices, co_await InspectedDevices::open(reactor, member));
  auto listing = co_await store::list_log(reactor, devices.roles(), std::move(options));
  co_await devices.close();
  co_return listing;
}

Json operation_json(const store::LogOperation& operation) {
  Json json = {{"lsn", operation.lsn.value()}, {"operation", std::string(operation.kind)}};
  if (operation.extent) {
    json["block"] = operation.extent->first.value();
    json["blocks"] = operation.extent->blocks;
    return json;
  }
  json["tree"] = operation.tree.value();
  if (operation.kind == "create_tree") {
    json["name"] = printable(operation.key, store::kMaxTreeNameBytes);
  } else if (operation.kind != "drop_tree") {
    json["key"] = to_hex(operation.key);
  }
  if (operation.kind == "put") json["value_bytes"] = operation.value.size();
  return json;
}

std::string operation_text(const store::LogOperation& operation) {
  if (operation.extent)
    return fmt::format("{} blocks {}+{}", operation.kind, operation.extent->first.value(), operation.extent->blocks);
  std::string text = fmt::format("{} tree {}", operation.kind, operation.tree.value());
  if (!operation.key.empty()) text += " " + printable(operation.key, 128);
  if (operation.kind == "put") text += fmt::format(" ({} bytes)", operation.value.size());
  return text;
}

std::string share_text(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{:.1f} %", whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

/// Free blocks that lie beside used ones in their group: what no page and no large extent can have.
std::uint64_t scattered_blocks(const store::SpaceReport& report) {
  return report.free_blocks - report.free_groups * store::kGroupBlocks;
}

std::string space_text(const store::SpaceReport& report) {
  const auto bytes = [](std::uint64_t blocks) { return human_bytes(blocks * media::kBlockBytes); };
  return fmt::format(
      "  space          {}\n  fixed          {} (superblocks, maps; log {})\n  pages          {}\n"
      "  extents        {}\n  free           {} ({}), largest run {}, {} groups of {} wholly free\n"
      "  fragmentation  {} of the free space lies in groups in use\n  free runs      {}",
      bytes(report.blocks), bytes(report.fixed_blocks), bytes(report.log_blocks), bytes(report.page_blocks),
      bytes(report.extent_blocks), bytes(report.free_blocks), share_text(report.free_blocks, report.blocks),
      bytes(report.largest_run), report.free_groups, bytes(store::kGroupBlocks),
      share_text(scattered_blocks(report), report.free_blocks), runs_text(report.runs));
}

Json space_json(const store::SpaceReport& report) {
  return {{"device", report.device},
          {"blocks", report.blocks},
          {"fixed_blocks", report.fixed_blocks},
          {"log_blocks", report.log_blocks},
          {"page_blocks", report.page_blocks},
          {"extent_blocks", report.extent_blocks},
          {"free_blocks", report.free_blocks},
          {"free_groups", report.free_groups},
          {"scattered_blocks", scattered_blocks(report)},
          {"largest_run", report.largest_run},
          {"free_runs", report.runs}};
}

Json container_json(const object::ContainerSpace& space) {
  Json json = {{"tree", space.tree.value()},         {"versions", space.versions}, {"inline_bytes", space.inline_bytes},
               {"stored_bytes", space.stored_bytes}, {"extents", space.extents},   {"blocks", space.blocks}};
  if (space.container) json["container"] = space.container->to_string();
  return json;
}

}  // namespace

Result<Bytes> parse_key_argument(const std::string& text, bool container_tree) {
  if (text.starts_with("0x")) {
    Bytes bytes;
    if (text.size() % 2 != 0) return failf(Code::kInvalidArgument, "'{}' has an odd number of digits", text);
    for (std::size_t at = 2; at < text.size(); at += 2) {
      const std::string digits = text.substr(at, 2);
      if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        return failf(Code::kInvalidArgument, "'{}' is not hexadecimal", text);
      bytes.push_back(static_cast<std::byte>(std::stoul(digits, nullptr, 16)));
    }
    return bytes;
  }
  if (container_tree && !text.empty()) {
    TRY(const ObjectId object, ObjectId::parse(text));
    Bytes bytes(16);
    store_be(bytes.data(), object.high());
    store_be(bytes.data() + 8, object.low());
    return bytes;
  }
  return to_bytes(as_bytes(text));
}

std::string runs_text(const std::array<std::uint64_t, 9>& runs) {
  std::string text;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i] == 0) continue;
    const std::uint64_t least = std::uint64_t{1} << i;
    const std::string length =
        i == 0 || i + 1 == runs.size() ? std::to_string(least) : fmt::format("{}-{}", least, 2 * least - 1);
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", length, runs[i]);
  }
  return text.empty() ? "none" : text + " (blocks: how many)";
}

Result<Json> list_tree(StoreListing& store, const TreeListing& listing) {
  Json entries = Json::array();
  const Output& out = store.out;
  CHECK_OK(with_examination(store, [&](store::Examination& examination) {
    out.line(fmt::format("{}  {}", store.member.name, store.member.path));
    return walk_tree(examination, &listing, &out, &entries);
  }));
  return Json{{"name", store.member.name}, {"path", store.member.path}, {"entries", std::move(entries)}};
}

Result<Json> list_log_groups(StoreListing& store, const LogGroupsListing& listing) {
  const Output& out = store.out;
  Json groups = Json::array();
  Json operations = Json::array();
  std::vector<std::string> lines;
  store::LogListingOptions options;
  options.limit = listing.limit;
  options.key = store.member.key;
  if (listing.operations) {
    options.operation = [&](const store::LogOperation& operation) {
      operations.push_back(operation_json(operation));
      lines.push_back(fmt::format("      {}  {}", operation.lsn.value(), operation_text(operation)));
    };
  }
  options.group = [&](const store::LogGroup& group) {
    Json json = {{"position", group.position},     {"sequence", group.sequence}, {"generation", group.generation},
                 {"block", group.block},           {"bytes", group.bytes},       {"batches", group.batches},
                 {"operations", group.operations}, {"whole", group.whole}};
    out.line(fmt::format("  position {}  sequence {}  block {}  {} bytes  {} batches  {} operations{}", group.position,
                         group.sequence, group.block, group.bytes, group.batches, group.operations,
                         group.whole ? "" : "  does not decode"));
    for (const std::string& line : lines) out.line(line);
    lines.clear();
    if (listing.operations) json["operation_list"] = std::exchange(operations, Json::array());
    if (!group.whole) ++store.damages;
    groups.push_back(std::move(json));
  };
  out.line(fmt::format("{}  {}", store.member.name, store.member.path));
  TRY(const auto thread, ReactorThread::start());
  TRY(const store::LogListing read,
      thread->run([&] { return read_log(thread->reactor(), store.member, std::move(options)); }));
  if (read.flaw) ++store.damages;
  out.line(read.flaw       ? "  damaged  " + read.flaw->to_string()
           : read.complete ? fmt::format("  the log ends at position {}", read.end_position)
                           : fmt::format("  and more from position {} on", read.end_position));
  Json json = {{"name", store.member.name},
               {"path", store.member.path},
               {"checkpoint_position", read.checkpoint_position},
               {"end_position", read.end_position},
               {"complete", read.complete},
               {"groups", std::move(groups)}};
  if (read.flaw) json["flaw"] = read.flaw->message();
  return json;
}

Result<Json> list_space(StoreListing& store) {
  std::vector<store::SpaceReport> devices;
  std::vector<object::ContainerSpace> containers;
  store.out.line(fmt::format("{}  {}", store.member.name, store.member.path));
  CHECK_OK(with_examination(
      store, [&](store::Examination& examination) { return measure_space(examination, &devices, &containers); }));
  Json json = {{"name", store.member.name}, {"path", store.member.path}};
  json["devices"] = Json::array();
  json["containers"] = Json::array();
  for (const store::SpaceReport& report : devices) {
    store.out.line(space_text(report));
    json["devices"].push_back(space_json(report));
  }
  for (const object::ContainerSpace& space : containers) {
    store.out.line(fmt::format("  container      {}: {} in {} extents, {} versions with {} of data",
                               space.container ? space.container->to_string() : "being removed",
                               human_bytes(space.blocks * media::kBlockBytes), space.extents, space.versions,
                               human_bytes(space.inline_bytes + space.stored_bytes)));
    json["containers"].push_back(container_json(space));
  }
  return json;
}

Result<Json> list_object(StoreListing& store, const ObjectListing& listing) {
  object::ShowObjectOptions options;
  TRY(options.container, Uuid::parse(listing.container));
  TRY(options.object, ObjectId::parse(listing.object));
  options.dkey = listing.dkey;
  Json versions = Json::array();
  std::vector<std::vector<std::string>> rows;
  options.found = [&](const object::StoredVersion& version) {
    const object::EntryDescription& entry = version.entry;
    Json json = entry_json(entry);
    json["data"] = version.data;
    if (version.data.starts_with("damaged")) ++store.damages;
    versions.push_back(std::move(json));
    rows.push_back({entry.dkey.value_or(""), entry.akey.value_or(""), entry.type, std::to_string(entry.epoch.value()),
                    records_text(entry), entry.holds_data ? std::to_string(entry.bytes) : "", extents_text(entry),
                    version.data});
  };
  CHECK_OK(with_examination(
      store, [&](store::Examination& examination) { return walk_object(examination, std::move(options)); }));
  store.out.line(fmt::format("{}  {}", store.member.name, store.member.path));
  store.out.table({"DKEY", "AKEY", "TYPE", "EPOCH", "RECORDS", "BYTES", "BLOCKS", "DATA"}, rows);
  return Json{{"name", store.member.name}, {"path", store.member.path}, {"versions", std::move(versions)}};
}

namespace {

Task<Result<>> walk_requests(store::Examination& examination, object::ShowRequestsOptions options) {
  co_return co_await object::show_requests(examination, std::move(options));
}

std::string time_text(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::time_t{seconds.count()}));
}

std::string request_text(const object::KeptRequest& request) {
  if (request.flaw) return "damaged: " + *request.flaw;
  return fmt::format("session {:016x}  request {}  applied at epoch {}  expires {}{}", request.session,
                     request.sequence, request.epoch.value(), time_text(request.expiry),
                     request.acknowledged ? "  acknowledged" : "");
}

Json request_json(const object::KeptRequest& request) {
  if (request.flaw) return {{"flaw", *request.flaw}};
  return {{"session", fmt::format("{:016x}", request.session)},
          {"sequence", request.sequence},
          {"epoch", request.epoch.value()},
          {"expiry_ns", request.expiry.time_since_epoch().count()},
          {"acknowledged", request.acknowledged}};
}

}  // namespace

Result<Json> list_requests(StoreListing& store, const RequestListing& listing) {
  Json requests = Json::array();
  std::uint64_t count = 0;
  object::ShowRequestsOptions options;
  options.session = listing.session;
  options.found = [&](const object::KeptRequest& request) {
    if (request.flaw) ++store.damages;
    if (++count > listing.limit) return;
    store.out.line("  " + request_text(request));
    requests.push_back(request_json(request));
  };
  store.out.line(fmt::format("{}  {}", store.member.name, store.member.path));
  CHECK_OK(with_examination(
      store, [&](store::Examination& examination) { return walk_requests(examination, std::move(options)); }));
  store.out.line(fmt::format("  {} results are kept{}; nothing is undecided", count,
                             count > listing.limit ? fmt::format(", {} not shown", count - listing.limit) : ""));
  // Within one target a transaction is one batch: it is applied, or it was never there.
  return Json{{"name", store.member.name},
              {"path", store.member.path},
              {"requests", std::move(requests)},
              {"kept", count},
              {"undecided", 0}};
}

}  // namespace cenote::cli
