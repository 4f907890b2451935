#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kit/process.h"

namespace cenote::posix_tests {

/// What a case finds around it. Its working directory is empty, its own, and open to every user (mode 0777).
struct Context {
  std::vector<User> users;    ///< three that are not root, of different groups
  std::string read_only_top;  ///< the case's own directory, seen through a mount that is read-only
};

enum class Needs : unsigned char { kNothing, kRoot, kReadOnlyMount, kPatience };

/// One thing to prove. Runs in a process of its own, so umask, credentials, open files and signals are its own too.
struct Case {
  std::string name;    ///< "area.what"
  std::string proves;  ///< a sentence about the file system
  std::function<void(const Context&)> run;
  Needs needs = Needs::kNothing;

  std::string area() const { return name.substr(0, name.find('.')); }
};

using Cases = std::vector<Case>;

/// A case as the tables of this folder write it.
struct Row {
  const char* name;
  const char* proves;
  void (*run)(const Context&);
  Needs needs = Needs::kNothing;
};
inline Cases cases_of(std::span<const Row> rows) {
  Cases cases;
  for (const Row& row : rows) cases.emplace_back(row.name, row.proves, row.run, row.needs);
  return cases;
}

// One function for each file of cases.
Cases acl_cases();
Cases directory_cases();
Cases fallocate_cases();
Cases io_cases();
Cases link_cases();
Cases lock_cases();
Cases mmap_cases();
Cases mode_cases();
Cases name_cases();
Cases open_cases();
Cases owner_cases();
Cases parent_cases();
Cases path_cases();
Cases permission_cases();
Cases read_only_cases();
Cases readdir_cases();
Cases record_lock_cases();
Cases rename_cases();
Cases rename_flag_cases();
Cases seek_cases();
Cases special_cases();
Cases stat_cases();
Cases statfs_cases();
Cases sync_cases();
Cases symlink_cases();
Cases time_cases();
Cases truncate_cases();
Cases unlinked_cases();
Cases xattr_cases();

/// All of them, in the order of their areas.
Cases all_cases();

}  // namespace cenote::posix_tests
