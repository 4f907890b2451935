// Extended attributes.

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

long set(const std::string& path, const std::string& name, std::string_view value, int flags = 0) {
  return ::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags);
}

std::string get(const std::string& path, const std::string& name, Here here = Here::current()) {
  std::string value(1 << 16, '\0');
  value.resize(static_cast<std::size_t>(ok(::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size()), here)));
  return value;
}

long lookup(const std::string& path, const std::string& name) {
  return ::lgetxattr(path.c_str(), name.c_str(), nullptr, 0);
}

/// Names of the "user." and "trusted." namespaces; a security module may have more.
std::set<std::string> list(const std::string& path, Here here = Here::current()) {
  std::string names(1 << 16, '\0');
  names.resize(static_cast<std::size_t>(ok(::llistxattr(path.c_str(), names.data(), names.size()), here)));
  std::set<std::string> result;
  for (std::size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    if (name.starts_with("user.") || name.starts_with("trusted.")) result.insert(name);
    at += name.size() + 1;
  }
  return result;
}

/// Values that fit, or are refused whole: never cut.
void sizes(const Context&) {
  make_file("f");
  for (const std::size_t size : {0u, 1u, 100u, 255u, 256u, 1000u, 2000u, 4096u, 16'384u, 65'536u}) {
    if (set("f", "user.a", pattern(size)) != 0) {
      fails({ENOSPC, E2BIG}, -1);
      that(size > 2000, "2000 bytes fit");
      continue;
    }
    that(get("f", "user.a") == pattern(size), fmt::format("a value of {} bytes is as set", size));
  }
}

