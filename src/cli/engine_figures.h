#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cenote/base/time.h"
#include "latency_buckets.h"
#include "metrics_text.h"
#include "output.h"

namespace cenote::cli {

/// What the metrics of an engine said at a moment.
struct EngineScrape {
  Instant at;

  // What only grows, until the engine is started again.
  std::map<std::string, double> requests;  ///< by their `op`
  double received_bytes = 0, sent_bytes = 0;
  double page_misses = 0;
  double copied_bytes = 0;  ///< data that moved here
  LatencyBuckets updates, fetches;
  LatencyBuckets device_reads, device_writes;

  // What is so now.
  double free_bytes = 0, total_bytes = 0;
  double connections = 0;
  double undecided = 0;
  double moving_pools = 0;
  double fenced_targets = 0;
  double findings = 0;          ///< damage that the scrub knows
  double device_silence_s = 0;  ///< of the disk that has said nothing for longest
};

/// kProtocolError: these are no metrics of an engine.
Result<EngineScrape> read_scrape(std::string_view text, Instant at);

/// What an engine does, or several together. What needs two scrapes is 0, and `elapsed_s` nothing, after one.
struct EngineFigures {
  std::optional<double> elapsed_s;
  std::map<std::string, double> requests_per_s;  ///< by their `op`
  double received_bytes_per_s = 0, sent_bytes_per_s = 0;
  double page_misses_per_s = 0;
  double copied_bytes_per_s = 0;
  LatencyBuckets updates, fetches, device_reads, device_writes;  ///< of that time
  EngineScrape now;                                              ///< its gauges are of meaning

  /// Those that change nothing, and those that do; what engines ask each other is neither.
  double reads_per_s() const;
  double writes_per_s() const;
};

/// `before` nullptr: it was not asked before. Where something fell behind the engine was started again, and all that it
/// counts is new.
EngineFigures figures_of(const EngineScrape* before, const EngineScrape& now);
/// Adds `other` to `sum`.
void add_figures(EngineFigures& sum, const EngineFigures& other);
/// Members that are not known are left out.
Json figures_json(const EngineFigures& figures);

/// For what metrics say, which may be anything: negative ones are 0, and huge ones the largest there is.
std::uint64_t as_count(double number);

}  // namespace cenote::cli
