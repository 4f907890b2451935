// The load of chaos_test.py: overwrites keys and pieces of a file that others write, too, and goes on after failures.
//
//   e2e_chaos_load churn ADDRESSES POOL/MAP POOL/FILES OBJECT CLIENT FIRST
//     overwrites keys of the map, and of the array OBJECT the pieces that belong to CLIENT (0 to 7), with versions from
//     FIRST on until it is killed; prints "KEY VERSION" once each is acknowledged and "KEY VERSION CODE" when it failed
//     and may have taken effect or not
//   e2e_chaos_load audit ADDRESSES POOL/MAP POOL/FILES OBJECT
//     standard input: "KEY LEAST MOST" for each key. Reads all through each of the addresses, prints "KEY VERSION" for
//     each, and fails with `corrupt` if one is not whole, of no such version (0: never written), or older than it was
//     seen before
//   e2e_chaos_load fill ADDRESSES POOL/MAP
//     writes large values into one group of targets until none fits, prints "full COUNT", and removes them when
//     standard input ends

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cenote/base/exit_code.h"
#include "cenote/cenote.hpp"
#include "cenote/protocol/object_class.h"

namespace {

using namespace cenote;
using Clock = std::chrono::steady_clock;

constexpr int kThreadsPerKind = 2;
constexpr int kKeysPerThread = 5;
constexpr int kClients = 8;
constexpr std::size_t kPieceBytes = 4096;
constexpr std::size_t kFilledBytes = 1'000'000;
/// Between two writes of a thread: this is about faults and not about speed.
constexpr auto kPace = std::chrono::milliseconds(60);
constexpr auto kPatience = std::chrono::seconds(20);
/// After its deadline a change takes no effect any more once clocks that differ have passed it, too.
constexpr auto kClocks = std::chrono::seconds(2);
constexpr auto kPatienceOfAudit = std::chrono::minutes(2);

/// Key and version in words, and then what follows from both.
std::string contents(const std::string& key, std::uint64_t version, std::size_t bytes) {
  std::string text = key + " " + std::to_string(version) + " ";
  std::uint64_t state = version * 0x9e3779b97f4a7c15ull + std::hash<std::string>()(key);
  while (text.size() < bytes) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    text += static_cast<char>('a' + (state >> 33) % 26);
  }
  return text;
}

/// From inline ones to one of several extents.
std::size_t value_bytes(const std::string& key, std::uint64_t version) {
  return 40 + (version * 7919 + key.size() * 31) % (version % 16 == 0 ? 200'000 : 12'000);
}

/// 0: never written. Nothing: not what anybody wrote.
std::optional<std::uint64_t> version_in(const std::string& key, std::string_view text, bool is_piece) {
  if (text.find_first_not_of('\0') == std::string_view::npos) return 0;
  if (!text.starts_with(key + " ")) return std::nullopt;
  const std::uint64_t version = std::strtoull(std::string(text.substr(key.size() + 1, 20)).c_str(), nullptr, 10);
  const std::size_t bytes = is_piece ? kPieceBytes : value_bytes(key, version);
  if (text != contents(key, version, bytes)) return std::nullopt;
  return version;
}

/// The containers of one pool, and the array within a file that all clients write.
struct Place {
  Client client;
  Container map;
  Container files;
  ObjectId file;

  Kv kv() { return map.kv(); }
  Array array() { return files.array(file); }
};

std::string piece_name(std::uint64_t index) { return "piece-" + std::to_string(index); }

Result<> put(Place place, const std::string& key, std::uint64_t version, CallBounds bounds) {
  return place.kv().put(key, contents(key, version, value_bytes(key, version)), Precondition::kNone, bounds);
}

Result<> put_piece(Place place, std::uint64_t index, std::uint64_t version, CallBounds bounds) {
  const std::string piece = contents(piece_name(index), version, kPieceBytes);
  return place.array().write(index * kPieceBytes, as_bytes(piece), bounds);
}

/// One system call per line, so that lines of several threads do not mix.
void say(const std::string& line) {
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(1);
}

void churn(Place place, int client, int thread, std::uint64_t first) {
  const bool pieces = thread >= kThreadsPerKind;
  for (std::uint64_t version = first;; ++version) {
    for (int i = 0; i < kKeysPerThread; ++i) {
      const int own = thread % kThreadsPerKind * kKeysPerThread + i;
      const auto index = static_cast<std::uint64_t>(own * kClients + client);
      const std::string key = pieces ? piece_name(index) : "key-" + std::to_string(client) + "-" + std::to_string(own);
      const auto begin = Clock::now();
      const CallBounds bounds{.timeout = kPatience};
      const auto done = pieces ? put_piece(place, index, version, bounds) : put(place, key, version, bounds);
      const std::string line = key + " " + std::to_string(version);
      say(done ? line + "\n" : line + " " + done.error().to_string() + "\n");
      // What failed may still take effect: nothing newer may be acknowledged before it.
      std::this_thread::sleep_until(done ? Clock::now() + kPace : begin + kPatience + kClocks);
    }
  }
}

