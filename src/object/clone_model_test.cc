#include "model_run.h"

namespace cenote::object {
namespace {

/// A container of the run that is not the one at hand.
struct Branch {
  Uuid container;
  Model model;
  std::vector<std::uint64_t> epochs;
  std::uint64_t bound = 0;
  std::set<std::uint64_t> snapshots;
  std::multiset<std::uint64_t> clones;
  Uuid source;
  std::uint64_t cloned_at = 0;  ///< 0: no clone
};

/// The same random requests to a container and clones of it, and clones of clones. To the model, a clone is a copy of
/// everything up to an epoch.
class CloneRun final : public ModelRun {
 public:
  using ModelRun::ModelRun;

 private:
  static constexpr std::size_t kBranches = 5;

  void other_step() override {
    if (below(3) == 0) clone();
    if (below(2) == 0) turn_to_another();
    if (below(8) == 0 && !others_.empty()) destroy();
    if (below(4) == 0) flatten();
  }
  bool retained(std::uint64_t epoch) const override {
    return ModelRun::retained(epoch) || clones_.contains(epoch) || (cloned_at_ != 0 && epoch == cloned_at_);
  }
  std::uint64_t oldest_end() const override {
    std::uint64_t end = std::max({ModelRun::oldest_end(), clones_.empty() ? 0 : *clones_.rbegin(), cloned_at_});
    for (const Gone& gone : gone_)
      if (gone.source == target_.container && is_kept(gone.container)) end = std::max(end, gone.cloned_at);
    return end;
  }
  /// Whether a container that was destroyed is still there for clones of it, or for clones of such a one.
  bool is_kept(const Uuid& container) const {
    const auto is_clone_of_it = [&](const auto& clone) { return clone.source == container; };
    if ((cloned_at_ != 0 && source_ == container) || std::ranges::any_of(others_, is_clone_of_it)) return true;
    return std::ranges::any_of(gone_,
                               [&](const Gone& gone) { return gone.source == container && is_kept(gone.container); });
  }
  void raise_bound(std::uint64_t bound) override {
    ModelRun::raise_bound(bound);
    for (Branch& branch : others_) branch.bound = std::max(branch.bound, bound);
  }

  void swap_with(Branch& branch) {
    std::swap(target_.container, branch.container);
    std::swap(model_, branch.model);
    std::swap(epochs_, branch.epochs);
    std::swap(bound_, branch.bound);
    std::swap(snapshots_, branch.snapshots);
    std::swap(clones_, branch.clones);
    std::swap(source_, branch.source);
    std::swap(cloned_at_, branch.cloned_at);
  }
  void turn_to_another() {
    if (!others_.empty()) swap_with(others_[below(others_.size())]);
  }

  /// Of a snapshot, or of an epoch that another clone keeps.
  void clone() {
    if (others_.size() + 1 == kBranches) return;
    if (snapshots_.empty()) add_snapshot();
    std::vector<std::uint64_t> epochs(snapshots_.begin(), snapshots_.end());
    epochs.insert(epochs.end(), clones_.begin(), clones_.end());
    if (epochs.empty()) return;
    const std::uint64_t epoch = pick(epochs);
    Branch made{.container = Uuid::from_random(random_(), random_()),
                .model = model_,
                .epochs = {epoch},
                .bound = epoch,
                .snapshots = {},
                .clones = {},
                .source = target_.container,
                .cloned_at = epoch};
    made.model.forget_after(epoch);
    const CloneSource source{target_.container, Epoch(epoch)};
    // The second time as a request that is sent again.
    for (int i = 0; i < 2; ++i) {
      const auto cloned =
          target_.block_on(target_.objects->clone_container(made.container, target_.properties, source));
      ASSERT_TRUE(cloned) << cloned.error().to_string();
    }
    clones_.insert(epoch);
    others_.push_back(std::move(made));
    if (below(2) == 0) swap_with(others_.back());
    // A clone needs no snapshot but its own.
    if (below(2) == 0 && cloned_at_ == 0) remove_snapshot();
  }

  /// The container at hand: with clones or without, before its source or after.
  void destroy() {
    const auto destroyed = target_.block_on(target_.objects->destroy_container(target_.container));
    ASSERT_TRUE(destroyed) << destroyed.error().to_string();
    const auto fetched = target_.fetch(target_.fetch_single(objects_[0], key_of("a"), key_of("a")));
    ASSERT_TRUE(!fetched && fetched.error() == Code::kContainerNotFound);
    for (Branch& branch : others_)
      if (branch.container == source_) branch.clones.erase(branch.clones.find(cloned_at_));
    if (cloned_at_ != 0) gone_.push_back({target_.container, source_, cloned_at_});
    const std::size_t next = below(others_.size());
    swap_with(others_[next]);
    others_.erase(others_.begin() + static_cast<std::ptrdiff_t>(next));
    if (below(2) == 0) target_.reopen();
    if (below(2) == 0) return;
    const auto merged = target_.block_on(target_.objects->aggregate(Epoch(bound_)));
    ASSERT_TRUE(merged) << merged.error().to_string();
    raise_bound(bound_);
    target_.check();
  }

