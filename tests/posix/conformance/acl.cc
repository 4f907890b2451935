// POSIX access control lists, in the binary form of their attributes (acl(5), linux/posix_acl_xattr.h).

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

// The entries, in the order that a list must have.
constexpr std::uint16_t kOwner = 0x01, kUser = 0x02, kGroup = 0x04, kNamedGroup = 0x08, kMask = 0x10, kOther = 0x20;
constexpr std::uint32_t kNobody = 0xffffffff;

struct Entry {
  std::uint16_t tag, permissions;
  std::uint32_t id = kNobody;
};
using List = std::vector<Entry>;

std::string encoded(const List& list) {
  std::string bytes("\x02\0\0\0", 4);
  for (const Entry& entry : list) {
    char raw[8];
    std::memcpy(raw, &entry.tag, 2);
    std::memcpy(raw + 2, &entry.permissions, 2);
    std::memcpy(raw + 4, &entry.id, 4);
    bytes.append(raw, sizeof raw);
  }
  return bytes;
}

long set(const char* path, const char* which, const List& list) {
  const std::string bytes = encoded(list);
  return ::setxattr(path, which, bytes.data(), bytes.size(), 0);
}
void set_offered(const char* path, const char* which, const List& list, Here here = Here::current()) {
  offered(set(path, which, list), "access control lists", here);
}

long lookup(const char* path, const char* which) { return ::getxattr(path, which, nullptr, 0); }

void list_is(const char* path, const char* which, const List& expected, Here here = Here::current()) {
  std::string bytes(1000, '\0');
  bytes.resize(static_cast<std::size_t>(ok(::getxattr(path, which, bytes.data(), bytes.size()), here)));
  same(bytes, encoded(expected), "the list", here);
}

/// rw for the owner and `id`, r for the group, nothing for others.
List with_user(std::uint32_t id) { return {{kOwner, 6}, {kUser, 6, id}, {kGroup, 4}, {kMask, 6}, {kOther, 0}}; }

