#include "target.h"

#include <algorithm>
#include <array>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

std::uint64_t seconds_of(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

/// Remembers the first failure of several steps that are all to be made.
void keep_first(Result<>& first, Result<> next) {
  if (first && !next) first = std::move(next);
}

}  // namespace

struct Target::Gauges {
  Gauges(MetricRegistry& metrics, const Labels& labels)
      : log_used(metrics.gauge("cenote_target_log_used_bytes", "Log since the last checkpoint", labels)),
        log_size(metrics.gauge("cenote_target_log_bytes", "Size of the log ring", labels)),
        dirty(metrics.gauge("cenote_target_dirty_bytes", "Changed pages that no checkpoint holds yet", labels)),
        cache(metrics.gauge("cenote_target_cache_bytes", "Pages in memory", labels)),
        data_size(metrics.gauge("cenote_target_data_bytes", "Space for data and metadata", labels)),
        data_free(metrics.gauge("cenote_target_free_bytes", "Unused part of it", labels)),
        fenced(metrics.gauge("cenote_target_fenced", "1: a write failed; the target is read-only", labels)),
        checkpoints(metrics.counter("cenote_target_checkpoints_total", "Checkpoints completed", labels)),
        batches(metrics.counter("cenote_target_batches_total", "Batches applied", labels)),
        log_writes(
            metrics.counter("cenote_target_log_writes_total", "Writes of the log, of many batches each", labels)),
        page_misses(metrics.counter("cenote_target_page_misses_total", "Pages that had to be read", labels)),
        read_bytes(metrics.counter("cenote_target_device_read_bytes_total", "Read from the device", labels)),
        written_bytes(metrics.counter("cenote_target_device_written_bytes_total", "Written to the device", labels)),
        device_errors(metrics.counter("cenote_target_device_errors_total", "Failed device operations", labels)),
        read_errors(errors_of(metrics, labels, "read")),
        write_errors(errors_of(metrics, labels, "write")),
        flush_errors(errors_of(metrics, labels, "flush")),
        slow_operations(metrics.counter("cenote_target_slow_device_operations_total",
                                        "Device operations that took longer than half a second", labels)),
        device_silence(metrics.gauge("cenote_target_device_silence_seconds",
                                     "For how long a device that has work has completed none", labels)),
        packed_bytes(metrics.counter("cenote_target_packed_bytes_total", "Data that compression made smaller", labels)),
        packed_stored(metrics.counter("cenote_target_packed_stored_bytes_total", "What that data takes", labels)),
        discarded_bytes(
            metrics.counter("cenote_target_discarded_bytes_total", "Freed space that the device was told of", labels)),
        compacted_bytes(metrics.counter("cenote_target_compacted_bytes_total",
                                        "Data moved so that free space in holes can be used", labels)),
        background_failures(metrics.counter("cenote_target_background_failures_total",
                                            "Rounds of giving back or moving together space that ended in an error",
                                            labels)),
        scrub_running(metrics.gauge("cenote_target_scrub_running", "1: a pass of the scrub is under way", labels)),
        scrub_began(metrics.gauge("cenote_target_scrub_began_seconds", "When the last pass began, Unix time", labels)),
        scrub_ended(metrics.gauge("cenote_target_scrub_ended_seconds", "When the last whole pass ended", labels)),
        scrub_read(
            metrics.counter("cenote_target_scrub_read_bytes_total", "Read from the devices to prove it", labels)),
        scrub_entries(metrics.counter("cenote_target_scrub_entries_total", "Entries that were looked at", labels)),
        bad_pages(damage_counter(metrics, labels, "page")),
        bad_entries(damage_counter(metrics, labels, "entry")),
        bad_data(damage_counter(metrics, labels, "data")),
        scrub_findings(metrics.gauge("cenote_target_scrub_findings", "Damage that the scrub knows now", labels)),
        scrub_repaired(metrics.counter("cenote_target_scrub_repaired_total",
                                       "Damaged pages that memory had whole and that were written anew", labels)) {}

  static Counter& errors_of(MetricRegistry& metrics, Labels labels, const char* op) {
    labels.emplace_back("op", op);
    return metrics.counter("cenote_target_device_operation_errors_total", "Failed device operations, by what they were",
                           std::move(labels));
  }
  static Counter& damage_counter(MetricRegistry& metrics, Labels labels, const char* kind) {
    labels.emplace_back("kind", kind);
    return metrics.counter("cenote_target_scrub_damages_total", "Damage that the scrub found", std::move(labels));
  }

