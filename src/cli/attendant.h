#pragma once

#include <sys/types.h>

#include "cenote/base/uuid.h"
#include "etcd_process.h"
#include "settings.h"

namespace cenote::cli {

/// A process beside an engine that is one of several. It waits for the engine's end; if that was a crash it tells the
/// coordinator, so that the others go on at once and need not wait for the end of the engine's lease. It passes SIGTERM
/// and SIGINT on, and ends with the engine's exit code, or with 128 and the number of the signal that ended it. When it
/// is ended itself, the engine stops cleanly. Where engines of the system run etcd, it runs the one beside this engine,
/// for as long as the engine runs.
class Attendant {
 public:
  /// Divides the process in two, before it has threads. Returns in the engine, with the id by which the engine has to
  /// register; the attendant never returns. Where the settings name no coordinator of several engines, or want no
  /// attendant, nothing is divided and the id is null. `settings` stay as they are.
  static Result<Uuid> divide(const Settings& settings);
  /// Said by the engine, once: it serves, so that the others have to hear of its end. One whose start fails has taken
  /// back itself what it had told anybody.
  static void note_ready();
  /// Said by the engine, on any thread: which member of etcd is to run here may have changed.
  static void note_members_changed();

 private:
  Attendant(const Settings& settings, Uuid process, pid_t engine, int ready)
      : settings_(settings), process_(process), engine_(engine), ready_(ready) {}
  [[noreturn]] void run();
  int wait_for_end(EtcdKeeper* keeper);
  int conclude(int status);
  void tell(int signal);
  Result<bool> attest();
  bool was_ready() const;

  const Settings& settings_;
  Uuid process_;
  pid_t engine_;
  int ready_;  ///< end of a pipe, which holds a byte once the engine is
};

}  // namespace cenote::cli
