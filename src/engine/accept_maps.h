#pragma once

#include "cenote/cluster/member.h"

namespace cenote::engine {

/// The data path as the membership sees it. It follows no pool map yet, so every version is as good as the last.
class AcceptMaps final : public cluster::MapUser {
 public:
  Task<Result<>> switch_to(std::shared_ptr<const cluster::PoolMap> map, Until until) override {
    static_cast<void>(map);
    static_cast<void>(until);
    co_return Result<>();
  }
};

}  // namespace cenote::engine
