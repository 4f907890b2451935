#include "store_inspection.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cenote/base/bytes.h"
#include "cenote/base/format.h"
#include "cenote/embedded/reactor_thread.h"
#include "cenote/engine/data_directory.h"
#include "cenote/media/uring_device.h"
#include "settings.h"

namespace cenote::cli {
namespace {

namespace stdfs = std::filesystem;

constexpr int kLockTries = 20;
/// Of a store in a directory that is locked here, so that no server can have it open.
constexpr int kMemberTries = 100;
constexpr std::chrono::milliseconds kLockPause(50);

/// The kernel lets go of the stores of a server that was killed some time after it let go of the directory.
Task<Result<std::unique_ptr<media::UringDevice>>> open_when_free(UringReactor& reactor, std::string path, int tries) {
  for (;;) {
    auto device = media::UringDevice::open(reactor, path);
    if (device || !(device.error() == Code::kLocked) || --tries == 0) co_return device;
    co_await reactor.sleep_for(kLockPause);
  }
}

Task<Result<>> look_inside(Reactor& reactor, store::Devices devices, StoreInspection& inspection,
                           const InspectedPath::Member& member, std::uint64_t cache_bytes) {
  store::OpenOptions options;
  options.system = member.system;
  options.target = member.target;
  options.cache_bytes = cache_bytes;
  options.read_only = true;
  options.key = member.key;
  CO_TRY(const auto opened, co_await store::Store::open(reactor, devices, options));
  inspection.status = opened->status();
  inspection.trees = store::list_trees(*opened);
  auto checked = co_await store::check_store(*opened, std::nullopt);
  CO_CHECK_OK(co_await opened->close());
  CO_TRY(inspection.check, std::move(checked));
  co_return Result<>();
}

Task<Result<StoreInspection>> inspect(UringReactor& reactor, InspectedPath::Member member, std::uint64_t cache_bytes) {
  StoreInspection inspection;
  inspection.name = member.name;
  inspection.path = member.path;
  inspection.wal = member.wal;
  inspection.data = member.data;
  CO_TRY(auto devices, co_await InspectedDevices::open(reactor, member));
  for (const auto* device : {&devices.meta, &devices.wal, &devices.data}) {
    if (*device != nullptr) inspection.bytes += (*device)->block_count() * media::kBlockBytes;
  }
  inspection.superblocks = co_await store::read_superblocks(*devices.meta);
  auto looked = co_await look_inside(reactor, devices.roles(), inspection, member, cache_bytes);
  if (!looked) inspection.flaw = std::move(looked).error();
  co_await devices.close();
  co_return inspection;
}

const char* place_name(std::size_t place) { return place == 0 ? "A" : "B"; }

std::string superblock_text(const StoreInspection& inspection, std::size_t place) {
  const store::SuperblockReport& report = inspection.superblocks[place];
  if (report.flaw) return fmt::format("  superblock {}  {}\n", place_name(place), report.flaw->to_string());
  const store::SuperblockReport& other = inspection.superblocks[1 - place];
  const bool newest = other.flaw || other.sequence < report.sequence;
  return fmt::format("  superblock {}  whole, sequence {}, checkpoint at {}{}\n", place_name(place), report.sequence,
                     report.checkpoint.value(), newest ? " (the newest)" : "");
}

const store::SuperblockReport* newest_superblock(const StoreInspection& inspection) {
  const store::SuperblockReport* newest = nullptr;
  for (const store::SuperblockReport& report : inspection.superblocks) {
    if (!report.flaw && (newest == nullptr || newest->sequence < report.sequence)) newest = &report;
  }
  return newest;
}

std::string tree_names(const StoreInspection& inspection) {
  std::string names;
  for (const store::TreeReport& tree : inspection.trees) {
    names += (names.empty() ? "" : ", ") + printable(as_bytes(tree.name), store::kMaxTreeNameBytes);
  }
  return names;
}

}  // namespace

Result<InspectedPath> InspectedPath::open(const std::string& path, const std::optional<SecretKey>& key,
                                          Purpose purpose) {
  InspectedPath inspected;
  std::error_code ignored;
  if (!stdfs::exists(path, ignored)) return failf(Code::kNotFound, "'{}' does not exist", path);
  if (!stdfs::is_directory(path, ignored)) {
    inspected.members_.push_back({.name = path, .path = path, .system = {}, .target = {}, .key = key});
    return inspected;
  }
  CHECK_OK(inspected.lock(path, purpose));
  TRY(const engine::Identity identity, engine::DataDirectory::read_identity(path));
  const auto full = [&](const std::string& part) { return (stdfs::path(path) / part).string(); };
  const auto add = [&](std::string name, const engine::StoreIdentity& store) {
    inspected.members_.push_back({std::move(name), full(store.path), identity.system, store.id,
                                  store.wal ? full(store.wal->path) : "", store.data ? full(store.data->path) : "",
                                  key});
  };
  if (identity.coordinator) add("coordinator", *identity.coordinator);
  for (std::size_t index = 0; index < identity.targets.size(); ++index) {
    add(fmt::format("target {}", index), identity.targets[index]);
  }
  return inspected;
}

Result<> InspectedPath::lock(const std::string& directory, Purpose purpose) {
  lock_ = ::open((directory + "/lock").c_str(), O_RDONLY | O_CLOEXEC);
  // A directory that no engine ever locked is none of an engine; the identity will say so.
  if (lock_ < 0) return {};
  // A server that was killed lets go only when the kernel has ended what was under way.
  for (int i = 0; i < kLockTries; ++i) {
    if (::flock(lock_, (purpose == Purpose::kLook ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return {};
    std::this_thread::sleep_for(kLockPause);
  }
  std::string owner;
  std::getline(std::ifstream(directory + "/lock"), owner);
  return failf(Code::kLocked,
               "data directory '{}' is in use by process {}: stop it first, this works on stores that nobody has open",
               directory, owner.empty() ? "(unknown)" : owner);
}

InspectedPath::InspectedPath(InspectedPath&& other) noexcept
    : members_(std::move(other.members_)), lock_(std::exchange(other.lock_, -1)) {}

InspectedPath::~InspectedPath() {
  if (lock_ >= 0) ::close(lock_);
}

Task<Result<InspectedDevices>> InspectedDevices::open(UringReactor& reactor, InspectedPath::Member member) {
  InspectedDevices devices;
  const int tries = member.system.is_null() ? kLockTries : kMemberTries;
  CO_TRY(devices.meta, co_await open_when_free(reactor, member.path, tries));
  if (!member.wal.empty()) {
    CO_TRY(devices.wal, co_await open_when_free(reactor, member.wal, tries));
  }
  if (!member.data.empty()) {
    CO_TRY(devices.data, co_await open_when_free(reactor, member.data, tries));
  }
  co_return devices;
}

store::Devices InspectedDevices::roles() const {
  return {.wal = wal ? wal.get() : meta.get(), .meta = meta.get(), .data = data ? data.get() : meta.get()};
}

Task<> InspectedDevices::close() {
  for (auto* device : {&data, &wal, &meta}) {
    if (*device != nullptr) co_await (*device)->close();
  }
}

Result<StoreInspection> inspect_store(const InspectedPath::Member& member, std::uint64_t cache_bytes) {
  TRY(const auto thread, ReactorThread::start());
  return thread->run([&] { return inspect(thread->reactor(), member, cache_bytes); });
}

std::string to_text(const StoreInspection& inspection) {
  std::string text = fmt::format("{}  {}  {}\n", inspection.name, inspection.path, human_bytes(inspection.bytes));
  if (!inspection.wal.empty()) text += fmt::format("  wal device    {}\n", inspection.wal);
  if (!inspection.data.empty()) text += fmt::format("  data device   {}\n", inspection.data);
  for (std::size_t place = 0; place < inspection.superblocks.size(); ++place)
    text += superblock_text(inspection, place);
  if (const auto* newest = newest_superblock(inspection)) {
    text +=
        fmt::format("  system        {}\n  target        {}\n", newest->system.to_string(), newest->target.to_string());
    if (newest->key) {
      text += fmt::format("  encrypted     under the key with fingerprint {}{}\n", to_hex(*newest->key),
                          newest->mixed ? ", but for what was written before that" : "");
    }
    text += fmt::format("  log           {} at block {}, replayed from position {}", human_bytes(newest->log_bytes),
                        newest->log_first_block, newest->replay_position);
  }
  if (inspection.status) {
    const store::StoreStatus& status = *inspection.status;
    text += fmt::format(": {} records in {:.1f} ms\n", status.replayed_records,
                        std::chrono::duration<double, std::milli>(status.replay_time).count());
    text += fmt::format("  trees         {}: {}\n", inspection.trees.size(), tree_names(inspection));
    text += fmt::format("  space         {} of {} free, {} for metadata\n",
                        human_bytes(status.data_blocks_free * media::kBlockBytes),
                        human_bytes(status.data_blocks_total * media::kBlockBytes),
                        human_bytes(status.meta_blocks_used * media::kBlockBytes));
  } else if (!text.ends_with('\n')) {
    text += '\n';
  }
  if (inspection.flaw) return text + fmt::format("  check         FAILED: {}", inspection.flaw->to_string());
  return text + fmt::format("  check         ok: {} trees, {} pages, {} page images read and verified",
                            inspection.check->trees, inspection.check->pages, inspection.check->images);
}

namespace {

Json superblock_json(const store::SuperblockReport& report) {
  if (report.flaw) return {{"flaw", report.flaw->message()}, {"code", std::string(code_name(report.flaw->code()))}};
  const Json key = report.key ? Json(to_hex(*report.key)) : Json();
  return {{"sequence", report.sequence},
          {"encrypted", report.key.has_value()},
          {"key_fingerprint", key},
          {"mixed", report.mixed},
          {"checkpoint", report.checkpoint.value()},
          {"system", report.system.to_string()},
          {"target", report.target.to_string()},
          {"log_bytes", report.log_bytes},
          {"log_first_block", report.log_first_block},
          {"replay_position", report.replay_position}};
}

}  // namespace

Json to_json(const StoreInspection& inspection) {
  Json json = {
      {"name", inspection.name},
      {"path", inspection.path},
      {"bytes", inspection.bytes},
      {"superblocks", {superblock_json(inspection.superblocks[0]), superblock_json(inspection.superblocks[1])}},
      {"whole", !inspection.flaw}};
  if (!inspection.wal.empty()) json["wal_path"] = inspection.wal;
  if (!inspection.data.empty()) json["data_path"] = inspection.data;
  if (inspection.flaw) {
    json["flaw"] = {{"code", std::string(code_name(inspection.flaw->code()))}, {"message", inspection.flaw->message()}};
  }
  if (inspection.status) {
    const store::StoreStatus& status = *inspection.status;
    json["replayed_records"] = status.replayed_records;
    json["space"] = {{"total_blocks", status.data_blocks_total},
                     {"free_blocks", status.data_blocks_free},
                     {"metadata_blocks", status.meta_blocks_used}};
    json["trees"] = Json::array();
    for (const store::TreeReport& tree : inspection.trees) {
      json["trees"].push_back(
          {{"id", tree.id.value()}, {"name", printable(as_bytes(tree.name), store::kMaxTreeNameBytes)}});
    }
  }
  if (inspection.check) json["check"] = {{"pages", inspection.check->pages}, {"images", inspection.check->images}};
  return json;
}

}  // namespace cenote::cli
