#include "engine_figures.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>

#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

using Filter = MetricsText::Filter;

constexpr const char* kRequests = "cenote_engine_request_seconds";
constexpr std::array<std::string_view, 3> kReads = {"fetch", "list", "query"};
// What a transaction changes arrives with its commit.
constexpr std::array<std::string_view, 3> kWrites = {"update", "punch", "commit"};

std::map<std::string, double> requests_in(const MetricsText& metrics) {
  std::map<std::string, double> requests;
  for (const MetricSample& sample : metrics.samples()) {
    if (sample.name != std::string(kRequests) + "_count" || !std::isfinite(sample.value)) continue;
    if (const std::string* const op = sample.label("op")) requests[*op] += sample.value;
  }
  return requests;
}

LatencyBuckets of_op(const MetricsText& metrics, const char* histogram, std::string_view op) {
  const Filter filters[] = {{"op", op}};
  return metrics.buckets(histogram, filters);
}

double of_client_requests(const MetricsText& metrics, const char* name) {
  double sum = 0;
  for (const auto& ops : {kReads, kWrites}) {
    for (const std::string_view op : ops) {
      const Filter filters[] = {{"op", op}};
      sum += metrics.sum(name, filters).value_or(0);
    }
  }
  return sum;
}

double sum_over(const std::map<std::string, double>& rates, std::span<const std::string_view> ops) {
  double sum = 0;
  for (const std::string_view op : ops)
    if (const auto found = rates.find(std::string(op)); found != rates.end()) sum += found->second;
  return sum;
}

double count_in(const std::map<std::string, double>& requests, const std::string& op) {
  const auto found = requests.find(op);
  return found == requests.end() ? 0 : found->second;
}

/// Whether the engine counts from zero since `before`.
bool began_anew(const EngineScrape& before, const EngineScrape& now) {
  const bool fewer_requests = std::ranges::any_of(
      before.requests, [&](const auto& old) { return count_in(now.requests, old.first) < old.second; });
  return fewer_requests || now.received_bytes < before.received_bytes || now.sent_bytes < before.sent_bytes ||
         now.page_misses < before.page_misses || now.copied_bytes < before.copied_bytes ||
         now.updates.fell_behind(before.updates) || now.fetches.fell_behind(before.fetches) ||
         now.device_reads.fell_behind(before.device_reads) || now.device_writes.fell_behind(before.device_writes);
}

void put_latency(Json& json, const char* name, const LatencyBuckets& buckets) {
  const auto middle = buckets.quantile(0.5);
  const auto high = buckets.quantile(0.99);
  if (middle && high) json[name] = {{"p50", *middle}, {"p99", *high}};
}

}  // namespace

std::uint64_t as_count(double number) {
  constexpr double kMost = 18446744073709549568.0;  // the largest double below 2^64
  if (std::isnan(number) || number <= 0) return 0;
  return number >= kMost ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(std::round(number));
}

Result<EngineScrape> read_scrape(std::string_view text, Instant at) {
  const MetricsText metrics = MetricsText::parse(text);
  EngineScrape scrape{.at = at, .requests = requests_in(metrics)};
  if (scrape.requests.empty()) return fail(Code::kProtocolError, "there are no metrics of an engine");
  const auto sum = [&](const char* name) { return metrics.sum(name).value_or(0); };
  scrape.received_bytes = of_client_requests(metrics, "cenote_engine_received_bytes_total");
  scrape.sent_bytes = of_client_requests(metrics, "cenote_engine_sent_bytes_total");
  scrape.page_misses = sum("cenote_target_page_misses_total");
  scrape.copied_bytes = sum("cenote_replication_copied_bytes_total");
  scrape.updates = of_op(metrics, kRequests, "update");
  scrape.fetches = of_op(metrics, kRequests, "fetch");
  scrape.device_reads = of_op(metrics, "cenote_target_device_seconds", "read");
  scrape.device_writes = of_op(metrics, "cenote_target_device_seconds", "write");
  scrape.free_bytes = sum("cenote_target_free_bytes");
  scrape.total_bytes = sum("cenote_target_data_bytes");
  scrape.connections = sum("cenote_rpc_connections");
  scrape.undecided = sum("cenote_replication_undecided_entries");
  // Every target counts the pools of which it gets data.
  scrape.moving_pools = metrics.max("cenote_replication_moving_pools").value_or(0);
  scrape.fenced_targets = sum("cenote_target_fenced");
  scrape.findings = sum("cenote_target_scrub_findings");
  scrape.device_silence_s = metrics.max("cenote_target_device_silence_seconds").value_or(0);
  return scrape;
}

