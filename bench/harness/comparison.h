#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/histogram.h"
#include "cenote/base/time.h"
#include "harness/goal.h"

namespace cenote::bench {

/// Where the files of a comparison lie.
enum class Medium : std::uint8_t {
  kMemory,  ///< A memory-backed file system: what the software costs. Goals are judged here.
  kDisk,    ///< The disk below the build folder: what a user of this machine sees. Printed.
};
std::string_view medium_name(Medium medium);

/// What one run of one side gave.
struct Measured {
  double value = 0;
  /// Further numbers worth printing, by name ("p99_us", "checkpoints"); the table shows the medians over all rounds.
  std::vector<std::pair<std::string, double>> details;

  /// Adds p50_us and p99_us.
  void add_latencies(const LatencyHistogram& latencies);
};

/// What a run may use.
struct Setting {
  std::filesystem::path directory;  ///< Empty folder on the comparison's medium; removed afterwards.
  Duration window{};                ///< How long one measured run should take.
  bool quick = false;               ///< Smoke run: small data sets, short windows.
};

/// One of the programs that are compared. Made once for all rounds, in a process of its own comparison; sides are
/// measured in turn and must be quiet between their runs.
class Side {
 public:
  Side() = default;
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  virtual ~Side() = default;

  /// One run of about `window`. Also called once before the first round, to warm up.
  virtual Result<Measured> measure(Duration window) = 0;
  /// Like `measure`, in a run that is not timed, but in which system calls, allocations and copies are counted: returns
  /// the number of operations done by it, 0 when the side is not accounted.
  virtual Result<double> account(Duration window);
  /// Orderly end.
  virtual Result<> close() { return {}; }
};

/// The measurements of one round, by side.
using Round = std::map<std::string, Measured>;

/// One line of the table: `subject` over `reference`, round by round.
struct RowSpec {
  std::string name;
  std::string subject = "cenote";
  /// Side to divide by, or what to call the result of `formula`. Empty: the goal bounds the value itself.
  std::string reference = {};
  /// For references composed of several sides; otherwise the value of side `reference` is taken.
  std::function<double(const Round&)> formula = nullptr;
  Goal goal = Goal::none();
};

struct SideSpec {
  std::string name;
  std::function<Result<std::unique_ptr<Side>>(const Setting&)> make;
};

/// Sides that are measured alternately, and the rows made of them.
struct Comparison {
  std::string name;
  std::string unit;
  Medium medium = Medium::kMemory;
  std::vector<SideSpec> sides;
  std::vector<RowSpec> rows;
  /// Confine all of it to one core: a comparison of what the software costs, not of how many cores it takes.
  bool one_core = false;
  /// Keep idle cores from being halted by the hypervisor, so that a sleeping round trip costs what it costs.
  bool keep_awake = false;
  /// Length of one run; zero: the harness' default.
  Duration window{};
  /// Too slow for a quick run, because of the disk.
  bool slow = false;
  /// Bytes that the sides write to a memory-backed file system for the first time; see `warm_memory`.
  std::uint64_t warm_bytes = 0;
};

/// All comparisons this program knows.
using Suite = std::vector<Comparison>;

}  // namespace cenote::bench
