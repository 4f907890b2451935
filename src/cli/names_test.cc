#include "names.h"

#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

TEST(ParseContainer, TakesPoolAndContainerApart) {
  const auto name = parse_container("scratch/home");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->pool, "scratch");
  EXPECT_EQ(name->container, "home");
}

TEST(ParseContainer, RefusesEverythingElseAndShowsTheForm) {
  for (const char* text : {"", "/", "scratch", "scratch/", "/home", "a/b/c", "//"}) {
    const auto name = parse_container(text);
    ASSERT_FALSE(name) << text;
    EXPECT_EQ(name.error().code(), Code::kInvalidArgument);
    EXPECT_NE(name.error().message().find("POOL/CONTAINER"), std::string::npos) << text;
  }
}

TEST(ParseRemote, TakesContainerAndPathApart) {
  const auto remote = parse_remote("scratch/home:/a/b");
  ASSERT_TRUE(remote);
  EXPECT_EQ(remote->container, "scratch/home");
  EXPECT_EQ(remote->path, "/a/b");
  EXPECT_EQ(parse_remote("scratch/home:/")->path, "/");
}

TEST(ParseRemote, KeepsColonsOfLabelsAndPaths) {
  const auto remote = parse_remote("scratch/a:b:/c:/d");
  ASSERT_TRUE(remote);
  EXPECT_EQ(remote->container, "scratch/a:b");
  EXPECT_EQ(remote->path, "/c:/d");
}

TEST(ParseRemote, SeesLocalPathsAsLocal) {
  for (const char* text :
       {"", "file", "/a/b:/c", "./a/b:/c", "../a/b:/c", "dir/file", "dir/file:x", "a/b/c:/d", "c:/d", "a/:/d"}) {
    EXPECT_FALSE(parse_remote(text)) << text;
  }
}

}  // namespace
}  // namespace cenote::cli