double EngineFigures::reads_per_s() const { return sum_over(requests_per_s, kReads); }
double EngineFigures::writes_per_s() const { return sum_over(requests_per_s, kWrites); }

EngineFigures figures_of(const EngineScrape* before, const EngineScrape& now) {
  EngineFigures figures{.now = now};
  if (before == nullptr || now.at <= before->at) return figures;
  const EngineScrape nothing;
  const EngineScrape& since = began_anew(*before, now) ? nothing : *before;
  const double elapsed = std::chrono::duration<double>(now.at - before->at).count();
  figures.elapsed_s = elapsed;
  for (const auto& [op, count] : now.requests)
    figures.requests_per_s[op] = (count - count_in(since.requests, op)) / elapsed;
  figures.received_bytes_per_s = (now.received_bytes - since.received_bytes) / elapsed;
  figures.sent_bytes_per_s = (now.sent_bytes - since.sent_bytes) / elapsed;
  figures.page_misses_per_s = (now.page_misses - since.page_misses) / elapsed;
  figures.copied_bytes_per_s = (now.copied_bytes - since.copied_bytes) / elapsed;
  figures.updates = now.updates.since(since.updates);
  figures.fetches = now.fetches.since(since.fetches);
  figures.device_reads = now.device_reads.since(since.device_reads);
  figures.device_writes = now.device_writes.since(since.device_writes);
  return figures;
}

void add_figures(EngineFigures& sum, const EngineFigures& other) {
  if (other.elapsed_s) sum.elapsed_s = std::max(sum.elapsed_s.value_or(0), *other.elapsed_s);
  for (const auto& [op, rate] : other.requests_per_s) sum.requests_per_s[op] += rate;
  sum.received_bytes_per_s += other.received_bytes_per_s;
  sum.sent_bytes_per_s += other.sent_bytes_per_s;
  sum.page_misses_per_s += other.page_misses_per_s;
  sum.copied_bytes_per_s += other.copied_bytes_per_s;
  sum.updates.add(other.updates);
  sum.fetches.add(other.fetches);
  sum.device_reads.add(other.device_reads);
  sum.device_writes.add(other.device_writes);
  sum.now.free_bytes += other.now.free_bytes;
  sum.now.total_bytes += other.now.total_bytes;
  sum.now.connections += other.now.connections;
  sum.now.undecided += other.now.undecided;
  sum.now.fenced_targets += other.now.fenced_targets;
  sum.now.findings += other.now.findings;
  sum.now.device_silence_s = std::max(sum.now.device_silence_s, other.now.device_silence_s);
}

Json figures_json(const EngineFigures& figures) {
  Json json{
      {"free_bytes", as_count(figures.now.free_bytes)},         {"total_bytes", as_count(figures.now.total_bytes)},
      {"connections", as_count(figures.now.connections)},       {"undecided_entries", as_count(figures.now.undecided)},
      {"fenced_targets", as_count(figures.now.fenced_targets)}, {"scrub_findings", as_count(figures.now.findings)},
      {"device_silence_s", figures.now.device_silence_s}};
  if (!figures.elapsed_s) return json;
  json["elapsed_s"] = *figures.elapsed_s;
  json["reads_per_s"] = figures.reads_per_s();
  json["writes_per_s"] = figures.writes_per_s();
  json["requests_per_s"] = figures.requests_per_s;
  json["received_bytes_per_s"] = figures.received_bytes_per_s;
  json["sent_bytes_per_s"] = figures.sent_bytes_per_s;
  json["page_misses_per_s"] = figures.page_misses_per_s;
  json["copied_bytes_per_s"] = figures.copied_bytes_per_s;
  put_latency(json, "fetch_s", figures.fetches);
  put_latency(json, "update_s", figures.updates);
  put_latency(json, "device_read_s", figures.device_reads);
  put_latency(json, "device_write_s", figures.device_writes);
  return json;
}

}  // namespace cenote::cli
