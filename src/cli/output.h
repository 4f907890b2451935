#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cenote/base/error.h"

namespace cenote::cli {

using Json = nlohmann::json;

/// Everything a command prints: for people, or one JSON document on standard output with `--json`.
class Output {
 public:
  void set_json(bool json) { json_ = json; }
  bool json() const { return json_; }

  /// A line for people; nothing with --json.
  void line(const std::string& text) const;
  /// The result for programs; nothing without --json.
  void document(const Json& json) const;
  /// Bytes as they are (values, file contents), in both forms.
  Result<> raw(std::string_view bytes) const;
  /// Left-aligned columns with a header; nothing with --json.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) const;
  /// One line on standard error (with --json: {"error": {...}} there).
  void error(const Error& error) const;

 private:
  bool json_ = false;
};

/// Text for JSON: bytes that are no UTF-8 become replacement characters.
std::string dump(const Json& json);

}  // namespace cenote::cli
