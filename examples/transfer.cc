// Moves money between two accounts in a transaction: both change or none does, whatever happens, and however many
// others do the same at the same time.

#include <cenote/cenote.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

[[noreturn]] void give_up(const cenote::Error& error) {
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  std::exit(1);
}

template <typename T>
T must(cenote::Result<T> result) {
  if (!result) give_up(result.error());
  return *std::move(result);
}
void must(cenote::Result<> result) {
  if (!result) give_up(result.error());
}

cenote::Result<long> balance(cenote::Kv kv, const std::string& account) {
  auto value = kv.get(account);
  if (!value) return std::unexpected(value.error());
  return *value ? std::stol(std::string(cenote::as_text(**value))) : 0;
}

cenote::Result<> transfer(cenote::Container& container, const std::string& from, const std::string& to, long amount) {
  // The function may run several times, so it does nothing but through its view.
  return container.transact([&](cenote::Container& view) -> cenote::Result<> {
    cenote::Kv kv = view.kv();
    const auto left = balance(kv, from);
    const auto right = balance(kv, to);
    if (!left) return std::unexpected(left.error());
    if (!right) return std::unexpected(right.error());
    if (*left < amount) return cenote::fail(cenote::Code::kInvalidArgument, from + " has not that much");
    if (auto put = kv.put(from, std::to_string(*left - amount)); !put) return put;
    return kv.put(to, std::to_string(*right + amount));
  });
}

}  // namespace

int main(int argc, char** argv) {
  auto client = must(cenote::open(argc > 1 ? argv[1] : "transfer-data", {.size_bytes = 64u << 20}));
  static_cast<void>(client.create_pool({.label = "bank", .size_bytes = 0}));
  static_cast<void>(client.create_container({.pool = "bank", .label = "accounts", .type = "kv", .properties = {}}));
  auto accounts = must(client.open_container("bank", "accounts"));
  must(accounts.kv().put("savings", "100"));
  must(accounts.kv().put("daily", "0"));
  must(transfer(accounts, "savings", "daily", 30));
  if (transfer(accounts, "savings", "daily", 1000)) return 1;  // refused, and nothing has happened
  const long savings = must(balance(accounts.kv(), "savings")), daily = must(balance(accounts.kv(), "daily"));
  std::printf("savings %ld, daily %ld\n", savings, daily);
  return savings == 70 && daily == 30 ? 0 : 1;
}
