#include "cenote/engine/data_directory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"
#include "cenote/engine/control_copy_file.h"
#include "cenote/media/block_device.h"
#include "cenote/store/types.h"

namespace cenote::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIdentityFile = "engine.json";
constexpr const char* kIdentityTemporary = "engine.json.new";  // as replace_file names it
constexpr const char* kLockFile = "lock";
constexpr const char* kControlCopyFile = "control-copy";
constexpr const char* kControlCopyAside = "control-copy.newer";
constexpr const char* kTargetsFolder = "targets";
constexpr const char* kCoordinatorFile = "coordinator";
constexpr std::uint64_t kCoordinatorBytes = 64ull << 20;
constexpr std::uint64_t kCoordinatorLogBytes = 8ull << 20;
constexpr std::uint64_t kDefaultTargetBytesMax = 64ull << 30;
constexpr std::size_t kIdentityBytesMax = 1u << 20;
// Of a device that is to become a target: partition tables, file systems and databases all leave traces here.
constexpr std::size_t kBlankBytes = 128u << 10;
constexpr mode_t kFolderMode = 0750;
constexpr mode_t kFileMode = 0640;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// The failure of the last system call: `what` is "cannot open '/x'".
std::unexpected<Error> system_failure(std::string what) {
  const int number = errno;
  const auto code = [number] {
    switch (number) {
      case EACCES:
      case EPERM:
      case EROFS:
        return Code::kPermissionDenied;
      case ENOSPC:
      case EDQUOT:
        return Code::kDeviceFull;
      case ENOENT:
        return Code::kNotFound;
      default:
        return Code::kIoError;
    }
  }();
  return failf(code, "{}: {}", what, std::generic_category().message(number));
}

Result<> sync_folder(const std::string& path) {
  const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid() || ::fsync(folder.get()) != 0)
    return system_failure(fmt::format("cannot sync directory '{}'", path));
  return {};
}

Result<> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_failure(fmt::format("cannot write '{}'", path));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Up to `limit` bytes of a file; nullopt when it does not exist.
Result<std::optional<std::string>> read_file(const std::string& path, std::size_t limit) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  if (!file.valid()) return system_failure(fmt::format("cannot open '{}'", path));
  std::string text;
  std::array<char, 4096> part{};
  while (text.size() < limit) {
    const ssize_t got = ::read(file.get(), part.data(), std::min(part.size(), limit - text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure(fmt::format("cannot read '{}'", path));
    if (got == 0) break;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return text;
}

Result<> ensure_folder(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return failf(Code::kInvalidArgument, "'{}' is a file, not a directory: name a directory for the engine's data",
                 path);
  }
  if (errno != ENOENT) return system_failure(fmt::format("cannot use directory '{}'", path));
  if (::mkdir(path.c_str(), kFolderMode) != 0) {
    const int number = errno;
    // File systems of the kernel's own, like /proc, say "no such file" to whoever wants to create one.
    if (number == ENOENT && ::stat(fs::path(path).parent_path().c_str(), &info) == 0)
      return failf(Code::kPermissionDenied, "cannot create directory '{}': its file system takes none there", path);
    errno = number;
    return system_failure(fmt::format("cannot create directory '{}' (its parent must exist and be writable)", path));
  }
  return sync_folder(fs::path(path).parent_path().string());
}

// The lock lives as long as the descriptor, so it ends with the process however that ends.
Result<int> lock_folder(const std::string& folder) {
  const std::string path = folder + "/" + kLockFile;
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!file.valid())
    return system_failure(fmt::format("data directory '{}' is not writable: cannot open its lock file", folder));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_failure(fmt::format("cannot lock '{}'", path));
    const auto owner = read_file(path, 32);
    const std::string pid = owner && *owner ? (**owner).substr(0, (**owner).find('\n')) : "";
    return failf(Code::kLocked, "data directory '{}' is in use by process {}: stop it first, or use another directory",
                 folder, pid.empty() ? "(unknown)" : pid);
  }
  if (::ftruncate(file.get(), 0) != 0) return system_failure(fmt::format("cannot write '{}'", path));
  CHECK_OK(write_all(file.get(), fmt::format("{}\n", ::getpid()), path));
  return file.release();
}

