#include "cenote/object/scrubber.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "scrub_findings.h"

namespace cenote::object {
namespace {

/// Builds that do not scrub leave this tree alone.
constexpr std::string_view kScrubTreeName = "object.scrub";
/// Of the place. Version 1 does not say how much was read.
constexpr std::uint8_t kVersion = 2;
constexpr Duration kSaveInterval = std::chrono::seconds(10);
/// After a pass that could not go on, and the longest sleep between two: clocks are set and periods are long.
constexpr Duration kRetryInterval = std::chrono::minutes(1);
constexpr Duration kLongestSleep = std::chrono::hours(1);
/// Seconds, about 30 years: what is more says nothing, and would not fit.
constexpr double kLongestLeft = 1e9;

Bytes place_key() { return Bytes{std::byte{1}}; }

void append_time(Encoder& out, WallTime time) {
  out.integer(static_cast<std::uint64_t>(time.time_since_epoch().count()));
}
WallTime take_time(Decoder& in) {
  const auto nanoseconds = in.integer<std::uint64_t>();
  in.require(nanoseconds <= INT64_MAX);
  return WallTime(Duration(static_cast<Duration::rep>(nanoseconds)));
}

}  // namespace

Scrubber::Scrubber(store::Store& store, ObjectStore& objects, ScrubberOptions options)
    : store_(store),
      objects_(objects),
      options_(std::move(options)),
      scope_(store.reactor()),
      turn_(store.reactor()),
      findings_(std::make_unique<ScrubFindings>()) {}
Scrubber::~Scrubber() = default;

void Scrubber::start() {
  earliest_ = store_.reactor().now() + options_.start_delay;
  scope_.spawn(run());
  scope_.spawn(save_now_and_then());
}

Task<> Scrubber::stop() {
  pause();
  co_await scope_.stop();
}

void Scrubber::begin_pass() {
  paused_ = false;
  // The part of a pass that runs is what is wanted.
  wanted_ = cancel_ == nullptr || cancel_->cancelled();
  turn_.notify_all();
}

void Scrubber::pause() {
  paused_ = true;
  if (cancel_ != nullptr) cancel_->cancel();
}

void Scrubber::resume() {
  paused_ = false;
  turn_.notify_all();
}

ScrubberStatus Scrubber::status() const {
  ScrubberStatus status = status_;
  status.running = place_.running() || wanted_;
  status.paused = paused_;
  status.began = place_.began;
  status.ended = place_.ended;
  status.container = place_.container;
  status.pass_bytes = place_.read_bytes;
  status.findings = findings_->count();
  const store::StoreStatus store = store_.status();
  status.used_bytes = (store.data_blocks_total - store.data_blocks_free) * media::kBlockBytes;
  if (!place_.running()) return status;
  // As fast as it has been since it goes on; at first, as fast as it may be.
  double rate = static_cast<double>(options_.bytes_per_second);
  const double seconds = std::chrono::duration<double>(store_.reactor().now() - resumed_).count();
  const std::uint64_t read = place_.read_bytes - std::min(resumed_bytes_, place_.read_bytes);
  if (cancel_ != nullptr && seconds > 1 && read > 0) rate = static_cast<double>(read) / seconds;
  const std::uint64_t left = status.used_bytes - std::min(place_.read_bytes, status.used_bytes);
  const double seconds_left = std::min(static_cast<double>(left) / std::max(rate, 1.0), kLongestLeft);
  status.left = Duration(static_cast<Duration::rep>(seconds_left * 1e9));
  return status;
}

void Scrubber::note_repaired(const Uuid& container, const EntryDescription& entry) {
  findings_->forget(container, entry);
  unsaved_ = true;
}

std::vector<KeptFinding> Scrubber::findings() const { return findings_->list(); }

Bytes Scrubber::encode(const Place& place) {
  Bytes bytes{std::byte{kVersion}};
  Encoder out(bytes);
  append_time(out, place.began);
  append_time(out, place.ended);
  out.raw(place.container.bytes());
  out.integer(place.read_bytes);
  out.raw(place.position);
  return bytes;
}

Result<Scrubber::Place> Scrubber::decode(ByteView value) {
  Decoder in(value);
  const auto version = in.integer<std::uint8_t>();
  in.require(version >= 1 && version <= kVersion);
  Place place;
  place.began = take_time(in);
  place.ended = take_time(in);
  const ByteView container = in.raw(16);
  if (container.size() == 16) place.container = Uuid::from_bytes(container.first<16>());
  if (version > 1) place.read_bytes = in.integer<std::uint64_t>();
  place.position = to_bytes(in.rest());
  if (in.bad()) return fail(Code::kCorrupt, "the place of a scrub is no such record");
  return place;
}

Task<Result<>> Scrubber::load() {
  co_return co_await store_.run([this](store::View& view) -> Result<> {
    auto findings = std::make_unique<ScrubFindings>();
    const auto tree = view.find_tree(kScrubTreeName);
    if (!tree) return {};
    TRY(const auto value, view.get(*tree, place_key()));
    store::Cursor cursor(view, *tree);
    TRY(bool more, cursor.seek(ScrubFindings::first_key()));
    while (more) {
      findings->load(cursor.key(), cursor.value());
      TRY(more, cursor.next());
    }
    findings_ = std::move(findings);
    // Without its place a pass begins anew, and finds again what is there.
    if (const auto place = value ? decode(*value) : Place()) place_ = *place;
    return {};
  });
}

/// Writes everything as it is when the batch is applied, so that of two that run at once none puts an older one back.
/// The place comes last: what is known at some place must be there when a pass goes on from it.
Task<Result<>> Scrubber::save() {
  const store::TreeId fresh = store_.find_tree(kScrubTreeName) ? store::TreeId{} : store_.next_tree_id();
  for (bool more = true; more;) {
    CO_TRY(more, co_await store_.run([this, fresh](store::View& view) { return save_some(view, fresh); }));
  }
  co_return Result<>();
}

/// True: there is more.
Result<bool> Scrubber::save_some(store::View& view, store::TreeId fresh) {
  const auto tree = view.find_tree(kScrubTreeName);
  store::Batch batch;
  batch.set_space_class(store::SpaceClass::kReclaim);
  if (!tree) batch.create_tree(fresh, kScrubTreeName);
  const ScrubFindings::Changes changes = findings_->add_changes(tree.value_or(fresh), batch);
  if (changes.all) batch.put(tree.value_or(fresh), place_key(), encode(place_));
  CHECK_OK(view.apply(batch));
  findings_->saved(changes);
  if (changes.all) unsaved_ = false;
  return !changes.all;
}

Task<> Scrubber::save_now_and_then() {
  while (!scope_.stopping()) {
    const auto slept = co_await sleep_for(store_.reactor(), kSaveInterval, scope_.cancel_source());
    if (!slept) break;
    // What cannot be saved costs a repetition after the next restart.
    if (unsaved_) static_cast<void>(co_await save());
  }
}

Task<> Scrubber::run() {
  // A place that cannot be read costs a repetition; the page that it lies on is named by the pass.
  static_cast<void>(co_await load());
  while (!scope_.stopping()) {
    co_await wait_for_turn();
    if (scope_.stopping()) break;
    cancel_ = std::make_unique<CancelSource>();
    resumed_ = store_.reactor().now();
    resumed_bytes_ = place_.read_bytes;
    const auto outcome = co_await pass();
    cancel_.reset();
    if (outcome) {
      end_pass();
      static_cast<void>(co_await save());
    } else if (!paused_) {
      earliest_ = store_.reactor().now() + kRetryInterval;
    }
  }
  // So that the next start goes on here, and not where the last regular save was.
  if (unsaved_) static_cast<void>(co_await save());
}

void Scrubber::end_pass() {
  findings_->end_pass(place_.began);
  place_.ended = std::max(store_.reactor().wall_now(), place_.began);
  place_.container = Uuid();
  place_.position.clear();
  unsaved_ = true;
  ++status_.passes;
}

/// Returns with a pass that is to go on, or when the scope stops.
Task<> Scrubber::wait_for_turn() {
  while (!scope_.stopping() && !begin_if_due()) {
    const Instant again = store_.reactor().now() + until_due();
    static_cast<void>(co_await turn_.wait({again, &scope_.cancel_source()}));
  }
}

bool Scrubber::begin_if_due() {
  const bool wanted = std::exchange(wanted_, false);
  if (paused_ || (!wanted && !is_due())) return false;
  if (place_.running()) return true;
  // Later than the end of the last one even where the clock stands still or was set back.
  const WallTime after_last(place_.ended.time_since_epoch() + Duration(1));
  place_ = Place{std::max(store_.reactor().wall_now(), after_last), place_.ended, {}, 0, {}};
  status_.unlisted = 0;
  unsaved_ = true;
  return true;
}

bool Scrubber::is_due() const {
  if (store_.reactor().now() < earliest_) return false;
  if (place_.running() || place_.began == WallTime()) return true;
  const Duration left = place_.began + options_.period - store_.reactor().wall_now();
  // A clock that was set back must not put the next pass off for longer than a period.
  return left <= Duration::zero() || left > options_.period;
}

/// When to look again, at the latest.
Duration Scrubber::until_due() const {
  const Instant now = store_.reactor().now();
  if (paused_) return kLongestSleep;
  if (now < earliest_) return std::min(earliest_ - now, kLongestSleep);
  const Duration left = place_.began + options_.period - store_.reactor().wall_now();
  return std::clamp(left, Duration(1), kLongestSleep);
}

Task<Result<>> Scrubber::pass() {
  if (place_.container.is_null()) {
    counted_ = ScrubReport();
    place_.read_bytes = 0;
    CO_TRY(const ScrubReport report, co_await scrub_records(store_, options_of_scrub()));
    take(report);
  }
  CO_TRY(const auto containers, co_await objects_.list_containers());
  for (const Uuid& container : containers) {
    if (container < place_.container) continue;
    if (container != place_.container) {
      place_.container = container;
      place_.position.clear();
      unsaved_ = true;
    }
    CO_CHECK_OK(co_await scrub_one(container));
  }
  co_return Result<>();
}

Task<Result<>> Scrubber::scrub_one(Uuid container) {
  counted_ = ScrubReport();
  ScrubOptions options = options_of_scrub();
  options.from = place_.position;
  options.progress = [this](const ScrubReport& report, ByteView position) {
    take(report);
    place_.position = to_bytes(position);
    unsaved_ = true;
  };
  const auto report = co_await scrub_container(store_, container, std::move(options));
  // One that was destroyed meanwhile is none of a scrub's business.
  if (!report && report.error() == Code::kContainerNotFound) co_return Result<>();
  CO_CHECK_OK(report);
  take(*report);
  co_return Result<>();
}

ScrubOptions Scrubber::options_of_scrub() {
  ScrubOptions options;
  options.bytes_per_second = options_.bytes_per_second;
  options.cancel = cancel_.get();
  options.found = [this](const TargetFinding& finding) { take(finding); };
  return options;
}

void Scrubber::take(const ScrubReport& report) {
  place_.read_bytes += report.read_bytes - counted_.read_bytes;
  status_.read_bytes += report.read_bytes - counted_.read_bytes;
  status_.entries += report.entries - counted_.entries;
  status_.repaired += report.repaired - counted_.repaired;
  counted_ = report;
}

void Scrubber::take(const TargetFinding& finding) {
  // What is repaired is no damage any more.
  if (!finding.finding.repaired) {
    // What a cut-off pass meets again where it goes on is told once.
    switch (findings_->note(finding, store_.reactor().wall_now(), place_.began)) {
      case ScrubFindings::Noted::kAgain:
        return;
      case ScrubFindings::Noted::kTooMany:
        ++status_.unlisted;
        break;
      case ScrubFindings::Noted::kKept:
        unsaved_ = true;
        break;
    }
  }
  switch (finding.finding.kind) {
    case store::FindingKind::kEntry:
      ++status_.bad_entries;
      break;
    case store::FindingKind::kData:
      ++status_.bad_data;
      break;
    default:
      ++status_.bad_pages;
  }
  options_.found(finding);
}

}  // namespace cenote::object
