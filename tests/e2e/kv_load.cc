// Writes or reads keys for the tests that kill servers.
//
//   e2e_kv_load write ADDRESS POOL/CONTAINER NAME
//     overwrites the keys NAME-0.. with rising versions until it is killed and prints "KEY VERSION" once each is
//     acknowledged
//   e2e_kv_load read ADDRESS POOL/CONTAINER
//     prints "KEY VERSION" for each key on standard input; exits with 1 when one is missing or not exactly what was
//     written
//   e2e_kv_load transfer ADDRESS POOL/CONTAINER NAME
//     moves amounts between accounts in transactions until it is killed and prints "NAME-THREAD COUNT" once each is
//     acknowledged
//   e2e_kv_load balance ADDRESS POOL/CONTAINER
//     exits with 1 unless the accounts hold together what they began with; prints "NAME-THREAD COUNT" for each name on
//     standard input: how many of its transactions took effect

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "cenote/cenote.hpp"

namespace {

using namespace cenote;

constexpr int kThreads = 4;
constexpr int kKeysPerThread = 10;

/// Of a length between nothing and several blocks, so that values lie inline, in one extent and in more; every byte
/// follows from key and version.
std::string value_of(const std::string& key, std::uint64_t version) {
  std::string value = key + " " + std::to_string(version) + " ";
  const std::size_t length = value.size() + (version * 7919 + key.size() * 31) % 12'000;
  std::uint64_t state = version * 0x9e3779b97f4a7c15ull + std::hash<std::string>()(key);
  while (value.size() < length) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    value += static_cast<char>('a' + (state >> 33) % 26);
  }
  return value;
}

int report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  return 1;
}

void write_keys(Kv kv, std::string name, int thread) {
  std::uint64_t version = 0;
  for (;;) {
    ++version;
    for (int i = 0; i < kKeysPerThread; ++i) {
      const std::string key = name + "-" + std::to_string(thread * kKeysPerThread + i);
      const auto put = kv.put(key, value_of(key, version), Precondition::kNone, {.timeout = std::chrono::minutes(2)});
      if (!put) _exit(report(put.error()));
      const std::string line = key + " " + std::to_string(version) + "\n";
      // One system call per line, so that lines of several threads do not mix.
      if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(1);
    }
  }
}

int read_keys(Kv kv) {
  for (std::string key; std::getline(std::cin, key);) {
    const auto value = kv.get(key, {.timeout = std::chrono::minutes(2)});
    if (!value) return report(value.error().with_context(key));
    if (!value->has_value()) return report(Error(Code::kNotFound, key + " is gone"));
    const std::string text(as_text(**value));
    const std::size_t begin = text.find(' ') + 1;
    const std::string version = text.substr(begin, text.find(' ', begin) - begin);
    if (text != value_of(key, std::strtoull(version.c_str(), nullptr, 10))) {
      return report(Error(Code::kCorrupt, key + " is not what was written"));
    }
    std::printf("%s %s\n", key.c_str(), version.c_str());
  }
  return 0;
}

constexpr int kAccounts = 20;
constexpr long kAtFirst = 1000;
// All of an object of this class lies on one target.
constexpr ObjectId kBank = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 77);

Result<long> number_at(Kv kv, const std::string& key, long otherwise) {
  TRY(const auto value, kv.get(key));
  return value ? std::stol(std::string(as_text(*value))) : otherwise;
}
std::string account(unsigned long number) { return "account-" + std::to_string(number % kAccounts); }

/// Also counts itself, so that what is acknowledged can be told from what took effect.
Result<> transfer(Container& view, const std::string& name, unsigned long draw) {
  Kv kv = view.kv(kBank);
  const std::string from = account(draw), to = account(draw / 64 + draw % 7 + 1);
  TRY(const long count, number_at(kv, name, 0));
  CHECK_OK(kv.put(name, std::to_string(count + 1)));
  if (from == to) return {};
  TRY(const long left, number_at(kv, from, kAtFirst));
  TRY(const long right, number_at(kv, to, kAtFirst));
  const long amount = static_cast<long>(draw % 100);
  CHECK_OK(kv.put(from, std::to_string(left - amount)));
  return kv.put(to, std::to_string(right + amount));
}

void transfer_all(Container container, std::string name) {
  unsigned long draw = std::hash<std::string>()(name);
  for (long count = 1;; ++count) {
    draw = draw * 6364136223846793005ul + 1442695040888963407ul;
    const auto moved = container.transact([&](Container& view) { return transfer(view, name, draw >> 20); },
                                          {.timeout = std::chrono::minutes(2)});
    if (!moved) _exit(report(moved.error()));
    const std::string line = name + " " + std::to_string(count) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(1);
  }
}

int balance(Kv kv) {
  long sum = 0;
  for (unsigned long i = 0; i < kAccounts; ++i) {
    const auto number = number_at(kv, account(i), kAtFirst);
    if (!number) return report(number.error());
    sum += *number;
  }
  if (sum != kAccounts * kAtFirst) return report(Error(Code::kCorrupt, "the accounts hold " + std::to_string(sum)));
  for (std::string name; std::getline(std::cin, name);) {
    const auto count = number_at(kv, name, 0);
    if (!count) return report(count.error());
    std::printf("%s %ld\n", name.c_str(), *count);
  }
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3) return report(Error(Code::kInvalidArgument, "usage: see the source"));
  auto client = connect(arguments[1]);
  if (!client) return report(client.error());
  const std::size_t slash = arguments[2].find('/');
  auto container = client->open_container(arguments[2].substr(0, slash), arguments[2].substr(slash + 1));
  if (!container) return report(container.error());
  if (arguments[0] == "read") return read_keys(container->kv());
  if (arguments[0] == "balance") return balance(container->kv(kBank));
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    if (arguments[0] == "transfer")
      threads.emplace_back(transfer_all, *container, arguments[3] + "-" + std::to_string(thread));
    else
      threads.emplace_back(write_keys, container->kv(), arguments[3], thread);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run(std::vector<std::string>(argv + 1, argv + argc)); }