// A directory without identity may be taken only when it holds nothing but what an interrupted creation leaves.
Result<> check_unused(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name == kLockFile || name == kIdentityTemporary || name == "lost+found") continue;
    // Where the system is that this directory is to join, and the member of etcd that runs beside the engine.
    if (name == "joined.json" || name == "joined.json.new" || name == "etcd") continue;
    if (name == kTargetsFolder || name == kCoordinatorFile) {
      return failf(Code::kCorrupt,
                   "data directory '{}' has stores, but its identity file '{}' is missing: restore that file from a "
                   "backup, or empty the directory to begin anew",
                   folder, kIdentityFile);
    }
    return failf(Code::kInvalidArgument,
                 "directory '{}' is not empty ('{}') and is no data directory of an engine: use an empty one", folder,
                 name);
  }
  if (error) return failf(Code::kPermissionDenied, "cannot read directory '{}': {}", folder, error.message());
  return {};
}

Result<std::optional<Identity>> load_identity(const std::string& folder) {
  const std::string path = folder + "/" + kIdentityFile;
  TRY(const auto text, read_file(path, kIdentityBytesMax));
  if (!text) return std::nullopt;
  auto identity = decode_identity(*text);
  if (identity) return std::optional(*std::move(identity));
  if (identity.error() == Code::kNewerFormat) return fail(identity.error().with_context(path));
  return failf(Code::kCorrupt, "identity file '{}' is damaged ({}): restore it from a backup; the stores are untouched",
               path, identity.error().message());
}

struct Existing {
  std::uint64_t bytes = 0;
  bool block_device = false;
};

// What lies at a path that may become, or is, a target; nullopt when nothing does.
Result<std::optional<Existing>> look_at(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return system_failure(fmt::format("cannot look at '{}'", path));
  }
  if (S_ISREG(info.st_mode)) return Existing{static_cast<std::uint64_t>(info.st_size), false};
  if (!S_ISBLK(info.st_mode)) {
    return failf(Code::kInvalidArgument, "'{}' is neither a file nor a block device", path);
  }
  const Fd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::uint64_t bytes = 0;
  if (!device.valid() || ::ioctl(device.get(), BLKGETSIZE64, &bytes) != 0) {
    return system_failure(fmt::format("cannot read the size of device '{}'", path));
  }
  return Existing{bytes, true};
}

Result<> check_blank(const std::string& path) {
  TRY(const auto start, read_file(path, kBlankBytes));
  if (!start || std::ranges::all_of(*start, [](char c) { return c == 0; })) return {};
  return failf(Code::kExists, "'{}' holds data of another kind: choose another target, or let it be overwritten", path);
}

Result<std::uint64_t> free_bytes_at(const std::string& folder) {
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0)
    return system_failure(fmt::format("cannot ask for the free space of '{}'", folder));
  return std::uint64_t{info.f_bavail} * info.f_frsize;
}

Result<> make_file(const std::string& path, std::uint64_t bytes, bool preallocate) {
  const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!file.valid()) return system_failure(fmt::format("cannot create '{}'", path));
  const auto size = static_cast<off_t>(bytes);
  const auto what = [&] { return fmt::format("cannot make '{}' of {} bytes", path, bytes); };
  if (preallocate && ::fallocate(file.get(), 0, 0, size) != 0) {
    // A file system that cannot reserve space is used without the reservation.
    if (errno != EOPNOTSUPP) return system_failure(what());
  }
  if (::ftruncate(file.get(), size) != 0) return system_failure(what());
  if (::fsync(file.get()) != 0) return system_failure(what());
  return {};
}

