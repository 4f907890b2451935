#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "cenote/base/format.h"
#include "mounting.h"

namespace cenote::cli {
namespace {

/// Options of /etc/fstab that are meant for others than the file system.
bool is_for_others(std::string_view option) {
  static constexpr std::array<std::string_view, 11> kNames{"defaults", "rw",    "auto",  "noauto", "nofail", "_netdev",
                                                           "user",     "users", "owner", "nouser", "group"};
  return std::ranges::find(kNames, option) != kNames.end() || option.starts_with("x-") ||
         option.starts_with("comment=");
}

/// The same as flags; nothing: not one of them.
std::string flag_of(std::string_view option) {
  struct Pair {
    std::string_view option, flag;
  };
  static constexpr std::array<Pair, 6> kPairs{{{"ro", "--read-only"},
                                               {"allow_other", "--multi-user"},
                                               {"multi_user", "--multi-user"},
                                               {"single_client", "--single-client"},
                                               {"auto_unmount", "--auto-unmount"},
                                               {"foreground", "--foreground"}}};
  for (const Pair& pair : kPairs) {
    if (option == pair.option) return std::string(pair.flag);
  }
  static constexpr std::array<std::string_view, 6> kWithValue{"server",   "timeout",  "config",
                                                              "snapshot", "log_file", "log_level"};
  const std::size_t equals = option.find('=');
  if (equals == std::string_view::npos || std::ranges::find(kWithValue, option.substr(0, equals)) == kWithValue.end())
    return {};
  std::string flag = "--" + std::string(option);
  std::ranges::replace(flag.begin(), flag.begin() + static_cast<std::ptrdiff_t>(equals + 2), '_', '-');
  return flag;
}

Result<> add_options(std::string_view list, std::vector<std::string>& arguments) {
  std::istringstream stream{std::string(list)};
  for (std::string option; std::getline(stream, option, ',');) {
    if (option.empty() || is_for_others(option)) continue;
    if (std::string flag = flag_of(option); !flag.empty()) {
      arguments.push_back(std::move(flag));
    } else {
      // The command says which of these the kernel knows.
      arguments.push_back("--kernel-option=" + option);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> from_mount_helper(const std::vector<std::string>& arguments) {
  std::vector<std::string> result{"fs", "mount"};
  std::size_t places = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool takes_value = argument == "-o" || argument == "-t" || argument == "-N";
    if (takes_value) {
      if (i + 1 == arguments.size()) return failf(Code::kInvalidArgument, "{} needs a value", argument);
      ++i;
      if (argument == "-o") CHECK_OK(add_options(arguments[i], result));
    } else if (argument.starts_with('-') && argument.size() > 1) {
      if (argument.find_first_not_of("sfnv", 1) != std::string::npos)
        return failf(Code::kInvalidArgument, "mount.cenote does not know '{}'", argument);
    } else {
      result.push_back(argument);
      ++places;
    }
  }
  if (places == 2) return result;
  return failf(Code::kInvalidArgument, "usage: mount -t cenote POOL/CONTAINER DIRECTORY [-o OPTION,...]");
}

}  // namespace cenote::cli
