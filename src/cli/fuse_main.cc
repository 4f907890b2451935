// The program cenote-fuse: `cenote fs mount` with what it takes to do it. It goes by three names: `cenote` when that
// program goes on as this one, `mount.cenote` for mount(8), and its own, which needs no "fs mount" to be said.
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "command_line.h"
#include "last_resort.h"
#include "mount_program.h"

namespace {

std::optional<std::string> environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

cenote::Result<std::vector<std::string>> command_of(const std::string& program, std::vector<std::string> words) {
  const std::string name = std::filesystem::path(program).filename().string();
  if (name == "mount.cenote") return cenote::cli::from_mount_helper(words);
  if (name == "cenote") return words;
  const std::vector<std::string> front{"fs", "mount"};
  words.insert(words.begin(), front.begin(), front.end());
  return words;
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_NAME, "cenote-fuse");
  cenote::cli::end_when_out_of_memory();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  auto command = command_of(argv[0], std::vector<std::string>(argv + 1, argv + argc));
  if (!command) {
    cenote::cli::Output().error(command.error());
    return static_cast<int>(cenote::exit_code(command.error().code()));
  }
  std::vector<char*> words{argv[0]};
  std::ranges::transform(*command, std::back_inserter(words), [](std::string& word) { return word.data(); });
  words.push_back(nullptr);
  return cenote::cli::run_command_line(static_cast<int>(words.size()) - 1, words.data(), environment,
                                       cenote::cli::mount_and_serve);
}
