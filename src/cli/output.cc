#include "output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace cenote::cli {

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

void Output::line(const std::string& text) const {
  if (!json_) fmt::print("{}\n", text);
}

void Output::document(const Json& json) const {
  if (json_) fmt::print("{}\n", dump(json));
}

Result<> Output::raw(std::string_view bytes) const {
  // Someone may read the other end of a pipe that has closed; that is no crash but an error like any other.
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
    return fail(Code::kIoError, "cannot write to standard output");
  }
  return {};
}

void Output::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) const {
  if (json_) return;
  std::vector<std::size_t> widths;
  for (const std::string& title : header) widths.push_back(title.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  const auto print = [&](const std::vector<std::string>& row, bool title) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 < row.size() ? fmt::format("{:<{}}  ", row[i], widths[i]) : row[i];
    }
    const bool bold = title && isatty(STDOUT_FILENO) != 0;
    fmt::print("{}{}{}\n", bold ? "\x1b[1m" : "", line, bold ? "\x1b[0m" : "");
  };
  print(header, true);
  for (const auto& row : rows) print(row, false);
}

void Output::error(const Error& error) const {
  std::fflush(stdout);
  if (json_) {
    const Json json = {{"error",
                        {{"code", std::string(code_name(error.code()))},
                         {"number", static_cast<unsigned>(error.code())},
                         {"message", error.message()}}}};
    fmt::print(stderr, "{}\n", dump(json));
    return;
  }
  const std::string& message = error.message();
  fmt::print(stderr, "cenote: {}\n", message.empty() ? std::string(code_name(error.code())) : message);
}

}  // namespace cenote::cli
