#include <iterator>

#include "case.h"

namespace cenote::posix_tests {

Cases all_cases() {
  Cases all;
  for (const auto cases :
       {open_cases,        io_cases,          seek_cases,       truncate_cases,  fallocate_cases, sync_cases,
        stat_cases,        mode_cases,        owner_cases,      time_cases,      parent_cases,    directory_cases,
        readdir_cases,     link_cases,        symlink_cases,    rename_cases,    path_cases,      name_cases,
        rename_flag_cases, unlinked_cases,    special_cases,    xattr_cases,     acl_cases,       lock_cases,
        mmap_cases,        record_lock_cases, permission_cases, read_only_cases, statfs_cases}) {
    Cases some = cases();
    all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  return all;
}

}  // namespace cenote::posix_tests
