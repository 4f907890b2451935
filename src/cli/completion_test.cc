#include "completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "man_page.h"

namespace cenote::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A command line with one of each: what is printed for it is checked word by word.
class ATree : public testing::Test {
 protected:
  ATree() : app_("a program of no use", "cenote") {
    app_.add_flag("--quiet,-q", quiet_, "say less");
    app_.add_option("--server", server_, "who to ask");
    CLI::App* fruit = app_.add_subcommand("fruit", "Things that grow");
    CLI::App* pick = fruit->add_subcommand("pick", "Take one that's ripe");
    pick->add_option("TREE", tree_, "where it grows")->required();
    pick->add_option("--colour", colour_, "of the skin")->check(CLI::IsMember({"red", "green"}));
    pick->footer("Examples:\n  cenote fruit pick elm");
    app_.add_subcommand("secret", "for nobody's eyes")->group("");
    doc_ = describe(app_);
  }

  CLI::App app_;
  bool quiet_ = false;
  std::string server_, tree_, colour_;
  CommandDoc doc_;
};

TEST_F(ATree, IsDescribedWithItsOptionsArgumentsAndChoices) {
  std::vector<std::string> paths;
  for (const CommandDoc* command : flatten(doc_)) paths.push_back(command->path);
  EXPECT_THAT(paths, ElementsAre("", "fruit", "fruit pick"));
  const CommandDoc& pick = doc_.commands[0].commands[0];
  EXPECT_EQ(pick.name(), "pick");
  ASSERT_EQ(pick.arguments.size(), 1u);
  EXPECT_EQ(pick.arguments[0].name, "TREE");
  EXPECT_TRUE(pick.arguments[0].required);
  const auto colour = std::ranges::find(pick.options, std::vector<std::string>{"--colour"}, &OptionDoc::names);
  ASSERT_NE(colour, pick.options.end());
  EXPECT_THAT(colour->choices, ElementsAre("red", "green"));
  const auto quiet = std::ranges::find(doc_.options, std::vector<std::string>{"--quiet", "-q"}, &OptionDoc::names);
  ASSERT_NE(quiet, doc_.options.end());
  EXPECT_THAT(quiet->value, IsEmpty());
}

TEST_F(ATree, GivesABashScript) {
  const std::string script = bash_completion(doc_);
  EXPECT_THAT(script, HasSubstr("'|fruit') command="));
  EXPECT_THAT(script, HasSubstr("'fruit|pick') command="));
  EXPECT_THAT(script, HasSubstr("*'|--server') ((++index)) ;;"));
  EXPECT_THAT(script,
              HasSubstr("'fruit pick|--colour') COMPREPLY=($(compgen -W 'red green' -- \"$current\")); return ;;"));
  EXPECT_THAT(script, HasSubstr("'fruit') commands='pick' options='--help -h --quiet -q --server' ;;"));
  EXPECT_THAT(script, Not(HasSubstr("secret")));
  EXPECT_THAT(script, Not(HasSubstr("--quiet') ((++index))")));
}

TEST_F(ATree, GivesAZshScriptWithDescriptions) {
  const std::string script = zsh_completion(doc_);
  EXPECT_THAT(script, HasSubstr("'pick:Take one that'\\''s ripe'"));
  EXPECT_THAT(script, HasSubstr("'fruit pick|--colour') compadd -- red green; return ;;"));
  EXPECT_THAT(script, HasSubstr("*'|--server') _files; return ;;"));
}

TEST_F(ATree, GivesAFishScriptWithDescriptions) {
  const std::string script = fish_completion(doc_);
  EXPECT_THAT(script,
              HasSubstr("complete -c cenote -n \"__cenote_at 'fruit'\" -f -a 'pick' -d 'Take one that'\\''s ripe'\n"));
  EXPECT_THAT(script, HasSubstr(" -l colour -x -a 'red green' -d 'of the skin'\n"));
  EXPECT_THAT(script, HasSubstr("case '*|--server'\n"));
}

TEST_F(ATree, GivesAManualPage) {
  const std::string page = man_page(doc_, "1.2.3");
  EXPECT_THAT(page, HasSubstr(".TH CENOTE 1 \"\" \"cenote 1.2.3\""));
  EXPECT_THAT(page, HasSubstr(".SS cenote fruit pick TREE [OPTION...]\nTake one that's ripe.\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-colour\\fR \\fIred|green\\fR\nof the skin\n"));
  EXPECT_THAT(page, HasSubstr("CENOTE_SERVER"));
  EXPECT_THAT(page, Not(HasSubstr("secret")));
}

TEST(ManPage, TakesNothingForARequestOrAnEscape) {
  CommandDoc root;
  root.commands.push_back(
      {.path = "x", .summary = ".rm -rf \\\n'quoted", .footer = {}, .options = {}, .arguments = {}, .commands = {}});
  EXPECT_THAT(man_page(root, "1"), HasSubstr("\\&.rm \\-rf \\e\n\\&'quoted.\n"));
}

}  // namespace
}  // namespace cenote::cli