constexpr Row kRows[] = {
    {"acl.round_trip", "a list is as it was set, and the mode shows owner, mask and others",
     [](const Context&) {
       make_file("f", "", 0644);
       set_offered("f", kAccess, with_user(1234));
       list_is("f", kAccess, with_user(1234));
       mode_is("f", 0660);
     }},
    {"acl.plain_mode", "a list that says no more than a mode becomes the mode",
     [](const Context&) {
       make_file("f", "", 0644);
       set_offered("f", kAccess, {{kOwner, 7}, {kGroup, 5}, {kOther, 1}});
       mode_is("f", 0751);
       fails({ENODATA, EOPNOTSUPP}, lookup("f", kAccess));
     }},
    {"acl.chmod_changes_mask", "chmod changes owner, mask and others of a list",
     [](const Context&) {
       make_file("f");
       set_offered("f", kAccess, with_user(1234));
       ok(::chmod("f", 0547));
       list_is("f", kAccess, {{kOwner, 5}, {kUser, 6, 1234}, {kGroup, 4}, {kMask, 4}, {kOther, 7}});
       mode_is("f", 0547);
     }},
    {"acl.remove", "without its list a file has the mode that showed",
     [](const Context&) {
       make_file("f");
       set_offered("f", kAccess, with_user(1234));
       ok(::removexattr("f", kAccess));
       fails(ENODATA, lookup("f", kAccess));
       mode_is("f", 0660);
     }},
    {"acl.listed", "a list is among the attributes",
     [](const Context&) {
       make_file("f");
       set_offered("f", kAccess, with_user(1234));
       std::string names(1000, '\0');
       names.resize(static_cast<std::size_t>(ok(::listxattr("f", names.data(), names.size()))));
       that(names.find(kAccess) != std::string::npos, "it is listed");
     }},
    {"acl.invalid", "lists that make no sense are EINVAL",
     [](const Context&) {
       make_file("f", "", 0644);
       set_offered("f", kAccess, {{kOwner, 6}, {kGroup, 4}, {kOther, 4}});
       fails(EINVAL, set("f", kAccess, {{kOwner, 6}, {kUser, 6, 1}, {kGroup, 4}, {kOther, 0}}));  // no mask
       fails(EINVAL, set("f", kAccess, {{kOwner, 6}, {kGroup, 4}}));
       fails(EINVAL, set("f", kAccess, {{kGroup, 4}, {kOwner, 6}, {kOther, 4}}));
       fails(EINVAL, set("f", kAccess, {{kOwner, 6}, {kGroup, 4}, {kOther, 8}}));
       fails(EINVAL, set("f", kAccess, {{kOwner, 6}, {0x40, 4}, {kOther, 4}}));
       fails(EINVAL, ::setxattr("f", kAccess, "abc", 3, 0));
       mode_is("f", 0644);
     }},
    {"acl.many_entries", "a list may have 20 users and 20 groups",
     [](const Context&) {
       make_file("f");
       List list{{kOwner, 6}};
       for (std::uint32_t id = 1; id <= 20; ++id) list.push_back({kUser, static_cast<std::uint16_t>(id % 8), id});
       list.push_back({kGroup, 4});
       for (std::uint32_t id = 1; id <= 20; ++id) list.push_back({kNamedGroup, static_cast<std::uint16_t>(id % 8), id});
       list.push_back({kMask, 7});
       list.push_back({kOther, 0});
       set_offered("f", kAccess, list);
       list_is("f", kAccess, list);
     }},
    {"acl.default", "a directory has a default list, which changes nothing of its own permissions",
     [](const Context&) {
       make_directory("d", 0755);
       set_offered("d", kDefault, with_user(1234));
       list_is("d", kDefault, with_user(1234));
       mode_is("d", 0755);
       fails(ENODATA, lookup("d", kAccess));
       ok(::removexattr("d", kDefault));
       fails(ENODATA, lookup("d", kDefault));
     }},
    {"acl.default_of_file", "a file has no default list",
     [](const Context&) {
       make_file("f");
       set_offered("f", kAccess, with_user(1234));
       fails({EACCES, EINVAL, EPERM}, set("f", kDefault, with_user(1234)));
     }},
    {"acl.inherited_by_files", "a new file gets the default list, limited by the mode asked for, not by the umask",
     [](const Context&) {
       ::umask(077);
       make_directory("d");
       set_offered("d", kDefault, {{kOwner, 7}, {kUser, 7, 1234}, {kGroup, 5}, {kMask, 7}, {kOther, 5}});
       open_file("d/f", O_CREAT | O_WRONLY, 0640);
       list_is("d/f", kAccess, {{kOwner, 6}, {kUser, 7, 1234}, {kGroup, 5}, {kMask, 4}, {kOther, 0}});
       mode_is("d/f", 0640);
     }},
    {"acl.inherited_by_directories", "a new directory gets it as both its lists",
     [](const Context&) {
       ::umask(077);
       make_directory("d");
       const List list{{kOwner, 7}, {kUser, 6, 1234}, {kGroup, 5}, {kMask, 7}, {kOther, 1}};
       set_offered("d", kDefault, list);
       ok(::mkdir("d/e", 0775));
       list_is("d/e", kDefault, list);
       list_is("d/e", kAccess, {{kOwner, 7}, {kUser, 6, 1234}, {kGroup, 5}, {kMask, 7}, {kOther, 1}});
       mode_is("d/e", 0771);
     }},
    {"acl.inherited_by_others", "fifos inherit it, links do not",
     [](const Context&) {
       ::umask(0);
       make_directory("d");
       set_offered("d", kDefault, with_user(1234));
       ok(::mkfifo("d/p", 0666));
       make_symlink("x", "d/l");
       list_is("d/p", kAccess, with_user(1234));
       mode_is("d/l", 0777);
     }},
    {"acl.plain_default", "a default list that is a plain mode replaces the umask",
     [](const Context&) {
       ::umask(077);
       make_directory("d");
       set_offered("d", kDefault, {{kOwner, 7}, {kGroup, 5}, {kOther, 5}});
       open_file("d/f", O_CREAT | O_WRONLY, 0666);
       mode_is("d/f", 0644);
       fails(ENODATA, lookup("d/f", kAccess));
     }},
    {"acl.stays", "a list stays over rename and is shared by links",
     [](const Context&) {
       make_file("f");
       set_offered("f", kAccess, with_user(1234));
       ok(::link("f", "g"));
       ok(::rename("f", "h"));
       list_is("g", kAccess, with_user(1234));
       list_is("h", kAccess, with_user(1234));
     }},
    {"acl.not_inherited_by_rename", "a file that moves into a directory with a default list stays as it is",
     [](const Context&) {
       make_directory("d");
       set_offered("d", kDefault, with_user(1234));
       make_file("f", "", 0644);
       ok(::rename("f", "d/f"));
       fails(ENODATA, lookup("d/f", kAccess));
       mode_is("d/f", 0644);
     }},
    {"acl.times", "setting a list moves ctime only",
     [](const Context&) {
       make_file("f");
       moves_times("f", Times::kChange, [] { set_offered("f", kAccess, with_user(1234)); });
     }},
    {"acl.named_user", "a named user may what the entry and the mask say, others what is said for others",
     [](const Context& c) {
       make_file("f", "data", 0600);
       set_offered("f", kAccess, with_user(c.users[0].id));
       as_user(c.users[0], [] { open_file("f", O_RDWR); });
       as_user(c.users[1], [] { fails(EACCES, ::open("f", O_RDONLY)); });
       set_offered("f", kAccess, {{kOwner, 6}, {kUser, 6, c.users[0].id}, {kGroup, 0}, {kMask, 4}, {kOther, 6}});
       as_user(c.users[0], [] {
         open_file("f", O_RDONLY);
         fails(EACCES, ::open("f", O_WRONLY));
       });
       as_user(c.users[1], [] { open_file("f", O_RDWR); });
     },
     Needs::kRoot},
    {"acl.denied_user", "a named user with no permissions is refused, even if others may",
     [](const Context& c) {
       make_file("f", "data", 0644);
       set_offered("f", kAccess, {{kOwner, 6}, {kUser, 0, c.users[0].id}, {kGroup, 4}, {kMask, 4}, {kOther, 4}});
       as_user(c.users[0], [] { fails(EACCES, ::open("f", O_RDONLY)); });
       as_user(c.users[1], [] { open_file("f", O_RDONLY); });
     },
     Needs::kRoot},
    {"acl.named_group", "members of a named group may what its entry and the mask say",
     [](const Context& c) {
       make_file("f", "data", 0600);
       set_offered("f", kAccess, {{kOwner, 6}, {kGroup, 0}, {kNamedGroup, 6, c.users[2].id}, {kMask, 6}, {kOther, 0}});
       as_user({c.users[0].id, {c.users[2].id}}, [] { open_file("f", O_RDWR); });
       as_user(c.users[0], [] { fails(EACCES, ::open("f", O_RDONLY)); });
     },
     Needs::kRoot},
    {"acl.mask_spares_owner_and_others", "the mask limits neither the owner nor others",
     [](const Context& c) {
       make_file("f", "data", 0600);
       ok(::chown("f", c.users[0].id, c.users[0].id));
       // Linux does not look at a list whose mask is empty.
       set_offered("f", kAccess, {{kOwner, 6}, {kUser, 6, c.users[2].id}, {kGroup, 6}, {kMask, 1}, {kOther, 6}});
       as_user(c.users[0], [] { open_file("f", O_RDWR); });
       as_user(c.users[1], [] { open_file("f", O_RDWR); });
       as_user(c.users[2], [] { fails(EACCES, ::open("f", O_RDONLY)); });
     },
     Needs::kRoot},
    {"acl.in_directories", "lists of directories rule search, listing and making names",
     [](const Context& c) {
       make_directory("d", 0700);
       make_file("d/f", "", 0644);
       set_offered("d", kAccess, {{kOwner, 7}, {kUser, 7, c.users[0].id}, {kGroup, 0}, {kMask, 7}, {kOther, 0}});
       as_user(c.users[0], [] {
         make_file("d/g");
         same(names_in("d").size(), 2, "entries");
       });
       as_user(c.users[1], [] { fails(EACCES, ::open("d/f", O_RDONLY)); });
     },
     Needs::kRoot},
    {"acl.owner_only", "only the owner and root set a list; who may read the way may read the list",
     [](const Context& c) {
       make_file("f", "data", 0666);
       set_offered("f", kAccess, with_user(c.users[0].id));
       as_user(c.users[0], [&] {
         fails(EPERM, set("f", kAccess, with_user(c.users[1].id)));
         list_is("f", kAccess, with_user(c.users[0].id));
       });
     },
     Needs::kRoot},
};

}  // namespace

Cases acl_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
