#include "group_metrics.h"

#include <algorithm>
#include <string>

#include "target_groups.h"

namespace cenote::engine {
namespace {

Labels labels_of(std::uint32_t target) { return {{"target", std::to_string(target)}}; }

}  // namespace

GroupMetrics::GroupMetrics(MetricRegistry& metrics, std::uint32_t target)
    : undecided_(metrics.gauge("cenote_replication_undecided_entries",
                               "Changes of which it is not known yet here whether all members have them",
                               labels_of(target))),
      held_(metrics.gauge("cenote_replication_held_entries",
                          "Changes that are remembered until all members know their outcome", labels_of(target))),
      led_(metrics.counter("cenote_replication_led_changes_total",
                           "Changes that this target carried out at all members", labels_of(target))),
      attempts_(metrics.counter("cenote_replication_attempts_total", "Attempts at those changes", labels_of(target))),
      refused_(metrics.counter("cenote_replication_refused_attempts_total", "Attempts that a member refused",
                               labels_of(target))),
      settled_(metrics.counter("cenote_replication_settled_entries_total",
                               "Changes of which others had left open whether they take effect", labels_of(target))),
      moving_(metrics.gauge("cenote_replication_moving_pools", "Pools of which the target still copies data",
                            labels_of(target))),
      waiting_(metrics.gauge("cenote_replication_waiting_pools", "Those of them where copying does not go on",
                             labels_of(target))),
      copied_bytes_(metrics.counter("cenote_replication_copied_bytes_total", "Data that was copied to the target",
                                    labels_of(target))),
      copied_objects_(
          metrics.counter("cenote_replication_copied_objects_total", "Objects of which that was", labels_of(target))),
      repaired_(metrics.counter("cenote_replication_repaired_values_total",
                                "Damaged values and extents that were replaced by what another engine has",
                                labels_of(target))),
      unrepaired_(metrics.counter("cenote_replication_unrepaired_values_total",
                                  "Attempts at that in which no other engine could help", labels_of(target))),
      leases_(metrics.gauge("cenote_engine_leases", "Promises to clients that they are asked before a change",
                            labels_of(target))),
      leases_given_(
          metrics.counter("cenote_engine_leases_given_total", "Such promises that were given", labels_of(target))),
      leases_recalled_(metrics.counter("cenote_engine_leases_recalled_total",
                                       "Those that were asked back because of a change", labels_of(target))),
      leases_silent_(metrics.counter("cenote_engine_lease_clients_silent_total",
                                     "Clients that did not answer and were waited for", labels_of(target))) {}

void GroupMetrics::refresh(const TargetGroups& groups) {
  const object::EntryCounts entries = groups.member.objects().entry_counts();
  undecided_.set(static_cast<std::int64_t>(entries.undecided));
  held_.set(static_cast<std::int64_t>(entries.held));
  const GroupLeader::Counters& leader = groups.leader.counters();
  led_.raise_to(leader.changes);
  attempts_.raise_to(leader.attempts);
  refused_.raise_to(leader.refused);
  settled_.raise_to(leader.settled);
  const std::vector<MoveStatus> moves = groups.rebuilder.status();
  moving_.set(std::ranges::count_if(moves, [](const MoveStatus& move) { return !move.done; }));
  waiting_.set(std::ranges::count_if(moves, [](const MoveStatus& move) { return !move.obstacle.empty(); }));
  copied_bytes_.raise_to(groups.rebuilder.copied().bytes);
  copied_objects_.raise_to(groups.rebuilder.copied().objects);
  repaired_.raise_to(groups.repairer.counters().repaired);
  unrepaired_.raise_to(groups.repairer.counters().unrepaired);
  leases_.set(static_cast<std::int64_t>(groups.leases.size()));
  leases_given_.raise_to(groups.leases.counters().given);
  leases_recalled_.raise_to(groups.leases.counters().recalled);
  leases_silent_.raise_to(groups.leases.counters().expired);
}

}  // namespace cenote::engine
