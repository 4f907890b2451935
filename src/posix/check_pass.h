#pragma once

#include <set>

#include "check_faults.h"
#include "check_ledger.h"
#include "check_walk.h"

namespace cenote::posix {

/// What a check knows so far.
struct CheckState {
  const CheckOptions& options;
  std::uint32_t redundancy;
  CheckCounts counts;
  Ledger ledger;
  Faults faults;
  std::set<std::uint64_t> sessions;
  bool incomplete = false;

  void tell_progress() const {
    if (options.progress) options.progress(counts);
  }
};

/// The walk that looks at everything: it fills the ledger, and finds what shows in a record itself.
class CheckPass final : public Walk {
 public:
  CheckPass(async::Container view, CheckState& state)
      : Walk(std::move(view), state.redundancy, state.options.parallel), state_(state) {}

  /// A directory that nothing leads to, and what is below it.
  Task<Result<>> run_orphan(ObjectId directory, Until until);
  /// Those that no other orphan leads to.
  std::vector<ObjectId> orphans() const;

 private:
  void on_directory(const WalkedPointer& directory, const ReadEntry& own) override;
  void on_directory_end(const WalkedPointer& directory, const ReadEntry& own, bool has_dkeys) override;
  void on_parent(const WalkedPointer& directory, const ObjectId& parent) override;
  void on_second_name(const WalkedPointer& directory, const ReadEntry& own) override;
  void on_name(const WalkedPointer& directory, const std::string& name, const ReadEntry& read,
               const Beside& beside) override;
  Task<Result<>> on_removed(WalkedPointer directory, std::string dkey, ReadEntry read, Until until) override;
  void on_unlisted(const WalkedPointer& directory, const Error& error) override;
  bool wants_companions() const override { return true; }
  void unreadable(const ObjectId& object, std::string path, std::string detail);

  CheckState& state_;
  std::set<ObjectId> orphans_;
  ObjectId current_orphan_;
};

/// The path that an orphan will have.
std::string orphan_path(std::uint64_t number);
std::string orphan_name(std::uint64_t number);

}  // namespace cenote::posix
