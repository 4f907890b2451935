#include "store/rows.h"

#include <fmt/format.h>

#include "device/raw_device.h"
#include "store/cenote_puts.h"
#include "store/lmdb_puts.h"
#include "store/rocksdb_puts.h"

namespace cenote::bench {
namespace {

/// One put at a time: what a durable write costs. The raw device shows the limit.
void add_single_puts(Suite& suite, Medium medium) {
  const std::string name = fmt::format("store/put-1/{}", medium_name(medium));
  Comparison comparison{.name = name, .unit = "puts/s", .medium = medium, .sides = {}, .rows = {}};
  comparison.slow = medium == Medium::kDisk;
  comparison.keep_awake = true;
  const RawPattern raw{
      .kind = RawPattern::Kind::kWrite, .sync = RawPattern::Sync::kBest, .sequential = true, .file_bytes = 64ull << 20};
  comparison.sides = {{"cenote", [](const Setting& s) { return make_cenote_puts(s, 1); }},
                      {"rocksdb", [](const Setting& s) { return make_rocksdb_puts(s, {}); }},
                      {"lmdb", [](const Setting& s) { return make_lmdb_puts(s, {}); }},
                      {"raw", [=](const Setting& s) { return make_raw_device(s, raw); }}};
  comparison.rows = {{.name = name + "/rocksdb", .reference = "rocksdb", .goal = Goal::at_least(1)},
                     {.name = name + "/lmdb", .reference = "lmdb", .goal = Goal::at_least(1.5)},
                     {.name = name + "/raw", .reference = "raw"}};
  suite.push_back(std::move(comparison));
}

/// Many puts at a time on one core. The references are given both of their ways: threads that wait for their own put
/// (judged), and one thread that collects all of them into one write, which is no longer the same interface (printed).
void add_concurrent_puts(Suite& suite, Medium medium, unsigned concurrent) {
  const std::string name = fmt::format("store/put-{}/{}", concurrent, medium_name(medium));
  Comparison comparison{.name = name, .unit = "puts/s", .medium = medium, .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.slow = medium == Medium::kDisk;
  const Concurrency threads{.writers = concurrent, .puts_per_write = 1};
  const Concurrency batched{.writers = 1, .puts_per_write = concurrent};
  comparison.sides = {{"cenote", [=](const Setting& s) { return make_cenote_puts(s, concurrent); }},
                      {"rocksdb", [=](const Setting& s) { return make_rocksdb_puts(s, threads); }},
                      {"rocksdb-batched", [=](const Setting& s) { return make_rocksdb_puts(s, batched); }},
                      {"lmdb", [=](const Setting& s) { return make_lmdb_puts(s, threads); }},
                      {"lmdb-batched", [=](const Setting& s) { return make_lmdb_puts(s, batched); }}};
  comparison.rows = {{.name = name + "/rocksdb", .reference = "rocksdb", .goal = Goal::at_least(2)},
                     {.name = name + "/rocksdb-batched", .reference = "rocksdb-batched"},
                     {.name = name + "/lmdb", .reference = "lmdb", .goal = Goal::at_least(2)},
                     {.name = name + "/lmdb-batched", .reference = "lmdb-batched"}};
  suite.push_back(std::move(comparison));
}

void add_log_blocks(Suite& suite) {
  Comparison comparison{.name = "store/log-blocks", .unit = "blocks", .sides = {}, .rows = {}};
  comparison.sides = {{"cenote", make_cenote_log_blocks}};
  comparison.rows = {{.name = "store/log-blocks-of-64-puts", .goal = Goal::at_most(4)}};
  suite.push_back(std::move(comparison));
}

void add_recovery(Suite& suite) {
  Comparison comparison{.name = "store/recovery", .unit = "records/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.sides = {{"cenote", make_cenote_recovery}};
  comparison.rows = {{.name = "store/recovery", .goal = Goal::at_least(1e6)}};
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_store_rows(Suite& suite) {
  for (const Medium medium : {Medium::kMemory, Medium::kDisk}) {
    add_single_puts(suite, medium);
    for (const unsigned concurrent : {16u, 256u}) add_concurrent_puts(suite, medium, concurrent);
  }
  add_log_blocks(suite);
  add_recovery(suite);
}

}  // namespace cenote::bench
