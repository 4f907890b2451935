#include "posix_model.h"

#include <gtest/gtest.h>

namespace cenote::sim {
namespace {

using posix::FileType;

class PosixModelTest : public ::testing::Test {
 protected:
  void make(const std::string& path, FileType type, std::string target = {}) {
    const auto place = model_.check_make(path);
    ASSERT_TRUE(place) << path;
    model_.add(*place, std::make_shared<ModelNode>(ModelNode{.type = type, .target = std::move(target)}));
  }
  template <typename T>
  static Code code(const Result<T>& result) {
    return result ? Code::kOk : result.error().code();
  }

  PosixModel model_;
};

TEST_F(PosixModelTest, ResolvesLinksAndDots) {
  make("/d", FileType::kDirectory);
  make("/d/f", FileType::kFile);
  make("/l", FileType::kSymlink, "d/../d");
  make("/loop", FileType::kSymlink, "/loop");
  EXPECT_EQ(model_.existing("/l/f", true)->node, model_.existing("/d/f", true)->node);
  EXPECT_EQ(model_.existing("/d/../../d/./f", true)->node, model_.existing("/d/f", true)->node);
  EXPECT_EQ(model_.existing("/l", false)->node->type, FileType::kSymlink);
  EXPECT_EQ(code(model_.existing("/loop", true)), Code::kTooManyLinks);
  EXPECT_EQ(code(model_.existing("/d/f/x", true)), Code::kNotADirectory);
  EXPECT_EQ(code(model_.existing("/none/x", true)), Code::kNotFound);
}

TEST_F(PosixModelTest, ThePlainPathOfAPlace) {
  make("/d", FileType::kDirectory);
  make("/d/e", FileType::kDirectory);
  make("/l", FileType::kSymlink, "d/../d");
  EXPECT_EQ(model_.path_of(*model_.resolve("/l/e/.././e/new", false)), "/d/e/new");
  EXPECT_EQ(model_.path_of(*model_.resolve("/d/../l", false)), "/l");
}

TEST_F(PosixModelTest, RenameRules) {
  make("/d", FileType::kDirectory);
  make("/d/f", FileType::kFile);
  make("/e", FileType::kDirectory);
  EXPECT_EQ(code(model_.check_rename("/d", "/d/x")), Code::kInvalidArgument);
  EXPECT_EQ(code(model_.check_rename("/e", "/d")), Code::kNotEmpty);
  EXPECT_EQ(code(model_.check_rename("/d/f", "/e")), Code::kIsADirectory);
  EXPECT_EQ(code(model_.check_rename("/e", "/d/f")), Code::kNotADirectory);
  const auto move = model_.check_rename("/d", "/e");
  ASSERT_TRUE(move);
  model_.move(*move);
  EXPECT_EQ(model_.paths(), (std::vector<std::string>{"/", "/e", "/e/f"}));
}

TEST_F(PosixModelTest, RemovalRules) {
  make("/d", FileType::kDirectory);
  make("/d/f", FileType::kFile);
  EXPECT_EQ(code(model_.check_rmdir("/d")), Code::kNotEmpty);
  EXPECT_EQ(code(model_.check_unlink("/d")), Code::kIsADirectory);
  EXPECT_EQ(code(model_.check_rmdir("/d/f")), Code::kNotADirectory);
  EXPECT_EQ(code(model_.check_rmdir("/")), Code::kInvalidArgument);
}

}  // namespace
}  // namespace cenote::sim
