#pragma once

#include <optional>
#include <string>

#include "cenote/base/secret_key.h"
#include "cenote/base/time.h"
#include "setting_flags.h"
#include "settings.h"

namespace cenote::cli {

inline constexpr std::string_view kKeyFileSetting = "server.encryption-key-file";
inline constexpr std::string_view kKeyCommandSetting = "server.encryption-key-command";
/// How long a command may take to print a key.
inline constexpr Duration kKeyCommandPatience = std::chrono::seconds(30);

/// The master key that the settings name, by a file or by a command; none, when they name neither. Errors name the
/// setting and never show what was read.
Result<std::optional<SecretKey>> encryption_key(const Settings& settings);

/// A regular file that nobody but its owner (and the superuser) may read or write. Reads no more than a key is long.
Result<SecretKey> key_from_file(const std::string& path);
/// What `command` prints, run by a shell. It is ended when it takes too long or prints more than a key.
Result<SecretKey> key_from_command(const std::string& command, Duration patience = kKeyCommandPatience);

/// The flags of a verb that opens stores.
void add_key_flags(CLI::App& verb, SettingFlags& flags);

}  // namespace cenote::cli
