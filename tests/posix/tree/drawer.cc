#include "tree/drawer.h"

#include <fmt/format.h>

#include <algorithm>

namespace cenote::posix_tests {

namespace {

/// A tree of more names than this shrinks.
constexpr std::size_t kPathsMax = 300;
/// Deeper than this nothing new is made.
constexpr std::ptrdiff_t kDepthMax = 7;

struct Weight {
  Deed deed;
  unsigned weight;
};
constexpr Weight kWeights[] = {{Deed::kCreate, 16},   {Deed::kWrite, 12},          {Deed::kAppend, 4},
                               {Deed::kTruncate, 4},  {Deed::kMakeDirectory, 7},   {Deed::kMakeFifo, 1},
                               {Deed::kLink, 8},      {Deed::kSymlink, 5},         {Deed::kRename, 14},
                               {Deed::kExchange, 4},  {Deed::kRenameNoReplace, 3}, {Deed::kUnlink, 8},
                               {Deed::kChmod, 4},     {Deed::kRemoveDirectory, 5}, {Deed::kChown, 2},
                               {Deed::kSetXattr, 4},  {Deed::kRemoveXattr, 2},     {Deed::kHold, 3},
                               {Deed::kWriteHeld, 4}, {Deed::kReleaseHeld, 1}};

bool is_held(Deed deed) { return deed == Deed::kHold || deed == Deed::kWriteHeld || deed == Deed::kReleaseHeld; }

/// Without the slash before it and the one that marks a directory.
std::string bare(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path.starts_with('/')) path.remove_prefix(1);
  return std::string(path);
}

}  // namespace

Deed Drawer::draw_deed(std::size_t paths) {
  if (paths > kPathsMax && random_.percent(70)) return random_.percent(60) ? Deed::kUnlink : Deed::kRemoveDirectory;
  for (;;) {
    unsigned total = 0;
    for (const Weight& entry : kWeights) total += entry.weight;
    std::uint64_t draw = random_.below(total);
    const auto* entry = kWeights;
    while (draw >= entry->weight) draw -= (entry++)->weight;
    if (entry->deed == Deed::kChown && !options_.owners) continue;
    if (is_held(entry->deed) && !options_.held) continue;
    return entry->deed;
  }
}

std::string Drawer::name() {
  constexpr const char* kNames[] = {"a", "b", "c", "d", "e", "f", "g", "with blanks", "\xc3\xbc", "-x"};
  if (random_.percent(3)) return std::string(100 + random_.below(2), 'n');
  return kNames[random_.below(std::size(kNames))];
}

std::string Drawer::existing(const std::vector<std::string>& paths) { return bare(paths[random_.below(paths.size())]); }

std::string Drawer::existing(const std::vector<std::string>& paths, bool directory) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    const std::string& path = paths[random_.below(paths.size())];
    if (path.ends_with('/') == directory) return bare(path);
  }
  return existing(paths);
}

std::string Drawer::fresh(const std::vector<std::string>& paths) {
  for (;;) {
    const std::string& path = paths[random_.below(paths.size())];
    if (!path.ends_with('/') || std::ranges::count(path, '/') > kDepthMax) continue;
    const std::string directory = bare(path);
    return directory.empty() ? name() : directory + "/" + name();
  }
}

std::string Drawer::any(const std::vector<std::string>& paths) {
  if (random_.percent(5)) return existing(paths) + "/" + name();  // mostly below what is no directory
  return random_.percent(75) ? existing(paths) : fresh(paths);
}

std::uint64_t Drawer::mode() {
  // Its owner may always do everything, so that the tree can be compared and removed by whoever made it.
  return 0700 | (random_.next() & 01077);
}

void Drawer::draw_second_path(Step& step, const std::vector<std::string>& paths) {
  switch (step.deed) {
    case Deed::kLink:
    case Deed::kRename:
    case Deed::kRenameNoReplace:
      step.other = random_.percent(50) ? fresh(paths) : any(paths);
      break;
    case Deed::kExchange:
      step.other = any(paths);
      break;
    case Deed::kSymlink:
      step.other = random_.percent(60) ? name() : existing(paths);
      break;
    case Deed::kSetXattr:
    case Deed::kRemoveXattr:
      step.other = fmt::format("user.{}", random_.below(3));
      break;
    default:
      break;
  }
  if (step.other.empty() && step.deed == Deed::kSymlink) step.other = "nowhere";
}

void Drawer::draw_data(Step& step) {
  constexpr std::uint64_t kOffsetMax = 40'000, kLengthMax = 6'000, kAttributeMax = 200;
  step.offset = random_.percent(40) ? 0 : random_.below(kOffsetMax);
  step.length = 1 + random_.below(step.deed == Deed::kSetXattr ? kAttributeMax : kLengthMax);
}

std::string Drawer::first_path(Deed deed, const std::vector<std::string>& paths) {
  switch (deed) {
    case Deed::kCreate:
    case Deed::kMakeDirectory:
    case Deed::kMakeFifo:
    case Deed::kSymlink:
      return fresh(paths);
    case Deed::kWrite:
    case Deed::kAppend:
    case Deed::kTruncate:
    case Deed::kLink:
    case Deed::kUnlink:
    case Deed::kHold:
      return existing(paths, false);
    case Deed::kRemoveDirectory:
      return existing(paths, true);
    default:
      return existing(paths);
  }
}

Step Drawer::next(const std::vector<std::string>& paths) {
  Step step;
  step.number = number_++;
  step.deed = draw_deed(paths.size());
  step.path = random_.percent(85) ? first_path(step.deed, paths) : any(paths);
  draw_second_path(step, paths);
  draw_data(step);
  const bool takes_mode = step.deed == Deed::kCreate || step.deed == Deed::kMakeDirectory ||
                          step.deed == Deed::kMakeFifo || step.deed == Deed::kChmod;
  step.value = takes_mode ? mode() : random_.next() >> 1;
  // The top itself belongs to the run.
  if (step.path.empty() && (step.deed == Deed::kChmod || step.deed == Deed::kChown)) step.path = name();
  return step;
}

}  // namespace cenote::posix_tests
