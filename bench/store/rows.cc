#include "store/rows.h"

#include <fmt/format.h>

#include "store/lmdb_puts.h"
#include "store/rocksdb_puts.h"

namespace cenote::bench {
namespace {

void add_puts(Suite& suite, Medium medium, unsigned concurrent) {
  const std::string name = fmt::format("store/put-{}/{}", concurrent, medium_name(medium));
  Comparison comparison{.name = name, .unit = "puts/s", .medium = medium, .sides = {}, .rows = {}};
  comparison.one_core = concurrent > 1;
  comparison.keep_awake = concurrent == 1;
  const Concurrency threads{.writers = concurrent};
  comparison.sides.push_back({"rocksdb", [=](const Setting& s) { return make_rocksdb_puts(s, threads); }});
  comparison.sides.push_back({"lmdb", [=](const Setting& s) { return make_lmdb_puts(s, threads); }});
  comparison.rows.push_back(
      {.name = name + "/vs-rocksdb", .subject = "lmdb", .reference = "rocksdb", .goal = Goal::none()});
  if (concurrent > 1) {
    const Concurrency batched{.puts_per_write = concurrent};
    comparison.sides.push_back({"rocksdb-batched", [=](const Setting& s) { return make_rocksdb_puts(s, batched); }});
    comparison.sides.push_back({"lmdb-batched", [=](const Setting& s) { return make_lmdb_puts(s, batched); }});
    comparison.rows.push_back({.name = name + "/vs-batched",
                               .subject = "lmdb-batched",
                               .reference = "rocksdb-batched",
                               .goal = Goal::none()});
  }
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_store_rows(Suite& suite) {
  for (const Medium medium : {Medium::kMemory, Medium::kDisk}) {
    for (const unsigned concurrent : {1u, 16u, 256u}) add_puts(suite, medium, concurrent);
  }
}

}  // namespace cenote::bench
