#include "store_salvage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "cenote/base/format.h"
#include "cenote/embedded/reactor_thread.h"
#include "cenote/object/salvage.h"
#include "progress.h"
#include "settings.h"
#include "store_findings.h"

namespace cenote::cli {
namespace {

namespace stdfs = std::filesystem;

std::unexpected<Error> system_failure(const std::string& what) {
  const Code code = errno == ENOSPC ? Code::kNoSpace : errno == EACCES ? Code::kPermissionDenied : Code::kIoError;
  return fail(code, what + ": " + std::strerror(errno));
}

/// One file of the new store, under another name until it is complete. What is left of one that was not is removed.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (begun_) ::unlink(part_.c_str());
  }

  /// Makes room for the name, and for what another run may have left behind.
  Result<> prepare(bool force) {
    std::error_code ignored;
    if (!force && stdfs::exists(stdfs::symlink_status(path_, ignored)))
      return failf(Code::kExists, "'{}' exists already: choose another place, or replace it with --force", path_);
    const int left = ::open(part_.c_str(), O_RDONLY | O_CLOEXEC);
    if (left >= 0) {
      const bool free = ::flock(left, LOCK_EX | LOCK_NB) == 0;
      ::close(left);
      if (!free) return failf(Code::kLocked, "'{}' is being written by another process", part_);
      if (::unlink(part_.c_str()) != 0) return system_failure(fmt::format("cannot remove '{}'", part_));
    }
    begun_ = true;
    return {};
  }
  Result<> finish() {
    if (::rename(part_.c_str(), path_.c_str()) != 0)
      return system_failure(fmt::format("cannot rename '{}' to '{}'", part_, path_));
    begun_ = false;
    return {};
  }
  const std::string& part() const { return part_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_, part_;
  bool begun_ = false;
};

Result<> sync_folder_of(const std::string& path) {
  const std::string folder = stdfs::path(path).has_parent_path() ? stdfs::path(path).parent_path().string() : ".";
  const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return system_failure(fmt::format("cannot open '{}'", folder));
  const bool synced = ::fsync(file) == 0;
  ::close(file);
  if (!synced) return system_failure(fmt::format("cannot sync '{}'", folder));
  return {};
}

/// The files that take the roles which devices of the old store have.
struct NewFiles {
  NewFiles(const std::string& into, const InspectedPath::Member& member) : meta(into) {
    if (!member.wal.empty()) wal.emplace(into + ".wal");
    if (!member.data.empty()) data.emplace(into + ".data");
  }
  /// The one that says what the others are comes last.
  std::vector<NewFile*> all() {
    std::vector<NewFile*> files;
    if (data) files.push_back(&*data);
    if (wal) files.push_back(&*wal);
    files.push_back(&meta);
    return files;
  }
  Result<> prepare(bool force) {
    for (NewFile* file : all()) CHECK_OK(file->prepare(force));
    return {};
  }
  Result<> finish() {
    for (NewFile* file : all()) CHECK_OK(file->finish());
    return sync_folder_of(meta.path());
  }

