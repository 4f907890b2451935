#include "cenote/object/scrubber.h"

#include <algorithm>

#include "cenote/base/codec.h"

namespace cenote::object {
namespace {

/// Builds that do not scrub leave this tree alone.
constexpr std::string_view kScrubTreeName = "object.scrub";
constexpr std::byte kVersion{1};
constexpr Duration kSaveInterval = std::chrono::seconds(10);
/// After a pass that could not go on, and the longest sleep between two: clocks are set and periods are long.
constexpr Duration kRetryInterval = std::chrono::minutes(1);
constexpr Duration kLongestSleep = std::chrono::hours(1);

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
    : store_(store), objects_(objects), options_(std::move(options)), scope_(store.reactor()) {}

void Scrubber::start() {
  scope_.spawn(run());
  scope_.spawn(save_now_and_then());
}

Task<> Scrubber::stop() { co_await scope_.stop(); }

ScrubberStatus Scrubber::status() const {
  ScrubberStatus status = status_;
  status.running = place_.running();
  status.began = place_.began;
  status.ended = place_.ended;
  return status;
}

Bytes Scrubber::encode(const Place& place) {
  Bytes bytes{kVersion};
  Encoder out(bytes);
  append_time(out, place.began);
  append_time(out, place.ended);
  out.raw(place.container.bytes());
  out.raw(place.position);
  return bytes;
}

Result<Scrubber::Place> Scrubber::decode(ByteView value) {
  Decoder in(value);
  const auto version = in.integer<std::uint8_t>();
  in.require(version == static_cast<std::uint8_t>(kVersion));
  Place place;
  place.began = take_time(in);
  place.ended = take_time(in);
  const ByteView container = in.raw(16);
  if (container.size() == 16) place.container = Uuid::from_bytes(container.first<16>());
  place.position = to_bytes(in.rest());
  if (in.bad()) return fail(Code::kCorrupt, "the place of a scrub is no such record");
  return place;
}

Task<Result<Scrubber::Place>> Scrubber::load() {
  co_return co_await store_.run([](store::View& view) -> Result<Place> {
    const auto tree = view.find_tree(kScrubTreeName);
    if (!tree) return Place();
    TRY(const auto value, view.get(*tree, place_key()));
    return value ? decode(*value) : Place();
  });
}

/// Writes the place as it is when the batch is applied, so that of two that run at once none puts an older one back.
Task<Result<>> Scrubber::save() {
  const store::TreeId fresh = store_.find_tree(kScrubTreeName) ? store::TreeId{} : store_.next_tree_id();
  co_return co_await store_.run([this, fresh](store::View& view) -> Result<> {
    const auto tree = view.find_tree(kScrubTreeName);
    store::Batch batch;
    batch.set_space_class(store::SpaceClass::kReclaim);
    if (!tree) batch.create_tree(fresh, kScrubTreeName);
    batch.put(tree.value_or(fresh), place_key(), encode(place_));
    CHECK_OK(view.apply(batch));
    unsaved_ = false;
    return {};
  });
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
  {
    const auto slept = co_await sleep_for(store_.reactor(), options_.start_delay, scope_.cancel_source());
    if (!slept) co_return;
  }
  // A place that cannot be read costs a repetition; the page that it lies on is named by the pass.
  if (auto loaded = co_await load()) place_ = *std::move(loaded);
  while (!scope_.stopping()) {
    if (!place_.running()) co_await wait_for_next();
    if (scope_.stopping()) break;
    const auto outcome = co_await pass();
    if (outcome) {
      place_.ended = std::max(store_.reactor().wall_now(), place_.began);
      place_.container = Uuid();
      place_.position.clear();
      ++status_.passes;
      static_cast<void>(co_await save());
    } else if (!scope_.stopping()) {
      static_cast<void>(co_await sleep_for(store_.reactor(), kRetryInterval, scope_.cancel_source()));
    }
  }
  // So that the next start goes on here, and not where the last regular save was.
  if (unsaved_) static_cast<void>(co_await save());
}

/// Returns with a new pass begun, or when the scope stops.
Task<> Scrubber::wait_for_next() {
  Reactor& reactor = store_.reactor();
  while (!scope_.stopping()) {
    const Duration left = place_.began + options_.period - reactor.wall_now();
    // A clock that was set back must not put the next pass off for longer than a period.
    if (place_.began == WallTime() || left <= Duration::zero() || left > options_.period) {
      // Later than the end of the last one even where the clock stands still or was set back.
      const WallTime after_last(place_.ended.time_since_epoch() + Duration(1));
      place_ = Place{std::max(reactor.wall_now(), after_last), place_.ended, {}, {}};
      unsaved_ = true;
      findings_.clear();
      co_return;
    }
    static_cast<void>(co_await sleep_for(reactor, std::min(left, kLongestSleep), scope_.cancel_source()));
  }
}

Task<Result<>> Scrubber::pass() {
  if (place_.container.is_null()) {
    counted_ = ScrubReport();
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
  options.cancel = &scope_.cancel_source();
  options.found = [this](const TargetFinding& finding) { take(finding); };
  return options;
}

void Scrubber::take(const ScrubReport& report) {
  status_.read_bytes += report.read_bytes - counted_.read_bytes;
  status_.entries += report.entries - counted_.entries;
  counted_ = report;
}

void Scrubber::take(const TargetFinding& finding) {
  // What a cut-off pass meets again where it goes on is told once.
  const auto same = [&finding](const TargetFinding& other) {
    return other.container == finding.container && other.finding.message == finding.finding.message;
  };
  if (std::ranges::any_of(findings_, same)) return;
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
  if (findings_.size() < kMaxKeptFindings) findings_.push_back(finding);
  options_.found(finding);
}

}  // namespace cenote::object
