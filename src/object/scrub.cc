#include "cenote/object/scrub.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/runtime/sync.h"
#include "cenote/store/scrub.h"
#include "entries.h"
#include "keys.h"
#include "records.h"
#include "value_check.h"

namespace cenote::object {
namespace {

/// A large extent and what its buffer is rounded up to.
constexpr std::uint64_t kBufferBytes = 2ull << 20;
/// Entries looked at in one turn of the reactor.
constexpr std::uint32_t kEntriesPerTurn = 32;
/// Number of the store's own tree of trees.
constexpr store::TreeId kCatalog{0};

/// Keeps what is read to a rate, and others running.
class Pace {
 public:
  Pace(Reactor& reactor, const ScrubOptions& options)
      : reactor_(reactor), options_(options), due_(reactor.now()), began_(due_), requests_(options.requests()) {}

  /// After `bytes` were read. kCancelled: give up.
  Task<Result<>> keep(std::uint64_t bytes) {
    if (options_.cancel != nullptr && options_.cancel->cancelled()) co_return fail(Code::kCancelled);
    // Time that was not used is not made up for: a burst would be what the rate is there to prevent.
    due_ = std::max(due_, reactor_.now()) + time_for(bytes);
    if (due_ <= reactor_.now()) {
      co_await reactor_.yield();
    } else if (options_.cancel != nullptr) {
      CO_CHECK_OK(co_await sleep_until(reactor_, due_, *options_.cancel));
    } else {
      co_await reactor_.sleep_until(due_);
    }
    began_ = reactor_.now();
    co_return Result<>();
  }

 private:
  /// How long the next slice waits for what the last one read.
  Duration time_for(std::uint64_t bytes) {
    if (options_.bytes_per_second != 0) {
      const double seconds = static_cast<double>(bytes) / static_cast<double>(options_.bytes_per_second);
      return Duration(static_cast<Duration::rep>(seconds * 1e9));
    }
    const bool used = options_.requests() != requests_;
    requests_ = options_.requests();
    return used ? kGiveWay * (reactor_.now() - began_) : Duration::zero();
  }
  /// Without a rate, of each slice's time while others use the target.
  static constexpr int kGiveWay = 3;

  Reactor& reactor_;
  const ScrubOptions& options_;
  Instant due_, began_;
  std::uint64_t requests_;
};

class Scrub {
 public:
  Scrub(store::Store& store, ScrubOptions options)
      : store_(store),
        options_(std::move(options)),
        pace_(store.reactor(), options_),
        buffers_(store.reactor(), media::BufferPoolOptions{.budget_bytes = kBufferBytes}) {}
  Scrub(const Scrub&) = delete;
  Scrub& operator=(const Scrub&) = delete;

  Task<Result<>> container(Uuid container);
  Task<Result<>> tree_of_container();
  Task<Result<>> records();
  const ScrubReport& report() const { return report_; }

 private:
  /// Of a container: its tree, or kContainerNotFound. As of the moment of the view.
  Result<store::TreeId> find_tree(store::View& view) const;
  Result<ContainerRecord> find_record(store::View& view) const;
  TargetFinding bad_entry(const store::TreeScrub& walk, const Error& error) const;
  Task<Result<>> entry(store::TreeScrub& walk, Bytes key, Bytes value);
  Task<Result<>> stored_data(store::TreeScrub& walk, Bytes key);
  Result<std::optional<Bytes>> current(store::View& view, ByteView key) const;
  Task<Result<std::optional<Bytes>>> look_up(Bytes key);
  void note(const ValueOutcome& outcome, ByteView key, const EntryDescription& entry, const store::TreeScrub& walk);
  void next_tree();
  void take_totals(const store::TreeScrub& walk);
  Task<Result<>> end_slice();
  Task<Result<>> finish_repairs();
  template <typename Check>
  Task<Result<>> tree_of_records(store::TreeId tree, std::string_view name, Check check);
  void emit(TargetFinding finding);
  void page_found(store::Finding finding);

