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
  /// Whether standard output is a terminal that people read.
  bool colours() const;

  /// A line for people; nothing with --json.
  void line(const std::string& text) const;
  /// The result for programs; nothing without --json.
  void document(const Json& json) const;
  /// The same for a command that goes on: one line, at once.
  void event(const Json& json) const;
  /// Bytes as they are (values, file contents), in both forms.
  Result<> raw(std::string_view bytes) const;
  /// The same; on a terminal the line ends, where otherwise the prompt would follow.
  Result<> value(std::string_view bytes) const;
  /// Left-aligned columns with a header; nothing with --json.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) const;
  /// Call once at the end: everything printed is written out. kIoError when that failed, unless the reader of a pipe
  /// has closed it; what was printed after the first failure is dropped.
  Result<> finish() const;
  /// Whether nobody reads what is printed any more: a command that goes on ends then.
  bool broken() const { return error_ != 0; }
  /// One line on standard error (with --json: {"error": {...}} there).
  void error(const Error& error) const;

 private:
  void print(std::string text) const;

  bool json_ = false;
  mutable int error_ = 0;  ///< errno of the first write that failed
};

/// The lines of a table, header first: columns as wide as their widest cell, two blanks apart, none after the last one.
std::vector<std::string> table_lines(const std::vector<std::string>& header,
                                     const std::vector<std::vector<std::string>>& rows);

/// Stored bytes in a document: "value" when they are UTF-8, else "value_base64", so that nothing is lost.
void put_value(Json& document, std::string_view bytes);

/// Text for JSON: bytes that are no UTF-8 become replacement characters.
std::string dump(const Json& json);

}  // namespace cenote::cli
