// What people type and write for the command: the configuration file, sizes, durations, names. The first byte of an
// input says which.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <optional>

#include "cenote/base/assert.h"
#include "fuzz_input.h"
#include "names.h"
#include "settings.h"

namespace {

using namespace cenote;
using namespace cenote::cli;

std::optional<std::string> no_variable(std::string_view) { return std::nullopt; }

/// A file that is only in memory and has a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : file_(::memfd_create("settings", MFD_CLOEXEC)) {
    ASSERT(file_ >= 0 && ::write(file_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(file_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

void check_settings(std::string_view text) {
  const MemoryFile file(text);
  const auto settings = Settings::load(file.path(), no_variable);
  if (!settings) {
    // Whatever is wrong, the message says in which file.
    ASSERT(settings.error() == Code::kInvalidArgument && settings.error().message().contains(file.path()));
    return;
  }
  for (const SettingSpec& spec : setting_specs()) {
    static_cast<void>(settings->bytes(spec.key));
    static_cast<void>(settings->number(spec.key));
    static_cast<void>(settings->flag(spec.key));
    static_cast<void>(settings->duration(spec.key));
  }
}

void check_amounts(std::string_view text) {
  if (const auto bytes = parse_bytes(text)) ASSERT(!human_bytes(*bytes).empty());
  if (const auto bytes = parse_bytes(text); bytes && *bytes < (1ull << 53)) {
    ASSERT(parse_bytes(std::to_string(*bytes)) == *bytes);
  }
  static_cast<void>(parse_nanoseconds(text));
}

void check_names(std::string_view text) {
  if (const auto name = parse_container(text)) ASSERT(name->pool + "/" + name->container == text);
  if (const auto remote = parse_remote(text)) {
    ASSERT(remote->container + ":" + remote->path == text && remote->path.starts_with('/'));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_settings, check_amounts, check_names};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
