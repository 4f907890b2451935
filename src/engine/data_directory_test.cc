#include "cenote/engine/data_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

namespace fs = std::filesystem;

class DataDirectoryTest : public testing::Test {
 protected:
  DataDirectoryTest() {
    std::string pattern = (fs::temp_directory_path() / "cenote-engine-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.data_directory = (root_ / "data").string();
    options_.targets = 2;
    options_.target_bytes = kMinTargetBytes;
    options_.preallocate = false;
  }
  ~DataDirectoryTest() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  Result<DataDirectory> open() {
    return DataDirectory::open(options_, 4, [this] { return ++random_; }, outside_);
  }
  // Creates the directory and commits it, so that the next open finds it ready.
  Identity create() {
    auto directory = open();
    EXPECT_TRUE(directory.has_value()) << directory.error().to_string();
    EXPECT_TRUE(directory->commit().has_value());
    return directory->identity();
  }
  Error refusal() {
    const auto directory = open();
    EXPECT_FALSE(directory.has_value());
    return directory ? Error(Code::kOk) : directory.error();
  }
  fs::path data(std::string_view name) const { return fs::path(options_.data_directory) / name; }
  static void write(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(fs::file_size(path), '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }

  fs::path root_;
  EngineOptions options_;
  std::uint64_t random_ = 0;
  SystemSource* outside_ = nullptr;
};

TEST_F(DataDirectoryTest, TheControlCopyIsReplacedAndOneThatWasPutAsideStays) {
  create();
  auto directory = open();
  ASSERT_TRUE(directory.has_value());
  const auto replace = [&](std::string_view text, bool keep_last) {
    const auto replaced = directory->replace_control_copy(as_bytes(text), keep_last);
    EXPECT_TRUE(replaced.has_value()) << replaced.error().to_string();
  };
  EXPECT_EQ(directory->read_control_copy().value(), std::nullopt);
  EXPECT_EQ(DataDirectory::read_control_copy_at(directory->path()).error().code(), Code::kNotFound);
  replace("one", true);
  EXPECT_FALSE(fs::exists(data("control-copy.newer"))) << "there was none";
  replace("two", false);
  EXPECT_EQ(directory->read_control_copy().value(), to_bytes(as_bytes("two")));
  EXPECT_FALSE(fs::exists(data("control-copy.newer")));
  replace("three", true);
  replace("four", true);
  EXPECT_EQ(read(data("control-copy.newer")), "two") << "what was lost first";
  EXPECT_FALSE(fs::exists(data("control-copy.new")));
  // By who recovers a system, while the directory is in use.
  EXPECT_EQ(DataDirectory::check_stopped(directory->path()).error().code(), Code::kLocked);
  for (const fs::path& path : {root_, data("control-copy"), root_ / "nothing"})
    EXPECT_TRUE(DataDirectory::check_stopped(path.string()).has_value()) << path;
  for (const fs::path& path : {fs::path(directory->path()), data("control-copy")})
    EXPECT_EQ(DataDirectory::read_control_copy_at(path.string()).value(), to_bytes(as_bytes("four")));
  EXPECT_EQ(DataDirectory::read_control_copy_at((root_ / "nothing").string()).error().code(), Code::kNotFound);
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(DataDirectory::read_control_copy_at((root_ / "pipe").string()).error().code(), Code::kInvalidArgument);
  // A crash in the middle leaves half a file of no meaning.
  write(data("control-copy.new"), "fi");
  EXPECT_EQ(directory->read_control_copy().value(), to_bytes(as_bytes("four")));
  replace("five", false);
  EXPECT_EQ(read(data("control-copy")), "five");
  {
    const auto closed = *std::move(directory);
  }
  EXPECT_TRUE(DataDirectory::check_stopped(options_.data_directory).has_value());
}

/// A coordinator that several engines share, as far as a directory asks it.
class SharedSystem final : public SystemSource {
 public:
  Result<std::optional<SystemIdentity>> system(std::optional<SystemIdentity> proposal) override {
    if (!system_) system_ = std::move(proposal);
    return system_;
  }
  std::string place() const override { return "http://there"; }
  void forget() { system_.reset(); }

 private:
  std::optional<SystemIdentity> system_;
};

TEST_F(DataDirectoryTest, CreatesAndOpensAgain) {
  Identity created;
  {
    auto directory = open();
    ASSERT_TRUE(directory.has_value()) << directory.error().to_string();
    EXPECT_TRUE(directory->creating());
    EXPECT_EQ(fs::file_size(directory->path_of(directory->identity().targets[1].path)), kMinTargetBytes);
    EXPECT_TRUE(fs::exists(data("coordinator")));
    ASSERT_TRUE(directory->commit().has_value());
    EXPECT_FALSE(directory->creating());
    created = directory->identity();
  }
  options_.targets = 0;
  options_.target_bytes = 0;
  const auto again = open();
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_FALSE(again->creating());
  EXPECT_EQ(again->identity(), created);
  EXPECT_EQ(*DataDirectory::read_identity(options_.data_directory), created);
}

TEST_F(DataDirectoryTest, ASecondOpenerIsRefusedAndToldWho) {
  const auto first = open();
  ASSERT_TRUE(first.has_value());
  const Error error = refusal();
  EXPECT_EQ(error, Code::kLocked);
  EXPECT_NE(error.message().find(std::to_string(::getpid())), std::string::npos) << error.message();
}

TEST_F(DataDirectoryTest, TheLockEndsWithItsProcess) {
  create();
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = open();
    ::_exit(held ? 0 : 1);  // without any cleaning up
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(open().has_value());
}

TEST_F(DataDirectoryTest, AnInterruptedCreationIsDoneAgainWithTheSameIds) {
  Identity first;
  {
    auto directory = open();
    ASSERT_TRUE(directory.has_value());
    first = directory->identity();
  }
  // Some files are missing, one has half a store in it, and the owner changed his mind about the sizes.
  fs::remove(data("targets/1"));
  write(data("targets/0"), "half");
  write(data("engine.json.new"), "{");
  options_.targets = 3;
  auto directory = open();
  ASSERT_TRUE(directory.has_value()) << directory.error().to_string();
  EXPECT_TRUE(directory->creating());
  EXPECT_EQ(directory->identity().system, first.system);
  EXPECT_EQ(directory->identity().targets[1].id, first.targets[1].id);
  EXPECT_EQ(directory->identity().targets.size(), 3U);
  EXPECT_EQ(fs::file_size(data("targets/0")), kMinTargetBytes);
  EXPECT_NE(read(data("targets/0")).substr(0, 4), "half");
}

TEST_F(DataDirectoryTest, AnInterruptedCreationBeforeTheIdentityIsDoneAgain) {
  fs::create_directories(options_.data_directory);
  write(data("lock"), "1\n");
  write(data("engine.json.new"), "{\"magic\":");
  EXPECT_TRUE(open().has_value());
}

TEST_F(DataDirectoryTest, OtherThingsInTheWayAreRefused) {
  write(options_.data_directory, "a file");
  EXPECT_EQ(refusal(), Code::kInvalidArgument);
  fs::remove(options_.data_directory);
  write(data("thesis.tex"), "precious");
  const Error error = refusal();
  EXPECT_EQ(error, Code::kInvalidArgument);
  EXPECT_NE(error.message().find("thesis.tex"), std::string::npos);
  EXPECT_EQ(read(data("thesis.tex")), "precious");
}

TEST_F(DataDirectoryTest, AMissingParentIsNamed) {
  options_.data_directory = (root_ / "no" / "data").string();
  EXPECT_EQ(refusal(), Code::kNotFound);
}

TEST_F(DataDirectoryTest, ADirectoryThatCannotBeWrittenIsRefused) {
  fs::create_directories(options_.data_directory);
  fs::permissions(options_.data_directory, fs::perms::owner_read | fs::perms::owner_exec);
  // Root may write everything, so for this test nobody must be root.
  const bool root = ::geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  if (root) fs::permissions(root_, fs::perms::others_all, fs::perm_options::add);
  if (root) ASSERT_EQ(::seteuid(kNobody), 0);
  const Error error = refusal();
  if (root) ASSERT_EQ(::seteuid(0), 0);
  EXPECT_EQ(error, Code::kPermissionDenied) << error.to_string();
}

TEST_F(DataDirectoryTest, ADamagedIdentityIsNamedAndLeftAlone) {
  create();
  std::string text = read(data("engine.json"));
  text[text.size() / 2] ^= 4;
  for (const std::string& damaged : {std::string(), text, text.substr(0, 40)}) {
    write(data("engine.json"), damaged);
    const Error error = refusal();
    EXPECT_EQ(error, Code::kCorrupt);
    EXPECT_NE(error.message().find("engine.json"), std::string::npos) << error.message();
    EXPECT_EQ(read(data("engine.json")), damaged);
  }
}

TEST_F(DataDirectoryTest, AMissingIdentityIsNoEmptyDirectory) {
  create();
  fs::remove(data("engine.json"));
  EXPECT_EQ(refusal(), Code::kCorrupt);
  EXPECT_TRUE(fs::exists(data("targets/0")));
}

TEST_F(DataDirectoryTest, ANewerFormatIsRefused) {
  create();
  write(data("engine.json"), R"({"magic":"cenote-engine","format":9,"oldest_reader":9})");
  EXPECT_EQ(refusal(), Code::kNewerFormat);
}

TEST_F(DataDirectoryTest, MissingAndCutTargetsAreNamed) {
  create();
  fs::resize_file(data("targets/1"), kMinTargetBytes / 2);
  Error error = refusal();
  EXPECT_EQ(error, Code::kCorrupt);
  EXPECT_NE(error.message().find("target 1"), std::string::npos) << error.message();
  fs::remove(data("targets/1"));
  error = refusal();
  EXPECT_EQ(error, Code::kCorrupt);
  EXPECT_NE(error.message().find("missing"), std::string::npos) << error.message();
}

TEST_F(DataDirectoryTest, AnotherNumberOfTargetsIsRefused) {
  create();
  options_.targets = 3;
  EXPECT_EQ(refusal(), Code::kInvalidArgument);
}

TEST_F(DataDirectoryTest, TargetsMayLieElsewhere) {
  options_.targets = 0;
  options_.target_paths = {(root_ / "disk0").string(), (root_ / "disk1").string()};
  write(options_.target_paths[0], "");
  fs::resize_file(options_.target_paths[0], 2 * kMinTargetBytes);
  const Identity identity = create();
  EXPECT_EQ(identity.targets[0].bytes, 2 * kMinTargetBytes) << "what is there is used as it is";
  EXPECT_EQ(identity.targets[1].bytes, kMinTargetBytes);
  EXPECT_TRUE(fs::exists(root_ / "disk1"));
  EXPECT_FALSE(fs::exists(data("targets")));
  options_.target_paths.clear();
  EXPECT_TRUE(open().has_value());
}

TEST_F(DataDirectoryTest, RolesMayHaveDevicesOfTheirOwn) {
  options_.wal_paths = {(root_ / "wal0").string(), (root_ / "wal1").string()};
  options_.data_paths = {(root_ / "data0").string(), (root_ / "data1").string()};
  write(options_.wal_paths[1], "");
  fs::resize_file(options_.wal_paths[1], 6 << 20);
  const Identity identity = create();
  EXPECT_EQ(identity.targets[0].wal->bytes, identity.targets[0].log_bytes + (1 << 20)) << "the log and a label";
  EXPECT_EQ(identity.targets[1].log_bytes, 5u << 20) << "as much as the device holds";
  EXPECT_EQ(identity.targets[0].data->bytes, kMinTargetBytes);
  EXPECT_EQ(fs::file_size(root_ / "data1"), kMinTargetBytes);
  EXPECT_TRUE(open().has_value());
  std::swap(options_.wal_paths[0], options_.wal_paths[1]);
  EXPECT_EQ(refusal(), Code::kInvalidArgument);
  options_.wal_paths.clear();
  options_.data_paths.clear();
  EXPECT_TRUE(open().has_value());
  fs::resize_file(root_ / "data1", kMinTargetBytes / 2);
  EXPECT_EQ(refusal(), Code::kCorrupt);
  fs::remove(root_ / "wal0");
  const Error missing = refusal();
  EXPECT_EQ(missing, Code::kCorrupt);
  EXPECT_NE(missing.message().find("target 0, wal device"), std::string::npos) << missing.message();
}

TEST_F(DataDirectoryTest, OwnDevicesThatCannotWorkAreRefusedBeforeAnythingIsMade) {
  options_.wal_paths = {(root_ / "wal0").string(), (root_ / "wal1").string()};
  options_.log_bytes = 8 << 20;
  write(options_.wal_paths[0], "");
  fs::resize_file(options_.wal_paths[0], 8 << 20);
  EXPECT_EQ(refusal(), Code::kOutOfRange) << "the label needs room, too";
  write(options_.wal_paths[0], "precious");
  EXPECT_EQ(refusal(), Code::kExists);
  EXPECT_FALSE(fs::exists(data("engine.json")));
  EXPECT_FALSE(fs::exists(root_ / "wal1"));
}

TEST_F(DataDirectoryTest, OtherDataIsNotOverwritten) {
  options_.targets = 0;
  options_.target_paths = {(root_ / "disk").string()};
  write(options_.target_paths[0], std::string(4096, '\0') + "precious");
  fs::resize_file(options_.target_paths[0], kMinTargetBytes);
  EXPECT_EQ(refusal(), Code::kExists);
  EXPECT_FALSE(fs::exists(data("engine.json"))) << "nothing was begun";
  EXPECT_EQ(read(options_.target_paths[0]).substr(4096, 8), "precious");
  options_.overwrite_devices = true;
  EXPECT_TRUE(open().has_value());
  options_.target_paths = {"/dev/null"};
  EXPECT_EQ(refusal(), Code::kInvalidArgument);
}

TEST_F(DataDirectoryTest, SizesThatDoNotFitAreRefusedBeforeAnythingIsMade) {
  options_.preallocate = true;
  options_.target_bytes = kMaxTargetBytes;
  const Error error = refusal();
  EXPECT_EQ(error, Code::kDeviceFull);
  EXPECT_FALSE(fs::exists(data("targets")));
}

TEST_F(DataDirectoryTest, EnginesOfAnOutsideCoordinatorAreOfOneSystem) {
  SharedSystem shared;
  outside_ = &shared;
  options_.system_name = "first";
  const Identity first = create();
  EXPECT_FALSE(first.coordinator.has_value());
  EXPECT_FALSE(fs::exists(data("coordinator")));
  EXPECT_EQ(open()->identity(), first);
  options_.data_directory = (root_ / "second").string();
  options_.system_name = "another";
  const Identity second = create();
  EXPECT_EQ(second.system, first.system);
  EXPECT_EQ(second.name, "first");
  EXPECT_NE(second.engine, first.engine);
  EXPECT_EQ(open()->identity(), second);
}

TEST_F(DataDirectoryTest, ADirectoryOfAnotherSystemIsRefused) {
  SharedSystem shared, others;
  ASSERT_TRUE(others.system(SystemIdentity{Uuid::from_random(100, 200), "others"}).has_value());
  outside_ = &shared;
  create();
  const auto says = [this](std::string_view what) {
    const Error error = refusal();
    EXPECT_EQ(error, Code::kForeign);
    EXPECT_NE(error.message().find(what), std::string::npos) << error.message();
  };
  outside_ = &others;
  says("has system 'others'");
  outside_ = nullptr;
  says("has an outside coordinator");
  outside_ = &shared;
  shared.forget();
  says("has no system");
  options_.data_directory = (root_ / "own").string();
  outside_ = nullptr;
  create();
  outside_ = &others;
  says("has a coordinator of its own");
}

TEST_F(DataDirectoryTest, AnInterruptedCreationGoesOnInItsSystemOnly) {
  SharedSystem shared, others;
  ASSERT_TRUE(others.system(SystemIdentity{Uuid::from_random(100, 200), "others"}).has_value());
  outside_ = &shared;
  const Identity begun = open()->identity();
  EXPECT_EQ(open()->identity(), begun);
  outside_ = &others;
  EXPECT_EQ(refusal(), Code::kForeign);
}

TEST_F(DataDirectoryTest, AbandoningGivesTheSpaceBack) {
  auto directory = open();
  ASSERT_TRUE(directory.has_value());
  directory->abandon();
  EXPECT_FALSE(fs::exists(data("targets/0")));
  EXPECT_FALSE(fs::exists(data("coordinator")));
}

}  // namespace
}  // namespace cenote::engine
