#include "path.h"

#include <gtest/gtest.h>

#include "cenote/posix/file_system.h"

namespace cenote::posix {
namespace {

using Components = std::vector<std::string>;

Code code_of(std::string_view path) {
  const auto split = split_path(path);
  return split ? Code::kOk : split.error().code();
}

TEST(SplitPath, DropsWhatMeansNothing) {
  EXPECT_EQ(split_path("/").value(), Components());
  EXPECT_EQ(split_path("///").value(), Components());
  EXPECT_EQ(split_path("/a/b").value(), (Components{"a", "b"}));
  EXPECT_EQ(split_path("//a/./b//.///").value(), (Components{"a", "b"}));
  EXPECT_EQ(split_path("/a/../b/..").value(), (Components{"a", "..", "b", ".."}));
  EXPECT_EQ(split_path("/...").value(), (Components{"..."}));
}

TEST(SplitPath, RefusesWhatIsNoPath) {
  EXPECT_EQ(code_of(""), Code::kInvalidArgument);
  EXPECT_EQ(code_of("a/b"), Code::kInvalidArgument);
  EXPECT_EQ(code_of(std::string_view("/a\0b", 4)), Code::kInvalidArgument);
}

TEST(SplitPath, KeepsToTheLimits) {
  EXPECT_EQ(code_of("/" + std::string(kMaxNameBytes, 'n')), Code::kOk);
  EXPECT_EQ(code_of("/" + std::string(kMaxNameBytes + 1, 'n')), Code::kNameTooLong);
  std::string path;
  while (path.size() + 2 <= kMaxPathBytes) path += "/n";
  EXPECT_EQ(code_of(path), Code::kOk);
  EXPECT_EQ(code_of(path + "/"), Code::kNameTooLong);
}

TEST(ValidateName, OneComponentOnly) {
  EXPECT_TRUE(validate_name("a"));
  EXPECT_TRUE(validate_name("..a"));
  EXPECT_TRUE(validate_name(std::string(kMaxNameBytes, 'n')));
  for (const std::string& bad : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                 std::string("a\0b", 3), std::string(kMaxNameBytes + 1, 'n')}) {
    EXPECT_FALSE(validate_name(bad));
  }
}

TEST(ValidateNamesEntry, NeitherDotNorDotDotAtTheEnd) {
  EXPECT_TRUE(validate_names_entry("/a"));
  EXPECT_TRUE(validate_names_entry("/a/../b/"));
  EXPECT_TRUE(validate_names_entry("/"));
  EXPECT_TRUE(validate_names_entry("/a..."));
  for (const std::string_view bad : {"/.", "/..", "/a/.", "/a/..", "/a/..//"})
    EXPECT_FALSE(validate_names_entry(bad)) << bad;
}

}  // namespace
}  // namespace cenote::posix
