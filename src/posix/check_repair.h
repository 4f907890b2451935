#pragma once

#include "cenote/posix/file_system.h"
#include "check_numbers.h"
#include "records.h"

namespace cenote::posix {

/// Does something about findings. Each repair looks at the newest data, in the transaction that it is, and leaves alone
/// what is not as it was found.
class Repairer {
 public:
  Repairer(async::Container container, CheckState& state, const LocatedMap& located, std::uint32_t marks)
      : container_(std::move(container)), records_(container_), state_(state), located_(located), marks_(marks) {}

  /// All of them, in the order in which they were found.
  Task<Result<>> run(Until until);

 private:
  /// False: it is not as it was found.
  Task<Result<bool>> repair(const Fault& fault, Until until);
  Task<Result<bool>> keep_damaged_entry(const Fault& fault, Until until);
  Task<Result<bool>> free_stale(const Fault& fault, Until until);
  Task<Result<bool>> free_damaged(const Fault& fault, Until until);
  Task<Result<bool>> end_session(const Fault& fault, Until until);
  /// A part of it that is one transaction; its body leaves `still_so` false where it changes nothing.
  using Body = Task<Result<>> (*)(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                  Until until);
  Task<Result<bool>> in_transaction(Body body, const Fault& fault, Until until);
  static Body body_of(FindingKind kind);
  static Task<Result<>> rebuild_directory(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                          Until until);
  static Task<Result<>> remove_missing(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                       Until until);
  static Task<Result<>> remove_second(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                      Until until);
  static Task<Result<>> set_parent(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                   Until until);
  static Task<Result<>> unite(async::Container view, Repairer* self, const Fault* fault, bool* still_so, Until until);
  static Task<Result<>> set_hint(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                 Until until);
  static Task<Result<>> set_flags(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                  Until until);
  static Task<Result<>> name_directory(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                       Until until);
  static Task<Result<>> name_file(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                  Until until);
  static Task<Result<>> drop_companion(async::Container view, Repairer* self, const Fault* fault, bool* still_so,
                                       Until until);

  /// Makes it when it is not there.
  Task<Result<>> find_lost_and_found(Until until);
  Task<Result<>> put_into_lost_and_found(Records records, Entry entry, Until until) const;
  /// Of something whose own was lost.
  Inode new_inode(FileType type, const ObjectId& object);

  async::Container container_;
  Records records_;
  CheckState& state_;
  const LocatedMap& located_;
  std::uint32_t marks_;
  std::unique_ptr<FileSystem> files_;
  std::optional<ObjectId> lost_and_found_;
};

}  // namespace cenote::posix
