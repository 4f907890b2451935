// A mount that is read-only: everything that would change something is EROFS. Needs --read-only, the directory that is
// judged through another mount.

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct Change {
  const char* name;
  long (*call)();
};

long open_and_close(const char* path, int flags) {
  const Fd file(::open(path, flags, 0644));
  return file.is_open() ? 0 : -1;
}

constexpr Change kChanges[] = {
    {"open_for_writing", [] { return open_and_close("f", O_WRONLY); }},
    {"open_truncating", [] { return open_and_close("f", O_RDONLY | O_TRUNC); }},
    {"open_creating", [] { return open_and_close("new", O_CREAT | O_RDONLY); }},
    {"mkdir", [] { return long{::mkdir("new", 0755)}; }},
    {"mkfifo", [] { return long{::mkfifo("new", 0644)}; }},
    {"symlink", [] { return long{::symlink("target", "new")}; }},
    {"link", [] { return long{::link("f", "new")}; }},
    {"unlink", [] { return long{::unlink("f")}; }},
    {"rmdir", [] { return long{::rmdir("d")}; }},
    {"rename", [] { return long{::rename("f", "new")}; }},
    {"truncate", [] { return long{::truncate("f", 0)}; }},
    {"chmod", [] { return long{::chmod("f", 0600)}; }},
    {"chown", [] { return long{::chown("f", ::geteuid(), ::getegid())}; }},
    {"utimensat", [] { return long{::utimensat(AT_FDCWD, "f", nullptr, 0)}; }},
    {"setxattr", [] { return long{::setxattr("f", "user.a", "v", 1, 0)}; }},
    {"removexattr", [] { return long{::removexattr("f", "user.a")}; }},
    {"access_for_writing", [] { return long{::access("f", W_OK)}; }},
};

void prepare(const Context& c) {
  make_file("f", "data");
  make_directory("d");
  make_symlink("f", "l");
  ok(::chdir(c.read_only_top.c_str()));
}

constexpr Row kRows[] = {
    {"read_only.reading", "what is there is read, listed and told as through the other mount",
     [](const Context& c) {
       prepare(c);
       same(content_of("f"), "data", "content");
       same(target_of("l"), "f", "target");
       same(names_in(".").size(), 3, "entries");
       ok(::access("f", R_OK));
     },
     Needs::kReadOnlyMount},
    {"read_only.told", "statvfs tells that it is read-only",
     [](const Context& c) {
       prepare(c);
       struct statvfs status{};
       ok(::statvfs(".", &status));
       that((status.f_flag & ST_RDONLY) != 0, "ST_RDONLY is set");
     },
     Needs::kReadOnlyMount},
};

}  // namespace

Cases read_only_cases() {
  Cases cases = cases_of(kRows);
  for (const Change& change : kChanges) {
    cases.emplace_back(
        fmt::format("read_only.{}", change.name), "it is EROFS",
        [&change](const Context& c) {
          prepare(c);
          fails(EROFS, change.call());
        },
        Needs::kReadOnlyMount);
  }
  return cases;
}

}  // namespace cenote::posix_tests
