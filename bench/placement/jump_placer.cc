#include <algorithm>

#include "bucket_tree.h"

namespace cenote::bench {
namespace {

constexpr std::uint32_t kAttempts = 1000;

/// Lamping and Veach, "A fast, minimal memory, consistent hash algorithm".
std::uint32_t jump(std::uint64_t key, std::uint32_t buckets) {
  std::int64_t last = -1;
  std::int64_t next = 0;
  while (next < buckets) {
    last = next;
    key = key * 2862933555777941757ull + 1;
    next = static_cast<std::int64_t>(static_cast<double>(last + 1) *
                                     (static_cast<double>(1ull << 31) / static_cast<double>((key >> 33) + 1)));
  }
  return static_cast<std::uint32_t>(last);
}

class JumpPlacer final : public Placer {
 public:
  JumpPlacer(const SimulatedPool& pool, std::uint32_t group_size) : tree_(pool), targets_(pool.targets) {
    apart_ = tree_.root.children.size() >= group_size;
  }

  void place(std::uint64_t object, std::span<std::uint32_t> members) const override {
    for (std::size_t i = 0; i < members.size(); ++i) {
      members[i] = kNobody;
      for (std::uint32_t attempt = 0; attempt < kAttempts && members[i] == kNobody; ++attempt) {
        const std::uint32_t target = draw(mix(object, i * kAttempts + attempt));
        if (fits(target, members.first(i))) members[i] = target;
      }
    }
  }
  std::size_t memory_bytes() const override { return tree_.memory_bytes(); }

 private:
  std::uint32_t draw(std::uint64_t key) const {
    const auto child = [](const BucketTree::Bucket& bucket, std::uint64_t hash) {
      return bucket.children[jump(hash, static_cast<std::uint32_t>(bucket.children.size()))];
    };
    const std::uint32_t rack = child(tree_.root, mix(key, 1));
    const std::uint32_t node = child(tree_.racks[rack], mix(key, 2));
    return child(tree_.nodes[node], mix(key, 3));
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

std::unique_ptr<Placer> make_jump(const SimulatedPool& pool, std::uint32_t group_size) {
  return std::make_unique<JumpPlacer>(pool, group_size);
}

}  // namespace cenote::bench