  Gauge& log_used;
  Gauge& log_size;
  Gauge& dirty;
  Gauge& cache;
  Gauge& data_size;
  Gauge& data_free;
  Gauge& fenced;
  Counter& checkpoints;
  Counter& batches;
  Counter& log_writes;
  Counter& page_misses;
  Counter& read_bytes;
  Counter& written_bytes;
  Counter& device_errors;
  Counter& read_errors;
  Counter& write_errors;
  Counter& flush_errors;
  Counter& slow_operations;
  Gauge& device_silence;
  Counter& packed_bytes;
  Counter& packed_stored;
  Counter& discarded_bytes;
  Counter& compacted_bytes;
  Counter& background_failures;
  Gauge& scrub_running;
  Gauge& scrub_began;
  Gauge& scrub_ended;
  Counter& scrub_read;
  Counter& scrub_entries;
  Counter& bad_pages;
  Counter& bad_entries;
  Counter& bad_data;
  Gauge& scrub_findings;
  Counter& scrub_repaired;
};

void HeldFetch::add_to(rpc::Payload& payload) {
  // One more than there are pieces until all are added: a piece of an abandoned reply may be released at any time.
  pieces_ = 1;
  for (const object::PayloadPiece& piece : fetched_.payload) {
    ++pieces_;
    payload.add(piece.data, *this);
  }
  release();
}

void HeldFetch::release() {
  if (--pieces_ != 0) return;
  if (target_.reactor().is_current()) {
    deliver();
  } else {
    target_.reactor().post(*this);
  }
}

void HeldFetch::deliver() {
  fetched_ = object::Fetched();
  target_.idle_.emplace_back(this);
  target_.held_.leave();
}

Target::Target(Reactor& reactor, StoreDevices devices, TargetOptions options, MetricRegistry& metrics,
               const Logger& logger)
    : reactor_(reactor),
      options_(std::move(options)),
      logger_(logger.with({"target", options_.index})),
      devices_(std::move(devices)),
      watch_(reactor),
      held_(reactor),
      gauges_(std::make_unique<Gauges>(metrics, Labels{{"target", std::to_string(options_.index)}})) {
  record_latencies(metrics);
}

Target::~Target() { ASSERT(!devices_.is_open()); }

Task<Result<std::unique_ptr<Target>>> Target::open(Reactor& reactor, StoreDevices devices, media::BufferPool& pool,
                                                   TargetOptions options, MetricRegistry& metrics, Logger logger) {
  const std::string where = fmt::format("target {} ({})", options.index, devices.name());
  std::unique_ptr<Target> target(new Target(reactor, std::move(devices), std::move(options), metrics, logger));
  auto started = co_await target->start(pool);
  if (started) co_return target;
  // The failure of the start is the one that says what is wrong; a close that fails after it adds nothing.
  static_cast<void>(co_await target->close());
  co_return fail(started.error().with_context(where));
}

Task<Result<>> Target::start(media::BufferPool& pool) {
  if (options_.creating) CO_CHECK_OK(co_await format_if_new());
  const store::OpenOptions open{.system = options_.system,
                                .target = options_.identity.id,
                                .cache_bytes = options_.cache_bytes,
                                .discard = options_.discard,
                                .fenced = [this](const Error& reason) { log_fenced(reason); },
                                .key = std::exchange(options_.key, std::nullopt)};
  auto opened = co_await store::Store::open(reactor_, devices_.roles(), open);
  if (!opened) co_return fail(lost_store(std::move(opened).error()));
  store_ = *std::move(opened);
  CO_TRY(objects_,
         co_await object::ObjectStore::open(
             *store_, pool,
             {.retention = options_.retention, .scarce_space = options_.scarce_space, .clock = options_.clock}));
  start_scrubber();
  watch_.spawn(watch_devices());
  const store::StoreStatus status = store_->status();
  logger_.info("target is open", {{"device", devices_.name()},
                                  {"bytes", capacity_bytes()},
                                  {"encrypted", status.sealed},
                                  {"replayed_records", status.replayed_records},
                                  {"replay_time", status.replay_time}});
  co_return Result<>();
}

void Target::record_latencies(MetricRegistry& metrics) {
  constexpr std::array<std::pair<media::IoKind, const char*>, 3> kKinds = {
      {{media::IoKind::kRead, "read"}, {media::IoKind::kWrite, "write"}, {media::IoKind::kFlush, "flush"}}};
  devices_.for_each([&](const char* role, media::BlockDevice& device) {
    for (const auto& [kind, name] : kKinds) {
      const Labels labels{{"target", std::to_string(options_.index)}, {"role", role}, {"op", name}};
      device.health().record_into(
          kind, &metrics.histogram("cenote_target_device_seconds", "Time that operations of a device take", labels));
    }
  });
}