/// Every device of a store, `meta` first.
std::vector<DeviceIdentity> devices_of(const StoreIdentity& store) {
  std::vector<DeviceIdentity> devices = {{store.path, store.bytes}};
  if (store.wal) devices.push_back(*store.wal);
  if (store.data) devices.push_back(*store.data);
  return devices;
}

bool has_device(const Identity& identity, const std::string& path) {
  return std::ranges::any_of(identity.targets, [&](const StoreIdentity& target) {
    return std::ranges::any_of(devices_of(target), [&](const DeviceIdentity& device) { return device.path == path; });
  });
}

/// A device that its owner named: as large as what lies there, 0 where a file is to be made. `before` is the identity
/// of a creation that was interrupted.
Result<DeviceIdentity> plan_device(const std::string& wanted, const EngineOptions& options, const Identity& before) {
  DeviceIdentity device;
  device.path = fs::absolute(wanted).lexically_normal().string();
  TRY(const auto existing, look_at(device.path));
  if (existing) device.bytes = existing->bytes;
  if (!has_device(before, device.path) && !options.overwrite_devices) CHECK_OK(check_blank(device.path));
  return device;
}

/// What a label of a store takes of a device, and what its log is rounded up to.
constexpr std::uint64_t kGroupBytes = store::kGroupBlocks * std::uint64_t{media::kBlockBytes};

/// Sizes of the log of a target and of the device for it alone, if it has one.
Result<> plan_log(const EngineOptions& options, StoreIdentity& target) {
  target.log_bytes = options.log_bytes != 0 ? options.log_bytes : default_log_bytes(target.bytes);
  if (!target.wal) {
    if (target.log_bytes <= target.bytes / 4) return {};
    return failf(Code::kOutOfRange, "log_bytes is {}: more than a quarter of target '{}' with {} bytes",
                 target.log_bytes, target.path, target.bytes);
  }
  DeviceIdentity& wal = *target.wal;
  const auto needed = [&] { return (target.log_bytes + kGroupBytes - 1) / kGroupBytes * kGroupBytes + kGroupBytes; };
  if (wal.bytes == 0) wal.bytes = needed();
  if (options.log_bytes == 0 && needed() > wal.bytes && wal.bytes >= kMinLogBytes + kGroupBytes) {
    target.log_bytes = wal.bytes / kGroupBytes * kGroupBytes - kGroupBytes;
  }
  if (needed() <= wal.bytes) return {};
  return failf(Code::kOutOfRange, "log_bytes is {}: wal device '{}' of {} bytes is too small, {} are needed",
               target.log_bytes, wal.path, wal.bytes, needed());
}

Uuid new_id(const DataDirectory::Random& random) {
  const std::uint64_t high = random();
  return Uuid::from_random(high, random());
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const EngineOptions& options, unsigned cores, const Random& random,
                                          SystemSource* outside) {
  std::error_code error;
  fs::path full = fs::absolute(options.data_directory, error).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();
  const std::string path = full.string();
  CHECK_OK(ensure_folder(path));
  TRY(const int lock, lock_folder(path));
  DataDirectory directory(path, lock);
  CHECK_OK(directory.load_or_create(options, cores, random, outside));
  return directory;
}

Result<> DataDirectory::check_usable(const std::string& directory) {
  const fs::path full = fs::absolute(directory).lexically_normal();
  std::error_code ignored;
  if (fs::is_directory(full, ignored)) return check_unused(full.string());
  if (fs::exists(full, ignored)) {
    return failf(Code::kInvalidArgument, "'{}' is a file, not a directory: name a directory for the engine's data",
                 full.string());
  }
  const fs::path parent = full.has_filename() ? full.parent_path() : full.parent_path().parent_path();
  if (fs::is_directory(parent, ignored)) return {};
  return failf(Code::kNotFound, "cannot create directory '{}': its parent does not exist", full.string());
}

