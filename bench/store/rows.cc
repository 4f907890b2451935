#include "store/rows.h"

#include <fmt/format.h>

#include "device/raw_device.h"
#include "store/cenote_puts.h"
#include "store/cenote_reads.h"
#include "store/lmdb_puts.h"
#include "store/rocksdb_puts.h"
#include "store/rocksdb_reads.h"

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

/// What encryption takes: the same puts into an encrypted store and a plain one.
void add_sealed_puts(Suite& suite, unsigned concurrent) {
  const std::string name = fmt::format("store/put-{}-sealed", concurrent);
  Comparison comparison{.name = name, .unit = "puts/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.sides = {{"cenote", [=](const Setting& s) { return make_sealed_puts(s, concurrent); }},
                      {"plain", [=](const Setting& s) { return make_cenote_puts(s, concurrent); }}};
  comparison.rows = {{.name = name, .reference = "plain"}};
  suite.push_back(std::move(comparison));
}

void add_log_blocks(Suite& suite) {
  Comparison comparison{.name = "store/log-blocks", .unit = "blocks", .sides = {}, .rows = {}};
  comparison.sides = {{"cenote", make_cenote_log_blocks}};
  comparison.rows = {{.name = "store/log-blocks-of-64-puts", .goal = Goal::at_most(4)}};
  suite.push_back(std::move(comparison));
}

/// The slowest hundredth of the puts while checkpoints run, as a multiple of the same without.
void add_checkpoint_tail(Suite& suite) {
  for (const Medium medium : {Medium::kMemory, Medium::kDisk}) {
    const std::string name = fmt::format("store/put-16-p99-checkpoint/{}", medium_name(medium));
    Comparison comparison{.name = name, .unit = "x", .medium = medium, .sides = {}, .rows = {}};
    comparison.keep_awake = true;
    comparison.slow = medium == Medium::kDisk;
    comparison.sides = {{"cenote", make_cenote_checkpoint_tail}};
    comparison.rows = {{.name = name, .goal = medium == Medium::kMemory ? Goal::at_most(2) : Goal::none()}};
    suite.push_back(std::move(comparison));
  }
}

void add_recovery(Suite& suite) {
  Comparison comparison{.name = "store/recovery", .unit = "records/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.sides = {{"cenote", make_cenote_recovery}};
  comparison.rows = {{.name = "store/recovery", .goal = Goal::at_least(1e6)}};
  suite.push_back(std::move(comparison));
}

// Records of 116 bytes, all of them in the cache, or about ten times more of them than the cache holds.
ReadShape all_cached(const Setting& setting) {
  return {.records = setting.quick ? 1u << 16 : 1u << 20, .cache_bytes = 512ull << 20, .concurrent = 1};
}
ReadShape ten_times_cache(const Setting& setting, unsigned concurrent) {
  return {.records = setting.quick ? 1u << 18 : 1u << 21, .cache_bytes = 28ull << 20, .concurrent = concurrent};
}

void add_cached_gets(Suite& suite) {
  Comparison comparison{.name = "store/get-cached", .unit = "gets/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.sides = {{"cenote", [](const Setting& s) { return make_cenote_gets(s, all_cached(s)); }},
                      {"rocksdb", [](const Setting& s) { return make_rocksdb_gets(s, all_cached(s)); }}};
  comparison.rows = {{.name = "store/get-cached", .reference = "rocksdb", .goal = Goal::at_least(1.5)}};
  suite.push_back(std::move(comparison));
}

/// Ten times more data than memory.
void add_large_gets(Suite& suite, Medium medium, unsigned concurrent) {
  const std::string name = fmt::format("store/get-10x-{}/{}", concurrent, medium_name(medium));
  Comparison comparison{.name = name, .unit = "gets/s", .medium = medium, .sides = {}, .rows = {}};
  comparison.one_core = medium == Medium::kMemory;
  comparison.slow = medium == Medium::kDisk;
  comparison.sides = {
      {"cenote", [=](const Setting& s) { return make_cenote_gets(s, ten_times_cache(s, concurrent)); }},
      {"rocksdb", [=](const Setting& s) { return make_rocksdb_gets(s, ten_times_cache(s, concurrent)); }}};
  const Goal goal = medium == Medium::kMemory ? Goal::at_least(1) : Goal::none();
  comparison.rows = {{.name = name, .reference = "rocksdb", .goal = goal}};
  suite.push_back(std::move(comparison));
}

/// The same of an encrypted store: nearly every lookup reads and opens a page.
void add_sealed_gets(Suite& suite) {
  Comparison comparison{.name = "store/get-10x-1-sealed", .unit = "gets/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  const auto gets = [](const Setting& setting, bool sealed) {
    ReadShape shape = ten_times_cache(setting, 1);
    shape.sealed = sealed;
    return make_cenote_gets(setting, shape);
  };
  comparison.sides = {{"cenote", [=](const Setting& s) { return gets(s, true); }},
                      {"plain", [=](const Setting& s) { return gets(s, false); }}};
  comparison.rows = {{.name = "store/get-10x-1-sealed", .reference = "plain"}};
  suite.push_back(std::move(comparison));
}

void add_device_reads(Suite& suite) {
  Comparison comparison{.name = "store/get-10x-device-reads", .unit = "reads/get", .sides = {}, .rows = {}};
  comparison.sides = {{"cenote", [](const Setting& s) { return make_cenote_get_reads(s, ten_times_cache(s, 1)); }}};
  comparison.rows = {{.name = "store/get-10x-device-reads", .goal = Goal::at_most(1.05)}};
  suite.push_back(std::move(comparison));
}

void add_scan(Suite& suite) {
  Comparison comparison{.name = "store/scan-1m", .unit = "records/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.sides = {{"cenote", [](const Setting& s) { return make_cenote_scan(s, all_cached(s)); }},
                      {"rocksdb", [](const Setting& s) { return make_rocksdb_scan(s, all_cached(s)); }}};
  comparison.rows = {{.name = "store/scan-1m", .reference = "rocksdb", .goal = Goal::at_least(1)}};
  suite.push_back(std::move(comparison));
}

/// How long it takes to open does not depend on how much is stored.
void add_open(Suite& suite) {
  Comparison comparison{.name = "store/open-8m", .unit = "ms", .sides = {}, .rows = {}};
  comparison.sides = {{"cenote", [](const Setting& s) {
                         return make_cenote_open(
                             s, {.records = s.quick ? 1u << 17 : 1u << 23, .cache_bytes = 64ull << 20});
                       }}};
  comparison.rows = {{.name = "store/open-8m", .goal = Goal::at_most(1000)}};
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_store_rows(Suite& suite) {
  for (const Medium medium : {Medium::kMemory, Medium::kDisk}) {
    add_single_puts(suite, medium);
    for (const unsigned concurrent : {16u, 256u}) add_concurrent_puts(suite, medium, concurrent);
  }
  for (const unsigned concurrent : {1u, 16u, 256u}) add_sealed_puts(suite, concurrent);
  add_sealed_gets(suite);
  add_cached_gets(suite);
  add_large_gets(suite, Medium::kMemory, 1);
  for (const unsigned concurrent : {1u, 16u}) add_large_gets(suite, Medium::kDisk, concurrent);
  add_device_reads(suite);
  add_scan(suite);
  add_open(suite);
  add_checkpoint_tail(suite);
  add_log_blocks(suite);
  add_recovery(suite);
}

}  // namespace cenote::bench
