#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

// One question to several ways of placing: which targets hold a group?
namespace cenote::bench {

struct SimulatedTarget {
  std::uint32_t rack;
  std::uint32_t node;  ///< numbered over all racks
  bool is_lost;
  double weight;
};

/// What is placed on: targets in the order in which they joined.
struct SimulatedPool {
  std::vector<SimulatedTarget> targets;
  std::uint32_t first_targets;  ///< those that the pool began with

  /// Adds whole racks.
  void add_racks(std::uint32_t racks, std::uint32_t nodes, std::uint32_t targets_of_node);
  void lose(std::uint32_t target) { targets[target].is_lost = true; }
};

inline constexpr std::uint32_t kNobody = UINT32_MAX;

class Placer {
 public:
  virtual ~Placer() = default;
  /// Target of each member of the only group of an object.
  virtual void place(std::uint64_t object, std::span<std::uint32_t> members) const = 0;
  virtual std::size_t memory_bytes() const = 0;
};

/// Cenote's placement.
std::unique_ptr<Placer> make_cenote(const SimulatedPool& pool, std::uint32_t group_size);
/// Jump consistent hashing down the tree, as jump-map does it: at each level the child by jump hash, with another seed
/// where the choice is taken or lost. Cannot weigh, and numbers of children only grow at the end.
std::unique_ptr<Placer> make_jump(const SimulatedPool& pool, std::uint32_t group_size);
/// CRUSH with straw2 buckets: rack, node and target by the longest of straws of random length and weight. What is lost
/// is "out": it keeps its weight, and who meets it draws again.
std::unique_ptr<Placer> make_straw2(const SimulatedPool& pool, std::uint32_t group_size);

}  // namespace cenote::bench
