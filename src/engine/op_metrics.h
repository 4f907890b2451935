#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "cenote/base/metrics.h"
#include "cenote/runtime/reactor.h"

namespace cenote::engine {

/// Kinds of requests that are counted apart.
enum class OpKind : std::uint8_t {
  kUpdate,
  kFetch,
  kPunch,
  kList,
  kQuery,
  kBegin,
  kCommit,
  kAdmin,
  kOidRange,
  kPoolView,
  kTargets,
  kEntries,
  kRebuild,
  kUnknown
};
inline constexpr std::size_t kOpKinds = 14;

/// Counters and latencies of the requests that one data reactor handled; written by that reactor only.
class OpMetrics {
 public:
  OpMetrics(MetricRegistry& metrics, std::string_view reactor);

  struct Op {
    LatencyHistogram* latency = nullptr;
    Counter* errors = nullptr;
    Counter* bytes_in = nullptr;
    Counter* bytes_out = nullptr;
  };
  Op& operator[](OpKind kind) { return ops_[static_cast<std::size_t>(kind)]; }

 private:
  std::array<Op, kOpKinds> ops_;
};

/// One request on its way: records how long it took when it ends, however it ends.
class OpTimer {
 public:
  OpTimer(OpMetrics& metrics, OpKind kind, Reactor& reactor)
      : op_(metrics[kind]), reactor_(reactor), begin_(reactor.now()) {}
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;
  ~OpTimer() { op_.latency->record(reactor_.now() - begin_); }

  void received(std::uint64_t bytes) { op_.bytes_in->add(bytes); }
  void sending(std::uint64_t bytes) { op_.bytes_out->add(bytes); }
  void failed() { op_.errors->add(); }

 private:
  OpMetrics::Op& op_;
  Reactor& reactor_;
  Instant begin_;
};

}  // namespace cenote::engine