constexpr Row kRows[] = {
    {"xattr.round_trip", "a value is as it was set, any bytes, of files and directories",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       std::string every;
       for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
       for (const char* path : {"f", "d"}) {
         ok(set(path, "user.name", every));
         that(get(path, "user.name") == every, "the value is as set");
       }
     }},
    {"xattr.sizes", "values of up to 64 KiB are kept whole, or refused with ENOSPC or E2BIG above 2000 bytes", sizes},
    {"xattr.too_large", "a value of more than 64 KiB is E2BIG",
     [](const Context&) {
       make_file("f");
       fails({E2BIG, ENOSPC}, set("f", "user.a", pattern(65'537)));
       fails(ENODATA, lookup("f", "user.a"));
     }},
    {"xattr.absent", "reading or removing what is not there is ENODATA",
     [](const Context&) {
       make_file("f");
       fails(ENODATA, lookup("f", "user.a"));
       fails(ENODATA, ::removexattr("f", "user.a"));
       fails(ENODATA, ::fremovexattr(open_file("f", O_RDWR).get(), "user.a"));
     }},
    {"xattr.create", "XATTR_CREATE of what is there is EEXIST and changes nothing",
     [](const Context&) {
       make_file("f");
       ok(set("f", "user.a", "one", XATTR_CREATE));
       fails(EEXIST, set("f", "user.a", "two", XATTR_CREATE));
       same(get("f", "user.a"), "one", "value");
     }},
    {"xattr.replace", "XATTR_REPLACE of what is not there is ENODATA and makes nothing",
     [](const Context&) {
       make_file("f");
       fails(ENODATA, set("f", "user.a", "one", XATTR_REPLACE));
       fails(ENODATA, lookup("f", "user.a"));
       ok(set("f", "user.a", "one"));
       ok(set("f", "user.a", "two", XATTR_REPLACE));
       same(get("f", "user.a"), "two", "value");
     }},
    {"xattr.overwrite", "a new value takes the place of a longer and of a shorter one",
     [](const Context&) {
       make_file("f");
       for (const std::size_t size : {10u, 1000u, 3u, 0u, 500u}) {
         ok(set("f", "user.a", pattern(size)));
         same(get("f", "user.a"), pattern(size), "value");
       }
     }},
    {"xattr.small_buffer", "a buffer that is too small is ERANGE, one of size 0 tells the size",
     [](const Context&) {
       make_file("f");
       ok(set("f", "user.a", "0123456789"));
       char buffer[20];
       same(::getxattr("f", "user.a", nullptr, 0), 10, "size");
       fails(ERANGE, ::getxattr("f", "user.a", buffer, 9));
       same(::getxattr("f", "user.a", buffer, 10), 10, "bytes");
       that(::listxattr("f", nullptr, 0) >= 7, "the size of the list is told");
       fails(ERANGE, ::listxattr("f", buffer, 3));
     }},
    {"xattr.list", "the list holds each name once, and not those that were removed",
     [](const Context&) {
       make_file("f");
       that(list("f").empty(), "a new file has none");
       for (const char* name : {"user.a", "user.b", "user.c"}) ok(set("f", name, "value"));
       ok(::removexattr("f", "user.b"));
       that(list("f") == std::set<std::string>{"user.a", "user.c"}, "a and c are listed");
     }},
    {"xattr.many", "a file can have 50 attributes",
     [](const Context&) {
       make_file("f");
       for (int i = 0; i < 50; ++i) ok(set("f", fmt::format("user.{}", i), std::to_string(i)));
       same(list("f").size(), 50, "names");
       for (int i = 0; i < 50; ++i) same(get("f", fmt::format("user.{}", i)), std::to_string(i), "value");
     }},
    {"xattr.names", "names of up to 255 bytes, of any bytes, are kept and told apart",
     [](const Context&) {
       make_file("f");
       const std::string longest = "user." + std::string(250, 'n');
       for (const std::string& name : {longest, std::string("user.\xff\xfe"), std::string("user. "),
                                       std::string("user.A"), std::string("user.a"), std::string("user.a.b")}) {
         ok(set("f", name, name));
       }
       same(get("f", longest), longest, "value");
       same(get("f", "user.A"), "user.A", "value");
       same(list("f").size(), 6, "names");
     }},
    {"xattr.invalid_names", "a name of 256 bytes or none is ERANGE, one without a known namespace EOPNOTSUPP",
     [](const Context&) {
       make_file("f");
       fails({ERANGE, ENAMETOOLONG}, set("f", "user." + std::string(251, 'n'), "v"));
       fails(ERANGE, set("f", "", "v"));
       fails({EOPNOTSUPP, EINVAL}, set("f", "name", "v"));
       fails({EOPNOTSUPP, EINVAL}, set("f", "user.", "v"));
       fails(EOPNOTSUPP, set("f", "nowhere.name", "v"));
       that(list("f").empty(), "nothing was set");
     }},
    {"xattr.invalid_flags", "unknown flags are EINVAL",
     [](const Context&) {
       make_file("f");
       fails(EINVAL, set("f", "user.a", "v", 0x10));
     }},
    {"xattr.descriptor", "the calls for descriptors do what those for paths do",
     [](const Context&) {
       make_file("f");
       const Fd file = open_file("f", O_RDWR);
       ok(::fsetxattr(file.get(), "user.a", "value", 5, XATTR_CREATE));
       same(get("f", "user.a"), "value", "value");
       char buffer[20];
       same(ok(::fgetxattr(file.get(), "user.a", buffer, sizeof buffer)), 5, "bytes");
       that(ok(::flistxattr(file.get(), buffer, sizeof buffer)) >= 7, "it is listed");
       ok(::fremovexattr(file.get(), "user.a"));
       that(list("f").empty(), "it is gone");
     }},
    {"xattr.through_symlink", "the plain calls follow a link, those with l do not",
     [](const Context&) {
       make_file("f");
       make_symlink("f", "l");
       ok(set("l", "user.a", "value"));
       same(get("f", "user.a"), "value", "value");
       fails({EPERM, EOPNOTSUPP}, ::lsetxattr("l", "user.a", "value", 5, 0));
       fails({ENODATA, EPERM, EOPNOTSUPP}, lookup("l", "user.a"));
     }},
    {"xattr.user_on_special_files", "fifos take no user attributes",
     [](const Context&) {
       make_fifo("p");
       fails({EPERM, EOPNOTSUPP}, set("p", "user.a", "value"));
     }},
    {"xattr.belongs_to_the_file", "attributes stay over rename, are shared by links, and not inherited",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       ok(set("f", "user.a", "value"));
       ok(set("d", "user.a", "value"));
       ok(::link("f", "g"));
       ok(::rename("f", "d/f"));
       same(get("d/f", "user.a"), "value", "value");
       ok(set("g", "user.a", "new"));
       same(get("d/f", "user.a"), "new", "value through the other name");
       make_file("d/new");
       that(list("d/new").empty(), "a new file in the directory has none");
     }},
    {"xattr.gone_with_the_file", "a new file of an old name has none of its attributes",
     [](const Context&) {
       make_file("f");
       ok(set("f", "user.a", "value"));
       ok(::unlink("f"));
       make_file("f");
       that(list("f").empty(), "it has none");
     }},
    {"xattr.content_stays", "attributes do not touch content, size or mode, nor a truncate the attributes",
     [](const Context&) {
       make_file("f", pattern(5000), 0640);
       ok(set("f", "user.a", pattern(500)));
       same(content_of("f"), pattern(5000), "content");
       mode_is("f", 0640);
       ok(::truncate("f", 0));
       same(get("f", "user.a"), pattern(500), "value");
     }},
    {"xattr.times", "setting and removing move ctime only",
     [](const Context&) {
       make_file("f");
       moves_times("f", Times::kChange, [] { ok(set("f", "user.a", "value")); });
       moves_times("f", Times::kChange, [] { ok(::removexattr("f", "user.a")); });
       moves_times("f", Times::kNone, [] { list("f"); });
     }},
    {"xattr.seen_by_others", "a change is seen by other processes at once",
     [](const Context&) {
       make_file("f");
       for (int i = 0; i < 5; ++i) {
         ok(set("f", "user.a", std::to_string(i)));
         in_process([&] { same(get("f", "user.a"), std::to_string(i), "value"); });
       }
     }},
    {"xattr.permissions", "reading needs permission to read, setting and removing to write",
     [](const Context& c) {
       make_file("r", "", 0644);
       make_file("w", "", 0622);
       ok(set("r", "user.a", "value"));
       ok(set("w", "user.a", "value"));
       as_user(c.users[0], [] {
         same(get("r", "user.a"), "value", "value");
         fails(EACCES, set("r", "user.a", "new"));
         fails(EACCES, ::removexattr("r", "user.a"));
         fails(EACCES, lookup("w", "user.a"));
         ok(set("w", "user.a", "new"));
       });
     },
     Needs::kRoot},
    {"xattr.sticky_directory", "in user attributes of a sticky directory only its owner writes",
     [](const Context& c) {
       make_directory("d", 01777);
       as_user(c.users[0], [] { fails(EPERM, set("d", "user.a", "value")); });
       ok(set("d", "user.a", "value"));
     },
     Needs::kRoot},
    {"xattr.trusted", "root has trusted attributes, of links and fifos too, that others do not see",
     [](const Context& c) {
       make_file("f", "", 0666);
       make_symlink("f", "l");
       ok(set("f", "trusted.a", "value"));
       ok(::lsetxattr("l", "trusted.b", "of the link", 11, 0));
       same(get("f", "trusted.a"), "value", "value");
       same(get("l", "trusted.b"), "of the link", "value of the link");
       as_user(c.users[0], [] {
         that(list("f").empty(), "it is not listed");
         fails({ENODATA, EPERM}, lookup("f", "trusted.a"));
         fails(EPERM, set("f", "trusted.a", "value"));
       });
     },
     Needs::kRoot},
    {"xattr.capabilities_end_with_a_write", "a write by anybody takes the capabilities of a program away",
     [](const Context&) {
       make_file("f", "data", 0777);
       // Version 2, effective, CAP_NET_RAW permitted.
       const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
       if (set("f", "security.capability", capability) != 0 && errno == EOPNOTSUPP) {
         throw NotOffered{"security attributes"};
       }
       that(lookup("f", "security.capability") > 0, "they are set");
       write_all(open_file("f", O_WRONLY), "x");
       fails(ENODATA, lookup("f", "security.capability"));
     },
     Needs::kRoot},
};

}  // namespace

Cases xattr_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
