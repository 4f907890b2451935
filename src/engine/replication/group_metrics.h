#pragma once

#include "cenote/base/metrics.h"

namespace cenote::engine {

struct TargetGroups;

/// What one target does in redundancy groups, for whoever watches it. Written on the target's reactor only.
class GroupMetrics {
 public:
  GroupMetrics(MetricRegistry& metrics, std::uint32_t target);
  void refresh(const TargetGroups& groups);

 private:
  Gauge& undecided_;
  Gauge& held_;
  Counter& led_;
  Counter& attempts_;
  Counter& refused_;
  Counter& settled_;
  Gauge& moving_;
  Gauge& waiting_;
  Counter& copied_bytes_;
  Counter& copied_objects_;
  Counter& repaired_;
  Counter& unrepaired_;
  Gauge& leases_;
  Counter& leases_given_;
  Counter& leases_recalled_;
  Counter& leases_silent_;
};

}  // namespace cenote::engine
