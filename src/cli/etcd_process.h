#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/etcd/joined_system.h"

namespace cenote::cli {

/// How a process of etcd is run beside an engine.
struct EtcdProcessOptions {
  std::string program = "etcd";  ///< a path, or a name to look for in $PATH
  std::string data_directory;    ///< the engine's
  std::string client_url;        ///< where a member beside the engine is to be
  std::string listen_host;       ///< IPv4 or IPv6 literal: where it listens; the ports are those of the member's URLs
  std::string log_file;          ///< what it says goes there; empty: to standard error
};

/// One process of etcd. Owned by one thread, which lives as long as the process: the kernel ends it with that thread.
class EtcdProcess {
 public:
  /// Starts a member. kNotFound: there is no such program. kIoError, kResourceExhausted.
  static Result<EtcdProcess> start(const EtcdProcessOptions& options, const etcd::OwnMember& member);
  EtcdProcess(EtcdProcess&& other) noexcept;
  EtcdProcess& operator=(EtcdProcess&& other) noexcept;
  /// Ends it, if nobody did: cleanly, or after ten seconds by force.
  ~EtcdProcess();

  pid_t pid() const { return pid_; }
  /// Whether it has ended by itself, and how: as waitpid says. Then it is not waited for any more.
  std::optional<int> ended();
  /// Somebody else has waited for it.
  void note_ended() { pid_ = -1; }
  void stop();

 private:
  explicit EtcdProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
};

/// "signal 9 (Killed)", "exit code 1".
std::string how_it_ended(int status);
/// The path of a program; kNotFound says how to get etcd.
Result<std::string> find_program(const std::string& program);

/// Whether a connection is taken there. Waits a second at most for each address.
bool somebody_listens_at(const std::string& url);

/// Runs the member that an engine's `joined.json` names, and no other: starts it again when it has ended, more slowly
/// if it keeps doing so, and removes the data of memberships that are over. For a process of one thread.
///
/// A member must never run twice: it is not started where it is not, nor while something is there already. So a copy of
/// a data directory does nothing beside the original.
class EtcdKeeper {
 public:
  EtcdKeeper(EtcdProcessOptions options, Logger logger) : options_(std::move(options)), logger_(std::move(logger)) {}

  /// The file may have changed, or this is the start.
  void follow();
  /// A child was waited for: whether it was this one.
  bool note_ended(pid_t child, int status);
  /// How long until `follow` has to be called again; nullopt: only after a change.
  std::optional<Duration> due() const;
  void stop() { process_.reset(); }

 private:
  void run(const etcd::OwnMember& member);
  void remove_data_of(const std::vector<std::uint32_t>& over);

  EtcdProcessOptions options_;
  Logger logger_;
  std::optional<EtcdProcess> process_;
  etcd::OwnMember member_;  // that it runs
  bool told_ = false;       // that something is there already
  Duration started_at_ = {};
  Duration pause_ = {};
  std::optional<Duration> next_start_;  // on the monotonic clock
};

}  // namespace cenote::cli