Task<> Target::watch_devices() {
  constexpr Duration kInterval = std::chrono::seconds(2);
  std::string told;
  while (!watch_.stopping()) {
    {
      const auto slept = co_await sleep_for(reactor_, kInterval, watch_.cancel_source());
      if (!slept) break;
    }
    const std::string trouble = devices_.trouble(reactor_.now());
    // What it does is in the first words; how long a silence lasts already is nothing new.
    const std::string what = trouble.substr(0, trouble.find(" has completed"));
    if (what == told) continue;
    told = what;
    if (trouble.empty()) {
      logger_.info("devices answer as they should again", {{"device", devices_.name()}});
    } else {
      logger_.warn("a device does not answer as it should", {{"target_is", trouble}});
    }
  }
}

void Target::log_fenced(const Error& reason) const {
  logger_.error("target is read-only", {{"device", devices_.name()}, {"reason", reason}});
}

void Target::start_scrubber() {
  if (options_.scrub_bytes_per_second == 0) return;
  object::ScrubberOptions scrub;
  scrub.period = options_.scrub_period;
  scrub.bytes_per_second = options_.scrub_bytes_per_second;
  scrub.found = [this](const object::TargetFinding& finding) {
    log_finding(finding);
    if (on_damage_) on_damage_(finding);
  };
  scrubber_ = std::make_unique<object::Scrubber>(*store_, *objects_, std::move(scrub));
  scrubber_->start();
}

/// The message names object, keys and records.
void Target::log_finding(const object::TargetFinding& finding) const {
  const store::Finding& inner = finding.finding;
  const std::string container = finding.container ? finding.container->to_string() : "none";
  const std::string block = inner.block ? std::to_string(*inner.block) : "unknown";
  if (inner.repaired) {
    logger_.warn("stored data was damaged, and is written anew",
                 {{"container", container}, {"device", inner.device}, {"block", block}, {"what", inner.message}});
    return;
  }
  logger_.error("stored data is damaged", {{"kind", store::finding_name(inner.kind)},
                                           {"container", container},
                                           {"device", inner.device},
                                           {"block", block},
                                           {"what", inner.message}});
}

Task<Result<>> Target::format_if_new() {
  const store::FormatOptions format{.system = options_.system,
                                    .target = options_.identity.id,
                                    .log_bytes = options_.identity.log_bytes,
                                    .overwrite = false,
                                    .key = options_.key};
  auto formatted = co_await store::Store::format(reactor_, devices_.roles(), format);
  // An interrupted creation may have come this far before; a store of somebody else is refused when it is opened.
  if (!formatted && formatted.error() == Code::kExists) co_return Result<>();
  co_return formatted;
}

Task<Result<>> Target::close() {
  Result<> outcome;
  co_await held_.close();
  idle_.clear();
  co_await watch_.stop();
  if (scrubber_ != nullptr) co_await scrubber_->stop();
  scrubber_.reset();
  if (objects_ != nullptr) keep_first(outcome, co_await objects_->close());
  objects_.reset();
  if (store_ != nullptr) keep_first(outcome, co_await store_->close());
  store_.reset();
  co_await devices_.close();
  co_return outcome;
}

HeldFetch* Target::take_held() {
  if (!held_.enter()) return nullptr;
  if (idle_.empty()) idle_.emplace_back(new HeldFetch(*this));
  HeldFetch* held = idle_.back().release();
  idle_.pop_back();
  return held;
}

Task<Result<>> Target::grow() {
  const std::uint64_t before = capacity_bytes();
  auto grown = co_await store_->grow();
  if (!grown) co_return fail(grown.error().with_context(fmt::format("target {}", options_.index)));
  logger_.info("target has grown", {{"bytes_before", before}, {"bytes", capacity_bytes()}});
  co_return Result<>();
}

std::uint64_t Target::capacity_bytes() const { return store_->status().data_blocks_total * media::kBlockBytes; }

TargetInfo Target::info() const {
  const store::StoreStatus status = store_->status();
  const std::string trouble = devices_.trouble(reactor_.now());
  return {.index = options_.index,
          .id = options_.identity.id,
          .total_bytes = status.data_blocks_total * media::kBlockBytes,
          .free_bytes = status.data_blocks_free * media::kBlockBytes,
          .state = status.fenced     ? "read-only: " + status.fenced_by
                   : trouble.empty() ? "up"
                                     : trouble,
          .encrypted = status.sealed};
}