Result<std::string> read(Place place, const std::string& key, bool is_piece) {
  const CallBounds bounds{.timeout = kPatienceOfAudit};
  if (!is_piece) {
    TRY(const auto value, place.kv().get(key, bounds));
    return value ? std::string(as_text(*value)) : std::string();
  }
  std::string piece(kPieceBytes, '\0');
  const std::uint64_t offset = std::stoull(key.substr(key.find('-') + 1)) * kPieceBytes;
  TRY(const auto bytes, place.array().read(offset, std::as_writable_bytes(std::span(piece)), bounds));
  return piece.substr(0, bytes);
}

struct Expected {
  std::string key;
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

std::vector<Expected> read_expected() {
  std::vector<Expected> all;
  for (Expected next; std::cin >> next.key >> next.least >> next.most;) all.push_back(next);
  return all;
}

Result<> audit_through(Place place, std::vector<Expected>& all) {
  for (Expected& expected : all) {
    const bool is_piece = expected.key.starts_with("piece-");
    TRY(const auto text, read(place, expected.key, is_piece));
    const auto version = version_in(expected.key, text, is_piece);
    if (!version) return fail(Code::kCorrupt, expected.key + " is not what was written: " + text.substr(0, 60));
    if (*version < expected.least || *version > expected.most) {
      return fail(Code::kCorrupt, expected.key + " has version " + std::to_string(*version) + ", not " +
                                      std::to_string(expected.least) + " to " + std::to_string(expected.most));
    }
    // What was read once stays.
    expected.least = *version;
  }
  return {};
}

Result<Container> open(Client& client, const std::string& name) {
  const std::size_t slash = name.find('/');
  return client.open_container(name.substr(0, slash), name.substr(slash + 1), {.timeout = kPatienceOfAudit});
}

Result<Place> open_place(const std::string& addresses, const std::vector<std::string>& arguments) {
  if (arguments.size() < 5) return fail(Code::kInvalidArgument, "usage: see the source");
  TRY(auto client, connect(addresses));
  TRY(auto map, open(client, arguments[2]));
  TRY(auto files, open(client, arguments[3]));
  TRY(const auto file, ObjectId::parse(arguments[4]));
  return Place{client, map, files, file};
}

Result<> audit(const std::vector<std::string>& arguments) {
  std::vector<Expected> all = read_expected();
  std::istringstream addresses(arguments[1]);
  for (std::string address; std::getline(addresses, address, ',');) {
    TRY(const auto place, open_place(address, arguments));
    const auto done = audit_through(place, all);
    if (!done) return fail(done.error().with_context("through " + address));
  }
  for (const Expected& found : all) std::printf("%s %lu\n", found.key.c_str(), found.least);
  return {};
}

Result<> fill(const std::vector<std::string>& arguments) {
  TRY(auto client, connect(arguments[1]));
  TRY(auto container, open(client, arguments[2]));
  // All of an object with one group lies on the same targets.
  const ObjectClass one_group = with_redundancy(ObjectClass::kS1, container.redundancy());
  Kv kv = container.kv(ObjectId::make(one_group, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 78));
  const CallBounds bounds{.timeout = kPatienceOfAudit};
  int count = 0;
  for (;; ++count) {
    const std::string key = "large-" + std::to_string(count);
    const auto done = kv.put(key, contents(key, 1, kFilledBytes), Precondition::kNone, bounds);
    if (!done && done.error().code() == Code::kNoSpace) break;
    CHECK_OK(done);
  }
  say("full " + std::to_string(count) + "\n");
  for (std::string line; std::getline(std::cin, line);) {
  }
  for (int i = 0; i < count; ++i) CHECK_OK(kv.remove("large-" + std::to_string(i), bounds));
  return {};
}

Result<> churn_all(const std::vector<std::string>& arguments) {
  if (arguments.size() < 7) return fail(Code::kInvalidArgument, "usage: see the source");
  TRY(const auto place, open_place(arguments[1], arguments));
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 2 * kThreadsPerKind; ++thread)
    threads.emplace_back(churn, place, std::stoi(arguments[5]), thread, std::stoull(arguments[6]));
  return {};
}

Result<> run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3) return fail(Code::kInvalidArgument, "usage: see the source");
  if (arguments[0] == "churn") return churn_all(arguments);
  if (arguments[0] == "audit") return audit(arguments);
  return fill(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  const auto done = run(std::vector<std::string>(argv + 1, argv + argc));
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
  return static_cast<int>(exit_code(done.error().code()));
}
