// Who may do what: the bits of the mode for owner, group and others, on files and directories.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

enum class Class { kOwner, kGroup, kOther };
constexpr std::pair<Class, const char*> kClasses[] = {
    {Class::kOwner, "owner"}, {Class::kGroup, "group"}, {Class::kOther, "others"}};

mode_t bits_of(Class who, mode_t bits) {
  return who == Class::kOwner ? bits << 6 : who == Class::kGroup ? bits << 3 : bits;
}

/// Makes users[0] of this class to the path, and gives the class these bits and the others the opposite: only the bits
/// of the first class that fits count.
void give(const Context& c, const std::string& path, Class who, mode_t bits) {
  const uid_t owner = who == Class::kOwner ? c.users[0].id : 0;
  const gid_t group = who == Class::kGroup ? c.users[0].id : 0;
  ok(::chown(path.c_str(), owner, group));
  ok(::chmod(path.c_str(), 0777 & ~(bits_of(who, 7) & ~bits_of(who, bits))));
}

void allowed(bool allowed, long result, Here here = Here::current()) {
  if (allowed) {
    ok(result, here);
  } else {
    fails(EACCES, result, here);
  }
}

long try_open(const char* path, int flags) {
  const Fd file(::open(path, flags, 0644));
  return file.is_open() ? 0 : -1;
}

void file_bits(const Context& c, Class who) {
  make_file("f", "data");
  for (mode_t bits = 0; bits < 8; ++bits) {
    give(c, "f", who, bits);
    as_user(c.users[0], [&] {
      const bool reads = (bits & 4) != 0, writes = (bits & 2) != 0;
      allowed(reads, try_open("f", O_RDONLY));
      allowed(writes, try_open("f", O_WRONLY));
      allowed(reads && writes, try_open("f", O_RDWR));
      allowed(writes, ::truncate("f", 2));
      allowed(reads, ::access("f", R_OK));
      allowed(writes, ::access("f", W_OK));
      allowed((bits & 1) != 0, ::access("f", X_OK));
    });
  }
}

void directory_bits(const Context& c, Class who) {
  make_directory("d");
  make_file("d/f", "data", 0666);
  for (mode_t bits = 0; bits < 8; ++bits) {
    give(c, "d", who, bits);
    as_user(c.users[0], [&] {
      const bool lists = (bits & 4) != 0, searches = (bits & 1) != 0, changes = searches && (bits & 2) != 0;
      allowed(lists, try_open("d", O_RDONLY | O_DIRECTORY));
      allowed(searches, try_open("d/f", O_RDONLY));
      allowed(searches, ::chmod("d/f", 0666) == -1 && errno == EPERM ? 0 : -1);
      allowed(changes, ::mkdir("d/e", 0755));
      allowed(changes, try_open("d/g", O_CREAT | O_RDWR));
      allowed(changes, ::rename("d/f", "d/h"));
      if (changes) ok(::rename("d/h", "d/f"));
      allowed(changes, ::link("d/f", "d/l"));
      allowed(changes, ::unlink("d/f"));
      if (!changes) return;
      ok(::rename("d/l", "d/f"));
      ok(::unlink("d/g"));
      ok(::rmdir("d/e"));
    });
  }
}

/// The exit code of running it, or -1 with errno.
long run_program(const char* path) {
  const pid_t child = ok(::fork());
  if (child == 0) {
    ::execl(path, path, nullptr);
    ::_exit(errno == EACCES ? 99 : 98);
  }
  int status = 0;
  ok(::waitpid(child, &status, 0));
  return WEXITSTATUS(status);
}

