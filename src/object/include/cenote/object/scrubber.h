#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cenote/object/kept_finding.h"
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

class ScrubFindings;

struct ScrubberStatus {
  bool running = false;           ///< a pass is under way
  bool paused = false;            ///< nothing is read until `resume`
  WallTime began{};               ///< the last pass; zero: there was none
  WallTime ended{};               ///< the last pass that came to its end
  std::uint64_t passes = 0;       ///< that ended, since the start
  std::uint64_t pass_bytes = 0;   ///< read by the present pass, or by the last one
  std::uint64_t used_bytes = 0;   ///< of the target, about what a pass reads
  Uuid container;                 ///< where a pass is; null: at what the target keeps for itself
  std::optional<Duration> left;   ///< about, of the present pass
  std::uint64_t read_bytes = 0;   ///< since the start
  std::uint64_t entries = 0;      ///< since the start
  std::uint64_t bad_pages = 0;    ///< damage found since the start ...
  std::uint64_t bad_entries = 0;  ///< ... by what it is about
  std::uint64_t bad_data = 0;
  std::uint64_t repaired = 0;  ///< of the bad pages, those that memory had whole and that were written anew
  std::uint64_t findings = 0;  ///< damage that is known now
  std::uint64_t unlisted = 0;  ///< found by the present or last pass and not kept, since there is too much
};

/// Scrubs everything that a target holds, again and again: what the target keeps for itself, then its containers in the
/// order of their ids.
///
/// Where a pass is, is kept in a tree of its own in the target's store, written every some seconds without anyone
/// waiting for it: a pass that is cut off by a restart goes on there. Findings are kept beside it (256 at most, the
/// rest is counted) until a later pass finds the thing whole or gone.
///
/// On the store's reactor. Store and objects outlive it; `stop` is awaited before destruction.
class Scrubber {
 public:
  Scrubber(store::Store& store, ObjectStore& objects, ScrubberOptions options);
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;
  ~Scrubber();

  /// Once.
  void start();
  /// Waits for what runs to end; a read under way ends first.
  Task<> stop();

  /// A pass begins now, or the one that was cut off goes on, whatever the period and the delay say. Nothing changes
  /// while one runs. Ends a pause.
  void begin_pass();
  /// Nothing is read until `resume` or a restart; a read under way ends first.
  void pause();
  void resume();

  /// The data of an entry was repaired: it is no finding any more.
  void note_repaired(const Uuid& container, const EntryDescription& entry);

  ScrubberStatus status() const;
  /// All that is known to be damaged, by age.
  std::vector<KeptFinding> findings() const;

 private:
  /// What is kept: a pass runs as long as it began later than one ended.
  struct Place {
    WallTime began{}, ended{};
    Uuid container;  ///< null: before the first one
    std::uint64_t read_bytes = 0;
    Bytes position;
    bool running() const { return began > ended; }
  };
  static Bytes encode(const Place& place);
  static Result<Place> decode(ByteView value);

  Task<> run();
  Task<> save_now_and_then();
  Task<> wait_for_turn();
  bool begin_if_due();
  Duration until_due() const;
  bool is_due() const;
  Task<Result<>> pass();
  void end_pass();
  Task<Result<>> scrub_one(Uuid container);
  ScrubOptions options_of_scrub();
  Task<Result<>> load();
  Task<Result<>> save();
  Result<bool> save_some(store::View& view, store::TreeId fresh);
  void take(const TargetFinding& finding);
  void take(const ScrubReport& report);

  store::Store& store_;
  ObjectStore& objects_;
  ScrubberOptions options_;
  Scope scope_;
  Condition turn_;  // what `wait_for_turn` goes by has changed
  Place place_;
  bool unsaved_ = false;
  bool paused_ = false;
  bool wanted_ = false;                   // a pass is to run whatever the time is
  Instant earliest_{};                    // nothing is read before, unless it is wanted
  std::unique_ptr<CancelSource> cancel_;  // of the part of a pass that runs
  Instant resumed_{};                     // when that part began ...
  std::uint64_t resumed_bytes_ = 0;       // ... and what the pass had read by then
  ScrubberStatus status_;
  ScrubReport counted_;  // of the present scrub, as far as `status_` has it
  std::unique_ptr<ScrubFindings> findings_;
};

}  // namespace cenote::object
