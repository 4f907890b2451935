#pragma once

#include <map>
#include <optional>
#include <string>

#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/engine/control_copy_file.h"
#include "cenote/engine/engine_host.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// Keeps a copy of what an outside coordinator holds in the data directory of the engine, so that a coordinator that
/// was lost can be made anew ('cenote system recover'). Control reactor only.
///
/// Changes are gathered for a while, but whoever is about to do what depends on one waits for `keep`: so the newest
/// copy of all engines has all that any of them acted on. A copy that cannot be written stops nothing: that is logged
/// once, counted, and tried again.
class ControlCopy {
 public:
  struct Options {
    Uuid system;
    Uuid engine;
    /// How long changes are gathered at most; longer, so many times as the last write took.
    Duration gather = std::chrono::seconds(1);
    std::int64_t gather_writes = 20;
    /// How long anybody waits for the copy.
    Duration patience = std::chrono::seconds(2);
    Duration call_timeout = std::chrono::seconds(2);
    /// After a failure of the coordinator, and of a write.
    Duration retry_pause = std::chrono::milliseconds(200);
    Duration retry_write = std::chrono::seconds(5);
  };

  /// References outlive it.
  ControlCopy(EngineHost& host, cluster::Coordinator& coordinator, Options options, MetricRegistry& metrics,
              Logger logger);
  ~ControlCopy();

  /// Follows the coordinator, in the background.
  void start();
  /// Writes what is not written yet, if it can be. Must be awaited before destruction, after the last `keep` returned.
  Task<> stop();

  /// Returns when the copy has everything up to `revision`, which some key was written at, durably. False: it has not,
  /// as it cannot be written, or that takes too long.
  Task<bool> keep(cluster::Revision revision);

  struct Status {
    cluster::Revision revision;  ///< up to which the copy has everything; 0: nothing was written yet
    std::uint64_t bytes = 0;
    std::uint64_t writes = 0, failures = 0;
    std::uint64_t not_kept = 0;  ///< how often somebody went on without the copy
    Duration behind{};           ///< how long there have been changes that it does not have
  };
  Status status() const;
  /// Before metrics are exported.
  void refresh_metrics();

 private:
  using Entries = std::map<std::string, cluster::KeyValue>;
  struct Reading {
    Entries entries = {};
    std::size_t bytes = 0;
    cluster::Revision newest = {};  ///< of all that was seen
  };
  static constexpr int kReadAttempts = 8;

  static Task<> follow(ControlCopy& self);
  static Task<> write_changes(ControlCopy& self);
  Task<Result<>> follow_from_now();
  Task<Result<cluster::Revision>> read_everything();
  Task<Result<Reading>> read_pages();
  Result<> take(std::vector<cluster::WatchEvent> events);
  Result<> check_system(const cluster::KeyValue* record) const;
  void note_position(cluster::Revision revision, bool changed);
  Task<> write();
  Task<bool> is_older_than_last();
  Bytes encode() const;
  /// Whether what is in memory is the state of one moment, and the file is not.
  bool is_whole() const { return position_ >= whole_at_ && position_ != cluster::Revision(0); }
  bool is_behind() const { return written_ < position_; }
  Instant write_at() const;
  void note_trouble(std::optional<Error>& trouble, const Error& error, LogMessage what);
  Until soon() { return {reactor_.now() + options_.call_timeout, &background_.cancel_source()}; }

  EngineHost& host_;
  Reactor& reactor_;
  cluster::Coordinator& coordinator_;
  Options options_;
  Logger logger_;
  Entries entries_;
  std::size_t bytes_ = 0;       // of the file they make
  cluster::Revision position_;  // all changes up to this one are in entries_
  cluster::Revision whole_at_;  // from this one on entries_ are of one moment
  cluster::Revision written_;   // all changes up to this one are in the file
  cluster::Revision urgent_;    // somebody waits for it
  Instant behind_since_{};
  Instant not_before_ = Instant::min();  // the next write
  Duration last_write_{};
  std::optional<Error> reading_trouble_, writing_trouble_;
  bool frozen_ = false;  // the coordinator has no such system any more, or too much: the file stays as it is
  bool closing_ = false;
  bool compared_ = false;  // with the file that was there before
  std::uint64_t readings_ = 0;
  std::uint64_t file_bytes_ = 0, writes_ = 0, failures_ = 0, not_kept_ = 0;
  struct Metrics {
    explicit Metrics(MetricRegistry& metrics);
    Gauge& revision;
    Gauge& bytes;
    Gauge& behind;
    Counter& writes;
    Counter& failures;
    Counter& not_kept;
  } metrics_;
  Condition wake_;     // of the writer
  Condition changed_;  // for whoever waits for the copy
  Scope background_;
  Scope writing_;
};

}  // namespace cenote::engine
