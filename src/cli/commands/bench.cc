#include <algorithm>
#include <cmath>

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"
#include "context.h"
#include "load.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string container, size = "4KiB", value_size = "100", working_set = "256MiB";
  std::uint32_t depth = 32;
  double seconds = 3;
  bool keep = false;
  std::vector<std::string> workloads;
};

struct Row {
  std::string name;
  std::string object_class;
  LoadOptions options;
  LoadResult result;
};

struct Sizes {
  std::uint32_t piece = 0, value = 0;
  std::uint64_t working_set = 0;
};

constexpr std::uint32_t kLarge = 1u << 20;

/// Reads need what the write of the same kind and size left behind, so each read follows its write.
std::vector<Row> plan(const Arguments& arguments, const Sizes& sizes) {
  const auto wanted = [&workloads = arguments.workloads](std::string_view name) {
    return workloads.empty() || std::ranges::find(workloads, name) != workloads.end();
  };
  std::vector<Row> rows;
  const auto add = [&](const char* name, LoadKind kind, std::uint32_t size, std::uint32_t depth) {
    LoadOptions options;
    options.kind = kind;
    options.bytes = size;
    options.depth = depth;
    options.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds));
    options.working_set = sizes.working_set;
    rows.push_back({name, {}, options, {}});
  };
  constexpr std::uint32_t kLargeDepth = 8;
  if (wanted("update") || wanted("fetch")) add("update", LoadKind::kUpdate, sizes.piece, arguments.depth);
  if (wanted("fetch")) add("fetch", LoadKind::kFetch, sizes.piece, arguments.depth);
  if (wanted("write") || wanted("read"))
    add("write", LoadKind::kUpdate, kLarge, std::min(arguments.depth, kLargeDepth));
  if (wanted("read")) add("read", LoadKind::kFetch, kLarge, std::min(arguments.depth, kLargeDepth));
  if (wanted("put") || wanted("get")) add("put", LoadKind::kPut, sizes.value, arguments.depth);
  if (wanted("get")) add("get", LoadKind::kGet, sizes.value, arguments.depth);
  return rows;
}

Task<Result<>> run_each(async::Container& container, std::vector<Row>* rows, std::vector<ObjectId>& objects) {
  std::uint64_t present = 0;
  for (Row& row : *rows) {
    const bool keyed = row.options.kind == LoadKind::kPut || row.options.kind == LoadKind::kGet;
    const bool reads = row.options.kind == LoadKind::kFetch || row.options.kind == LoadKind::kGet;
    if (!reads) {
      const KeyFlavour dkeys = keyed ? KeyFlavour::kLexical : KeyFlavour::kUint64;
      const ObjectClass object_class = with_redundancy(ObjectClass::kSX, container.redundancy());
      CO_TRY(const ObjectId object, co_await container.allocate_object(object_class, dkeys, KeyFlavour::kLexical));
      objects.push_back(object);
    }
    row.object_class = class_name(objects.back().object_class());
    CO_TRY(row.result, co_await run_load(container, objects.back(), row.options, present));
    if (!reads) present = row.result.written;
  }
  co_return Result<>();
}

/// What was written goes also when not all could be: it may be what filled the pool.
Task<Result<bool>> run_rows(async::Client* client, ContainerName name, std::vector<Row>* rows, bool keep) {
  CO_TRY(async::Container container, co_await client->open_container(name.pool, name.container));
  std::vector<ObjectId> objects;
  const auto done = co_await run_each(container, rows, objects);
  Result<> removed;
  for (const ObjectId& object : objects) {
    if (keep) break;
    PunchRequest punch;
    punch.object = object;
    punch.level = PunchLevel::kObject;
    const auto punched = co_await container.punch(std::move(punch));
    if (!punched && removed) removed = fail(punched.error());
  }
  CO_CHECK_OK(done);
  CO_CHECK_OK(removed);
  co_return true;
}

std::string microseconds(double nanoseconds) { return fmt::format("{:.0f} us", nanoseconds / 1000); }

