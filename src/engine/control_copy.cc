// Invariants: entries_ have every change up to position_, and none of a key that belongs to a lease; the file is
// written from entries_ of one moment only (position_ >= whole_at_), and has everything up to written_; nothing is
// written while the coordinator does not hold the record of this system.

#include "control_copy.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "control_records.h"

namespace cenote::engine {

using cluster::KeyValue;
using cluster::Revision;
using cluster::WatchEvent;

namespace {

std::uint64_t count_of(const KeyValue& recovered) {
  const auto record = decode_recovery(recovered.value);
  return record ? record->count : 0;
}

}  // namespace

ControlCopy::Metrics::Metrics(MetricRegistry& metrics)
    : revision(metrics.gauge("cenote_control_copy_revision", "The copy of the control state has all changes up to it")),
      bytes(metrics.gauge("cenote_control_copy_bytes", "Size of the copy of the control state")),
      behind(metrics.gauge("cenote_control_copy_behind_seconds", "How long there have been changes that it lacks")),
      writes(metrics.counter("cenote_control_copy_writes_total", "How often it was written")),
      failures(metrics.counter("cenote_control_copy_failures_total", "How often it could not be written")),
      not_kept(metrics.counter("cenote_control_copy_skipped_total", "Steps that were taken without the copy")) {}

ControlCopy::ControlCopy(EngineHost& host, cluster::Coordinator& coordinator, Options options, MetricRegistry& metrics,
                         Logger logger)
    : host_(host),
      reactor_(host.control()),
      coordinator_(coordinator),
      options_(options),
      logger_(std::move(logger)),
      metrics_(metrics),
      wake_(reactor_),
      changed_(reactor_),
      background_(reactor_),
      writing_(reactor_) {}

ControlCopy::~ControlCopy() { ASSERT(background_.running() == 0 && writing_.running() == 0); }

void ControlCopy::start() {
  behind_since_ = reactor_.now();
  background_.spawn(follow(*this));
  writing_.spawn(write_changes(*this));
}

Task<> ControlCopy::stop() {
  co_await background_.stop();
  closing_ = true;
  wake_.notify_all();
  changed_.notify_all();
  // It ends with what it has to write.
  co_await writing_.drain();
}

Task<> ControlCopy::follow(ControlCopy& self) {
  CancelSource& stopping = self.background_.cancel_source();
  while (!stopping.cancelled()) {
    const auto followed = co_await self.follow_from_now();
    if (stopping.cancelled()) co_return;
    ASSERT(!followed);
    self.note_trouble(self.reading_trouble_, followed.error(), "the control state cannot be copied");
    // What is not there, or too much, is so for long.
    self.frozen_ = followed.error() == Code::kForeign || followed.error() == Code::kOutOfRange;
    self.changed_.notify_all();
    const Duration pause = self.frozen_ ? self.options_.retry_write : self.options_.retry_pause;
    static_cast<void>(co_await sleep_for(self.reactor_, pause, stopping));
  }
}

Task<Result<>> ControlCopy::follow_from_now() {
  CO_TRY(const Revision from, co_await read_everything());
  CO_TRY(const auto watch, coordinator_.watch("", from));
  reading_trouble_.reset();
  for (;;) {
    CO_TRY(auto events, co_await watch->next({kNoDeadline, &background_.cancel_source()}));
    CO_CHECK_OK(take(std::move(events)));
  }
}

/// The revision from which on changes are to be taken.
Task<Result<Revision>> ControlCopy::read_everything() {
  CO_TRY(Revision from, co_await coordinator_.revision(soon()));
  for (int attempt = 0;; ++attempt) {
    CO_TRY(Reading reading, co_await read_pages());
    CO_TRY(const Revision after, co_await coordinator_.revision(soon()));
    // Pages are not of one moment, unless nothing has changed meanwhile. Where something always does they are taken for
    // one when the changes up to the latest that they show have been taken, too.
    if (after != from && attempt < kReadAttempts) {
      from = after;
      continue;
    }
    const auto record = reading.entries.find(kSystemKey);
    CO_CHECK_OK(check_system(record == reading.entries.end() ? nullptr : &record->second));
    frozen_ = false;
    entries_ = std::move(reading.entries);
    bytes_ = reading.bytes;
    whole_at_ = std::max(from, reading.newest);
    // What of it the file has is not known.
    ++readings_;
    written_ = position_ = Revision(0);
    compared_ = false;
    note_position(from, true);
    co_return from;
  }
}

Task<Result<ControlCopy::Reading>> ControlCopy::read_pages() {
  constexpr std::size_t kPage = 256;
  Reading reading{.bytes = control_copy_bytes_at_least()};
  for (std::string after;;) {
    CO_TRY(auto page, co_await coordinator_.range("", after, kPage, soon()));
    const bool last = page.size() < kPage;
    if (!page.empty()) after = page.back().key;
    for (KeyValue& entry : page) {
      reading.newest = std::max(reading.newest, entry.modified);
      if (entry.lease != cluster::kNoLease) continue;
      reading.bytes += control_copy_bytes(entry);
      std::string key = entry.key;
      reading.entries.insert_or_assign(std::move(key), std::move(entry));
    }
    if (reading.bytes > kMaxControlCopyBytes)
      co_return failf(Code::kOutOfRange, "the control state has more than the {} bytes that are copied",
                      kMaxControlCopyBytes);
    if (last) co_return reading;
  }
}

/// A coordinator that was emptied, or is another one's now, is what the copy is for: it must not follow that.
Result<> ControlCopy::check_system(const KeyValue* record) const {
  if (record == nullptr)
    return fail(Code::kForeign, "the coordinator has no record of the system any more: the copy stays as it is");
  TRY(const SystemIdentity system, decode_system(record->value));
  if (system.id == options_.system) return {};
  return failf(Code::kForeign, "the coordinator is that of another system, '{}' ({}): the copy stays as it is",
               system.name, system.id.to_string());
}

/// Whole transactions.
Result<> ControlCopy::take(std::vector<WatchEvent> events) {
  for (const WatchEvent& event : events) {
    if (event.key != kSystemKey) continue;
    const KeyValue record{event.key, event.value.value_or(""), event.revision};
    CHECK_OK(check_system(event.value ? &record : nullptr));
  }
  bool changed = false;
  for (WatchEvent& event : events) {
    const auto found = entries_.find(event.key);
    // A page may have shown it already.
    if (found != entries_.end() && found->second.modified >= event.revision) continue;
    if (found != entries_.end()) {
      bytes_ -= control_copy_bytes(found->second);
      entries_.erase(found);
      changed = true;
    }
    if (!event.value || event.lease != cluster::kNoLease) continue;
    KeyValue entry{event.key, *std::move(event.value), event.revision};
    bytes_ += control_copy_bytes(entry);
    entries_.insert_or_assign(std::move(event.key), std::move(entry));
    changed = true;
  }
  note_position(events.back().revision, changed);
  if (bytes_ <= kMaxControlCopyBytes) return {};
  return failf(Code::kOutOfRange, "the control state has more than the {} bytes that are copied", kMaxControlCopyBytes);
}

void ControlCopy::note_position(Revision revision, bool changed) {
  const bool was_behind = is_behind() || !is_whole();
  position_ = revision;
  // What belongs to leases comes and goes without being written.
  if (!changed && !was_behind) {
    written_ = position_;
  } else if (!was_behind || written_ == Revision(0)) {
    behind_since_ = reactor_.now();
  }
  wake_.notify_all();
  changed_.notify_all();
}

/// When the next write is due.
Instant ControlCopy::write_at() const {
  if (!is_whole() || !is_behind() || frozen_ || bytes_ > kMaxControlCopyBytes) return kNoDeadline;
  if (closing_) return writing_trouble_ ? kNoDeadline : Instant::min();
  const bool urgent = urgent_ > written_ && position_ >= urgent_;
  const Duration gather = std::max(options_.gather, options_.gather_writes * last_write_);
  return std::max(not_before_, urgent ? Instant::min() : behind_since_ + gather);
}

Task<> ControlCopy::write_changes(ControlCopy& self) {
  for (;;) {
    const Instant at = self.write_at();
    if (at <= self.reactor_.now()) {
      co_await self.write();
    } else if (self.closing_) {
      co_return;
    } else {
      static_cast<void>(co_await self.wake_.wait(Until::at(at)));
    }
  }
}

Bytes ControlCopy::encode() const {
  ControlCopyEncoder encoder(
      {.system = options_.system, .engine = options_.engine, .revision = position_, .written = reactor_.wall_now()});
  for (const auto& [key, entry] : entries_) encoder.add(entry);
  return std::move(encoder).finish();
}

Task<> ControlCopy::write() {
  const bool keep_last = !compared_ && co_await is_older_than_last();
  if (write_at() > reactor_.now()) co_return;
  const Revision revision = position_;
  const std::uint64_t reading = readings_;
  Bytes bytes = encode();
  file_bytes_ = bytes.size();
  const Instant begun = reactor_.now();
  auto written = co_await host_.replace_control_copy(std::move(bytes), keep_last);
  last_write_ = reactor_.now() - begun;
  if (written) {
    ++writes_;
    if (writing_trouble_) logger_.info("the copy of the control state is written again");
    writing_trouble_.reset();
    behind_since_ = begun;
    // Else it was of what is not known any more.
    if (reading == readings_) {
      compared_ = true;
      written_ = revision;
    }
  } else {
    ++failures_;
    not_before_ = reactor_.now() + options_.retry_write;
    note_trouble(writing_trouble_, written.error(), "the copy of the control state cannot be written");
  }
  changed_.notify_all();
}

/// A coordinator that was restored from a backup has forgotten what the last copy has: that is put aside.
Task<bool> ControlCopy::is_older_than_last() {
  const auto last = co_await host_.read_control_copy();
  const auto file = last && *last ? decode_control_copy(**last) : fail(Code::kNotFound);
  if (!file || file->head.system != options_.system) co_return false;
  const auto found = entries_.find(kRecoveredKey);
  const auto before = std::ranges::find(file->entries, kRecoveredKey, &KeyValue::key);
  const std::uint64_t recoveries = found == entries_.end() ? 0 : count_of(found->second);
  const std::uint64_t recoveries_before = before == file->entries.end() ? 0 : count_of(*before);
  if (std::pair(recoveries, position_) >= std::pair(recoveries_before, file->head.revision)) co_return false;
  logger_.error("the coordinator is older than the copy of it that was here, which is kept as 'control-copy.newer'",
                {{"revision", position_}, {"revision_of_copy", file->head.revision}});
  co_return true;
}

Task<bool> ControlCopy::keep(Revision revision) {
  const Until until = Until::at(reactor_.now() + options_.patience);
  while (written_ < revision && !closing_ && !frozen_ && !writing_trouble_) {
    if (revision > urgent_) {
      urgent_ = revision;
      wake_.notify_all();
    }
    if (!co_await changed_.wait(until)) break;
  }
  const bool kept = written_ >= revision;
  if (!kept) ++not_kept_;
  co_return kept;
}

ControlCopy::Status ControlCopy::status() const {
  const bool is_late = is_behind() || !is_whole() || frozen_;
  return {.revision = written_,
          .bytes = file_bytes_,
          .writes = writes_,
          .failures = failures_,
          .not_kept = not_kept_,
          .behind = is_late ? reactor_.now() - behind_since_ : Duration(0)};
}

void ControlCopy::refresh_metrics() {
  const Status now = status();
  metrics_.revision.set(static_cast<std::int64_t>(now.revision.value()));
  metrics_.bytes.set(static_cast<std::int64_t>(now.bytes));
  metrics_.behind.set(now.behind.count());
  metrics_.writes.raise_to(now.writes);
  metrics_.failures.raise_to(now.failures);
  metrics_.not_kept.raise_to(now.not_kept);
}

/// Once for each kind of failure in a row.
void ControlCopy::note_trouble(std::optional<Error>& trouble, const Error& error, LogMessage what) {
  const bool known = trouble && trouble->code() == error.code();
  trouble = error;
  if (!known) logger_.error(what, {{"error", error}});
}

}  // namespace cenote::engine
