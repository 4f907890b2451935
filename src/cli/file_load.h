#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/histogram.h"
#include "cenote/posix/file_system.h"

namespace cenote::cli {

/// What a load on files does, in the order of IO500: first what writes, then what needs that.
enum class FilePhase : std::uint8_t {
  kIorEasyWrite,
  kMdtestEasyWrite,
  kIorHardWrite,
  kMdtestHardWrite,
  kFind,
  kIorEasyRead,
  kMdtestEasyStat,
  kIorHardRead,
  kMdtestHardStat,
  kMdtestEasyDelete,
  kMdtestHardRead,
  kMdtestHardDelete,
};
inline constexpr std::size_t kFilePhases = 12;

std::string_view phase_name(FilePhase phase);
/// Whether bytes per second count, and not operations.
bool is_bandwidth(FilePhase phase);
/// What has to have run before.
std::vector<FilePhase> needed_by(FilePhase phase);

struct FileLoadOptions {
  std::uint32_t clients = 1;
  std::uint32_t depth = 16;                     ///< operations in flight of each client
  std::uint64_t files = 1000;                   ///< that each of these makes at most
  std::uint64_t file_bytes = 32u << 20;         ///< that each of these writes into large files at most
  std::uint64_t transfer_bytes = 1u << 20;      ///< of the easy large files; at most 4 MiB
  Duration duration = std::chrono::seconds(3);  ///< when phases that write end, if not before
  bool verify = false;                          ///< what is read is compared
};

struct FileLoadResult {
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
  std::uint64_t matches = 0;  ///< of find
  Duration elapsed{};
  LatencyHistogram latency;
};

/// One client's part of a load on files: `depth` workers, each with one operation in flight, below the directory `top`.
/// All of it runs on the reactor of that client, but for `stop`, which other threads share.
class FileLoad {
 public:
  FileLoad(std::uint32_t client, FileLoadOptions options, std::string top, std::atomic<bool>* stop);
  ~FileLoad();

  /// Opens the container's tree. The first client makes what all share, so its `open` has to end before the others'.
  Task<Result<>> open(async::Container container);
  /// The first error ends it, and sets `stop`.
  Task<Result<FileLoadResult>> run(FilePhase which);
  /// Removes everything below `top`, and that; of one client, when the others have ended.
  Task<Result<>> remove_all();
  Task<> close();

 private:
  struct Worker;
  struct Phase;

  static Task<> drive(FileLoad* load, Worker* worker, const Phase* phase);
  static Task<> walk(FileLoad* load, Worker* worker);
  static Task<> unlink_each(FileLoad* load, posix::Node directory, std::vector<posix::DirectoryEntry>* entries);
  Task<Result<>> remove_directory(posix::Node parent, std::string name);
  Task<Result<>> find_in(posix::Node directory);
  void fail_with(Error error);

  // One step of each phase: what moves as many bytes as it returns.
  using Step = Task<Result<std::uint64_t>> (*)(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> write_easy(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> read_easy(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> write_hard(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> read_hard(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> create_easy(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> stat_easy(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> delete_easy(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> create_hard(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> stat_hard(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> read_small(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static Task<Result<std::uint64_t>> delete_hard(FileLoad*, Worker*, const Worker*, std::uint64_t);
  static const std::array<Phase, kFilePhases>& phases();

  std::uint32_t client_;
  FileLoadOptions options_;
  std::string top_name_;
  std::atomic<bool>* stop_;
  std::unique_ptr<posix::FileSystem> files_;
  std::optional<posix::Node> top_, shared_directory_, shared_file_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Bytes pattern_;
  Reactor* reactor_ = nullptr;
  Instant end_{};
  FileLoadResult result_;
  std::optional<Error> failure_;
};

}  // namespace cenote::cli