Result<Identity> DataDirectory::read_identity(const std::string& directory) {
  TRY(auto identity, load_identity(directory));
  if (!identity) {
    return failf(Code::kNotFound, "'{}' is no data directory of an engine: it has no '{}'", directory, kIdentityFile);
  }
  return *std::move(identity);
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), identity_(std::move(other.identity_)) {}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

std::string DataDirectory::path_of(const std::string& path) const {
  return path.starts_with('/') ? path : path_ + "/" + path;
}

Result<> DataDirectory::load_or_create(const EngineOptions& options, unsigned cores, const Random& random,
                                       SystemSource* outside) {
  TRY(auto found, load_identity(path_));
  if (!found) {
    CHECK_OK(check_unused(path_));
    return create(options, cores, random, nullptr, outside);
  }
  CHECK_OK(check_system(options, *found, outside));
  if (found->state == Identity::State::kCreating) return create(options, cores, random, &*found, outside);
  identity_ = *std::move(found);
  return check_stores(options);
}

/// Data of one system must never be served as another's, and a system has one coordinator for ever.
Result<> DataDirectory::check_system(const EngineOptions& options, const Identity& found, SystemSource* outside) const {
  if (outside == nullptr) {
    if (found.coordinator) return {};
    return failf(Code::kForeign,
                 "data directory '{}' belongs to system '{}' ({}), which has an outside coordinator: name that with "
                 "'coordinator', or use another directory",
                 path_, found.name, found.system.to_string());
  }
  if (found.coordinator) {
    if (options.move_control_state && found.state == Identity::State::kReady) return {};
    return failf(Code::kForeign,
                 "data directory '{}' belongs to system '{}' ({}), which has a coordinator of its own in there: leave "
                 "'coordinator' out, or use an empty directory to join the system at {}",
                 path_, found.name, found.system.to_string(), outside->place());
  }
  TRY(const auto there, outside->system(std::nullopt));
  if (there && there->id == found.system) return {};
  const std::string other =
      there ? fmt::format("system '{}' ({})", there->name, there->id.to_string()) : std::string("no system");
  return failf(Code::kForeign,
               "data directory '{}' belongs to system '{}' ({}), but the coordinator at {} has {}: name the "
               "coordinator of that system, or use an empty directory",
               path_, found.name, found.system.to_string(), outside->place(), other);
}

Result<SystemIdentity> DataDirectory::join_system(SystemIdentity proposal, SystemSource* outside) const {
  if (outside == nullptr) return proposal;
  TRY(auto joined, outside->system(std::move(proposal)));
  ASSERT(joined.has_value());
  return *std::move(joined);
}

Result<> DataDirectory::create(const EngineOptions& options, unsigned cores, const Random& random,
                               const Identity* interrupted, SystemSource* outside) {
  CHECK_OK(plan(options, cores, random, interrupted, outside));
  CHECK_OK(write_identity());
  auto made = make_files(options.preallocate);
  if (!made) abandon();
  return made;
}

// Ids of an interrupted creation are kept, because targets outside the directory may be formatted with them already.
Result<> DataDirectory::plan(const EngineOptions& options, unsigned cores, const Random& random,
                             const Identity* interrupted, SystemSource* outside) {
  const Identity before = interrupted != nullptr ? *interrupted : Identity{};
  const auto keep_or_new = [&random](const Uuid& id) { return id.is_null() ? new_id(random) : id; };
  identity_ = Identity{};
  TRY(const SystemIdentity system, join_system({keep_or_new(before.system), options.system_name}, outside));
  identity_.system = system.id;
  identity_.name = system.name;
  identity_.engine = keep_or_new(before.engine);
  if (outside == nullptr) {
    const Uuid id = keep_or_new(before.coordinator ? before.coordinator->id : Uuid());
    identity_.coordinator = StoreIdentity{id, kCoordinatorFile, kCoordinatorBytes, kCoordinatorLogBytes};
  }
  // `with_defaults` saw to it that all lists that are given are equally long.
  std::size_t wanted = std::max({options.target_paths.size(), options.wal_paths.size(), options.data_paths.size()});
  if (wanted == 0) wanted = options.targets != 0 ? options.targets : default_targets(cores);
  for (std::size_t index = 0; index < wanted; ++index) {
    StoreIdentity target;
    target.id = keep_or_new(index < before.targets.size() ? before.targets[index].id : Uuid());
    target.path = fmt::format("{}/{}", kTargetsFolder, index);
    if (!options.target_paths.empty()) {
      TRY(const DeviceIdentity own, plan_device(options.target_paths[index], options, before));
      target.path = own.path;
      target.bytes = own.bytes;
    }
    if (!options.wal_paths.empty()) {
      TRY(target.wal, plan_device(options.wal_paths[index], options, before));
    }
    if (!options.data_paths.empty()) {
      TRY(target.data, plan_device(options.data_paths[index], options, before));
    }
    identity_.targets.push_back(std::move(target));
  }
  return plan_sizes(options);
}

