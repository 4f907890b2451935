#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <string>

#include "trees_test_kit.h"

namespace cenote::store {
namespace {

/// What a tree must hold, erased keys included, with the batch that last changed each.
struct ModelEntry {
  std::optional<std::string> value;
  Lsn lsn{};
};
using Model = std::map<std::string, ModelEntry>;

enum class Keys : std::uint8_t { kShort, kLong, kLongPrefix, kAscending, kDescending, kMixed };

struct Workload {
  const char* name;
  Keys keys;
  std::uint64_t frames;        ///< of the cache
  std::uint64_t batch_most;    ///< changes in one batch
  std::uint64_t key_space;     ///< how many different keys
  std::uint64_t large_values;  ///< one in so many values is large
  int steps;
};

struct Change {
  TreeId tree;
  std::string key;
  std::optional<std::string> value;
};

class ModelRun {
 public:
  ModelRun(Reactor& reactor, const Workload& workload, std::uint64_t seed)
      : workload_(workload), random_(seed), kit_(reactor, workload.frames, seed) {
    for (std::uint32_t i = 1; i <= 2; ++i) {
      kit_.lsn = Lsn{kit_.lsn.value() + 1};
      kit_.trees->create(TreeId{i}, kit_.lsn);
      models_[TreeId{i}];
    }
  }

  Task<> run() {
    for (int step = 0; step < workload_.steps && !testing::Test::HasFatalFailure(); ++step) {
      erasing_ = (step / 1000) % 4 == 3;  // lets the trees shrink now and then
      if (random_.chance(1, 5)) nudge_checkpoint();
      co_await random_step();
      if (step % 2500 == 2499) co_await check_everything();
    }
    co_await erase_everything();
  }

 private:
  TreeId random_tree() { return TreeId{static_cast<std::uint32_t>(random_.chance(1, 10) ? 2 : 1)}; }

  std::string random_key() {
    const std::uint64_t number = random_.below(workload_.key_space);
    Keys kind = workload_.keys;
    if (kind == Keys::kMixed) kind = static_cast<Keys>(number % 3);
    Random of_number(number);  // the same number is the same key
    switch (kind) {
      case Keys::kShort:
        return number == 0 ? "" : fmt::format("{:x}", of_number.next() >> (of_number.below(15) * 4));
      case Keys::kLong: {
        std::string key(of_number.below(4) == 0 ? kMaxKeyBytes : of_number.below(kMaxKeyBytes), 'l');
        for (char& c : key) c = static_cast<char>(of_number.chance(1, 8) ? of_number.below(256) : 'l');
        return key;
      }
      case Keys::kLongPrefix:
        return std::string(kMaxKeyBytes - 30 * (number % 3 + 1), 'p') +
               fmt::format("{:030}", number).substr(30 - 10 * (number % 3 + 1));
      case Keys::kAscending:
        return fmt::format("key-{:012}", next_++ % workload_.key_space);
      case Keys::kDescending:
        return fmt::format("key-{:012}", workload_.key_space - next_++ % workload_.key_space);
      case Keys::kMixed:
        break;
    }
    return {};
  }
  /// A key that is there, mostly.
  std::string known_key(TreeId tree) {
    const Model& model = models_[tree];
    const auto found = model.lower_bound(random_key());
    return found == model.end() ? random_key() : found->first;
  }

  std::string random_value() {
    std::uint64_t bytes = random_.below(40);
    if (random_.chance(1, workload_.large_values))
      bytes = random_.chance(1, 2) ? kMaxValueBytes : random_.below(kMaxValueBytes);
    return std::string(bytes, static_cast<char>('a' + random_.below(26)));
  }

  void nudge_checkpoint() {
    if (kit_.checkpoint_running()) {
      for (std::uint64_t pages = random_.below(6); pages > 0 && kit_.checkpoint_running(); --pages)
        kit_.advance_checkpoint();
    } else if (random_.chance(1, 20)) {
      kit_.begin_checkpoint();
    }
  }

  Task<> random_step() {
    const TreeId tree = random_tree();
    switch (random_.below(10)) {
      case 0:
        co_await check_get(tree, random_key());
        break;
      case 1:
        co_await check_get(tree, known_key(tree));
        break;
      case 2:
        co_await check_seek(tree, random_key());
        break;
      case 3:
        co_await check_seek_at_most(tree, random_key());
        break;
      default:
        co_await change(random_batch());
        break;
    }
  }

  std::vector<Change> random_batch() {
    std::vector<Change> batch;
    for (std::uint64_t i = random_.below(workload_.batch_most) + 1; i > 0; --i) {
      const TreeId tree = random_tree();
      const bool erase = random_.chance(erasing_ ? 9 : 3, 10);
      std::string key = random_.chance(1, 2) || erase ? known_key(tree) : random_key();
      batch.push_back({tree, std::move(key), erase ? std::nullopt : std::optional(random_value())});
    }
    return batch;
  }