  store::Store& store_;
  ScrubOptions options_;
  Pace pace_;
  media::BufferPool buffers_;
  Uuid asked_;
  std::optional<Uuid> container_;  // the one asked for, or one that it is a clone of
  Epoch upto_ = kEpochLatest;      // of that one, what is shown
  store::TreeId tree_;
  std::string tree_name_;
  ScrubReport report_;
  std::uint64_t data_bytes_ = 0;                 // read so far, of data ...
  std::uint64_t paced_bytes_ = 0;                // ... and of everything, as far as the pace knows
  store::ScrubTotals pages_before_, pages_now_;  // of the trees that are done, and of the present one
};

void Scrub::emit(TargetFinding finding) {
  if (finding.finding.repaired) {
    ++report_.repaired;
  } else {
    ++report_.damages;
  }
  finding.container = container_;
  if (container_ && *container_ != asked_)
    finding.finding.message +=
        fmt::format("; it lies in container {}, of which this is a clone", container_->to_string());
  options_.found(finding);
}

void Scrub::page_found(store::Finding finding) {
  TargetFinding target;
  target.finding = std::move(finding);
  if (const auto& lost = target.finding.lost; lost && container_) {
    target.finding.message += fmt::format("; lost are the entries from {} to {}", describe_key_prefix(lost->lower),
                                          lost->upper ? describe_key_prefix(*lost->upper) : "the end");
  }
  emit(std::move(target));
}

/// Totals of another tree come on top of those so far.
void Scrub::next_tree() {
  const store::ScrubTotals now = std::exchange(pages_now_, {});
  pages_before_.leaves += now.leaves;
  pages_before_.images += now.images;
  pages_before_.read_bytes += now.read_bytes;
}

void Scrub::take_totals(const store::TreeScrub& walk) {
  pages_now_ = walk.totals();
  report_.leaves = pages_before_.leaves + pages_now_.leaves;
  report_.images = pages_before_.images + pages_now_.images;
  report_.read_bytes = data_bytes_ + pages_before_.read_bytes + pages_now_.read_bytes;
}

Task<Result<>> Scrub::end_slice() {
  const std::uint64_t bytes = report_.read_bytes - std::exchange(paced_bytes_, report_.read_bytes);
  co_return co_await pace_.keep(bytes);
}

Result<ContainerRecord> Scrub::find_record(store::View& view) const {
  const auto system = view.find_tree(kSystemTreeName);
  if (!system) return fail(Code::kCorrupt, "the system tree of the target is missing");
  TRY(const auto value, view.get(*system, container_key(RecordKind::kContainer, *container_)));
  if (!value) return failf(Code::kContainerNotFound, "no container {} on this target", container_->to_string());
  return decode_container(*value);
}

Result<store::TreeId> Scrub::find_tree(store::View& view) const {
  TRY(const ContainerRecord record, find_record(view));
  return record.tree;
}

/// The value that stands at `key` now. The entries of a container outlive it for a while, and what they name is then
/// given back already: so the container has to be there, too.
Result<std::optional<Bytes>> Scrub::current(store::View& view, ByteView key) const {
  TRY(const store::TreeId tree, find_tree(view));
  if (tree != tree_) return failf(Code::kContainerNotFound, "container {} was made anew", container_->to_string());
  TRY(const auto value, view.get(tree_, key));
  return value ? std::optional(to_bytes(*value)) : std::nullopt;
}

Task<Result<std::optional<Bytes>>> Scrub::look_up(Bytes key) {
  co_return co_await store_.run([this, &key](store::View& view) { return current(view, key); });
}

Task<Result<>> Scrub::container(Uuid container) {
  asked_ = container;
  container_ = container;
  const auto find = [this](store::View& view) { return find_record(view); };
  for (;;) {
    const auto walked = co_await tree_of_container();
    auto record = co_await store_.run(find);
    if (!walked || !record) {
      const Error& error = walked ? record.error() : walked.error();
      if (!(error == Code::kContainerNotFound) || *container_ == asked_) co_return fail(error);
      // An ancestor went: what was shown of it has been copied to where the walk was before.
      container_ = asked_;
      upto_ = kEpochLatest;
      options_.from.clear();
      next_tree();
      continue;
    }
    if (!options_.inherited || !record->clone) break;
    container_ = record->clone->container;
    upto_ = std::min(upto_, record->clone->epoch);
    options_.from.clear();
    next_tree();
  }
  co_return Result<>();
}

Task<Result<>> Scrub::tree_of_container() {
  CO_TRY(tree_, co_await store_.run([this](store::View& view) { return find_tree(view); }));
  tree_name_ = container_tree_name(tree_);
  store::TreeScrub walk(
      store_, tree_, [this](store::Finding finding) { page_found(std::move(finding)); }, options_.from);
  for (;;) {
    CO_TRY(const bool more, co_await walk.next());
    if (!more) break;
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      CO_CHECK_OK(co_await entry(walk, to_bytes(walk.key(i)), to_bytes(walk.value(i))));
      take_totals(walk);
      if (i % kEntriesPerTurn != kEntriesPerTurn - 1 && report_.read_bytes == paced_bytes_) continue;
      CO_CHECK_OK(co_await end_slice());
      // A leaf of long values takes its time.
      if (i + 1 < walk.count()) options_.progress(report_, walk.key(i + 1));
    }
    take_totals(walk);
    CO_CHECK_OK(co_await end_slice());
    options_.progress(report_, walk.position());
  }
  take_totals(walk);
  CO_CHECK_OK(co_await finish_repairs());
  // A tree that went away under the walk looks like one that ends.
  CO_CHECK_OK(co_await store_.run([this](store::View& view) { return find_tree(view); }));
  co_return Result<>();
}

/// What is told to be repaired has to be.
Task<Result<>> Scrub::finish_repairs() {
  if (report_.repaired > 0) CO_CHECK_OK(co_await store_.checkpoint());
  co_return Result<>();
}

TargetFinding Scrub::bad_entry(const store::TreeScrub& walk, const Error& error) const {
  TargetFinding finding;
  finding.finding.kind = store::FindingKind::kEntry;
  finding.finding.message = error.message();
  finding.finding.page = walk.page();
  finding.finding.device = store_.data_device().name();
  return finding;
}

Task<Result<>> Scrub::entry(store::TreeScrub& walk, Bytes key, Bytes value) {
  const auto described = describe_entry(key, value);
  if (described && described->epoch > upto_) co_return Result<>();
  ++report_.entries;
  if (!described) {
    TargetFinding finding = bad_entry(walk, described.error());
    finding.finding.tree = tree_;
    finding.finding.tree_name = tree_name_;
    if (const auto parsed = parse_key(key)) finding.object = parsed->object;
    emit(std::move(finding));
    co_return Result<>();
  }
  if (!described->holds_data) co_return Result<>();
  if (!described->is_inline) co_return co_await stored_data(walk, std::move(key));
  const auto decoded = decode_entry(value);
  ASSERT(decoded);
  note(co_await check_value({.device = store_.data_device(), .buffers = buffers_}, *decoded), key, *described, walk);
  co_return Result<>();
}

Task<Result<>> Scrub::stored_data(store::TreeScrub& walk, Bytes key) {
  // Before the lookup: what it finds must still be there when it is read.
  const store::ExtentGuard guard = store_.guard_extents();
  CO_TRY(const auto value, co_await look_up(key));
  if (!value) co_return Result<>();  // overwritten and merged, or taken back, since the leaf was looked at
  const auto decoded = decode_entry(*value);
  const auto described = describe_entry(key, *value);
  // What changed since the leaf was looked at may be damaged memory, but then it is not the device's.
  if (!decoded || !described || !decoded->holds_data() || decoded->is_inline) co_return Result<>();
  const ValueReading reading{.device = store_.data_device(),
                             .buffers = buffers_,
                             .progressed = [this](std::uint64_t bytes) { data_bytes_ += bytes; }};
  const ValueOutcome outcome = co_await check_value(reading, *decoded);
  if (outcome.flaw) {
    CO_TRY(const auto after, co_await look_up(key));
    if (after != value) co_return Result<>();
  }
  note(outcome, key, *described, walk);
  co_return Result<>();
}

void Scrub::note(const ValueOutcome& outcome, ByteView key, const EntryDescription& entry,
                 const store::TreeScrub& walk) {
  report_.verified_bytes += outcome.verified_bytes;
  report_.unprotected_bytes += outcome.unprotected_bytes;
  if (!outcome.flaw) return;
  TargetFinding finding;
  finding.finding.page = walk.page();
  finding.finding.tree = tree_;
  finding.finding.tree_name = tree_name_;
  finding.finding.device = store_.data_device().name();
  describe_flaw(entry, outcome, finding);
  finding.key = to_bytes(key);
  emit(std::move(finding));
}

/// `check(key, value)`: whether that is a record of the tree.
template <typename Check>
Task<Result<>> Scrub::tree_of_records(store::TreeId tree, std::string_view name, Check check) {
  next_tree();
  store::TreeScrub walk(store_, tree, [this](store::Finding finding) { page_found(std::move(finding)); });
  for (;;) {
    CO_TRY(const bool more, co_await walk.next());
    if (!more) break;
    for (std::uint32_t i = 0; i < walk.count(); ++i) {
      ++report_.entries;
      const Result<> valid = check(walk.key(i), walk.value(i));
      if (valid) continue;
      TargetFinding finding = bad_entry(walk, valid.error());
      finding.finding.tree = tree;
      finding.finding.tree_name = name;
      emit(std::move(finding));
    }
    take_totals(walk);
    CO_CHECK_OK(co_await end_slice());
    options_.progress(report_, {});
  }
  take_totals(walk);
  co_return Result<>();
}

Task<Result<>> Scrub::records() {
  CO_CHECK_OK(co_await tree_of_records(kCatalog, "catalog", [](ByteView, ByteView) { return Result<>(); }));
  if (const auto system = store_.find_tree(kSystemTreeName)) {
    CO_CHECK_OK(co_await tree_of_records(*system, kSystemTreeName, check_system_record));
  }
  if (const auto requests = store_.find_tree(kRequestTreeName)) {
    const auto check = [](ByteView key, ByteView value) -> Result<> {
      CHECK_OK(parse_request_key(key));
      CHECK_OK(decode_request(value));
      return {};
    };
    CO_CHECK_OK(co_await tree_of_records(*requests, kRequestTreeName, check));
  }
  if (const auto entries = store_.find_tree(kEntryTreeName)) {
    const auto check = [](ByteView key_bytes, ByteView value) -> Result<> {
      TRY(const EntryKey key, parse_entry_key(key_bytes));
      if (key.piece == 0) CHECK_OK(decode_entry_header(value));
      return {};
    };
    CO_CHECK_OK(co_await tree_of_records(*entries, kEntryTreeName, check));
  }
  co_return co_await finish_repairs();
}

}  // namespace

Task<Result<ScrubReport>> scrub_container(store::Store& store, Uuid container, ScrubOptions options) {
  Scrub scrub(store, std::move(options));
  CO_CHECK_OK(co_await scrub.container(container));
  co_return scrub.report();
}

Task<Result<ScrubReport>> scrub_records(store::Store& store, ScrubOptions options) {
  Scrub scrub(store, std::move(options));
  CO_CHECK_OK(co_await scrub.records());
  co_return scrub.report();
}

}  // namespace cenote::object
