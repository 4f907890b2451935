#include "stack/rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "stack/cenote_stack.h"
#include "stack/object_io.h"

namespace cenote::bench {
namespace {

using Kind = ObjectPattern::Kind;

std::string kind_name(Kind kind) { return kind == Kind::kUpdate ? "update" : "fetch"; }

Comparison stack_comparison(std::string name, std::string unit, Medium medium, ObjectPattern pattern, Figure figure) {
  Comparison comparison{.name = std::move(name), .unit = std::move(unit), .medium = medium, .sides = {}, .rows = {}};
  comparison.slow = medium == Medium::kDisk;
  if (pattern.kind == Kind::kUpdate) comparison.warm_bytes = StackOptions{}.target_bytes + kDeviceBytes;
  comparison.sides = {{"cenote", [=](const Setting& s) { return make_cenote_objects(s, pattern, figure); }},
                      {"echo", [=](const Setting& s) { return make_echo(s, pattern, figure); }},
                      {"device", [=](const Setting& s) { return make_device(s, pattern, figure); }}};
  return comparison;
}

/// On one core after the other: times add up.
double in_turn(const Round& round) { return 1 / (1 / round.at("echo").value + 1 / round.at("device").value); }
/// Latencies of the round trip and of the device.
double sum(const Round& round) { return round.at("echo").value + round.at("device").value; }
/// Side by side: the slower one counts.
double slower(const Round& round) { return std::min(round.at("echo").value, round.at("device").value); }

/// Goals are for the memory-backed file, where the software shows; the disk is printed.
Goal on_memory(Medium medium, Goal goal) { return medium == Medium::kMemory ? goal : Goal::none(); }

void add_deep(Suite& suite, Medium medium, Kind kind) {
  const ObjectPattern pattern{.kind = kind, .bytes = 4096, .depth = 32};
  const std::string name = fmt::format("stack/{}-4k-depth-32/{}", kind_name(kind), medium_name(medium));
  Comparison comparison = stack_comparison(name, "op/s", medium, pattern, Figure::kRate);
  comparison.window = std::chrono::seconds(1);
  comparison.rows = {
      {.name = name, .reference = "1/(1/E+1/D)", .formula = in_turn, .goal = on_memory(medium, Goal::at_least(0.65))}};
  suite.push_back(std::move(comparison));
}

void add_shallow(Suite& suite, Medium medium, Kind kind) {
  const ObjectPattern pattern{.kind = kind, .bytes = 4096, .depth = 1};
  const std::string name = fmt::format("stack/{}-4k-depth-1/{}", kind_name(kind), medium_name(medium));
  Comparison comparison = stack_comparison(name, "us", medium, pattern, Figure::kLatency);
  comparison.keep_awake = true;
  comparison.rows = {{.name = name, .reference = "E+D", .formula = sum, .goal = on_memory(medium, Goal::at_most(1.7))}};
  suite.push_back(std::move(comparison));
}

void add_large(Suite& suite, Medium medium, Kind kind) {
  const ObjectPattern pattern{.kind = kind, .bytes = 1u << 20, .depth = 4};
  const std::string name = fmt::format("stack/{}-1m-depth-4/{}", kind_name(kind), medium_name(medium));
  Comparison comparison = stack_comparison(name, "MiB/s", medium, pattern, Figure::kBytes);
  comparison.window = std::chrono::milliseconds(150);  // overwritten versions keep their space for a while
  comparison.rows = {
      {.name = name, .reference = "min(E,D)", .formula = slower, .goal = on_memory(medium, Goal::at_least(0.75))}};
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_stack_rows(Suite& suite) {
  for (const Medium medium : {Medium::kMemory, Medium::kDisk}) {
    for (const Kind kind : {Kind::kUpdate, Kind::kFetch}) {
      add_deep(suite, medium, kind);
      add_shallow(suite, medium, kind);
      add_large(suite, medium, kind);
    }
  }
}

}  // namespace cenote::bench
