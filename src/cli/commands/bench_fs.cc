// 'cenote bench fs': the phases of IO500 through the library, with a table of scores that is like IO500's.

#include <algorithm>
#include <cmath>
#include <set>
#include <thread>

#include "cenote/base/format.h"
#include "context.h"
#include "file_load.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string container, file_size = "32MiB", transfer = "1MiB";
  std::uint32_t clients = 1, depth = 16;
  std::uint64_t files = 1000;
  double seconds = 3;
  bool verify = false;
  std::vector<std::string> phases;
};

struct Row {
  FilePhase phase{};
  FileLoadResult result;
};

constexpr std::uint64_t kMaxTransfer = 4u << 20;

std::vector<FilePhase> plan(const std::vector<std::string>& wanted) {
  std::set<FilePhase> chosen;
  for (std::size_t i = 0; i < kFilePhases; ++i) {
    const auto phase = static_cast<FilePhase>(i);
    const bool is_wanted = wanted.empty() || std::ranges::any_of(wanted, [&](const std::string& word) {
                             return phase_name(phase).find(word) != std::string_view::npos;
                           });
    if (!is_wanted) continue;
    chosen.insert(phase);
    for (const FilePhase needed : needed_by(phase)) chosen.insert(needed);
  }
  return {chosen.begin(), chosen.end()};
}

Result<FileLoadOptions> parse_options(const Arguments& arguments) {
  FileLoadOptions options{
      .clients = arguments.clients, .depth = arguments.depth, .files = arguments.files, .verify = arguments.verify};
  TRY(options.file_bytes, parse_bytes(arguments.file_size));
  TRY(options.transfer_bytes, parse_bytes(arguments.transfer));
  if (options.transfer_bytes < 8 || options.transfer_bytes > kMaxTransfer)
    return failf(Code::kInvalidArgument, "--transfer {} must be from 8 bytes to 4 MiB", arguments.transfer);
  if (options.file_bytes < options.transfer_bytes || options.file_bytes > posix::kMaxFileBytes)
    return failf(Code::kInvalidArgument, "--file-size {} must be one transfer ({}) at least, and 16 TiB at most",
                 arguments.file_size, arguments.transfer);
  // What the parser compares with its range is no number here, and every comparison with that says no.
  if (!std::isfinite(arguments.seconds)) return fail(Code::kInvalidArgument, "--seconds is no number of seconds");
  options.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.seconds));
  return options;
}

/// The clients of a load, each with a connection and a thread of its own. What it made goes when this does.
class Clients {
 public:
  explicit Clients(ContainerName name) : name_(std::move(name)) {}
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients() {
    for (Member& member : members_)
      static_cast<void>(member.client.run([&](async::Client&) { return close(member.load.get()); }));
  }

  Result<> open(Context& context, const FileLoadOptions& options) {
    members_.reserve(options.clients);
    const std::string top =
        fmt::format("bench-{:x}", std::chrono::system_clock::now().time_since_epoch() / std::chrono::microseconds(1));
    for (std::uint32_t i = 0; i < options.clients; ++i) {
      TRY(Client client, context.connect_another());
      members_.push_back({std::move(client), std::make_unique<FileLoad>(i, options, top, &stop_)});
      Member& member = members_.back();
      CHECK_OK(member.client.run([&](async::Client& inner) { return open_one(&inner, name_, member.load.get()); }));
    }
    return {};
  }

  /// Of all of them at the same time: what they did together.
  Result<FileLoadResult> run(FilePhase phase) {
    for (Member& member : members_) member.result = fail(Code::kInternal);
    std::vector<std::jthread> threads;
    for (Member& member : members_) {
      threads.emplace_back([&member, phase] {
        member.result = member.client.run([&](async::Client&) { return member.load->run(phase); });
      });
    }
    threads.clear();
    FileLoadResult all;
    for (const Member& member : members_) {
      if (!member.result) return fail(member.result.error());
      all.operations += member.result->operations;
      all.bytes += member.result->bytes;
      all.matches += member.result->matches;
      all.elapsed = std::max(all.elapsed, member.result->elapsed);
      all.latency.merge(member.result->latency);
    }
    return all;
  }

  Result<> remove_all() {
    if (members_.empty()) return {};
    stop_ = false;
    Member& first = members_.front();
    return first.client.run([&](async::Client&) { return first.load->remove_all(); });
  }

 private:
  struct Member {
    Client client;
    std::unique_ptr<FileLoad> load;
    Result<FileLoadResult> result = fail(Code::kInternal);
  };

  static Task<Result<>> open_one(async::Client* client, ContainerName name, FileLoad* load) {
    CO_TRY(async::Container container, co_await client->open_container(name.pool, name.container));
    co_return co_await load->open(std::move(container));
  }
  static Task<Result<>> close(FileLoad* load) {
    co_await load->close();
    co_return Result<>();
  }

  ContainerName name_;
  std::atomic<bool> stop_ = false;
  std::vector<Member> members_;
};

double seconds_of(const FileLoadResult& result) {
  return std::max(std::chrono::duration<double>(result.elapsed).count(), 1e-9);
}
double gib_per_second(const FileLoadResult& result) {
  return static_cast<double>(result.bytes) / seconds_of(result) / (1u << 30);
}
double kiops(const FileLoadResult& result) { return static_cast<double>(result.operations) / seconds_of(result) / 1e3; }

/// What counts of a phase in the score.
double score_of(const Row& row) { return is_bandwidth(row.phase) ? gib_per_second(row.result) : kiops(row.result); }