  NewFile meta;
  std::optional<NewFile> wal, data;
};

Result<std::unique_ptr<media::UringDevice>> create(UringReactor& reactor, const NewFile& file, std::uint64_t bytes) {
  return media::UringDevice::open(reactor, file.part(), {.create_bytes = bytes});
}

/// With the sizes that the old ones have.
Result<InspectedDevices> create_devices(UringReactor& reactor, const NewFiles& files, const InspectedDevices& old,
                                        std::uint64_t data_bytes) {
  InspectedDevices made;
  const auto size_of = [](const media::BlockDevice& device) { return device.block_count() * media::kBlockBytes; };
  const auto or_as_before = [&](std::uint64_t wanted, const media::BlockDevice& device) {
    return wanted == 0 ? size_of(device) : wanted;
  };
  TRY(made.meta, create(reactor, files.meta, or_as_before(files.data ? 0 : data_bytes, *old.meta)));
  if (files.wal) {
    TRY(made.wal, create(reactor, *files.wal, size_of(*old.wal)));
  }
  if (files.data) {
    TRY(made.data, create(reactor, *files.data, or_as_before(data_bytes, *old.data)));
  }
  return made;
}

Task<Result<object::SalvageReport>> copy(UringReactor& reactor, InspectedPath::Member member, const NewFiles& files,
                                         std::uint64_t data_bytes, object::SalvageOptions options) {
  CO_TRY(auto old, co_await InspectedDevices::open(reactor, std::move(member)));
  auto made = create_devices(reactor, files, old, data_bytes);
  Result<object::SalvageReport> report;
  if (made) {
    report = co_await object::salvage(reactor, old.roles(), made->roles(), std::move(options));
    co_await made->close();
  } else {
    report = fail(std::move(made).error());
  }
  co_await old.close();
  co_return report;
}

Json container_json(const object::SalvagedContainer& container) {
  return {{"id", container.id.to_string()},
          {"entries", container.entries},
          {"objects", container.used.objects},
          {"bytes", container.used.bytes},
          {"damaged_values", container.damaged_values},
          {"lost_entries", container.lost_entries}};
}

std::string basis_text(const object::SalvageReport& report) {
  if (report.recovered) return "opened as it is, with all of its log";
  return fmt::format("does not open: its newest checkpoint, and {} batches of the log, up to position {}",
                     report.log_batches, report.log_position);
}

std::string summary_text(const object::SalvageReport& report) {
  std::string text = fmt::format("  source     {}\n  copied     {} entries in {} trees\n", basis_text(report),
                                 report.entries, report.trees);
  for (const object::SalvagedContainer& container : report.containers) {
    text += fmt::format("  container  {}: {} versions, {} in {} objects", container.id.to_string(), container.entries,
                        human_bytes(container.used.bytes), container.used.objects);
    if (container.damaged_values > 0) text += fmt::format("; {} damaged values", container.damaged_values);
    if (container.lost_entries > 0) text += fmt::format("; {} entries left out", container.lost_entries);
    text += "\n";
  }
  return text + (report.damages == 0 ? "  result     everything was copied"
                                     : fmt::format("  result     LOST: {} findings, above", report.damages));
}

}  // namespace

Result<SalvageVerdict> salvage_store(const InspectedPath::Member& member, const StoreSalvage& salvage,
                                     const Output& out) {
  out.line(fmt::format("{}  {} -> {}", member.name, member.path, salvage.into));
  for (const std::string& old : {member.path, member.wal, member.data}) {
    std::error_code none;
    if (!old.empty() && stdfs::equivalent(old, salvage.into, none))
      return failf(Code::kInvalidArgument, "'{}' is the damaged store itself: choose another place", salvage.into);
  }
  NewFiles files(salvage.into, member);
  CHECK_OK(files.prepare(salvage.force));
  Progress progress("salvaging " + member.name, 0, salvage.progress, "");
  StoreFindings findings(out, salvage.most_findings, progress);
  object::SalvageOptions options{.system = member.system, .target = member.target};
  options.cache_bytes = salvage.cache_bytes;
  options.key = member.key;
  options.found = [&findings](const object::TargetFinding& found) { findings.add(found); };
  options.progress = [&progress](std::uint64_t done, std::uint64_t total) {
    progress.expect(total);
    progress.update(done, 0);
  };
  TRY(const auto thread, ReactorThread::start());
  auto report =
      thread->run([&] { return copy(thread->reactor(), member, files, salvage.data_bytes, std::move(options)); });
  progress.finish();
  if (findings.omitted() > 0) out.line(fmt::format("  and {} more, not listed", findings.omitted()));
  if (!report) return fail(std::move(report).error());
  CHECK_OK(files.finish());
  out.line(summary_text(*report));

  SalvageVerdict verdict;
  verdict.lost = report->damages > 0;
  Json containers = Json::array();
  for (const object::SalvagedContainer& container : report->containers) containers.push_back(container_json(container));
  verdict.document = {{"name", member.name},
                      {"path", member.path},
                      {"into", salvage.into},
                      {"basis", report->recovered ? "recovered" : "checkpoint"},
                      {"trees", report->trees},
                      {"entries", report->entries},
                      {"containers", std::move(containers)},
                      {"damages", report->damages},
                      {"warnings", report->warnings},
                      {"findings_omitted", findings.omitted()}};
  if (!report->recovered)
    verdict.document["log"] = {{"batches", report->log_batches}, {"end_position", report->log_position}};
  verdict.document["findings"] = findings.take();
  return verdict;
}

}  // namespace cenote::cli