  Result<std::uint64_t> prepare(const std::vector<Change>& batch) {
    std::uint64_t frames = 0;
    kit_.trees->begin_batch();
    for (const Change& change : batch) {
      if (change.value) {
        CHECK_OK(kit_.trees->prepare_put(change.tree, as_bytes(change.key), change.value->size(), frames));
      } else {
        CHECK_OK(kit_.trees->prepare_erase(change.tree, as_bytes(change.key), frames));
      }
    }
    return frames;
  }

  void apply(const std::vector<Change>& batch) {
    kit_.lsn = Lsn{kit_.lsn.value() + 1};
    for (const Change& change : batch) {
      ModelEntry& entry = models_[change.tree][change.key];
      if (change.value) {
        kit_.trees->put(change.tree, as_bytes(change.key), as_bytes(*change.value), kit_.lsn);
        entry = {change.value, kit_.lsn};
      } else {
        const bool erased = kit_.trees->erase(change.tree, as_bytes(change.key), kit_.lsn);
        EXPECT_EQ(erased, entry.value.has_value());
        if (erased) entry = {std::nullopt, kit_.lsn};
      }
    }
    kit_.trees->finish_batch();
  }

  Task<> change(std::vector<Change> batch) {
    auto attempt = [&]() -> Result<> {
      TRY(const std::uint64_t frames, prepare(batch));
      CHECK_OK(kit_.need_room(frames));
      apply(batch);
      return {};
    };
    const Result<> done = co_await kit_.run(attempt);
    EXPECT_TRUE(done) << done.error().to_string();
    kit_.cache->check_invariants();
  }

  /// A reply that shows these keys must wait for the last batch that changed one of them, unless that is durable.
  void expect_seen(Lsn seen, Model::const_iterator begin, Model::const_iterator end) {
    Lsn last{};
    int count = 0;
    for (; begin != end && ++count < 100; ++begin) last = std::max(last, begin->second.lsn);
    if (last > kit_.durable_lsn) EXPECT_GE(seen.value(), last.value());
  }

  Task<> check_get(TreeId tree, std::string key) {
    Lsn seen{};
    auto attempt = [&]() -> Result<std::optional<std::string>> {
      TRY(const auto value, kit_.trees->get(tree, as_bytes(key), seen));
      return value ? std::optional(to_text(*value)) : std::nullopt;
    };
    const auto value = co_await kit_.run(attempt);
    const Model& model = models_[tree];
    const auto found = model.find(key);
    EXPECT_EQ(value.value(), found == model.end() ? std::nullopt : found->second.value);
    if (found != model.end()) expect_seen(seen, found, std::next(found));
  }

  using Found = std::optional<std::pair<std::string, std::string>>;
  Found show(const std::optional<LeafPosition>& position) {
    if (!position) return std::nullopt;
    KeyBuffer buffer;
    const ByteView key = kit_.trees->key_at(*position, buffer);
    return std::pair(to_text(key), to_text(kit_.trees->value_at(*position)));
  }
  static Found show(const Model& model, Model::const_iterator at) {
    return at == model.end() ? std::nullopt : Found(std::pair(at->first, *at->second.value));
  }

  /// The first entry >= key and the one behind it.
  Task<> check_seek(TreeId tree, std::string key) {
    Lsn seen{};
    auto attempt = [&]() -> Result<std::pair<Found, Found>> {
      TRY(auto position, kit_.trees->seek(tree, as_bytes(key), seen));
      const Found first = show(position);
      if (position) {
        TRY(position, kit_.trees->next(tree, *position, seen));
      }
      return std::pair(first, show(position));
    };
    const auto found = co_await kit_.run(attempt);
    const Model& model = models_[tree];
    const auto live = [](const auto& entry) { return entry.second.value.has_value(); };
    const auto begin = model.lower_bound(key);
    const auto first = std::find_if(begin, model.end(), live);
    const auto second = first == model.end() ? first : std::find_if(std::next(first), model.end(), live);
    EXPECT_EQ(found.value().first, show(model, first));
    EXPECT_EQ(found.value().second, show(model, second));
    expect_seen(seen, begin, second == model.end() ? second : std::next(second));
  }

