#include "cenote/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "cenote/base/exit_code.h"
#include "cenote/base/format.h"

namespace cenote {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(std::string(CENOTE_SOURCE_DIR) + "/" + path);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// "kPoolNotFound" -> "pool_not_found".
std::string snake_case(const std::string& constant) {
  std::string name;
  for (char c : constant.substr(1)) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !name.empty()) name += '_';
    name += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return name;
}

// number -> name of every enumerator `kName = N,` of a header, as the source text has it.
std::map<int, std::string> enumerators(const std::string& header) {
  static const std::regex enumerator(R"(\n  (k[A-Z]\w*) = (\d+),)");
  const std::string text = read_file(header);
  std::map<int, std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), enumerator), end; at != end; ++at) {
    EXPECT_TRUE(found.emplace(std::stoi((*at)[2]), snake_case((*at)[1])).second) << "number twice: " << (*at)[0];
  }
  return found;
}

struct Row {
  std::string name;
  std::string second;  // exit code in the tables of codes, meaning in the table of exit codes
  std::string last;
};

// Rows `| number | name | second | ... | last |` below the headings between `from` and `to`.
std::map<int, Row> documented(const std::string& from, const std::string& to) {
  static const std::regex row(R"(\n\| (\d+) \| (\w+) \| ([^|]*) \|(?:[^|\n]*\|)*?([^|\n]*)\|(?=\n|$))");
  const std::string page = read_file("docs/operations/errors.md");
  const std::size_t begin = page.find(from);
  const std::size_t end = to.empty() ? page.size() : page.find(to);
  EXPECT_LT(begin, end);
  const std::string part = page.substr(begin, end - begin);
  std::map<int, Row> found;
  for (std::sregex_iterator at(part.begin(), part.end(), row), last; at != last; ++at) {
    const Row entry{(*at)[2], (*at)[3], (*at)[4]};
    EXPECT_TRUE(found.emplace(std::stoi((*at)[1]), entry).second) << "documented twice: " << (*at)[1];
  }
  return found;
}

TEST(Error, EveryCodeHasItsNameAndComesBackFromTheWire) {
  const auto codes = enumerators("src/base/include/cenote/base/error.h");
  ASSERT_GT(codes.size(), 40u);
  std::set<std::string_view> names;
  for (const auto& [number, name] : codes) {
    const Code code = code_from_wire(static_cast<std::uint16_t>(number));
    EXPECT_EQ(static_cast<int>(code), number) << name;
    EXPECT_EQ(code_name(code), name);
    EXPECT_TRUE(names.insert(code_name(code)).second) << name;
  }
  for (std::uint32_t number = 0; number <= UINT16_MAX; ++number) {
    if (codes.contains(static_cast<int>(number))) continue;
    ASSERT_EQ(code_from_wire(static_cast<std::uint16_t>(number)), Code::kInternal) << number;
  }
}

TEST(Error, EveryCodeIsDocumentedWithItsExitCode) {
  const auto codes = enumerators("src/base/include/cenote/base/error.h");
  const auto rows = documented("## Base", "");
  for (const auto& [number, name] : codes) {
    ASSERT_TRUE(rows.contains(number)) << "docs/operations/errors.md lacks " << number << " " << name;
    const Row& row = rows.at(number);
    EXPECT_EQ(row.name, name);
    EXPECT_EQ(row.second, std::to_string(static_cast<int>(exit_code(static_cast<Code>(number))))) << name;
    EXPECT_TRUE(number == 0 || row.last.size() > 5) << name << ": what can the user do?";
  }
  EXPECT_EQ(rows.size(), codes.size()) << "the page lists a code that error.h does not have";
}

TEST(Error, EveryExitCodeIsDocumented) {
  const auto codes = enumerators("src/base/include/cenote/base/exit_code.h");
  const auto rows = documented("## Exit codes", "## Base");
  ASSERT_EQ(rows.size(), codes.size());
  for (const auto& [number, name] : codes) {
    ASSERT_TRUE(rows.contains(number)) << name;
    EXPECT_EQ(rows.at(number).name, name);
  }
}

TEST(Error, TextAndContext) {
  EXPECT_EQ(Error(Code::kBusy).to_string(), "busy");
  const Error error(Code::kNotFound, "no pool 'a'");
  EXPECT_EQ(error.to_string(), "not_found: no pool 'a'");
  EXPECT_EQ(error.with_context("mount").to_string(), "not_found: mount: no pool 'a'");
  EXPECT_EQ(Error(Code::kBusy).with_context("mount").to_string(), "busy: mount");
  EXPECT_EQ(error, Code::kNotFound);
}

Result<int> half(int number) {
  if (number % 2 != 0) return failf(Code::kInvalidArgument, "{} is odd", number);
  return number / 2;
}
Result<int> quarter(int number) {
  TRY(const int once, half(number));
  CHECK_OK(half(once));
  return half(once);
}

TEST(Error, MacrosPropagate) {
  EXPECT_EQ(quarter(8), 2);
  EXPECT_EQ(quarter(6).error().to_string(), "invalid_argument: 3 is odd");
  EXPECT_EQ(quarter(5).error().to_string(), "invalid_argument: 5 is odd");
}

Result<std::unique_ptr<int>> boxed(bool works) {
  if (!works) return fail(Code::kNotFound);
  return std::make_unique<int>(7);
}
Result<int> unboxed(bool works) {
  TRY(const std::unique_ptr<int> box, boxed(works));
  return *box;
}

TEST(Error, MacrosMoveTheValue) {
  EXPECT_EQ(unboxed(true), 7);
  EXPECT_EQ(unboxed(false).error(), Code::kNotFound);
}

}  // namespace
}  // namespace cenote
