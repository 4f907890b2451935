#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/engine/engine_options.h"
#include "cenote/engine/identity.h"

namespace cenote::engine {

/// Says which system an engine belongs to that has an outside coordinator. Blocks.
class SystemSource {
 public:
  /// The system of the coordinator, durably. One that has none becomes `proposal`, if there is one; nullopt: it has
  /// none still.
  virtual Result<std::optional<SystemIdentity>> system(std::optional<SystemIdentity> proposal) = 0;
  /// Where it is, for messages: "https://10.0.0.1:2379, root 'cenote/'".
  virtual std::string place() const = 0;

 protected:
  ~SystemSource() = default;
};

/// The directory of one engine, locked: identity, lock file and the files of its stores
/// (docs/formats/data-directory.md). The only place of the engine that touches a file system by itself; all of it
/// blocks, so it runs before the reactors.
///
/// Invariants: while an object lives no other process (nor another object) has the directory. The identity file is
/// always whole: absent, `creating` or `ready`. It says `ready` only once every store was formatted durably; until then
/// nothing in the stores is worth keeping and an open begins the creation again, with the same ids.
class DataDirectory {
 public:
  /// 64 random bits; the source of the ids of a new system.
  using Random = std::function<std::uint64_t()>;

  /// Opens the directory of `options`, or creates it where there is none. `options` come from `with_defaults`. Each
  /// error says which path and what to do: kInvalidArgument (a file, a directory of other content, options that
  /// contradict what is there), kForeign (another system than that of `outside`), kPermissionDenied, kLocked (names the
  /// process), kCorrupt (damaged identity, missing or short store), kNewerFormat, kDeviceFull, kNotFound, kIoError.
  /// Nothing that existed is changed by a failure. `outside`: of an engine with an outside coordinator, nullptr for one
  /// that has its own.
  static Result<DataDirectory> open(const EngineOptions& options, unsigned cores, const Random& random,
                                    SystemSource* outside = nullptr);

  /// Whether a new engine can be made in a directory, which need not exist, but for its parent. As of `open`; no
  /// change.
  static Result<> check_usable(const std::string& directory);
  /// The identity of a directory that may be in use, for inspection: no lock, no change.
  static Result<Identity> read_identity(const std::string& directory);

  /// The control copy at `path`: a file, or a data directory that has one and may be in use. No lock, no change.
  /// kNotFound: there is none. kOutOfRange: it is larger than any.
  static Result<Bytes> read_control_copy_at(const std::string& path);

  /// kLocked: an engine runs in the directory. What is no directory of an engine is not complained about.
  static Result<> check_stopped(const std::string& path);

  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&& other) = delete;
  /// Releases the lock. The files of a creation that was neither committed nor abandoned stay, for the next open.
  ~DataDirectory();

  const std::string& path() const { return path_; }
  const Identity& identity() const { return identity_; }
  /// True while the stores are to be formatted; `commit` ends it.
  bool creating() const { return identity_.state == Identity::State::kCreating; }
  /// Where a path of the identity leads.
  std::string path_of(const std::string& path) const;

  /// Makes a file of the identity `bytes` large, durably, and reserves the space if `preallocate`. kInvalidArgument for
  /// a block device, kOutOfRange when it is larger, kDeviceFull; then the file is as it was.
  Result<> enlarge(const std::string& path, std::uint64_t bytes, bool preallocate) const;

  /// As of EngineHost.
  Result<> replace_control_copy(ByteView copy, bool keep_last) const;
  Result<std::optional<Bytes>> read_control_copy() const;

  /// Every store is formatted, durably: makes the identity `ready`. Durable when it returns.
  Result<> commit();
  /// The control state is in an outside coordinator from now on, completely: the identity lists no store of it any
  /// more, and its file goes. Durable when it returns.
  Result<> drop_coordinator();
  /// The creation failed: removes the files it made, so that a full disk does not stay full. Best effort.
  void abandon();

 private:
  DataDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  Result<> load_or_create(const EngineOptions& options, unsigned cores, const Random& random, SystemSource* outside);
  Result<> check_system(const EngineOptions& options, const Identity& found, SystemSource* outside) const;
  Result<SystemIdentity> join_system(SystemIdentity proposal, SystemSource* outside) const;
  Result<> create(const EngineOptions& options, unsigned cores, const Random& random, const Identity* interrupted,
                  SystemSource* outside);
  Result<> plan(const EngineOptions& options, unsigned cores, const Random& random, const Identity* interrupted,
                SystemSource* outside);
  Result<> plan_sizes(const EngineOptions& options);
  Result<> make_files(bool preallocate) const;
  Result<> make_device(const DeviceIdentity& device, bool preallocate) const;
  Result<> check_options(const EngineOptions& options) const;
  Result<> check_device(const DeviceIdentity& device, const std::string& name) const;
  Result<> check_stores(const EngineOptions& options) const;
  Result<> write_identity() const;
  Result<> replace_file(const char* name, std::string_view content) const;

  std::string path_;
  int lock_ = -1;
  Identity identity_;
};

}  // namespace cenote::engine
