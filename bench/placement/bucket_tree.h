#pragma once

#include <cstdint>
#include <vector>

#include "placer.h"

namespace cenote::bench {

/// Root, racks, nodes, targets. Children stand in the order in which they joined, as jump hash needs it.
struct BucketTree {
  struct Bucket {
    std::vector<std::uint32_t> children;  ///< buckets, or targets of a node
    double weight = 0;
  };
  Bucket root;
  std::vector<Bucket> racks;
  std::vector<Bucket> nodes;
  std::vector<double> weights;  ///< of targets, lost ones included

  explicit BucketTree(const SimulatedPool& pool)
      : racks(pool.targets.back().rack + 1), nodes(pool.targets.back().node + 1) {
    for (std::uint32_t i = 0; i < pool.targets.size(); ++i) {
      const SimulatedTarget& target = pool.targets[i];
      if (racks[target.rack].children.empty()) root.children.push_back(target.rack);
      if (nodes[target.node].children.empty()) racks[target.rack].children.push_back(target.node);
      nodes[target.node].children.push_back(i);
      weights.push_back(target.weight);
      for (Bucket* bucket : {&root, &racks[target.rack], &nodes[target.node]}) bucket->weight += weights.back();
    }
  }

  std::size_t memory_bytes() const {
    std::size_t bytes = weights.size() * sizeof(double);
    for (const auto* level : {&racks, &nodes}) {
      for (const Bucket& bucket : *level) bytes += sizeof bucket + bucket.children.size() * sizeof(std::uint32_t);
    }
    return bytes;
  }
};

inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return mix(a * 0x9e3779b97f4a7c15 + mix(b + 1)); }

}  // namespace cenote::bench