/// nullopt: not all phases of that kind ran, so there is nothing to compare.
std::optional<double> mean_of(const std::vector<Row>& rows, bool bandwidth) {
  double logarithms = 0;
  std::size_t count = 0, needed = 0;
  for (std::size_t i = 0; i < kFilePhases; ++i) needed += is_bandwidth(static_cast<FilePhase>(i)) == bandwidth ? 1 : 0;
  for (const Row& row : rows) {
    if (is_bandwidth(row.phase) != bandwidth) continue;
    const double score = score_of(row);
    if (score <= 0) return std::nullopt;
    logarithms += std::log(score);
    ++count;
  }
  if (count < needed) return std::nullopt;
  return std::exp(logarithms / static_cast<double>(count));
}

Json document_of(const Row& row) {
  const FileLoadResult& result = row.result;
  const double seconds = seconds_of(result);
  Json document{{"phase", phase_name(row.phase)},
                {"operations", result.operations},
                {"bytes", result.bytes},
                {"seconds", seconds},
                {"operations_per_second", static_cast<double>(result.operations) / seconds},
                {"bytes_per_second", static_cast<double>(result.bytes) / seconds},
                {"p50_ns", result.latency.percentile(50).count()},
                {"p99_ns", result.latency.percentile(99).count()},
                {"p999_ns", result.latency.percentile(99.9).count()}};
  if (row.phase == FilePhase::kFind) document["matches"] = result.matches;
  return document;
}

std::string microseconds(Duration duration) {
  return fmt::format("{:.0f} us", static_cast<double>(duration.count()) / 1000);
}

void print(Context& context, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> table;
  Json results = Json::array();
  for (const Row& row : rows) {
    const std::string score = is_bandwidth(row.phase) ? fmt::format("{:.3f} GiB/s", score_of(row))
                                                      : fmt::format("{:.3f} kIOPS", score_of(row));
    table.push_back({std::string(phase_name(row.phase)), score, std::to_string(row.result.operations),
                     fmt::format("{:.2f} s", seconds_of(row.result)), microseconds(row.result.latency.percentile(50)),
                     microseconds(row.result.latency.percentile(99))});
    results.push_back(document_of(row));
  }
  context.out.table({"PHASE", "RATE", "OPERATIONS", "TIME", "P50", "P99"}, table);
  Json document{{"results", std::move(results)}};
  const auto bandwidth = mean_of(rows, true), metadata = mean_of(rows, false);
  if (bandwidth && metadata) {
    const double score = std::sqrt(*bandwidth * *metadata);
    context.out.line(
        fmt::format("Like IO500, and no official score: bandwidth {:.3f} GiB/s, metadata {:.3f} kIOPS, "
                    "together {:.3f}",
                    *bandwidth, *metadata, score));
    document["io500_like"] = {
        {"bandwidth_gib_per_second", *bandwidth}, {"metadata_kiops", *metadata}, {"score", score}};
  }
  context.out.document(document);
}

Result<std::vector<Row>> run_phases(Context& context, Clients& clients, const FileLoadOptions& options,
                                    const std::vector<FilePhase>& phases) {
  CHECK_OK(clients.open(context, options));
  std::vector<Row> rows;
  for (const FilePhase phase : phases) {
    TRY(FileLoadResult result, clients.run(phase));
    rows.push_back({phase, std::move(result)});
  }
  return rows;
}

Result<> run(Context& context, const Arguments& arguments) {
  TRY(const ContainerName name, parse_container(arguments.container));
  TRY(const FileLoadOptions options, parse_options(arguments));
  const std::vector<FilePhase> phases = plan(arguments.phases);
  if (phases.empty())
    return fail(Code::kInvalidArgument, "--phases names no phase: 'easy', 'hard', 'ior', 'find', ...");
  Clients clients(name);
  // What was written goes also when not all could be: it may be what filled the pool.
  const auto rows = run_phases(context, clients, options, phases);
  const auto removed = clients.remove_all();
  if (!rows) return fail(rows.error());
  CHECK_OK(removed);
  print(context, *rows);
  return {};
}

}  // namespace

void add_bench_fs(CLI::App& bench, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = add_verb(
      bench, "fs", "Measure files and directories, in phases like those of IO500",
      "  cenote bench fs scratch/home\n"
      "  cenote bench fs scratch/home --phases mdtest-easy --depth 32 --files 5000\n"
      "  cenote bench fs scratch/home --phases ior --transfer 256KiB --verify\n"
      "  cenote bench fs scratch/home --clients 2 --seconds 10 --json\n"
      "easy: every worker in a directory and a large file of its own; hard: all in one directory, with files of "
      "3901 bytes,\nand in one file, with records of 47008. The scores are like IO500's and no official ones.");
  verb->add_option("POOL/CONTAINER", arguments->container,
                   "of type posix; the files are made in a new directory there, which is removed at the end")
      ->required();
  verb->add_option("--clients", arguments->clients, "clients, each with a connection and a thread of its own")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  verb->add_option("--depth", arguments->depth, "workers of each client, with one operation in flight each")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb->add_option("--files", arguments->files, "that each worker makes at most, in each phase")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  verb->add_option("--file-size", arguments->file_size, "that each worker writes into large files at most")
      ->capture_default_str();
  verb->add_option("--transfer", arguments->transfer, "bytes at a time of large files of one worker each")
      ->capture_default_str();
  verb->add_option("--seconds", arguments->seconds, "when phases that write end, if not before")
      ->check(CLI::Range(0.05, 86400.0))
      ->capture_default_str();
  verb->add_option(
      "--phases", arguments->phases,
      "only those whose name holds one of these words, and what they need: ior-easy-write, mdtest-hard-stat, "
      "find, ...");
  verb->add_flag("--verify", arguments->verify, "compare what is read with what was written");
  verb->callback([=, &context] { context.action = [=, &context] { return run(context, *arguments); }; });
}

}  // namespace cenote::cli
