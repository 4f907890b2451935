#include "check_numbers.h"

#include "cenote/base/format.h"

namespace cenote::posix {
namespace {

constexpr std::size_t kInodesAtATime = 256;

/// All that leads to one number.
struct Leads {
  std::uint64_t number = 0;
  FileType type = FileType::kFile;
  std::uint32_t here = 0, references = 0, removed = 0, open = 0, directories = 0;
  bool is_odd = false;
  bool differ = false;  ///< in type

  std::uint32_t names() const { return here + references; }
  bool is_simple() const { return !is_odd && !differ && here + removed + directories == 1 && references == 0; }
};

Leads count(const Ledger::Range& group) {
  Leads leads{.number = group.first->number, .type = group.first->type};
  bool has_type = false;
  for (const Reached& reached : group) {
    using enum Reached::How;
    leads.here += reached.how == kHere ? 1 : 0;
    leads.references += reached.how == kReference ? 1 : 0;
    leads.removed += reached.how == kRemoved ? 1 : 0;
    leads.open += reached.how == kOpen ? 1 : 0;
    leads.directories += reached.how == kDirectory ? 1 : 0;
    leads.is_odd |= reached.is_odd;
    if (reached.how == kOpen) continue;  // a journal does not know of what type it is
    if (has_type) leads.differ |= reached.type != leads.type;
    leads.type = reached.type;
    has_type = true;
  }
  return leads;
}

class NumberJudge {
 public:
  NumberJudge(async::Container view, CheckState& state) : view_(std::move(view)), state_(state) {}

  Task<Result<>> add(Leads leads, Until until) {
    batch_.push_back(leads);
    if (batch_.size() >= kInodesAtATime) co_return co_await flush(until);
    co_return Result<>();
  }
  Task<Result<>> flush(Until until) {
    std::vector<ValueName> names;
    for (const Leads& leads : batch_)
      names.push_back({Place::in_companion(object_of(leads.type, leads.number, state_.redundancy))});
    CO_TRY(const auto values, co_await read_values(view_, std::move(names), until));
    for (std::size_t i = 0; i < values.size(); ++i) judge(batch_[i], judge_entry(values[i]));
    batch_.clear();
    co_return Result<>();
  }
  std::vector<std::uint64_t> take_unnamed() { return std::move(unnamed_); }

 private:
  void judge(const Leads& leads, const ReadEntry& kept);
  void add(FindingKind kind, const Leads& leads, const ReadEntry& kept, bool has_inode, std::string detail);

  async::Container view_;
  CheckState& state_;
  std::vector<Leads> batch_;
  std::vector<std::uint64_t> unnamed_;
};

void NumberJudge::add(FindingKind kind, const Leads& leads, const ReadEntry& kept, bool has_inode, std::string detail) {
  Fault* fault = state_.faults.add(kind, object_of(leads.type, leads.number, state_.redundancy), {}, std::move(detail));
  if (fault == nullptr) return;
  fault->has_inode = has_inode;
  fault->links = has_inode ? kept.entry.inode->links : 0;
  fault->names = leads.differ || leads.directories > 0 ? 0 : leads.names();
}

void NumberJudge::judge(const Leads& leads, const ReadEntry& kept) {
  using enum FindingKind;
  if (kept.state == ReadEntry::State::kUnreadable) {
    state_.faults.add(kUnreadable, object_of(leads.type, leads.number, state_.redundancy), {}, kept.what);
    return;
  }
  const bool has_inode =
      kept.state == ReadEntry::State::kWhole && kept.entry.inode && kept.entry.object.low() == leads.number;
  for (Reached& reached : state_.ledger.find(leads.number)) {
    if (reached.how != Reached::How::kReference && reached.how != Reached::How::kOpen) continue;
    reached.has_companion = true;
    if (!has_inode) {
      reached.is_wide = reached.type == FileType::kFile;  // it will be
    } else {
      reached.is_wide = kept.entry.inode->is_wide;
    }
    if (reached.how == Reached::How::kOpen && has_inode) reached.type = kept.entry.type;
  }
  if (leads.differ || leads.directories > 0)
    return add(kSeveralInodes, leads, kept, has_inode, fmt::format("number {} has several types", leads.number));
  if (leads.names() > 0 && leads.removed > 0)
    return add(kRemovedAndNamed, leads, kept, has_inode,
               fmt::format("number {} waits to be freed, and has {} names", leads.number, leads.names()));
  if (leads.names() == 0) {
    if (leads.removed == 0 && has_inode && kept.entry.inode->links > 0) unnamed_.push_back(leads.number);
    return;
  }
  if (leads.here > 1 || (leads.here == 1 && (leads.references > 0 || has_inode)))
    return add(kSeveralInodes, leads, kept, has_inode, fmt::format("number {} has several inodes", leads.number));
  if (leads.here == 1)
    return add(kWrongLinkCount, leads, kept, has_inode,
               fmt::format("number {} has one name, and its inode tells of another count", leads.number));
  if (!has_inode)
    return add(
        kMissingInode, leads, kept, has_inode,
        kept.state == ReadEntry::State::kDamaged ? kept.what : fmt::format("number {} has no inode", leads.number));
  if (kept.entry.inode->links != leads.names())
    add(kWrongLinkCount, leads, kept, has_inode,
        fmt::format("number {} has {} names, and its inode tells of {}", leads.number, leads.names(),
                    kept.entry.inode->links));
}

bool is_about_number(FindingKind kind) {
  using enum FindingKind;
  return kind == kMissingInode || kind == kWrongLinkCount || kind == kSeveralInodes || kind == kTailNotFlagged ||
         kind == kCompanionNotFlagged || kind == kRemovedAndNamed || kind == kSecondName;
}

class Locator final : public Walk {
 public:
  Locator(async::Container view, const CheckState& state, LocatedMap& located)
      : Walk(std::move(view), state.redundancy, state.options.parallel), located_(located) {}