void print(Context& context, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> table;
  Json all = Json::array();
  for (const Row& row : rows) {
    const double seconds = std::chrono::duration<double>(row.result.elapsed).count();
    const double rate = static_cast<double>(row.result.operations) / seconds;
    const double bandwidth = static_cast<double>(row.result.bytes) / seconds;
    const auto percentile = [&](double percent) {
      return static_cast<double>(row.result.latency.percentile(percent).count());
    };
    table.push_back({row.name, row.object_class, human_bytes(row.options.bytes), std::to_string(row.options.depth),
                     fmt::format("{:.0f}/s", rate), human_bytes(static_cast<std::uint64_t>(bandwidth)) + "/s",
                     microseconds(percentile(50)), microseconds(percentile(99))});
    all.push_back({{"workload", row.name},
                   {"class", row.object_class},
                   {"bytes", row.options.bytes},
                   {"depth", row.options.depth},
                   {"operations", row.result.operations},
                   {"seconds", seconds},
                   {"operations_per_second", rate},
                   {"bytes_per_second", bandwidth},
                   {"p50_ns", percentile(50)},
                   {"p99_ns", percentile(99)},
                   {"p999_ns", percentile(99.9)}});
  }
  context.out.table({"WORKLOAD", "CLASS", "SIZE", "DEPTH", "RATE", "BANDWIDTH", "P50", "P99"}, table);
  context.out.document({{"results", std::move(all)}});
}

// Larger pieces would have to be held in memory as often as there are operations in flight.
constexpr std::uint32_t kMaxPiece = 4 * kLarge;

Result<Sizes> parse_sizes(const Arguments& arguments) {
  TRY(const std::uint64_t piece, parse_bytes(arguments.size));
  TRY(const std::uint64_t value, parse_bytes(arguments.value_size));
  TRY(const std::uint64_t working_set, parse_bytes(arguments.working_set));
  if (piece < 8 || piece > kMaxPiece || (kLarge % piece != 0 && piece % kLarge != 0)) {
    return failf(Code::kInvalidArgument, "--size {} must divide 1 MiB and be at least 8 bytes, or be 2, 3 or 4 MiB",
                 arguments.size);
  }
  if (value < 8 || value > kLarge) {
    return failf(Code::kInvalidArgument, "--value-size {} must be from 8 bytes to 1 MiB", arguments.value_size);
  }
  return Sizes{static_cast<std::uint32_t>(piece), static_cast<std::uint32_t>(value), working_set};
}

Result<> run(Context& context, const Arguments& arguments) {
  // Not for the parser to say, which would miss it before 'fs', too.
  if (arguments.container.empty())
    return fail(Code::kInvalidArgument, "POOL/CONTAINER is required (see 'cenote bench --help')");
  TRY(const ContainerName name, parse_container(arguments.container));
  TRY(const Sizes sizes, parse_sizes(arguments));
  // What the parser compares with its range is no number here, and every comparison with that says no.
  if (!std::isfinite(arguments.seconds)) return fail(Code::kInvalidArgument, "--seconds is no number of seconds");
  std::vector<Row> rows = plan(arguments, sizes);
  TRY(Client * client, context.client());
  CHECK_OK(client->run([&](async::Client& inner) { return run_rows(&inner, name, &rows, arguments.keep); }));
  print(context, rows);
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* bench =
      add_verb(app, "bench", "Measure a system: rate, bandwidth and latency of durable writes and verified reads",
               "  cenote bench scratch/things\n"
               "  cenote bench scratch/things --workload update --workload fetch --size 4KiB --depth 64 --seconds 10\n"
               "  cenote bench scratch/things --json");
  bench->add_option("POOL/CONTAINER", arguments->container, "where the test data goes; it is removed at the end");
  bench
      ->add_option("--workload", arguments->workloads,
                   "update, fetch (of --size), write, read (1 MiB), put, get (of --value-size); all when left out")
      ->check(CLI::IsMember({"update", "fetch", "write", "read", "put", "get"}));
  bench->add_option("--size", arguments->size, "bytes per update and fetch; must divide 1 MiB, or 2, 3 or 4 MiB")
      ->capture_default_str();
  bench->add_option("--value-size", arguments->value_size, "bytes per put and get")->capture_default_str();
  bench->add_option("--depth", arguments->depth, "operations in flight")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  bench->add_option("--seconds", arguments->seconds, "duration of each workload")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  bench->add_option("--working-set", arguments->working_set, "data written before writing starts over")
      ->capture_default_str();
  bench->add_flag("--keep", arguments->keep, "leave the test data");
  bench->callback([=, &context] {
    if (!bench->get_subcommands().empty()) return;
    context.action = [=, &context] { return run(context, *arguments); };
  });
  add_bench_fs(*bench, context);
}

}  // namespace cenote::cli
