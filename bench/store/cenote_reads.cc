#include "store/cenote_reads.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "cenote/runtime/scope.h"
#include "harness/machine.h"
#include "store/cenote_store.h"

namespace cenote::bench {
namespace {

std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// What the concurrent lookups of one run share.
struct Lookups {
  CenoteStore& owner;
  std::uint64_t records;
  std::uint64_t& seed;
  Instant end;
  LatencyHistogram latencies;
  Result<> outcome;
};

// Copies the value out, as a server does that answers with it.
Task<Result<>> look_up(Lookups& run, std::uint64_t number) {
  const Record record(number);
  std::array<char, kValueBytes> copy;
  const auto attempt = [&run, &record, &copy](store::View& view) -> Result<> {
    TRY(const auto value, view.get(run.owner.tree(), as_bytes(record.key())));
    if (!value || value->size() != copy.size()) return fail(Code::kCorrupt, "a record is missing");
    std::ranges::copy(as_text(*value), copy.begin());
    return {};
  };
  CO_CHECK_OK(co_await run.owner.store().run(attempt));
  if (!record.is_value({copy.data(), copy.size()})) co_return fail(Code::kCorrupt, "a record has another's value");
  co_return Result<>{};
}

Task<> look_up_until_end(Lookups& run, std::uint64_t seed) {
  PutStream stream(seed);
  Instant before = now();
  while (before < run.end && run.outcome) {
    if (auto found = co_await look_up(run, next_record(stream, run.records)); !found) run.outcome = found;
    const Instant after = now();
    run.latencies.record(after - before);
    before = after;
  }
}

Task<> look_up_concurrently(Lookups& run, unsigned concurrent) {
  Scope scope(run.owner.reactor());
  for (unsigned i = 0; i < concurrent; ++i) scope.spawn(look_up_until_end(run, ++run.seed));
  co_await scope.drain();
}

Task<Result<>> write_records(CenoteStore& owner, std::uint64_t records) {
  store::Batch batch;
  store::Lsn last{};
  for (std::uint64_t n = 0; n < records; ++n) {
    const Record record(n);
    batch.clear();
    batch.put(owner.tree(), as_bytes(record.key()), as_bytes(record.value()));
    const auto attempt = [&batch](store::View& view) { return view.apply(batch); };
    CO_TRY(last, co_await owner.store().run(attempt));
    if (n % 256 == 255) CO_CHECK_OK(co_await owner.store().durable(last));
  }
  CO_CHECK_OK(co_await owner.store().durable(last));
  co_return co_await owner.store().checkpoint();
}

/// All records in key order; how many there were.
Task<Result<std::uint64_t>> scan(CenoteStore& owner) {
  constexpr std::uint32_t kRecordsPerRun = 1024;
  Bytes position;
  std::uint64_t seen = 0;
  for (bool done = false; !done;) {
    std::uint32_t left = kRecordsPerRun;
    std::uint64_t sum = 0;
    const auto attempt = [&owner, &position, &seen, &left, &sum](store::View& view) -> Result<bool> {
      store::Cursor cursor(view, owner.tree());
      TRY(bool more, cursor.seek(position));
      for (; more && left > 0; --left) {
        sum += static_cast<std::uint64_t>(cursor.value()[0]);
        ++seen;
        if (left == 1) {
          position.assign(cursor.key().begin(), cursor.key().end());
          position.push_back(std::byte{0});
        }
        TRY(more, cursor.next());
      }
      return !more;
    };
    CO_TRY(done, co_await owner.store().run(attempt));
    if (!done) co_await owner.reactor().yield();
  }
  co_return seen;
}

class CenoteReads : public Side {
 public:
  CenoteReads(std::unique_ptr<CenoteStore> store, ReadShape shape) : store_(std::move(store)), shape_(shape) {}
  Result<> close() override { return store_->close(); }

 protected:
  Result<LatencyHistogram> run(Duration window) {
    Lookups run{.owner = *store_,
                .records = shape_.records,
                .seed = seed_,
                .end = now() + window,
                .latencies = {},
                .outcome = {}};
    store_->reactor().block_on(look_up_concurrently(run, shape_.concurrent));
    CHECK_OK(std::move(run.outcome));
    return run.latencies;
  }
  CenoteStore& owner() { return *store_; }
  const ReadShape& shape() const { return shape_; }

