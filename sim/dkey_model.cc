#include "dkey_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/runtime/random.h"

namespace cenote::sim {
namespace {

using Kind = DkeyOperation::Kind;

bool holds(Precondition condition, bool exists) {
  return condition == Precondition::kNone || (condition == Precondition::kPresent) == exists;
}

bool all_hold(const DkeyState& state, const DkeyOperation& operation) {
  switch (operation.kind) {
    case Kind::kUpdate:
    case Kind::kFetch:
      return holds(operation.dkey_condition, state.exists()) &&
             (!operation.single || holds(operation.single_condition, state.single != 0)) &&
             (!operation.array || holds(operation.array_condition, state.array));
    case Kind::kPunchDkey:
      return holds(operation.dkey_condition, state.exists());
    case Kind::kPunchSingle:
      return holds(operation.dkey_condition, state.single != 0);
    case Kind::kPunchBoth:
      return holds(operation.dkey_condition, state.single != 0) && holds(operation.dkey_condition, state.array);
    case Kind::kPunchArray:
    case Kind::kPunchCells:
      return holds(operation.dkey_condition, state.array);
  }
  return false;
}

bool saw(const DkeyState& state, const DkeyOperation& operation) {
  if (operation.single && operation.seen.single != state.single) return false;
  if (!operation.array) return true;
  if (operation.seen.array != state.array) return false;
  const auto begin = operation.first;
  return std::equal(state.cells.begin() + begin, state.cells.begin() + begin + operation.count,
                    operation.seen.cells.begin() + begin);
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kUpdate:
      return "update";
    case Kind::kFetch:
      return "fetch";
    case Kind::kPunchDkey:
      return "punch dkey";
    case Kind::kPunchSingle:
      return "punch single";
    case Kind::kPunchArray:
      return "punch array";
    case Kind::kPunchBoth:
      return "punch both";
    case Kind::kPunchCells:
      return "punch cells";
  }
  return "?";
}

std::string_view name_of(Precondition condition) {
  return condition == Precondition::kNone ? "" : condition == Precondition::kAbsent ? " if absent" : " if present";
}

}  // namespace

std::optional<DkeyState> DkeyModel::step(const DkeyState& state, const DkeyOperation& operation) {
  if (all_hold(state, operation) == operation.condition_failed) return std::nullopt;
  if (operation.condition_failed) return state;
  DkeyState next = state;
  const auto cells = [&] { return std::span(next.cells).subspan(operation.first, operation.count); };
  switch (operation.kind) {
    case Kind::kUpdate:
      if (operation.single) next.single = operation.number;
      if (operation.array) {
        next.array = true;
        std::ranges::fill(cells(), operation.number);
      }
      return next;
    case Kind::kFetch:
      if (!saw(state, operation)) return std::nullopt;
      return next;
    case Kind::kPunchDkey:
    case Kind::kPunchBoth:
      return DkeyState();
    case Kind::kPunchSingle:
      next.single = 0;
      return next;
    case Kind::kPunchArray:
      next.array = false;
      next.cells = {};
      return next;
    case Kind::kPunchCells:
      std::ranges::fill(cells(), 0);
      return next;
  }
  return std::nullopt;
}

std::string DkeyOperation::describe() const {
  std::string text(name_of(kind));
  text += name_of(dkey_condition);
  if (kind == Kind::kUpdate) text += fmt::format(" #{}", number);
  if (single) text += fmt::format(", single{}", name_of(single_condition));
  if (single && kind == Kind::kFetch) text += fmt::format(" = #{}", seen.single);
  if (array) text += fmt::format(", array{} [{}, {})", name_of(array_condition), first, first + count);
  if (kind == Kind::kPunchCells) text += fmt::format(" [{}, {})", first, first + count);
  if (array && kind == Kind::kFetch) {
    if (!seen.array) text += " absent";
    for (std::uint32_t i = first; seen.array && i < first + count; ++i) text += fmt::format(" #{}", seen.cells[i]);
  }
  if (condition_failed) text += ": condition failed";
  return text;
}

Bytes contents(std::uint64_t number, std::uint64_t salt, std::size_t bytes) {
  Bytes data(bytes);
  Random random(number * 1000003 + salt);
  for (std::size_t at = 8; at < bytes; at += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(data.data() + at, &word, std::min<std::size_t>(8, bytes - at));
  }
  store_le(data.data(), number);
  return data;
}

std::optional<std::uint64_t> number_in(ByteView bytes, std::uint64_t salt) {
  if (std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; })) return 0;
  const auto number = load_le<std::uint64_t>(bytes.data());
  if (number == 0 || !equal(contents(number, salt, bytes.size()), bytes)) return std::nullopt;
  return number;
}

}  // namespace cenote::sim
