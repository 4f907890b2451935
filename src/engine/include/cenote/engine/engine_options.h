#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/secret_key.h"
#include "cenote/base/time.h"
#include "cenote/base/uuid.h"

namespace cenote::rpc {
class InprocNetwork;
}

namespace cenote::engine {

class CoordinatorSharing;
class CoordinatorSource;

/// Smallest target an engine accepts: below, log and reserve would leave no room for data.
inline constexpr std::uint64_t kMinTargetBytes = 64ull << 20;
inline constexpr std::uint64_t kMaxTargetBytes = 64ull << 40;
inline constexpr std::uint32_t kMaxTargets = 64;
inline constexpr std::uint32_t kMaxReactors = 64;
inline constexpr std::uint64_t kMinLogBytes = 4ull << 20;
inline constexpr std::uint64_t kMaxLogBytes = 16ull << 30;

/// How an engine is to run. A plain value: flags, environment and configuration file are read elsewhere and end here.
/// Zero or empty means "choose for me" where a field says so; `with_defaults` fills those in.
struct EngineOptions {
  /// Holds identity, lock, control state and, unless `target_paths` says otherwise, the targets' files. Created when it
  /// does not exist.
  std::string data_directory;
  /// Name of a system that is created now; of no meaning for one that exists.
  std::string system_name = "cenote";

  /// Where clients connect. "" listens on no network (in-process use). Port 0 picks a free one.
  std::string listen_address = "127.0.0.1:7777";
  /// Where the control port (HTTP: admin API, metrics, health) listens; "" for none.
  std::string control_address = "127.0.0.1:7778";
  /// The coordinator of a system of several engines, which this one belongs to; nullptr: the system has this engine
  /// only, with a coordinator of its own. Decided when the directory is created, but for a move. Not owned; outlives
  /// the engine.
  CoordinatorSource* coordinator = nullptr;
  /// An engine that had a coordinator of its own gives what is in it to `coordinator`, before it serves, and has none
  /// of its own from then on. Can be repeated as long as it has not succeeded.
  bool move_control_state = false;
  /// How others get at this engine's coordinator; nullptr: it takes nobody in. Not owned; outlives the engine.
  CoordinatorSharing* sharing = nullptr;
  /// Where the other engines of the system find this one, "HOST" or "HOST:PORT"; "": where it listens.
  std::string advertise_address;
  /// Where it stands, from the highest level to its node, "rack1/node7": what fails together. "": nobody knows.
  std::string fault_domain;
  /// Names this process among all that ever run an engine of the system, for who waits for its end
  /// (`cluster::attest_exit`). Null: drawn.
  Uuid process = {};
  /// Engines that were lost and are back get their part in pools again by themselves, as long as this engine leads the
  /// control service. Of all engines of a system alike.
  bool auto_reintegrate = true;
  /// Serve clients of this process, too, at the address `inproc_address`. Not owned; outlives the engine.
  rpc::InprocNetwork* inproc = nullptr;
  std::string inproc_address = "engine:1";
  /// There is no authentication yet, so an engine listens beyond this machine only if its owner says so here.
  bool insecure = false;

  /// Files or block devices to use as targets, one each; empty: files inside the data directory. At creation only.
  std::vector<std::string> target_paths;
  /// Files or block devices for the logs of the targets, or for their data, one each; empty: the target's own. At
  /// creation only. The target's own path then holds the rest.
  std::vector<std::string> wal_paths;
  std::vector<std::string> data_paths;
  /// At creation: how many files, 0 chooses min(cores, 4). Later: 0, or the number the directory was created with.
  std::uint32_t targets = 0;
  /// At creation: size of each file (of a log's file: what the log needs), 0 shares half of what the file system has
  /// free, at most 64 GiB each. Of no meaning for block devices.
  std::uint64_t target_bytes = 0;
  /// Reserves the disk space of target files at creation, so that a disk filled by others never stops the engine.
  bool preallocate = true;
  /// Gives space that was freed back to files and block devices (holes, TRIM), in the background. What was preallocated
  /// then does not stay so.
  bool discard = false;
  /// At creation: paths above that hold data of another kind may be overwritten.
  bool overwrite_devices = false;

  /// Data reactors (threads), 0 chooses max(1, cores - 1), never more than there are targets.
  std::uint32_t reactors = 0;
  /// Pins reactor i to CPU i; for machines that the engine has for itself.
  bool pin_cpus = false;
  /// How long a reactor polls after its last work before it sleeps.
  Duration spin = std::chrono::microseconds(20);

  /// Page cache of each target. 0 chooses: all together a sixteenth of `usable_memory`, each 64 MiB to 1 GiB.
  std::uint64_t cache_bytes = 0;
  /// Log ring of each target. At creation only. 0 chooses 64 MiB, or an eighth of a smaller target.
  std::uint64_t log_bytes = 0;
  /// The master key under which the stores of all targets and of the control state are encrypted. A directory that was
  /// created with one opens with that one only; a store that is not encrypted becomes so from now on. None: not
  /// encrypted.
  std::optional<SecretKey> encryption_key = std::nullopt;
  /// I/O buffers of each target: what its fetches and checkpoints may hold at a time.
  std::uint64_t buffer_bytes = 64ull << 20;
  /// Payloads of requests that one reactor may have in flight.
  std::uint64_t request_bytes = 64ull << 20;
  /// Everything that is stored is read again and proved once in each period, at this rate for each target; 0: never.
  std::uint64_t scrub_bytes_per_second = 32ull << 20;
  Duration scrub_period = std::chrono::hours(7 * 24);
  /// How long a stop waits for running requests before it cancels them.
  Duration stop_grace = std::chrono::seconds(10);
};

/// `options` checked, with everything chosen that was left open and depends on `cores` only; what is fixed when the
/// data directory is created stays as it is. kInvalidArgument, kOutOfRange or kPermissionDenied names the field, its
/// value and its limits.
Result<EngineOptions> with_defaults(EngineOptions options, unsigned cores);

/// Number of targets of a directory that is created without a wish: min(cores, 4).
std::uint32_t default_targets(unsigned cores);
/// Log ring of a target of `target_bytes` that is created without a wish.
std::uint64_t default_log_bytes(std::uint64_t target_bytes);
/// Page cache of each of `targets` without a wish.
std::uint64_t default_cache_bytes(std::uint64_t memory_bytes, std::size_t targets);
/// What the machine has, or less where the control group of this process has a limit.
std::uint64_t usable_memory();

}  // namespace cenote::engine