  /// The last entry <= key and the one before it.
  Task<> check_seek_at_most(TreeId tree, std::string key) {
    Lsn seen{};
    auto attempt = [&]() -> Result<std::pair<Found, Found>> {
      TRY(auto position, kit_.trees->seek_at_most(tree, as_bytes(key), seen));
      const Found first = show(position);
      if (position) {
        TRY(position, kit_.trees->previous(tree, *position, seen));
      }
      return std::pair(first, show(position));
    };
    const auto found = co_await kit_.run(attempt);
    const Model& model = models_[tree];
    const auto live_before = [&](Model::const_iterator at) {
      while (at != model.begin()) {
        if ((--at)->second.value) return at;
      }
      return model.end();
    };
    const auto end = model.upper_bound(key);
    const auto first = live_before(end);
    const auto second = first == model.end() ? first : live_before(first);
    EXPECT_EQ(found.value().first, show(model, first));
    EXPECT_EQ(found.value().second, show(model, second));
    expect_seen(seen, second == model.end() ? model.begin() : second, end);
  }

  Task<> check_everything() {
    std::vector<PageId> reached;
    kit_.make_room(1);
    for (auto& [tree, model] : models_) {
      const Result<> sound = co_await kit_.trees->check(tree, &reached);
      EXPECT_TRUE(sound) << sound.error().message();
      co_await scan(tree, model);
    }
    std::ranges::sort(reached);
    EXPECT_TRUE(std::ranges::equal(reached, kit_.source.live)) << "pages that no tree reaches, or that were freed";
  }

  Task<> scan(TreeId tree, Model& model) {
    std::erase_if(model,
                  [&](const auto& entry) { return !entry.second.value && entry.second.lsn <= kit_.durable_lsn; });
    Found at;
    auto forward = [&]() -> Result<Found> {
      Lsn seen{};
      TRY(auto position, kit_.trees->seek(tree, at ? as_bytes(at->first) : ByteView{}, seen));
      if (at && position) {
        TRY(position, kit_.trees->next(tree, *position, seen));
      }
      return show(position);
    };
    auto backward = [&]() -> Result<Found> {
      Lsn seen{};
      const std::string last(kMaxKeyBytes, '\xff');
      TRY(auto position, kit_.trees->seek_at_most(tree, as_bytes(at ? at->first : last), seen));
      if (at && position) {
        TRY(position, kit_.trees->previous(tree, *position, seen));
      }
      return show(position);
    };
    std::vector<Found> expected;
    for (const auto& [key, entry] : model) {
      if (entry.value) expected.emplace_back(std::in_place, key, *entry.value);
    }
    for (const Found& entry : expected) {
      at = (co_await kit_.run(forward)).value();
      EXPECT_EQ(at, entry);
      if (at != entry) co_return;
    }
    EXPECT_EQ((co_await kit_.run(forward)).value(), std::nullopt);
    at.reset();
    for (const Found& entry : expected | std::views::reverse) {
      at = (co_await kit_.run(backward)).value();
      EXPECT_EQ(at, entry);
      if (at != entry) co_return;
    }
    EXPECT_EQ((co_await kit_.run(backward)).value(), std::nullopt);
  }

  Task<> erase_everything() {
    for (auto& [tree, model] : models_) {
      std::vector<std::string> keys;
      for (const auto& [key, entry] : model) {
        if (entry.value) keys.push_back(key);
      }
      for (std::size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random_.below(i)]);
      for (const std::string& key : keys) {
        std::vector<Change> batch;
        batch.push_back({tree, key, std::nullopt});
        co_await change(std::move(batch));
      }
    }
    co_await check_everything();
    EXPECT_EQ(kit_.source.live.size(), models_.size()) << "an empty tree is its root";
  }

  Workload workload_;
  Random random_;
  TreesKit kit_;
  std::map<TreeId, Model> models_;
  std::uint64_t next_ = 0;
  bool erasing_ = false;
};

void PrintTo(const Workload& workload, std::ostream* out) { *out << workload.name; }

class TreesModelTest : public testing::TestWithParam<Workload> {};

TEST_P(TreesModelTest, AgreesWithAMap) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SimWorld world(seed);
    SimReactor& node = world.add_node("store");
    ModelRun run(node, GetParam(), seed);
    world.block_on(node, run.run());
  }
}

constexpr Workload kWorkloads[] = {
    {"short_keys", Keys::kShort, 40, 8, 20000, 20, 30000},
    {"short_keys_large_batches", Keys::kShort, 300, 100, 20000, 5, 2000},
    {"long_keys", Keys::kLong, 60, 4, 2000, 3, 15000},
    {"long_prefixes", Keys::kLongPrefix, 60, 4, 3000, 10, 15000},
    {"ascending", Keys::kAscending, 30, 4, 50000, 30, 20000},
    {"descending", Keys::kDescending, 30, 4, 50000, 30, 15000},
    {"mixed", Keys::kMixed, 60, 4, 4000, 4, 15000},
};

INSTANTIATE_TEST_SUITE_P(Workloads, TreesModelTest, testing::ValuesIn(kWorkloads),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace cenote::store
