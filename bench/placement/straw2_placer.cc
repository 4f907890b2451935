#include <algorithm>
#include <cmath>

#include "bucket_tree.h"

namespace cenote::bench {
namespace {

constexpr std::uint32_t kAttempts = 50;  // CRUSH's choose_total_tries

class Straw2Placer final : public Placer {
 public:
  Straw2Placer(const SimulatedPool& pool, std::uint32_t group_size) : tree_(pool), targets_(pool.targets) {
    apart_ = tree_.root.children.size() >= group_size;
  }

  void place(std::uint64_t object, std::span<std::uint32_t> members) const override {
    for (std::size_t i = 0; i < members.size(); ++i) {
      members[i] = kNobody;
      for (std::uint32_t attempt = 0; attempt < kAttempts && members[i] == kNobody; ++attempt) {
        // As "firstn": a member that collides goes on with the seeds of the next ones.
        const std::uint32_t target = draw(object, static_cast<std::uint32_t>(i) + attempt);
        if (fits(target, members.first(i))) members[i] = target;
      }
    }
  }
  std::size_t memory_bytes() const override { return tree_.memory_bytes(); }

 private:
  template <typename WeightOf>
  static std::uint32_t longest(const BucketTree::Bucket& bucket, std::uint64_t object, std::uint32_t seed,
                               std::uint64_t level, WeightOf weight_of) {
    std::uint32_t best = kNobody;
    double best_straw = 0;
    for (const std::uint32_t child : bucket.children) {
      const double weight = weight_of(child);
      if (weight == 0) continue;
      const std::uint64_t hash = mix(mix(object, seed), std::uint64_t{child} << 2 | level) >> 11;
      const double straw = std::log((static_cast<double>(hash) + 1) / 9007199254740993.0) / weight;
      if (best != kNobody && straw <= best_straw) continue;
      best = child;
      best_straw = straw;
    }
    return best;
  }
  std::uint32_t draw(std::uint64_t object, std::uint32_t seed) const {
    const std::uint32_t rack =
        longest(tree_.root, object, seed, 0, [this](std::uint32_t i) { return tree_.racks[i].weight; });
    const std::uint32_t node =
        longest(tree_.racks[rack], object, seed, 1, [this](std::uint32_t i) { return tree_.nodes[i].weight; });
    return longest(tree_.nodes[node], object, seed, 2, [this](std::uint32_t i) { return tree_.weights[i]; });
  }
  bool fits(std::uint32_t target, std::span<const std::uint32_t> members) const {
    if (targets_[target].is_lost) return false;
    return std::ranges::none_of(members, [this, target](std::uint32_t member) {
      return apart_ ? targets_[member].rack == targets_[target].rack : targets_[member].node == targets_[target].node;
    });
  }

  BucketTree tree_;
  std::vector<SimulatedTarget> targets_;
  bool apart_;
};

}  // namespace

std::unique_ptr<Placer> make_straw2(const SimulatedPool& pool, std::uint32_t group_size) {
  return std::make_unique<Straw2Placer>(pool, group_size);
}

}  // namespace cenote::bench
