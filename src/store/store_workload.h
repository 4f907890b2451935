#pragma once

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cenote/runtime/scope.h"
#include "cenote/store/store.h"

/// A random workload on a store beside a naive model of what the store must hold. Test only.
namespace cenote::store {

/// What a store holds: the contents of its trees, by name.
struct Contents {
  struct Tree {
    TreeId id{};
    std::map<std::string, std::string> entries;
  };
  std::map<std::string, Tree> trees;
};

/// What one batch does to the contents.
struct Effect {
  struct Entry {
    std::string tree;
    std::string key;
    std::optional<std::string> value;  ///< none: erase
    bool idle = false;                 ///< once applied: it erased what was not there
  };
  std::optional<std::pair<std::string, TreeId>> create;
  std::optional<std::string> drop;
  std::vector<Entry> entries;
};

/// All batches that were applied, in order, and how many of them have been acknowledged as durable.
struct History {
  std::vector<Effect> effects;
  std::uint64_t acknowledged = 0;
  Contents contents;  ///< after all of them

  void add(Effect effect);
  /// Forgets all but the first `count`: what a crash left.
  void cut_to(std::uint64_t count);
  static void apply(Contents& contents, Effect& effect);
  /// How many batches it takes until the last one that changed the key is among them. One that erased what was not
  /// there did not: that the key is absent is true without it, too, so who reads that does not wait for it.
  std::uint64_t last_change(const std::string& tree, const std::string& key) const;
};

struct WorkloadOptions {
  std::uint64_t seed = 1;
  std::uint32_t steps = 200;  ///< of all clients together
  std::uint32_t clients = 4;
  std::uint32_t keys = 300;          ///< a tree's key space
  std::uint32_t value_bytes = 1200;  ///< largest value
  std::uint32_t checkpoint_in = 40;  ///< one step in so many asks for a checkpoint
  bool full = false;  ///< first takes nearly all space for extents without data, so that what is freed is soon reused
};

/// Runs clients until all steps are done or the store fails. Batches of puts, erases, created and dropped trees,
/// extents with data; reads of all these, compared with the model in the same turn. Every batch also writes its number,
/// so a recovered store tells which prefix of the history it holds.
class Workload {
 public:
  Workload(Store& store, History& history, WorkloadOptions options);
  Task<> run();
  /// The first thing that was wrong; empty when nothing was.
  const std::string& problem() const { return problem_; }

 private:
  Task<> client();
  Task<Result<>> step();
  Task<Result<>> change();
  Task<Result<>> write_extent();
  Task<Result<>> take_space();
  Task<Result<>> read_extent();
  Task<Result<>> read_some();
  Result<Lsn> plan_and_apply(View& view);
  Result<> compare_some(View& view, Lsn* seen, std::uint64_t* shown);
  void plan(Batch& batch, Effect& effect);
  void plan_entry(Batch& batch, Effect& effect, const std::string& tree);
  void number(Batch& batch, Effect& effect);
  Result<Lsn> apply(View& view, const Batch& batch, Effect effect, std::uint64_t* index);
  Task<Result<>> wait_durable(Lsn lsn, std::uint64_t index);
  void wrong(std::string what);

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::string random_tree();
  std::string random_key();

  Store& store_;
  History& history_;
  WorkloadOptions options_;
  std::mt19937_64 random_;
  std::uint32_t steps_done_ = 0;
  std::uint64_t planned_ = 0;  // number of the batch of the attempt that is running
  std::string problem_;
};

/// Compares a store with the history: it must hold all of some prefix that includes everything acknowledged. On success
/// the history is cut to that prefix. Otherwise what was wrong. Also runs `check_store` and reads the data of all
/// extents.
Task<std::string> verify_store(Store& store, History& history);

/// The name of the tree that holds the number of the last batch and the extents.
inline constexpr std::string_view kControlTree = "control";

}  // namespace cenote::store
