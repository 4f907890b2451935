#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/time.h"

namespace cenote::cli {

/// One thing that can be configured: by flag, by environment variable, or in the TOML file.
struct SettingSpec {
  std::string_view key;  ///< dotted, as in the file: "server.listen"
  std::string_view environment;
  std::string_view fallback;  ///< the default, as text
  std::string_view help;
  std::vector<std::string_view> choices = {};  ///< all values there are, when they are few
};

/// Every setting, in the order `config show` prints them.
const std::vector<SettingSpec>& setting_specs();

/// Where values come from, weakest first: default, file, environment, flag.
class Settings {
 public:
  struct Value {
    std::string text;
    std::string origin;  ///< "default", "/etc/cenote/config.toml", "$CENOTE_SERVER", "--server"
  };
  using Environment = std::optional<std::string> (*)(std::string_view name);

  /// Reads `file`, or the first of $CENOTE_CONFIG, the user's and the system's file that exists. kNotFound for a named
  /// file that is missing, kInvalidArgument with line and column, or naming an unknown key.
  static Result<Settings> load(std::optional<std::string> file, Environment environment);

  void set_flag(std::string_view key, std::string value, std::string_view flag);
  const Value& get(std::string_view key) const;
  std::string text(std::string_view key) const { return get(key).text; }
  /// kInvalidArgument naming key, value and origin.
  Result<std::uint64_t> bytes(std::string_view key) const;
  Result<std::uint32_t> number(std::string_view key) const;
  Result<bool> flag(std::string_view key) const;
  Result<Duration> duration(std::string_view key) const;
  /// kInvalidArgument in the same form, for a value that its user refuses: "server.data (from $CENOTE_DATA): why".
  Error wrong(std::string_view key, std::string_view why) const;
  const std::string& file() const { return file_; }

 private:
  Result<> read_file(const std::string& path);
  std::map<std::string, Value, std::less<>> values_;
  std::string file_;
};

/// "4096", "64K", "1.5GiB", "10g": powers of 1024. kInvalidArgument with examples.
Result<std::uint64_t> parse_bytes(std::string_view text);
/// "1.50 GiB".
std::string human_bytes(std::uint64_t bytes);
/// "250ms", "30s", "5m", "2h"; a plain number is seconds.
Result<std::uint64_t> parse_nanoseconds(std::string_view text);

}  // namespace cenote::cli
