#include "op_metrics.h"

#include <string>

namespace cenote::engine {

OpMetrics::OpMetrics(MetricRegistry& metrics, std::string_view reactor) {
  constexpr std::array<std::string_view, kOpKinds> kNames = {"update",  "fetch",   "punch",   "list",      "query",
                                                             "begin",   "commit",  "admin",   "oid_range", "pool_view",
                                                             "targets", "entries", "rebuild", "unknown"};
  for (std::size_t kind = 0; kind < kOpKinds; ++kind) {
    const Labels labels{{"op", std::string(kNames[kind])}, {"reactor", std::string(reactor)}};
    ops_[kind].latency =
        &metrics.histogram("cenote_engine_request_seconds", "From the arrival of a request to its reply", labels);
    ops_[kind].errors =
        &metrics.counter("cenote_engine_request_errors_total", "Requests that ended in an error", labels);
    ops_[kind].bytes_in = &metrics.counter("cenote_engine_received_bytes_total", "Payload of requests", labels);
    ops_[kind].bytes_out = &metrics.counter("cenote_engine_sent_bytes_total", "Payload of replies", labels);
  }
}

}  // namespace cenote::engine