  /// The container at hand: as far as a quota lets it, to its end, or while requests and aggregation go on.
  void flatten() {
    if (cloned_at_ == 0) return;
    const Usage used = *target_.block_on(target_.objects->container_usage(target_.container));
    const Usage added =
        *target_.block_on(target_.objects->measure_flattening(target_.container, std::chrono::hours(1)));
    const std::uint64_t most = below(2) == 0 ? added.bytes : below(added.bytes + 1);
    const auto account = std::make_shared<SpaceAccount>("container");
    target_.objects->charge_to(target_.container, account);
    account->set_limit({used.bytes + most, SpaceAccount::kNoLimit});
    if (below(2) == 0) {
      const auto flattened = target_.block_on(target_.objects->flatten(target_.container));
      ASSERT_EQ(code_of(flattened), most == added.bytes ? Code::kOk : Code::kQuotaExceeded);
      const Usage now = *target_.block_on(target_.objects->container_usage(target_.container));
      ASSERT_EQ(account->used(), now);
      if (flattened) ASSERT_EQ(now, used + added);
      account->set_limit({SpaceAccount::kNoLimit, SpaceAccount::kNoLimit});
      if (flattened) forget_source();
    } else {
      account->set_limit({SpaceAccount::kNoLimit, SpaceAccount::kNoLimit});
      flatten_meanwhile();
    }
    if (below(3) == 0) target_.reopen();
    target_.check();
    ASSERT_NO_FATAL_FAILURE(check_all());
  }

  /// For some time, after which it may have come to its end or goes on.
  void flatten_meanwhile() {
    ASSERT_TRUE(target_.block_on(target_.objects->start_flattening(target_.container, std::nullopt)));
    for (std::uint64_t steps = below(30); steps > 0; --steps) {
      switch (below(6)) {
        case 0:
          ASSERT_NO_FATAL_FAILURE(punch());
          break;
        case 1:
          ASSERT_NO_FATAL_FAILURE(commit());
          break;
        case 2:
          ASSERT_NO_FATAL_FAILURE(fetch());
          break;
        case 3:
          ASSERT_TRUE(target_.block_on(target_.objects->aggregate(Epoch(bound_))));
          raise_bound(bound_);
          break;
        default:
          ASSERT_NO_FATAL_FAILURE(update());
      }
    }
    if (below(2) == 0) target_.reopen();
    while (target_.block_on(target_.objects->flattening(target_.container)).value()) ASSERT_NO_FATAL_FAILURE(fetch());
    if (!*target_.block_on(target_.objects->clone_source(target_.container))) forget_source();
  }

  void forget_source() {
    for (Branch& branch : others_)
      if (branch.container == source_) branch.clones.erase(branch.clones.find(cloned_at_));
    source_ = {};
    cloned_at_ = 0;
  }

  /// All of a branch as its latest readers see it.
  void check_branch() {
    for (const auto& [object, dkeys] : model_.objects)
      for (const auto& [dkey, akeys] : dkeys.dkeys)
        for (const auto& [akey, unused] : akeys.akeys)
          ASSERT_NO_FATAL_FAILURE(check_akey(object, dkey, akey, kEpochLatest.value()));
    check_snapshots();
    const auto source = target_.block_on(target_.objects->clone_source(target_.container));
    ASSERT_TRUE(source);
    ASSERT_EQ(source->has_value(), cloned_at_ != 0);
    if (*source) ASSERT_EQ(**source, (CloneSource{source_, Epoch(cloned_at_)}));
  }

  void check_all() {
    ASSERT_NO_FATAL_FAILURE(check_branch());
    for (Branch& branch : others_) {
      swap_with(branch);
      ASSERT_NO_FATAL_FAILURE(check_branch());
      swap_with(branch);
    }
  }

  /// Until one is left, which is a clone of nothing that anybody can find: what it needed of others goes with it.
  void before_finish() override {
    for (bool last = false; !last;) {
      last = others_.empty();
      ASSERT_NO_FATAL_FAILURE(check_all());
      ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
      raise_bound(target_.objects->now().value());
      target_.check();
      ASSERT_NO_FATAL_FAILURE(check_all());
      if (last) break;
      turn_to_another();
      ASSERT_NO_FATAL_FAILURE(destroy());
    }
    if (cloned_at_ == 0) return;
    ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(target_.container)));
    ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
    EXPECT_TRUE(target_.block_on(target_.objects->list_containers())->empty());
    EXPECT_TRUE(target_.block_on(target_.objects->owned_extents())->empty());
    ASSERT_TRUE(target_.block_on(target_.objects->create_container(target_.container, target_.properties)));
    model_ = {};
    snapshots_.clear();
  }

  /// A clone that was destroyed; it may have clones itself.
  struct Gone {
    Uuid container, source;
    std::uint64_t cloned_at = 0;
  };
  std::vector<Gone> gone_;
  std::vector<Branch> others_;
  std::multiset<std::uint64_t> clones_;
  Uuid source_;
  std::uint64_t cloned_at_ = 0;
};

class CloneModelTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CloneModelTest, AgreesWithCopies) { CloneRun(GetParam()).run(700); }

INSTANTIATE_TEST_SUITE_P(Seeds, CloneModelTest, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace cenote::object
