#include "files/system.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <thread>

#include "cenote/base/format.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

constexpr const char* kContainer = "bench/files";
constexpr auto kPatience = std::chrono::seconds(20);

/// Something is mounted on the folder: it is on another device than the one above.
bool is_mounted(const std::filesystem::path& folder) {
  struct stat inner{}, outer{};
  return ::stat(folder.c_str(), &inner) == 0 && ::stat(folder.parent_path().c_str(), &outer) == 0 &&
         inner.st_dev != outer.st_dev;
}

Result<> check_machine() {
  if (::access("/dev/fuse", R_OK | W_OK) != 0)
    return failf(Code::kUnsupported, "/dev/fuse cannot be opened ({}): nothing can be mounted here",
                 std::strerror(errno));
  if (::geteuid() != 0) return fail(Code::kUnsupported, "only root mounts here");
  return {};
}

}  // namespace

Result<> FileSystemUnderTest::run(std::vector<std::string> words) {
  std::vector<std::string> arguments{programs_.cenote, "--server", engine_->address()};
  std::ranges::move(words, std::back_inserter(arguments));
  CHECK_OK(run_command(arguments));
  return {};
}

Result<std::shared_ptr<FileSystemUnderTest>> FileSystemUnderTest::start(const FilePrograms& programs,
                                                                        const std::filesystem::path& folder) {
  std::shared_ptr<FileSystemUnderTest> system(new FileSystemUnderTest(programs, folder));
  TRY(system->engine_, EngineProcess::start(programs.cenote, {"server", "--data", folder / "engine", "--control",
                                                              "none", "--targets", "1", "--target-size", "12GiB"}));
  CHECK_OK(system->run({"pool", "create", "bench", "--size", "10GiB"}));
  CHECK_OK(system->run({"container", "create", kContainer, "--type", "posix"}));
  return system;
}

FileSystemUnderTest::~FileSystemUnderTest() {
  if (!mounted_) return;
  static_cast<void>(run({"fs", "unmount", folder_ / "mount", "--force"}));
  // Whoever serves it ends when it is gone.
  ::umount2((folder_ / "mount").c_str(), MNT_DETACH);
  ::umount2((folder_ / "null").c_str(), MNT_DETACH);
}

Result<nlohmann::json> FileSystemUnderTest::load(std::vector<std::string> options) {
  std::vector<std::string> arguments{programs_.cenote, "--json", "--server", engine_->address(),
                                     "bench",          "fs",     kContainer};
  std::ranges::move(options, std::back_inserter(arguments));
  TRY(const nlohmann::json document, ask_command(arguments));
  nlohmann::json by_phase;
  for (const nlohmann::json& row : document.at("results")) by_phase[row.at("phase").get<std::string>()] = row;
  return by_phase;
}

Result<> FileSystemUnderTest::mount() {
  CHECK_OK(check_machine());
  const auto mount = folder_ / "mount", null = folder_ / "null";
  std::filesystem::create_directories(mount);
  std::filesystem::create_directories(null);
  mounted_ = true;
  TRY(null_, ChildProcess::start({programs_.nullfs, null}));
  CHECK_OK(run({"fs", "mount", kContainer, mount}));
  for (const Instant end = now() + kPatience; !is_mounted(null) || !is_mounted(mount);) {
    if (now() >= end) return fail(Code::kDeadlineExceeded, "the mounts do not come");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

Result<nlohmann::json> FileSystemUnderTest::load_mount(bool null, unsigned threads, Duration each) {
  const double seconds = std::chrono::duration<double>(each).count();
  return ask_command({programs_.fs_load, "--json", folder_ / (null ? "null" : "mount"), std::to_string(threads),
                      fmt::format("{}", seconds)});
}

}  // namespace cenote::bench
