#pragma once

#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "cenote/object/examine.h"
#include "entries.h"
#include "records.h"
#include "value_check.h"

namespace cenote::object {

/// What the system tree of a target says, as far as it can be read.
struct TargetRecords {
  struct Owner {
    Uuid container;
    UsageRecord used;
    bool seen = false;           ///< its tree exists
    bool has_snapshots = false;  ///< says its record
    std::uint64_t snapshots = 0;
    bool has_rollbacks = false;  ///< says its record
    bool rollback = false;       ///< there is a record of one
    std::optional<CloneSource> source;
    bool kept = false;
  };
  std::unordered_map<store::TreeId, Owner> trees;
  std::unordered_map<store::TreeId, Bytes> destroying;
  Epoch ceiling;
  std::vector<std::string> flaws;  ///< entries that are none, have no container or do not fit it
};
Task<TargetRecords> read_records(store::Examination& examination, store::TreeWalk::Purpose purpose);

/// One run of `check_target`: walks every tree once, and again when blocks turned out to be in dispute.
class TargetCheck {
 public:
  TargetCheck(Reactor& reactor, TargetCheckOptions options);
  Task<Result<TargetCheckReport>> run(store::Devices devices);

 private:
  /// An entry whose data is still to be read: its bytes, kept because the page may go meanwhile.
  struct Pending {
    store::TreeId tree;
    std::uint64_t page = 0;
    Bytes key, value;
  };

  Task<> check();
  void found(store::Finding finding);
  void emit(const TargetFinding& finding);
  TargetFinding about(store::TreeId tree, std::uint64_t page, ByteView key, store::FindingKind kind);

  Task<> check_container(store::TreeId tree, std::string name);
  void check_entry(store::TreeId tree, std::uint64_t page, ByteView key, ByteView value, bool owned);
  void count(const EntryDescription& entry);
  void check_owner(store::TreeId tree, const std::string& name);
  void check_missing();
  Task<> check_requests();
  Task<> check_entries();
  void check_prepared(store::TreeId tree, std::uint64_t page, const EntryKey& key, ByteView changes);
  Task<> read_pending();
  Task<> read_worker(std::size_t* next);
  void note_data(const Pending& pending, const ValueOutcome& outcome);
  Task<> name_disputed();

  Reactor& reactor_;
  TargetCheckOptions options_;
  media::BufferPool buffers_;
  std::unique_ptr<store::Examination> examination_;
  TargetRecords records_;
  TargetCheckReport report_;
  std::uint64_t done_bytes_ = 0, total_bytes_ = 0;
  bool trees_whole_ = true;  // nothing was reported that hides entries
  std::vector<Pending> pending_;
  std::uint64_t pending_bytes_ = 0;
  // Of the entry counted last.
  std::optional<EntryDescription> last_;
  Usage tree_holds_;
};

}  // namespace cenote::object
