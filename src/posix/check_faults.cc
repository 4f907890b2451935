#include "check_faults.h"

#include <algorithm>

namespace cenote::posix {
namespace {

struct KindText {
  std::string_view name;
  std::string_view repair;
};

constexpr std::array<KindText, kFindingKinds> kKinds{{
    {"unreadable", ""},
    {"damaged-entry", "the stored bytes go to a file in /lost+found, and the name is removed"},
    {"damaged-directory", "the directory's own record is made anew, of mode 0700"},
    {"missing-directory", "the name is removed"},
    {"missing-inode", "a file gets a new inode, of mode 0600; anything else is lost, and its names are removed"},
    {"second-name", "the name is removed"},
    {"wrong-parent", "the directory is told where it is"},
    {"wrong-link-count", "the count is set right"},
    {"several-inodes", "one inode is kept, and all names lead to it"},
    {"wrong-place-hint", "the place is written anew"},
    {"tail-not-flagged", "the flag is set, and so the file gets its length again"},
    {"companion-not-flagged", "the flag is set"},
    {"stale-removed", "it is freed"},
    {"damaged-removed", "it is freed"},
    {"unlisted-removed", "it is written down in the session's journal"},
    {"removed-and-named", "it keeps its names, and does not wait any more"},
    {"stale-session", "what it leads to is freed, and the journal"},
    {"orphan-directory", "it gets a name in /lost+found"},
    {"orphan-file", "it gets a name in /lost+found"},
    {"orphan-companion", "it is removed: there is nothing that it could belong to"},
    {"foreign-object", ""},
}};

const KindText& text_of(FindingKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

}  // namespace

std::string_view finding_name(FindingKind kind) { return text_of(kind).name; }
std::string_view repair_of(FindingKind kind) { return text_of(kind).repair; }

std::uint64_t CheckReport::left() const {
  const auto done = std::ranges::count(findings, RepairState::kDone, &Finding::repair);
  return findings.size() - static_cast<std::uint64_t>(done) + findings_omitted;
}

Fault* Faults::add(FindingKind kind, const ObjectId& object, std::string path, std::string detail) {
  if (faults_.size() >= most_) {
    ++omitted_;
    return nullptr;
  }
  Fault& fault = faults_.emplace_back();
  fault.finding = {.kind = kind, .object = object, .path = std::move(path), .detail = std::move(detail), .failure = {}};
  return &fault;
}

}  // namespace cenote::posix