constexpr Row kRows[] = {
    {"permission.root_reads_and_writes", "root reads and writes whatever the mode",
     [](const Context& c) {
       make_file("f", "data", 0);
       make_directory("d", 0);
       ok(::chown("f", c.users[0].id, c.users[0].id));
       open_file("f", O_RDWR);
       make_file("d/f");
       same(names_in("d").size(), 1, "entries");
     },
     Needs::kRoot},
    {"permission.execution", "a program runs only with an x bit, for root too",
     [](const Context& c) {
       make_file("program", "#!/bin/sh\nexit 7\n", 0644);
       same(run_program("./program"), 99, "exit code without an x bit");
       ok(::chmod("program", 0744));
       const long code = run_program("./program");
       if (code == 99) throw NotOffered{"programs (noexec)"};
       same(code, 7, "exit code for root");
       as_user(c.users[0], [] { same(run_program("./program"), 99, "exit code for others"); });
     },
     Needs::kRoot},
    {"permission.supplementary_groups", "every group of a user counts",
     [](const Context& c) {
       make_file("f", "data", 0640);
       ok(::chown("f", 0, c.users[2].id));
       as_user({c.users[0].id, {c.users[1].id, c.users[2].id}}, [] {
         open_file("f", O_RDONLY);
         fails(EACCES, ::open("f", O_WRONLY));
       });
       as_user(c.users[0], [] { fails(EACCES, ::open("f", O_RDONLY)); });
     },
     Needs::kRoot},
    {"permission.every_directory_of_the_way", "each directory of a path must be searchable",
     [](const Context& c) {
       make_directory("a", 0755);
       make_directory("a/b", 0700);
       make_directory("a/b/c", 0755);
       make_file("a/b/c/f", "data", 0644);
       as_user(c.users[0], [] { fails(EACCES, ::open("a/b/c/f", O_RDONLY)); });
       ok(::chmod("a/b", 0711));
       as_user(c.users[0], [] { open_file("a/b/c/f", O_RDONLY); });
     },
     Needs::kRoot},
    {"permission.change_is_seen_at_once", "a chmod holds for the next open of others",
     [](const Context& c) {
       make_file("f", "data", 0600);
       for (int round = 0; round < 5; ++round) {
         as_user(c.users[0], [] { fails(EACCES, ::open("f", O_RDONLY)); });
         ok(::chmod("f", 0644));
         as_user(c.users[0], [] { open_file("f", O_RDONLY); });
         ok(::chmod("f", 0600));
       }
     },
     Needs::kRoot},
    {"permission.directory_descriptor", "a directory that was opened is searched with its present mode",
     [](const Context& c) {
       make_directory("d", 0755);
       make_file("d/f", "data", 0644);
       as_user(c.users[0], [] {
         make_directory("mine", 0700);
         make_file("mine/f");
         const Fd directory = open_file("mine", O_RDONLY);
         ok(::chmod("mine", 0));
         fails(EACCES, ::openat(directory.get(), "f", O_RDONLY));
       });
     },
     Needs::kRoot},
    {"permission.existing_file_with_create",
     "O_CREAT of an existing file asks for the file's permission, not the directory's",
     [](const Context& c) {
       make_directory("d", 0755);
       make_file("d/f", "data", 0666);
       as_user(c.users[0], [] {
         open_file("d/f", O_CREAT | O_RDWR);
         fails(EACCES, ::open("d/g", O_CREAT | O_RDWR, 0644));
         fails(EEXIST, ::open("d/f", O_CREAT | O_EXCL | O_RDWR, 0644));
       });
     },
     Needs::kRoot},
    {"permission.dropped_by_process", "credentials of a process count as they are at the call",
     [](const Context& c) {
       make_file("f", "data", 0600);
       in_process([&] {
         open_file("f", O_RDONLY);
         ok(::setresuid(static_cast<uid_t>(-1), c.users[0].id, static_cast<uid_t>(-1)));
         fails(EACCES, ::open("f", O_RDONLY));
         ok(::setresuid(static_cast<uid_t>(-1), 0, static_cast<uid_t>(-1)));
         open_file("f", O_RDONLY);
       });
     },
     Needs::kRoot},
    {"permission.new_files_of_user", "a user's new files belong to the user, also where others may write",
     [](const Context& c) {
       make_directory("d", 0777);
       as_user(c.users[1], [] {
         make_file("d/f");
         make_directory("d/e");
       });
       same(status_of("d/f").st_uid, c.users[1].id, "st_uid");
       same(status_of("d/e").st_gid, c.users[1].id, "st_gid");
     },
     Needs::kRoot},
};

}  // namespace

Cases permission_cases() {
  Cases cases = cases_of(kRows);
  for (const auto& [who, name] : kClasses) {
    cases.emplace_back(
        fmt::format("permission.file_bits_of_{}", name), "exactly the bits of the class that fits count",
        [who](const Context& c) { file_bits(c, who); }, Needs::kRoot);
    cases.emplace_back(
        fmt::format("permission.directory_bits_of_{}", name), "r lists a directory, x searches it, w and x change it",
        [who](const Context& c) { directory_bits(c, who); }, Needs::kRoot);
  }
  return cases;
}

}  // namespace cenote::posix_tests
