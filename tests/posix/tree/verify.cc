// What a crash left of a tree, against the journal of what was done to it.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "kit/files.h"
#include "tree/journal.h"
#include "tree/place.h"
#include "tree/run.h"

namespace cenote::posix_tests {

namespace {

/// Does again, on the reference, what was acknowledged.
void repeat(const Journal& journal, Place& reference) {
  for (const Journal::Done& done : journal.done) {
    const int error = reference.perform(done.step);
    // The same on every file system, or the run itself would have failed.
    const bool either = (error == EEXIST || error == ENOTEMPTY) && (done.error == EEXIST || done.error == ENOTEMPTY);
    if (error == done.error || either) continue;
    fail(fmt::format("repeating step {} gives {}, the journal says {}", done.step.to_line(), error_name(error),
                     error_name(done.error)));
  }
}

/// Whether each byte is the old or the new one, and the size between both.
bool is_between(const std::string& actual, const std::string& before, const std::string& after) {
  if (actual.size() < std::min(before.size(), after.size())) return false;
  if (actual.size() > std::max(before.size(), after.size())) return false;
  const auto byte_of = [](const std::string& content, std::size_t at) {
    return at < content.size() ? content[at] : '\0';
  };
  for (std::size_t at = 0; at < actual.size(); ++at) {
    if (actual[at] != byte_of(before, at) && actual[at] != byte_of(after, at)) return false;
  }
  return true;
}

/// Whether the trees differ in nothing but the content of one file, which is part old and part new.
bool is_partly_written(const Snapshot& actual, Snapshot before, const Snapshot& after) {
  for (auto& [path, node] : before) {
    const auto found = actual.find(path), written = after.find(path);
    if (found == actual.end() || written == after.end()) return false;
    if (node.content == written->second.content) continue;
    if (!is_between(found->second.content, node.content, written->second.content)) return false;
    node.content = found->second.content;
  }
  return before == actual;
}

void print(std::string_view headline, const std::vector<std::string>& lines) {
  fmt::print("{}\n    {}\n", headline, fmt::join(lines, "\n    "));
}

}  // namespace

TreeVerdict verify_tree(const TreeOptions& options, const std::string& path) {
  const Journal journal = read_journal(path);
  Place reference(tree_of(options.reference, journal.seed) + ".verify");
  std::filesystem::remove_all(reference.top());
  make_directory(reference.top());
  repeat(journal, reference);
  const Snapshot actual = take_snapshot(tree_of(options.directory, journal.seed), options.snapshot);
  const Snapshot before = take_snapshot(reference.top(), options.snapshot);
  const auto without = differences(actual, before);
  const std::string done = fmt::format("{} acknowledged operations", journal.done.size());
  TreeVerdict verdict = TreeVerdict::kRight;
  if (without.empty()) {
    fmt::print("right: {}{}\n", done, journal.in_flight ? ", and nothing of the one in flight" : "");
  } else if (!journal.in_flight) {
    print(fmt::format("failed: after {}, with none in flight", done), without);
    verdict = TreeVerdict::kWrong;
  } else {
    reference.perform(*journal.in_flight);
    const Snapshot after = take_snapshot(reference.top(), options.snapshot);
    const auto with = differences(actual, after);
    if (with.empty()) {
      fmt::print("right: {}, and the whole of the one in flight\n", done);
    } else if (options.partial_data && journal.in_flight->is_data() && is_partly_written(actual, before, after)) {
      fmt::print("right: {}, and part of the write in flight\n", done);
    } else {
      fmt::print("failed: after {}, with {} in flight\n", done, journal.in_flight->to_line());
      print("  if it is not there:", without);
      print("  if it is there:", with);
      verdict = TreeVerdict::kWrong;
    }
  }
  std::filesystem::remove_all(reference.top());
  return verdict;
}

}  // namespace cenote::posix_tests