 private:
  std::unique_ptr<CenoteStore> store_;
  ReadShape shape_;
  std::uint64_t seed_ = 0;
};

class CenoteGets final : public CenoteReads {
 public:
  using CenoteReads::CenoteReads;
  Result<Measured> measure(Duration window) override {
    const std::uint64_t before = owner().store().status().page_reads;
    const Instant begin = now();
    TRY(const LatencyHistogram latencies, run(window));
    const double seconds = std::chrono::duration<double>(now() - begin).count();
    Measured measured{.value = double(latencies.count()) / seconds, .details = {}};
    measured.add_latencies(latencies);
    const std::uint64_t reads = owner().store().status().page_reads - before;
    measured.details.emplace_back("page_reads/op", double(reads) / double(latencies.count()));
    return measured;
  }
  Result<double> account(Duration window) override {
    TRY(const LatencyHistogram latencies, run(window));
    return double(latencies.count());
  }
};

class CenoteGetReads final : public CenoteReads {
 public:
  using CenoteReads::CenoteReads;
  Result<Measured> measure(Duration window) override {
    const std::uint64_t before = owner().store().status().page_reads;
    TRY(const LatencyHistogram latencies, run(window));
    const std::uint64_t reads = owner().store().status().page_reads - before;
    return Measured{.value = double(reads) / double(latencies.count()), .details = {}};
  }
};

class CenoteScan final : public CenoteReads {
 public:
  using CenoteReads::CenoteReads;
  Result<Measured> measure(Duration /*window*/) override {
    const Instant begin = now();
    TRY(const std::uint64_t seen, owner().reactor().block_on(scan(owner())));
    const double seconds = std::chrono::duration<double>(now() - begin).count();
    if (seen != shape().records) return fail(Code::kCorrupt, "a scan did not meet all records");
    return Measured{.value = double(seen) / seconds, .details = {}};
  }
};

class CenoteOpen final : public Side {
 public:
  explicit CenoteOpen(std::unique_ptr<CenoteStore> closed) : closed_(std::move(closed)) {}
  Result<Measured> measure(Duration /*window*/) override {
    const Instant begin = now();
    CHECK_OK(closed_->open());
    const double open_ms = std::chrono::duration<double>(now() - begin).count() * 1000;
    const double replayed = double(closed_->store().status().replayed_records);
    CHECK_OK(closed_->close());
    return Measured{.value = open_ms, .details = {{"replayed", replayed}}};
  }

 private:
  std::unique_ptr<CenoteStore> closed_;
};

Result<std::unique_ptr<CenoteStore>> make_records(const Setting& setting, const ReadShape& shape) {
  // Twice what the leaves take: checkpoints write pages to new places.
  CenoteStoreOptions options{
      .device_bytes = (512ull << 20) + shape.records * 512, .log_bytes = 64ull << 20, .open = {}};
  options.open.cache_bytes = shape.cache_bytes;
  if (shape.sealed) options.open.key = bench_key();
  TRY(auto store, CenoteStore::create(setting.directory / (shape.sealed ? "sealed-store" : "store"), options));
  CHECK_OK(store->format());
  CHECK_OK(store->reactor().block_on(write_records(*store, shape.records)));
  return store;
}

template <typename Made>
Result<std::unique_ptr<Side>> make_side(const Setting& setting, const ReadShape& shape) {
  TRY(auto store, make_records(setting, shape));
  return std::make_unique<Made>(std::move(store), shape);
}

}  // namespace

Result<std::unique_ptr<Side>> make_cenote_gets(const Setting& setting, ReadShape shape) {
  return make_side<CenoteGets>(setting, shape);
}
Result<std::unique_ptr<Side>> make_cenote_get_reads(const Setting& setting, ReadShape shape) {
  return make_side<CenoteGetReads>(setting, shape);
}
Result<std::unique_ptr<Side>> make_cenote_scan(const Setting& setting, ReadShape shape) {
  return make_side<CenoteScan>(setting, shape);
}
Result<std::unique_ptr<Side>> make_cenote_open(const Setting& setting, ReadShape shape) {
  TRY(auto store, make_records(setting, shape));
  CHECK_OK(store->close());
  return std::make_unique<CenoteOpen>(std::move(store));
}

}  // namespace cenote::bench