Result<> DataDirectory::plan_sizes(const EngineOptions& options) {
  std::uint64_t to_make = 0;
  for (const StoreIdentity& target : identity_.targets) {
    to_make += (target.bytes == 0 ? 1 : 0) + (target.data && target.data->bytes == 0 ? 1 : 0);
  }
  TRY(const std::uint64_t free_bytes, free_bytes_at(path_));
  std::uint64_t each = options.target_bytes;
  if (each == 0 && to_make != 0) {
    each = std::min(kDefaultTargetBytesMax, free_bytes / 2 / to_make) >> 20 << 20;
    if (each < kMinTargetBytes) {
      return failf(Code::kDeviceFull, "'{}' has {} bytes free: too few for {} targets of at least {} bytes", path_,
                   free_bytes, to_make, kMinTargetBytes);
    }
  }
  for (StoreIdentity& target : identity_.targets) {
    if (target.bytes == 0) target.bytes = each;
    if (target.data && target.data->bytes == 0) target.data->bytes = each;
    for (const DeviceIdentity& device : devices_of({.path = target.path, .bytes = target.bytes, .data = target.data})) {
      if (device.bytes >= kMinTargetBytes) continue;
      return failf(Code::kOutOfRange, "target '{}' has {} bytes: at least {} are needed", device.path, device.bytes,
                   kMinTargetBytes);
    }
    CHECK_OK(plan_log(options, target));
  }
  const std::uint64_t beside = identity_.coordinator ? identity_.coordinator->bytes : 0;
  if (options.preallocate && options.target_paths.empty() && each * to_make + beside > free_bytes) {
    return failf(Code::kDeviceFull, "'{}' has {} bytes free: {} targets of {} bytes do not fit; choose a smaller size",
                 path_, free_bytes, to_make, each);
  }
  return {};
}

Result<> DataDirectory::make_files(bool preallocate) const {
  const std::string folder = path_ + "/" + kTargetsFolder;
  if (const auto& coordinator = identity_.coordinator) {
    CHECK_OK(make_file(path_of(coordinator->path), coordinator->bytes, preallocate));
  }
  if (std::ranges::any_of(identity_.targets, [](const auto& target) { return !target.path.starts_with('/'); })) {
    CHECK_OK(ensure_folder(folder));
  }
  for (const StoreIdentity& target : identity_.targets) {
    for (const DeviceIdentity& device : devices_of(target)) CHECK_OK(make_device(device, preallocate));
  }
  return sync_folder(path_);
}

Result<> DataDirectory::make_device(const DeviceIdentity& device, bool preallocate) const {
  const std::string path = path_of(device.path);
  // What the owner brought is formatted in place; what was made here is made again.
  if (device.path.starts_with('/')) {
    TRY(const auto existing, look_at(path));
    if (existing && existing->bytes >= device.bytes) return {};
  }
  CHECK_OK(make_file(path, device.bytes, preallocate));
  return sync_folder(fs::path(path).parent_path().string());
}

