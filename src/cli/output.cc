#include "output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"

namespace cenote::cli {

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

bool Output::colours() const { return !json_ && isatty(STDOUT_FILENO) != 0; }

void Output::print(std::string text) const {
  if (error_ != 0) return;
  text += '\n';
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) error_ = errno;
}

Result<> Output::finish() const {
  if (error_ == 0 && std::fflush(stdout) != 0) error_ = errno;
  // Whoever read the other end has seen enough ('| head'): nothing went wrong.
  if (error_ == 0 || error_ == EPIPE) return {};
  return failf(Code::kIoError, "cannot write to standard output: {}", std::generic_category().message(error_));
}

void Output::line(const std::string& text) const {
  if (!json_) print(text);
}

void Output::document(const Json& json) const {
  if (json_) print(dump(json));
}

void Output::event(const Json& json) const {
  if (json_) print(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!finish()) return;  // kept, and reported at the end
}

Result<> Output::raw(std::string_view bytes) const {
  // Someone may read the other end of a pipe that has closed; that is no crash but an error like any other.
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
    return fail(Code::kIoError, "cannot write to standard output");
  }
  return {};
}

Result<> Output::value(std::string_view bytes) const {
  CHECK_OK(raw(bytes));
  return colours() && !bytes.ends_with('\n') ? raw("\n") : Result<>();
}

namespace {

bool is_utf8(std::string_view text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) text += k <= count ? kDigits[(group >> (18 - 6 * k)) & 63] : '=';
  }
  return text;
}

}  // namespace

void put_value(Json& document, std::string_view bytes) {
  if (is_utf8(bytes)) {
    document["value"] = bytes;
  } else {
    document["value_base64"] = base64(bytes);
  }
}

std::vector<std::string> table_lines(const std::vector<std::string>& header,
                                     const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const std::string& title : header) widths.push_back(title.size());
  for (const auto& row : rows) {
    ASSERT(row.size() == header.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  const auto line_of = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 < row.size() ? fmt::format("{:<{}}  ", row[i], widths[i]) : row[i];
    }
    return line;
  };
  std::vector<std::string> lines{line_of(header)};
  for (const auto& row : rows) lines.push_back(line_of(row));
  return lines;
}

void Output::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) const {
  if (json_) return;
  const std::vector<std::string> lines = table_lines(header, rows);
  const bool bold = colours();
  print(bold ? "\x1b[1m" + lines.front() + "\x1b[0m" : lines.front());
  for (std::size_t i = 1; i < lines.size(); ++i) print(lines[i]);
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
