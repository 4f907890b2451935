#pragma once

#include <vector>

#include "cenote/object/object_store.h"
#include "cenote/object/scrub.h"
#include "cenote/runtime/scope.h"

namespace cenote::object {

struct ScrubberOptions {
  /// From the begin of one pass over the whole target to the begin of the next.
  Duration period = std::chrono::hours(7 * 24);
  /// What a pass reads from the devices, on average.
  std::uint64_t bytes_per_second = 32ull << 20;
  /// Nothing is read for so long after the start, when others need the devices.
  Duration start_delay = std::chrono::minutes(10);
  /// Called once for each thing that a pass finds.
  std::function<void(const TargetFinding&)> found = [](const TargetFinding&) {};
};

/// Damage that a pass finds beyond this many is counted and given to `found`, and not kept.
inline constexpr std::size_t kMaxKeptFindings = 256;

struct ScrubberStatus {
  bool running = false;           ///< a pass is under way
  WallTime began{};               ///< the last pass; zero: there was none
  WallTime ended{};               ///< the last pass that came to its end
  std::uint64_t passes = 0;       ///< that ended, since the start
  std::uint64_t read_bytes = 0;   ///< since the start
  std::uint64_t entries = 0;      ///< since the start
  std::uint64_t bad_pages = 0;    ///< damage found since the start ...
  std::uint64_t bad_entries = 0;  ///< ... by what it is about
  std::uint64_t bad_data = 0;
};

/// Scrubs everything that a target holds, again and again: what the target keeps for itself, then its containers in the
/// order of their ids.
///
/// Where a pass is, is kept in a tree of its own in the target's store, written every some seconds without anyone
/// waiting for it: a pass that is cut off by a restart goes on there. Findings are not kept over a restart: the next
/// pass finds them again.
///
/// On the store's reactor. Store and objects outlive it; `stop` is awaited before destruction.
class Scrubber {
 public:
  Scrubber(store::Store& store, ObjectStore& objects, ScrubberOptions options);
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  /// Once.
  void start();
  /// Waits for what runs to end; a read under way ends first.
  Task<> stop();

  ScrubberStatus status() const;
  /// Of the present pass or, between two, of the last one.
  const std::vector<TargetFinding>& findings() const { return findings_; }

 private:
  /// What is kept: a pass runs as long as it began later than one ended.
  struct Place {
    WallTime began{}, ended{};
    Uuid container;  ///< null: before the first one
    Bytes position;
    bool running() const { return began > ended; }
  };
  static Bytes encode(const Place& place);
  static Result<Place> decode(ByteView value);

  Task<> run();
  Task<> save_now_and_then();
  Task<> wait_for_next();
  Task<Result<>> pass();
  Task<Result<>> scrub_one(Uuid container);
  ScrubOptions options_of_scrub();
  Task<Result<Place>> load();
  Task<Result<>> save();
  void take(const TargetFinding& finding);
  void take(const ScrubReport& report);

  store::Store& store_;
  ObjectStore& objects_;
  ScrubberOptions options_;
  Scope scope_;
  Place place_;
  bool unsaved_ = false;
  ScrubberStatus status_;
  ScrubReport counted_;  // of the present scrub, as far as `status_` has it
  std::vector<TargetFinding> findings_;
};

}  // namespace cenote::object
