#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cenote/client/async.h"

namespace cenote::sim {

inline constexpr std::uint32_t kChains = 3;

/// Places that were taken one after the other, each by one change set that proves, by conditions alone, that it takes
/// the next one: a token lies at the last place, goes from there, and must not be at the next one yet. A set that takes
/// places in several chains takes all of them or none.
class Chains {
 public:
  /// By chain: the place that is taken, if any.
  using Moves = std::array<std::optional<std::uint64_t>, kChains>;

  explicit Chains(std::array<ObjectId, kChains> objects) : objects_(objects) {}

  /// In `moves`, which says which chains: the places after the last ones, as far as a read tells.
  Task<Result<>> look(async::Container container, Moves* moves, Until until) const;
  /// Takes them. `bytes`: of a value with the number of the one who does.
  Task<Result<>> move(async::Container container, Moves moves, std::uint64_t number, std::size_t bytes,
                      Until until) const;

  /// In the end: who took the places of each chain, in order.
  using Takers = std::array<std::vector<std::uint64_t>, kChains>;
  Task<Result<Takers>> read(async::Container container, Until until) const;

 private:
  std::array<ObjectId, kChains> objects_;
};

}  // namespace cenote::sim
