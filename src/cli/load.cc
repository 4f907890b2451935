#include "load.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/runtime/random.h"
#include "cenote/runtime/scope.h"

namespace cenote::cli {
namespace {

struct Load {
  Reactor& reactor;
  async::Array array;
  async::Kv kv;
  LoadOptions options;
  std::uint64_t present;
  std::uint64_t pieces;  ///< of the working set
  Instant end;
  Bytes payload{};
  std::uint64_t next = 0;
  LoadResult result{};
  std::optional<Error> failure{};
};

std::string key_of(std::uint64_t index) { return fmt::format("bench-{:012}", index); }

Task<Result<>> one_operation(Load& load, std::uint64_t index, MutableBytes buffer) {
  switch (load.options.kind) {
    case LoadKind::kUpdate:
      co_return co_await load.array.write(index * load.options.bytes, buffer);
    case LoadKind::kFetch: {
      CO_TRY(const std::uint64_t got, co_await load.array.read(index * load.options.bytes, buffer));
      if (got != buffer.size()) co_return failf(Code::kCorrupt, "bench: {} of {} bytes came back", got, buffer.size());
      co_return Result<>();
    }
    case LoadKind::kPut:
      co_return co_await load.kv.put(key_of(index), buffer);
    case LoadKind::kGet: {
      CO_TRY(const auto value, co_await load.kv.get(key_of(index)));
      if (!value) co_return failf(Code::kNotFound, "bench: key '{}' is gone", key_of(index));
      co_return Result<>();
    }
  }
  co_return fail(Code::kInternal);
}

Task<> worker(Load* load) {
  Bytes buffer = load->payload;
  const bool reads = load->options.kind == LoadKind::kFetch || load->options.kind == LoadKind::kGet;
  while (!load->failure && load->reactor.now() < load->end) {
    const std::uint64_t index = reads ? load->reactor.random() % load->present : load->next++ % load->pieces;
    if (!reads) {
      // Every piece differs from every other, so that nothing can be saved by recognising it.
      store_le(buffer.data(), index);
    }
    const Instant begun = load->reactor.now();
    auto done = co_await one_operation(*load, index, buffer);
    if (!done) {
      load->failure = std::move(done).error();
      co_return;
    }
    load->result.latency.record(load->reactor.now() - begun);
    ++load->result.operations;
    load->result.bytes += buffer.size();
  }
}

}  // namespace

Task<Result<LoadResult>> run_load(async::Container container, ObjectId object, LoadOptions options,
                                  std::uint64_t present) {
  Reactor& reactor = container.client().reactor();
  const Instant begun = reactor.now();
  Load load{.reactor = reactor,
            .array = async::Array(container, object),
            .kv = async::Kv(container, object),
            .options = options,
            .present = std::max<std::uint64_t>(present, 1),
            .pieces = std::max<std::uint64_t>(options.working_set / options.bytes, 1),
            .end = begun + options.duration};
  load.payload.resize(options.bytes);
  for (std::size_t i = 0; i + 8 <= load.payload.size(); i += 8) store_le(load.payload.data() + i, reactor.random());
  Scope scope(reactor);
  for (std::uint32_t i = 0; i < options.depth; ++i) {
    const bool started = scope.spawn(worker(&load));
    ASSERT(started);
  }
  co_await scope.drain();
  if (load.failure) co_return fail(*std::move(load.failure));
  load.result.elapsed = reactor.now() - begun;
  load.result.written = std::min(load.next, load.pieces);
  co_return std::move(load.result);
}

}  // namespace cenote::cli
