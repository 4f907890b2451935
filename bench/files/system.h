#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "process/engine_process.h"

namespace cenote::bench {

/// Where the programs are that comparisons of files run.
struct FilePrograms {
  std::string cenote;
  std::string nullfs, fs_load;
};

/// An engine with one target, so with one core for its data, and a container of files. Ends with this, and the mount.
class FileSystemUnderTest {
 public:
  static Result<std::shared_ptr<FileSystemUnderTest>> start(const FilePrograms& programs,
                                                            const std::filesystem::path& folder);
  ~FileSystemUnderTest();
  FileSystemUnderTest(const FileSystemUnderTest&) = delete;
  FileSystemUnderTest& operator=(const FileSystemUnderTest&) = delete;

  /// Runs `cenote bench fs` with one client: results by phase.
  Result<nlohmann::json> load(std::vector<std::string> options);
  /// Mounts the container, and the null file system. kUnsupported says what this machine lacks.
  Result<> mount();
  /// Runs `fs_load` in one of the two: operations per second by workload.
  Result<nlohmann::json> load_mount(bool null, unsigned threads, Duration each);

 private:
  FileSystemUnderTest(FilePrograms programs, std::filesystem::path folder)
      : programs_(std::move(programs)), folder_(std::move(folder)) {}
  Result<> run(std::vector<std::string> words);

  FilePrograms programs_;
  std::filesystem::path folder_;
  std::unique_ptr<EngineProcess> engine_;
  std::unique_ptr<ChildProcess> null_;
  bool mounted_ = false;
};

}  // namespace cenote::bench
