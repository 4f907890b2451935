#include "chains.h"

#include <fmt/format.h>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/client/kv.h"

namespace cenote::sim {
namespace {

std::string token(std::uint64_t place) { return fmt::format("token-{:06}", place); }
std::string taken(std::uint64_t place) { return fmt::format("taken-{:06}", place); }
constexpr std::string_view kHead = "head";

Bytes encoded(std::uint64_t number, std::size_t bytes) {
  Bytes value(bytes);
  store_le(value.data(), number);
  return value;
}

async::ChangeSet::Update put(const ObjectId& object, std::string_view key, const Bytes& value) {
  async::ChangeSet::Update update{.request = {}, .payload = {ByteView(value)}};
  update.request.object = object;
  update.request.dkey = as_bytes(key);
  AkeyUpdate& akey = update.request.akeys.emplace_back();
  akey.akey = as_bytes("v");
  akey.bytes = value.size();
  return update;
}

PunchRequest punch(const ObjectId& object, std::string_view key) {
  PunchRequest punch;
  punch.object = object;
  punch.level = PunchLevel::kDkey;
  punch.condition = Precondition::kPresent;
  punch.dkey = as_bytes(key);
  return punch;
}

}  // namespace

Task<Result<>> Chains::look(async::Container container, Moves* moves, Until until) const {
  for (std::uint32_t chain = 0; chain < kChains; ++chain) {
    if (!(*moves)[chain]) continue;
    CO_TRY(const auto head, co_await async::Kv(container, objects_[chain]).get(std::string(kHead), until));
    (*moves)[chain] = head ? load_le<std::uint64_t>(head->data()) + 1 : 0;
  }
  co_return Result<>();
}

Task<Result<>> Chains::move(async::Container container, Moves moves, std::uint64_t number, std::size_t bytes,
                            Until until) const {
  const Bytes value = encoded(number, bytes);
  std::array<Bytes, kChains> heads;
  async::ChangeSet changes;
  for (std::uint32_t chain = 0; chain < kChains; ++chain) {
    if (!moves[chain]) continue;
    const std::uint64_t place = *moves[chain];
    heads[chain] = encoded(place, 8);
    const ObjectId& object = objects_[chain];
    changes.updates.push_back(put(object, token(place), value));
    changes.updates.back().request.dkey_condition = Precondition::kAbsent;
    changes.updates.push_back(put(object, taken(place), value));
    changes.updates.back().request.akeys[0].condition = Precondition::kAbsent;
    changes.updates.push_back(put(object, kHead, heads[chain]));
    changes.updates.back().request.dkey_condition = place == 0 ? Precondition::kAbsent : Precondition::kPresent;
    if (place > 0) changes.punches.push_back(punch(object, token(place - 1)));
  }
  CO_CHECK_OK(co_await container.apply(std::move(changes), until));
  co_return Result<>();
}

Task<Result<Chains::Takers>> Chains::read(async::Container container, Until until) const {
  Takers takers;
  for (std::uint32_t chain = 0; chain < kChains; ++chain) {
    async::Kv kv(container, objects_[chain]);
    for (;;) {
      CO_TRY(const auto value, co_await kv.get(taken(takers[chain].size()), until));
      if (!value) break;
      takers[chain].push_back(load_le<std::uint64_t>(value->data()));
    }
    const std::uint64_t count = takers[chain].size();
    CO_TRY(const auto head, co_await kv.get(std::string(kHead), until));
    if (head.has_value() != (count > 0) || (head && load_le<std::uint64_t>(head->data()) + 1 != count))
      co_return failf(Code::kCorrupt, "chain {}: its head is not at the last of {} places", chain, count);
    CO_TRY(const auto tokens, co_await kv.list("token-", "", 3, until));
    const bool right = count == 0 ? tokens.keys.empty() : tokens.keys == std::vector{token(count - 1)};
    if (!right)
      co_return failf(Code::kCorrupt, "chain {}: {} tokens after {} places, the first '{}'", chain, tokens.keys.size(),
                      count, tokens.keys.empty() ? "" : tokens.keys.front());
  }
  co_return takers;
}

}  // namespace cenote::sim