/// Roles do not move by themselves: a wish for another place than the one of the creation is no wish to ignore.
Result<> DataDirectory::check_options(const EngineOptions& options) const {
  const auto check = [](std::string_view role, std::size_t index, const std::vector<std::string>& wanted,
                        const std::optional<DeviceIdentity>& device) -> Result<> {
    if (index >= wanted.size()) return {};
    const std::string path = fs::absolute(wanted[index]).lexically_normal().string();
    if (device && device->path == path) return {};
    return failf(Code::kInvalidArgument, "{} path '{}': target {} was created with its {} at '{}'", role, path, index,
                 role, device ? device->path : "the target itself");
  };
  for (std::size_t index = 0; index < identity_.targets.size(); ++index) {
    CHECK_OK(check("wal", index, options.wal_paths, identity_.targets[index].wal));
    CHECK_OK(check("data", index, options.data_paths, identity_.targets[index].data));
  }
  return {};
}

Result<> DataDirectory::check_device(const DeviceIdentity& device, const std::string& name) const {
  const std::string path = path_of(device.path);
  TRY(const auto existing, look_at(path));
  if (!existing) {
    return failf(Code::kCorrupt, "{}: '{}' is missing, though the identity of '{}' lists it: bring it back", name, path,
                 path_);
  }
  if (existing->bytes < device.bytes) {
    return failf(Code::kCorrupt, "{}: '{}' has {} bytes, not {}: it was cut", name, path, existing->bytes,
                 device.bytes);
  }
  return {};
}

Result<> DataDirectory::check_stores(const EngineOptions& options) const {
  if (options.targets != 0 && options.targets != identity_.targets.size()) {
    return failf(Code::kInvalidArgument,
                 "data directory '{}' was created with {} targets, not {}: leave the number out", path_,
                 identity_.targets.size(), options.targets);
  }
  CHECK_OK(check_options(options));
  if (const auto& coordinator = identity_.coordinator) {
    CHECK_OK(check_device({coordinator->path, coordinator->bytes}, "coordinator"));
  }
  for (std::size_t index = 0; index < identity_.targets.size(); ++index) {
    const StoreIdentity& target = identity_.targets[index];
    const std::string name = fmt::format("target {}", index);
    CHECK_OK(check_device({target.path, target.bytes}, name));
    if (target.wal) CHECK_OK(check_device(*target.wal, name + ", wal device"));
    if (target.data) CHECK_OK(check_device(*target.data, name + ", data device"));
  }
  return {};
}

Result<> DataDirectory::write_identity() const { return replace_file(kIdentityFile, encode_identity(identity_)); }

Result<> DataDirectory::replace_file(const char* name, std::string_view content) const {
  const std::string path = path_ + "/" + name;
  const std::string temporary = path + ".new";
  const Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!file.valid())
    return system_failure(fmt::format("data directory '{}' is not writable: cannot create '{}'", path_, temporary));
  auto written = write_all(file.get(), content, temporary);
  if (written && ::fsync(file.get()) != 0) written = system_failure(fmt::format("cannot sync '{}'", temporary));
  if (!written) {
    // On a full disk half of a file is in the way of everybody.
    static_cast<void>(::unlink(temporary.c_str()));
    return written;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_failure(fmt::format("cannot replace '{}'", path));
  return sync_folder(path_);
}

Result<> DataDirectory::replace_control_copy(ByteView copy, bool keep_last) const {
  const std::string path = path_ + "/" + kControlCopyFile;
  const std::string aside = path_ + "/" + kControlCopyAside;
  // One that was put aside earlier is what was lost first: it stays.
  if (keep_last && ::link(path.c_str(), aside.c_str()) != 0 && errno != EEXIST && errno != ENOENT)
    return system_failure(fmt::format("cannot put '{}' aside as '{}'", path, aside));
  return replace_file(kControlCopyFile, as_text(copy));
}