TargetScrub Target::scrub_info() const {
  TargetScrub info;
  info.index = options_.index;
  info.state = kScrubOff;
  if (scrubber_ == nullptr) return info;
  const object::ScrubberStatus scrub = scrubber_->status();
  const auto waiting = scrub.running ? kScrubRunning : kScrubWaiting;
  info.state = scrub.paused ? kScrubPaused : waiting;
  info.bytes_per_second = options_.scrub_bytes_per_second;
  info.period_s = seconds_of(options_.scrub_period);
  info.began_s = seconds_of(scrub.began.time_since_epoch());
  info.ended_s = seconds_of(scrub.ended.time_since_epoch());
  info.pass_bytes = scrub.pass_bytes;
  info.used_bytes = scrub.used_bytes;
  if (!scrub.container.is_null()) info.container = scrub.container;
  if (scrub.left) info.left_s = seconds_of(*scrub.left);
  info.damages = scrub.findings + scrub.unlisted;
  info.repaired = scrub.repaired;
  return info;
}

std::vector<object::KeptFinding> Target::findings() const {
  return scrubber_ == nullptr ? std::vector<object::KeptFinding>() : scrubber_->findings();
}

Result<> Target::control_scrub(ScrubAction action) {
  if (scrubber_ == nullptr) {
    return failf(Code::kUnsupported, "target {} is not scrubbed: 'scrub-rate' of the server is 0", options_.index);
  }
  switch (action) {
    case ScrubAction::kStart:
      scrubber_->begin_pass();
      break;
    case ScrubAction::kPause:
      scrubber_->pause();
      break;
    case ScrubAction::kResume:
      scrubber_->resume();
      break;
  }
  return {};
}

void Target::refresh_metrics() {
  const store::StoreStatus status = store_->status();
  const media::DeviceCounters device = devices_.counters();
  const auto bytes = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  gauges_->log_used.set(bytes(status.applied.value() - std::min(status.checkpoint, status.applied).value()));
  gauges_->log_size.set(bytes(options_.identity.log_bytes));
  gauges_->dirty.set(bytes(status.dirty_bytes));
  gauges_->cache.set(bytes(status.cache_bytes));
  gauges_->data_size.set(bytes(status.data_blocks_total * media::kBlockBytes));
  gauges_->data_free.set(bytes(status.data_blocks_free * media::kBlockBytes));
  gauges_->fenced.set(status.fenced ? 1 : 0);
  gauges_->checkpoints.raise_to(status.checkpoints);
  gauges_->batches.raise_to(status.batches);
  gauges_->log_writes.raise_to(status.log_writes);
  gauges_->page_misses.raise_to(status.page_misses);
  gauges_->read_bytes.raise_to(device.read_bytes);
  gauges_->written_bytes.raise_to(device.written_bytes);
  gauges_->device_errors.raise_to(device.errors);
  refresh_health_metrics();
  gauges_->packed_bytes.raise_to(objects_->counters().packed_bytes);
  gauges_->packed_stored.raise_to(objects_->counters().packed_stored_bytes);
  gauges_->discarded_bytes.raise_to(status.discarded_blocks * media::kBlockBytes);
  gauges_->compacted_bytes.raise_to(objects_->counters().compacted_blocks * media::kBlockBytes);
  gauges_->background_failures.raise_to(objects_->counters().background_failures);
  refresh_scrub_metrics();
}

void Target::refresh_health_metrics() {
  std::uint64_t reads = 0, writes = 0, flushes = 0, slow = 0;
  Duration silence{};
  devices_.for_each([&](const char*, media::BlockDevice& device) {
    const media::DeviceHealth& health = device.health();
    reads += health.errors(media::IoKind::kRead);
    writes += health.errors(media::IoKind::kWrite);
    flushes += health.errors(media::IoKind::kFlush);
    slow += health.slow_operations();
    silence = std::max(silence, health.silence(reactor_.now()));
  });
  gauges_->read_errors.raise_to(reads);
  gauges_->write_errors.raise_to(writes);
  gauges_->flush_errors.raise_to(flushes);
  gauges_->slow_operations.raise_to(slow);
  gauges_->device_silence.set(silence);
}

void Target::refresh_scrub_metrics() {
  if (scrubber_ == nullptr) return;
  const object::ScrubberStatus scrub = scrubber_->status();
  const auto seconds = [](WallTime time) { return static_cast<std::int64_t>(seconds_of(time.time_since_epoch())); };
  gauges_->scrub_running.set(scrub.running ? 1 : 0);
  gauges_->scrub_began.set(seconds(scrub.began));
  gauges_->scrub_ended.set(seconds(scrub.ended));
  gauges_->scrub_read.raise_to(scrub.read_bytes);
  gauges_->scrub_entries.raise_to(scrub.entries);
  gauges_->bad_pages.raise_to(scrub.bad_pages);
  gauges_->bad_entries.raise_to(scrub.bad_entries);
  gauges_->bad_data.raise_to(scrub.bad_data);
  gauges_->scrub_findings.set(static_cast<std::int64_t>(scrub.findings + scrub.unlisted));
  gauges_->scrub_repaired.raise_to(scrub.repaired);
}

}  // namespace cenote::engine
