#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cenote/base/format.h"
#include "context.h"
#include "mounting.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::vector<std::string> mounts, command;
  std::string report;
};

constexpr std::string_view kLibrary = "libcenote_intercept.so";

/// Beside the program, as it is built and as it is installed.
Result<std::string> find_library() {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path prefix = fs::read_symlink("/proc/self/exe", failed).parent_path().parent_path();
  for (const fs::path& folder : {prefix / CENOTE_LIBDIR, prefix / "lib"}) {
    if (fs::path found = folder / kLibrary; fs::exists(found, failed)) return found.string();
  }
  return failf(Code::kNotFound, "{} is neither in '{}' nor in '{}': is the installation whole?", kLibrary,
               (prefix / CENOTE_LIBDIR).string(), (prefix / "lib").string());
}

/// One to a line.
Result<std::string> chosen_mounts(const Arguments& arguments) {
  std::vector<std::string> places;
  for (const std::string& directory : arguments.mounts) {
    TRY(std::string place, find_mount(directory));
    places.push_back(std::move(place));
  }
  if (places.empty()) places = list_mounts();
  if (places.empty())
    return failf(Code::kNotFound, "no container is mounted on this machine: 'cenote fs mount' does so");
  if (std::ranges::any_of(places, [](const std::string& place) { return place.contains('\n'); }))
    return failf(Code::kUnsupported, "a mount point with a line end in its name cannot be handed on");
  return fmt::format("{}", fmt::join(places, "\n"));
}

void set_variable(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

Result<> run(const Arguments& arguments) {
  TRY(std::string preload, find_library());
  TRY(const std::string mounts, chosen_mounts(arguments));
  std::error_code failed;
  if (!arguments.report.empty())
    set_variable("CENOTE_RUN_REPORT", std::filesystem::absolute(arguments.report, failed).string());
  // In front of others: what they do to files of a mount should be theirs to do first, so they come last.
  if (const char* others = std::getenv("LD_PRELOAD"); others != nullptr && *others != '\0')
    preload = fmt::format("{}:{}", others, preload);
#ifdef CENOTE_ASAN_RUNTIME
  preload = fmt::format("{}:{}", CENOTE_ASAN_RUNTIME, preload);
  ::setenv("ASAN_OPTIONS", "detect_leaks=0", 0);  // of whatever program it is
#endif
  set_variable("LD_PRELOAD", preload);
  set_variable("CENOTE_RUN_MOUNTS", mounts);
  std::vector<char*> words;
  for (const std::string& word : arguments.command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execvp(words.front(), words.data());
  const Code code = errno == EACCES ? Code::kPermissionDenied : errno == ENOENT ? Code::kNotFound : Code::kIoError;
  return failf(code, "cannot run '{}': {}", arguments.command.front(), std::strerror(errno));
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      add_verb(app, "run", "Run a program that reaches files of a mount past the kernel",
               "  mkdir -p data\n"
               "  cenote fs mount scratch/home data\n"
               "  cenote run -- cp -r photos data\n"
               "  cenote run --mount data --report report.json -- python3 -c 'import os; print(os.listdir(\"data\"))'\n"
               "  cenote fs unmount data\n"
               "The same program does the same things without it, through the kernel, and slower. Everything that it "
               "starts runs so, too; what is linked statically goes through the kernel.");
  verb->add_option("--mount", arguments->mounts, "the mount to reach so, which may be repeated; all when left out")
      ->type_name("DIRECTORY")
      ->allow_extra_args(false);
  verb->add_option("--report", arguments->report, "append to it, for each process, how many calls went which way")
      ->type_name("FILE");
  verb->add_option("COMMAND...", arguments->command, "after '--': the program and its arguments")->required();
  verb->callback([=, &context] { context.action = [=] { return run(*arguments); }; });
}

}  // namespace cenote::cli