Result<std::optional<Bytes>> DataDirectory::read_control_copy() const {
  TRY(const auto text, read_file(path_ + "/" + kControlCopyFile, kMaxControlCopyBytes + 1));
  if (!text) return std::nullopt;
  return to_bytes(as_bytes(*text));
}

// A shared lock, for a moment: nothing of the directory is changed.
Result<> DataDirectory::check_stopped(const std::string& path) {
  const std::string lock = path + "/" + kLockFile;
  const Fd file(::open(lock.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) return {};
  return failf(Code::kLocked, "the engine of data directory '{}' runs: stop it first", path);
}

Result<Bytes> DataDirectory::read_control_copy_at(const std::string& path) {
  struct stat info{};
  const bool is_folder = ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  const std::string file = is_folder ? path + "/" + kControlCopyFile : path;
  // Others, a pipe say, may have no end, or none who writes.
  if (::stat(file.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return failf(Code::kInvalidArgument, "'{}' is neither a data directory nor a file", file);
  TRY(const auto text, read_file(file, kMaxControlCopyBytes + 1));
  if (!text)
    return failf(Code::kNotFound, "'{}' does not exist{}", file,
                 is_folder ? ": the engine had no coordinator with others, or never reached it" : "");
  if (text->size() > kMaxControlCopyBytes)
    return failf(Code::kOutOfRange, "'{}' is larger than a control copy can be", file);
  return to_bytes(as_bytes(*text));
}

Result<> DataDirectory::enlarge(const std::string& path, std::uint64_t bytes, bool preallocate) const {
  const std::string where = path_of(path);
  TRY(const auto existing, look_at(where));
  if (!existing) return failf(Code::kNotFound, "'{}' is missing", where);
  if (existing->block_device) {
    return failf(Code::kInvalidArgument,
                 "'{}' is a block device: make it larger where it comes from, then grow without a "
                 "size",
                 where);
  }
  if (bytes % media::kBlockBytes != 0 || bytes < existing->bytes || bytes > kMaxTargetBytes) {
    return failf(Code::kOutOfRange,
                 "'{}' cannot have {} bytes: from the {} it has to {}, in multiples of {}; nothing is "
                 "made smaller",
                 where, bytes, existing->bytes, kMaxTargetBytes, media::kBlockBytes);
  }
  const Fd file(::open(where.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.valid()) return system_failure(fmt::format("cannot open '{}'", where));
  const auto size = static_cast<off_t>(bytes);
  const bool reserved =
      !preallocate || ::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, size) == 0 || errno == EOPNOTSUPP;
  if (reserved && ::ftruncate(file.get(), size) == 0 && ::fsync(file.get()) == 0) return {};
  auto failure = system_failure(fmt::format("cannot make '{}' of {} bytes", where, bytes));
  // What was reserved before the disk was full is given back. The store has not been told, so the old size is right.
  static_cast<void>(::ftruncate(file.get(), static_cast<off_t>(existing->bytes)));
  return failure;
}

Result<> DataDirectory::commit() {
  identity_.state = Identity::State::kReady;
  auto written = write_identity();
  if (!written) identity_.state = Identity::State::kCreating;
  return written;
}

Result<> DataDirectory::drop_coordinator() {
  ASSERT(identity_.coordinator && !creating());
  const auto before = std::exchange(identity_.coordinator, std::nullopt);
  auto written = write_identity();
  if (!written) {
    identity_.coordinator = before;
    return written;
  }
  // What cannot be removed refuses to be opened.
  std::error_code ignored;
  fs::remove(path_of(before->path), ignored);
  return {};
}

void DataDirectory::abandon() {
  ASSERT(creating());
  std::error_code ignored;
  for (const StoreIdentity& target : identity_.targets) {
    if (!target.path.starts_with('/')) fs::remove(path_of(target.path), ignored);
  }
  if (identity_.coordinator) fs::remove(path_of(identity_.coordinator->path), ignored);
  // The identity stays: targets outside may be formatted with its ids, and it makes the next try begin again.
}

}  // namespace cenote::engine
