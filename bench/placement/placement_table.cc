// Prints docs/placement.md's table: Cenote's placement beside jump hashing and CRUSH's straw2, simulated.
//   placement_table [GROUPS_PER_TARGET]

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>

#include "bucket_tree.h"
#include "placer.h"

namespace cenote::bench {
namespace {

constexpr std::uint32_t kRacks = 50;
constexpr std::uint32_t kNodesOfRack = 25;
constexpr std::uint32_t kTargetsOfNode = 8;
constexpr std::uint64_t kTimedCalls = 2'000'000;

struct Way {
  std::string_view name;
  std::unique_ptr<Placer> (*make)(const SimulatedPool&, std::uint32_t);
};

constexpr Way kWays[] = {{"cenote", make_cenote}, {"jump", make_jump}, {"straw2", make_straw2}};

/// Ids as they are leased, one after the other, or at random.
std::uint64_t object_of(std::uint64_t number, bool random_ids) { return random_ids ? mix(number) : number + 1024; }

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Balance {
  double most = 0;   ///< of a target's load over its even share
  double least = 0;  ///< the same
  double deviation = 0;
};

/// Even is by weight, as far as each rack gets at most one member of a group.
std::vector<double> even_loads(const SimulatedPool& pool, std::uint32_t group_size) {
  std::vector<double> racks(pool.targets.back().rack + 1);
  for (const SimulatedTarget& target : pool.targets) racks[target.rack] += target.is_lost ? 0 : target.weight;
  double low = 0;
  double high = 1;
  for (int i = 0; i < 200; ++i) {
    const double factor = (low + high) / 2;
    double sum = 0;
    for (const double rack : racks) sum += std::min(1.0, factor * rack);
    (sum < group_size - 1e-9 ? low : high) = factor;
  }
  std::vector<double> loads;
  for (const SimulatedTarget& target : pool.targets)
    loads.push_back(target.is_lost ? 0 : std::min(1.0, high * racks[target.rack]) * target.weight / racks[target.rack]);
  return loads;
}

Balance balance_of(const SimulatedPool& pool, const Placer& placer, std::uint32_t group_size,
                   std::uint64_t groups_per_target, bool random_ids) {
  const std::vector<double> even = even_loads(pool, group_size);
  const std::uint64_t groups = groups_per_target * pool.targets.size() / group_size;
  std::vector<double> loads(pool.targets.size());
  std::vector<std::uint32_t> members(group_size);
  for (std::uint64_t i = 0; i < groups; ++i) {
    placer.place(object_of(i, random_ids), members);
    for (const std::uint32_t member : members) {
      if (member != kNobody) loads[member] += 1;
    }
  }
  Balance balance{.least = 1e9};
  double squares = 0;
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    if (even[i] == 0) continue;
    const double relative = loads[i] / (even[i] * static_cast<double>(groups));
    balance.most = std::max(balance.most, relative);
    balance.least = std::min(balance.least, relative);
    squares += (relative - 1) * (relative - 1);
    ++count;
  }
  balance.deviation = std::sqrt(squares / count);
  return balance;
}

void print_balance(std::string_view what, const SimulatedPool& pool, std::uint32_t group_size,
                   std::uint64_t groups_per_target, bool random_ids) {
  for (const Way& way : kWays) {
    const auto placer = way.make(pool, group_size);
    const Balance balance = balance_of(pool, *placer, group_size, groups_per_target, random_ids);
    fmt::print("| {} | RP_{} | {} | {:.3f} | {:.3f} | {:.2f} % |\n", what, group_size, way.name, balance.most,
               balance.least, 100 * balance.deviation);
  }
}

/// Members that change their target, over those that have to: those on lost targets, and as many as new ones should
/// have.
void print_movement(std::string_view what, const SimulatedPool& before, const SimulatedPool& after,
                    std::uint32_t group_size) {
  constexpr std::uint64_t kGroups = 400'000;
  const double all = static_cast<double>(kGroups) * group_size;
  const std::vector<double> even = even_loads(after, group_size);
  const double gained =
      std::accumulate(even.begin() + static_cast<std::ptrdiff_t>(before.targets.size()), even.end(), 0.0);
  for (const Way& way : kWays) {
    const auto old_placer = way.make(before, group_size);
    const auto new_placer = way.make(after, group_size);
    std::vector<std::uint32_t> old_members(group_size);
    std::vector<std::uint32_t> new_members(group_size);
    double moved = 0;
    double least = gained * kGroups;
    for (std::uint64_t i = 0; i < kGroups; ++i) {
      old_placer->place(object_of(i, false), old_members);
      new_placer->place(object_of(i, false), new_members);
      for (const std::uint32_t member : old_members) least += after.targets[member].is_lost ? 1 : 0;
      // As sets: replicas have no places.
      for (const std::uint32_t member : new_members)
        moved += std::find(old_members.begin(), old_members.end(), member) == old_members.end() ? 1 : 0;
    }
    fmt::print("| {} | RP_{} | {} | {:.4f} % | {:.4f} % | {:.2f} |\n", what, group_size, way.name, 100 * moved / all,
               100 * least / all, moved / least);
  }
}

void print_costs(const SimulatedPool& pool, std::uint32_t group_size) {
  for (const Way& way : kWays) {
    std::unique_ptr<Placer> placer;
    const double build = seconds_of([&] { placer = way.make(pool, group_size); });
    const std::uint64_t calls = way.name == "straw2" ? kTimedCalls / 50 : kTimedCalls;
    std::vector<std::uint32_t> members(group_size);
    std::uint64_t sum = 0;
    const double time = seconds_of([&] {
      for (std::uint64_t i = 0; i < calls; ++i) {
        placer->place(object_of(i, false), members);
        sum += members[0];
      }
    });
    fmt::print("| RP_{} | {} | {:.0f} ns | {:.1f} ms | {:.1f} MiB |\n", group_size, way.name,
               1e9 * time / static_cast<double>(calls), 1e3 * build,
               static_cast<double>(placer->memory_bytes()) / (1 << 20));
    if (sum == 0) fmt::print("\n");
  }
}

SimulatedPool large_pool() {
  SimulatedPool pool;
  pool.add_racks(kRacks, kNodesOfRack, kTargetsOfNode);
  pool.first_targets = static_cast<std::uint32_t>(pool.targets.size());
  return pool;
}

/// One rack of twice the others' nodes beside four: a third replica finds it taken too often.
SimulatedPool uneven_pool() {
  SimulatedPool pool;
  pool.add_racks(4, 10, 8);
  pool.add_racks(1, 20, 8);
  pool.first_targets = static_cast<std::uint32_t>(pool.targets.size());
  return pool;
}

void print_all(std::uint64_t groups_per_target) {
  const SimulatedPool pool = large_pool();
  fmt::print("{} targets in {} racks, {} members on a target\n\n", pool.targets.size(), kRacks, groups_per_target);
  fmt::print("| balance | class | | max / even | min / even | standard deviation |\n|---|---|---|---|---|---|\n");
  for (const std::uint32_t group_size : {1u, 3u}) {
    print_balance("leased ids", pool, group_size, groups_per_target, false);
    print_balance("random ids", pool, group_size, groups_per_target, true);
  }
  print_balance("a rack twice as large as the other four", uneven_pool(), 3, 4 * groups_per_target, false);
  SimulatedPool degraded = pool;
  std::mt19937 random(1);
  for (std::size_t i = 0; i < pool.targets.size() / 20; ++i)
    degraded.lose(static_cast<std::uint32_t>(random() % pool.targets.size()));
  print_balance("5 % of targets lost", degraded, 3, groups_per_target, false);
  SimulatedPool extended = pool;
  extended.add_racks(10, kNodesOfRack, kTargetsOfNode);
  print_balance("extended by 10 racks", extended, 3, groups_per_target, false);

  fmt::print("\n| movement | class | | moved | minimum | ratio |\n|---|---|---|---|---|---|\n");
  for (const std::uint32_t group_size : {1u, 3u}) {
    SimulatedPool one_lost = pool;
    one_lost.lose(4711);
    print_movement("a target lost", pool, one_lost, group_size);
    SimulatedPool node_lost = pool;
    for (std::uint32_t i = 0; i < kTargetsOfNode; ++i) node_lost.lose(4000 + i);
    print_movement("a node lost", pool, node_lost, group_size);
    SimulatedPool next_lost = degraded;
    for (std::uint32_t i = 0; i < kTargetsOfNode; ++i) next_lost.lose(4000 + i);
    print_movement("a node lost after 5 % of targets", degraded, next_lost, group_size);
    SimulatedPool one_more = pool;
    one_more.add_racks(1, 1, 1);
    print_movement("a target added, in a new rack", pool, one_more, group_size);
    SimulatedPool rack_more = pool;
    rack_more.add_racks(1, kNodesOfRack, kTargetsOfNode);
    print_movement("a rack added", pool, rack_more, group_size);
    print_movement("10 racks added", pool, extended, group_size);
  }

  fmt::print("\n| cost | | time per group | build | memory |\n|---|---|---|---|---|\n");
  for (const std::uint32_t group_size : {1u, 3u, 10u}) print_costs(pool, group_size);
}

}  // namespace
}  // namespace cenote::bench

int main(int count, char** values) {
  cenote::bench::print_all(count > 1 ? std::strtoull(values[1], nullptr, 10) : 1000);
  return 0;
}
