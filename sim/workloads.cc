#include "workloads.h"

#include <array>

namespace cenote::sim {
namespace {

constexpr std::array kWorkloads{
    Workload{"registers", "conditional updates, fetches and punches of a few dkeys by several clients: linearizable",
             run_registers},
    Workload{"several",
             "the same over three engines that share a coordinator, and die, or cannot reach each other or it",
             run_several},
    Workload{"replicas", "the same with objects that two or three of the engines keep, each of them whole",
             run_replicas},
    Workload{"posix", "a tree of files against a model, operations cut short: atomic, nothing leaks", run_posix},
    Workload{"kv", "a shared map against std::map: values, conditions, pages of listings", run_kv},
    Workload{"transactions", "transactions over shared keys and a log: serialisable, whole, none lost",
             run_transactions},
    Workload{"distributed", "the same over several objects and targets of three engines, with and without replicas",
             run_distributed},
    Workload{"admin", "pools and containers against a model: atomic, and space comes back", run_admin},
    Workload{"trouble", "full and slow devices, garbage on connections: refused clearly, nothing lost", run_trouble},
};

}  // namespace

std::span<const Workload> workloads() { return kWorkloads; }

}  // namespace cenote::sim
