#include "tree/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "kit/files.h"

namespace cenote::posix_tests {

JournalWriter::JournalWriter(const std::string& path, std::uint64_t seed)
    : file_(open_file(path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND)) {
  append(fmt::format("posix_tree\t{}\n", seed));
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  ok(::fsync(open_file(directory, O_RDONLY).get()));
}

void JournalWriter::append(const std::string& line) {
  write_all(file_, line);
  ok(::fsync(file_.get()));
}

void JournalWriter::begin(const Step& step) { append("begin\t" + step.to_line() + "\n"); }

void JournalWriter::end(const Step& step, int error) { append(fmt::format("end\t{}\t{}\n", step.number, error)); }

namespace {

void read_line(std::string_view line, Journal& journal) {
  unsigned long long number = 0;
  int error = 0;
  const std::string text(line);
  if (line.starts_with("begin\t")) {
    that(!journal.in_flight, "one step ends before the next begins");
    journal.in_flight = Step::parse(line.substr(6));
    that(journal.in_flight.has_value(), "a step can be read: " + text);
  } else if (std::sscanf(text.c_str(), "end\t%llu\t%d", &number, &error) == 2) {  // NOLINT(cert-err34-c): our own lines
    that(journal.in_flight && journal.in_flight->number == number, "what ends has begun: " + text);
    journal.done.push_back({*journal.in_flight, error});
    journal.in_flight.reset();
  } else {
    fail("a line of no journal: " + text);
  }
}

}  // namespace

Journal read_journal(const std::string& path) {
  const std::string content = content_of(path);
  Journal journal;
  bool first = true;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = content.find('\n', at);
    if (end == std::string::npos) break;
    const std::string line = content.substr(at, end - at);
    at = end + 1;
    if (!first) {
      read_line(line, journal);
      continue;
    }
    unsigned long long seed = 0;
    that(std::sscanf(line.c_str(), "posix_tree\t%llu", &seed) == 1, path + " is a journal");  // NOLINT(cert-err34-c)
    journal.seed = seed;
    first = false;
  }
  that(!first, path + " is a journal");
  return journal;
}

}  // namespace cenote::posix_tests
