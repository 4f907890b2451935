#include "process/engine_process.h"

#include <fmt/ranges.h>
#include <sys/wait.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "cenote/base/format.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(30);

// One JSON document, on one line or on several.
Result<nlohmann::json> read_document(ChildProcess& process) {
  std::string text;
  while (true) {
    TRY(const std::string line, process.read_line(kStartLimit));
    text += line;
    auto document = nlohmann::json::parse(text, nullptr, false);
    if (document.is_object()) return document;
  }
}

Result<ChildProcess::Ended> await_end(ChildProcess& process, const std::vector<std::string>& arguments) {
  while (process.read_line(kStartLimit)) {
  }
  const ChildProcess::Ended ended = process.wait();
  if (WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 0) return ended;
  return failf(Code::kInternal, "'{}' ended with status {:#x}", fmt::join(arguments, " "), ended.status);
}

}  // namespace

Result<std::unique_ptr<EngineProcess>> EngineProcess::start(const std::string& binary, std::vector<std::string> verb) {
  std::vector<std::string> arguments{binary, "--json"};
  std::ranges::move(verb, std::back_inserter(arguments));
  for (const char* word : {"--listen", "127.0.0.1:0"}) arguments.emplace_back(word);
  std::unique_ptr<EngineProcess> engine(new EngineProcess);
  const Instant begin = now();
  TRY(engine->process_, ChildProcess::start(arguments));
  auto document = read_document(*engine->process_);
  if (!document) return fail(document.error().with_context(binary + " " + arguments[2]));
  engine->ready_after_ = now() - begin;
  engine->address_ = document->value("address", "");
  return engine;
}

Result<ChildProcess::Ended> run_command(const std::vector<std::string>& arguments) {
  TRY(const auto process, ChildProcess::start(arguments));
  return await_end(*process, arguments);
}

Result<nlohmann::json> ask_command(const std::vector<std::string>& arguments) {
  TRY(const auto process, ChildProcess::start(arguments));
  auto document = read_document(*process);
  CHECK_OK(await_end(*process, arguments));
  return document;
}

}  // namespace cenote::bench