 private:
  void on_directory(const WalkedPointer& directory, const ReadEntry&) override {
    const auto found = located_.find(directory->object.low());
    if (found != located_.end() && found->second.path.empty()) found->second.path = path_of(*directory);
  }
  void on_name(const WalkedPointer& directory, const std::string& name, const ReadEntry& read, const Beside&) override {
    if (read.state != ReadEntry::State::kWhole) return;
    const auto found = located_.find(read.entry.object.low());
    if (found == located_.end()) return;
    if (found->second.path.empty()) found->second.path = path_of(*directory, name);
    found->second.names.push_back(Place::of_name(directory->object, name));
  }
  Task<Result<>> on_removed(WalkedPointer directory, std::string dkey, ReadEntry, Until) override {
    const auto key = parse_removed(dkey);
    if (!key) co_return Result<>();
    const auto found = located_.find(key->object.low());
    if (found == located_.end()) co_return Result<>();
    if (found->second.path.empty()) found->second.path = path_of(*directory, dkey);
    found->second.removed.push_back({directory->object, dkey});
    co_return Result<>();
  }

  LocatedMap& located_;
};

}  // namespace

Task<Result<std::vector<std::uint64_t>>> judge_numbers(async::Container view, CheckState& state, Until until) {
  NumberJudge judge(std::move(view), state);
  const auto all = state.ledger.all();
  for (auto next = all.begin(); next != all.end();) {
    const auto group = state.ledger.group(next);
    next = group.last;
    const Leads leads = count(group);
    if (!leads.is_simple()) CO_CHECK_OK(co_await judge.add(leads, until));
  }
  CO_CHECK_OK(co_await judge.flush(until));
  co_return judge.take_unnamed();
}

Task<Result<LocatedMap>> locate(async::Container view, CheckState& state, const std::vector<ObjectId>& orphans,
                                Until until) {
  LocatedMap located;
  for (const Fault& fault : state.faults.all()) {
    if (is_about_number(fault.finding.kind)) located[fault.finding.object.low()];
  }
  if (located.empty()) co_return located;
  Locator walk(view, state, located);
  CO_CHECK_OK(co_await walk.run(root_object(state.redundancy), "/", until));
  for (const ObjectId& orphan : orphans)
    CO_CHECK_OK(co_await walk.run(orphan, fmt::format("/lost+found/#{}", orphan.low()), until));
  for (Fault& fault : state.faults.all()) {
    if (!is_about_number(fault.finding.kind) || !fault.finding.path.empty()) continue;
    fault.finding.path = located[fault.finding.object.low()].path;
  }
  co_return located;
}

}  // namespace cenote::posix
