#include "encryption_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "temporary_directory.h"

namespace cenote::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kDigits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

class EncryptionKey : public ::testing::Test {
 protected:
  std::string write(std::string_view text, mode_t mode = 0600) {
    const std::string path = directory.path() + "/key";
    ::unlink(path.c_str());
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  static Settings settings() {
    return Settings::load("/dev/null", [](std::string_view) -> std::optional<std::string> { return std::nullopt; })
        .value();
  }
  TemporaryDirectory directory = TemporaryDirectory::create("cenote-key-test-").value();
  SecretKey expected = SecretKey::parse(as_bytes(kDigits)).value();
};

TEST_F(EncryptionKey, IsReadFromAFileOfDigitsOrBytes) {
  EXPECT_EQ(key_from_file(write(std::string(kDigits) + "\n")).value(), expected);
  EXPECT_EQ(key_from_file(write(kDigits, 0400)).value(), expected);
  EXPECT_EQ(key_from_file(write(as_text(expected.bytes()))).value(), expected);
}

TEST_F(EncryptionKey, IsNotReadFromAFileThatOthersMayReadOrWrite) {
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0644, 0777}) {
    const auto key = key_from_file(write(kDigits, mode));
    ASSERT_FALSE(key) << mode;
    EXPECT_EQ(key.error(), Code::kPermissionDenied);
    EXPECT_THAT(key.error().message(), HasSubstr("chmod 600"));
    EXPECT_THAT(key.error().message(), Not(HasSubstr("0011")));
  }
}

TEST_F(EncryptionKey, IsNotReadFromWhatIsNoKeyFile) {
  for (const std::string& text :
       {std::string(), std::string("short"), std::string(64, 'g'), std::string(1 << 20, 'a')}) {
    const auto key = key_from_file(write(text));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error(), Code::kInvalidArgument);
    EXPECT_THAT(key.error().message(), HasSubstr("64 hexadecimal digits"));
  }
  EXPECT_EQ(key_from_file(directory.path() + "/none").error(), Code::kNotFound);
  EXPECT_FALSE(key_from_file(directory.path()));
  EXPECT_FALSE(key_from_file("/dev/zero"));  // endless
  const std::string pipe = directory.path() + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(key_from_file(pipe));  // nobody writes to it
}

TEST_F(EncryptionKey, IsWhatACommandPrints) {
  const auto printed = key_from_command(std::string("echo ") + kDigits);
  ASSERT_TRUE(printed) << printed.error().message();
  EXPECT_EQ(*printed, expected);
  EXPECT_FALSE(key_from_command("true"));
  EXPECT_FALSE(key_from_command("echo short"));
  EXPECT_FALSE(key_from_command(std::string("echo ") + kDigits + "; exit 3"));
  EXPECT_FALSE(key_from_command("kill -9 $$"));
  EXPECT_EQ(key_from_command("cat /dev/zero").error(), Code::kInvalidArgument);  // endless
}

TEST_F(EncryptionKey, ACommandThatHangsIsEndedWithAllItStarted) {
  const std::string alive = directory.path() + "/alive";
  ASSERT_EQ(::mkfifo(alive.c_str(), 0600), 0);
  // A child of the shell holds the pipe open for as long as it lives.
  const auto key = key_from_command("cat < '" + alive + "' & wait", std::chrono::milliseconds(50));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error(), Code::kDeadlineExceeded);
  // One that has printed the key and does not end.
  const std::string silent = std::string("echo ") + kDigits + "; exec >&-; cat < '" + alive + "'";
  EXPECT_EQ(key_from_command(silent, std::chrono::milliseconds(50)).error(), Code::kDeadlineExceeded);
}

TEST_F(EncryptionKey, ComesFromTheSettings) {
  Settings none = settings();
  EXPECT_FALSE(encryption_key(none).value());
  Settings file = settings();
  file.set_flag(kKeyFileSetting, write(kDigits), "--encryption-key-file");
  EXPECT_EQ(*encryption_key(file).value(), expected);
  Settings command = settings();
  command.set_flag(kKeyCommandSetting, std::string("echo ") + kDigits, "--encryption-key-command");
  EXPECT_EQ(*encryption_key(command).value(), expected);
  command.set_flag(kKeyFileSetting, write(kDigits), "--encryption-key-file");
  EXPECT_EQ(encryption_key(command).error(), Code::kInvalidArgument);
  Settings open = settings();
  open.set_flag(kKeyFileSetting, write(kDigits, 0644), "--encryption-key-file");
  const auto refused = encryption_key(open);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Code::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("encryption-key-file"));
}

}  // namespace
}  // namespace cenote::cli
