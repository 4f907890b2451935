// rename(2): every kind onto every kind, and what else it promises.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

enum class Kind { kNothing, kFile, kEmptyDirectory, kFullDirectory, kSymlink, kFifo };

constexpr std::pair<Kind, const char*> kKinds[] = {{Kind::kNothing, "nothing"},
                                                   {Kind::kFile, "file"},
                                                   {Kind::kEmptyDirectory, "empty_directory"},
                                                   {Kind::kFullDirectory, "full_directory"},
                                                   {Kind::kSymlink, "symlink"},
                                                   {Kind::kFifo, "fifo"}};

bool is_directory(Kind kind) { return kind == Kind::kEmptyDirectory || kind == Kind::kFullDirectory; }

void make(Kind kind, const std::string& path) {
  switch (kind) {
    case Kind::kNothing:
      break;
    case Kind::kFile:
      make_file(path, "content");
      break;
    case Kind::kSymlink:
      make_symlink("nowhere", path);
      break;
    case Kind::kFifo:
      make_fifo(path);
      break;
    case Kind::kEmptyDirectory:
      make_directory(path);
      break;
    case Kind::kFullDirectory:
      make_directory(path), make_file(path + "/f");
      break;
  }
}

/// What rename must answer: 0, or the error.
int expected_error(Kind from, Kind to) {
  if (from == Kind::kNothing) return ENOENT;
  if (to == Kind::kNothing) return 0;
  if (is_directory(from)) return !is_directory(to) ? ENOTDIR : to == Kind::kFullDirectory ? ENOTEMPTY : 0;
  return is_directory(to) ? EISDIR : 0;
}

/// One kind onto another, within a directory and across two.
void onto(Kind from, Kind to, const std::string& target) {
  make_directory("d");
  make(from, "from");
  make(to, target);
  const ino_t moved = from == Kind::kNothing ? 0 : status_of("from").st_ino;
  const ino_t replaced = to == Kind::kNothing ? 0 : status_of(target).st_ino;
  const int error = expected_error(from, to);
  if (error == 0) {
    ok(::rename("from", target.c_str()));
    that(!exists("from"), "the old name is gone");
    same(status_of(target).st_ino, moved, "st_ino at the new name");
    return;
  }
  if (error == ENOTEMPTY) {
    fails({ENOTEMPTY, EEXIST}, ::rename("from", target.c_str()));
  } else {
    fails(error, ::rename("from", target.c_str()));
  }
  that(exists("from") == (from != Kind::kNothing), "the old name is as it was");
  if (replaced != 0) same(status_of(target).st_ino, replaced, "st_ino at the new name");
}

void add_matrix(Cases& cases) {
  for (const auto& [from, from_name] : kKinds) {
    for (const auto& [to, to_name] : kKinds) {
      const int error = expected_error(from, to);
      cases.emplace_back(fmt::format("rename.{}_onto_{}", from_name, to_name),
                         error == 0 ? "takes the place of what was there" : "is refused and changes nothing",
                         [from, to](const Context&) {
                           onto(from, to, "to");
                           make_directory("across");
                           ok(::chdir("across"));
                           onto(from, to, "d/to");
                         });
    }
  }
}

constexpr Row kRows[] = {
    {"rename.same_name", "a rename to the same name does nothing",
     [](const Context&) {
       make_file("f", "data");
       make_directory("d");
       ok(::rename("f", "f"));
       ok(::rename("d", "d"));
       ok(::rename("f", "./f"));
       same(content_of("f"), "data", "content");
     }},
    {"rename.same_file", "a rename between two names of one file does nothing: both stay",
     [](const Context&) {
       make_file("f", "data");
       ok(::link("f", "g"));
       ok(::rename("f", "g"));
       that(exists("f") && exists("g"), "both names are there");
       same(links_of("f"), 2, "st_nlink");
     }},
    {"rename.into_itself", "a directory cannot move into itself or below",
     [](const Context&) {
       make_directory("d");
       make_directory("d/e");
       fails(EINVAL, ::rename("d", "d/x"));
       fails(EINVAL, ::rename("d", "d/e/x"));
       fails(EINVAL, ::rename("d", "d/e"));
       that(exists("d/e"), "it is as it was");
     }},
    {"rename.onto_ancestor", "a rename onto a directory above is ENOTEMPTY",
     [](const Context&) {
       make_directory("d");
       make_directory("d/e");
       make_directory("d/e/g");
       fails({ENOTEMPTY, EEXIST}, ::rename("d/e/g", "d"));
       fails({ENOTEMPTY, EEXIST}, ::rename("d/e/g", "d/e"));
     }},
    {"rename.dots", "'.' and '..' cannot be renamed or replaced",
     [](const Context&) {
       make_directory("d");
       for (const char* name : {"d/.", "d/.."}) {
         fails({EBUSY, EINVAL}, ::rename(name, "e"));
         fails({EBUSY, EINVAL, ENOTEMPTY, EEXIST}, ::rename("d", name));
       }
     }},
    {"rename.missing_parent", "a rename to below nothing is ENOENT, to below a file ENOTDIR",
     [](const Context&) {
       make_file("f");
       make_file("g");
       fails(ENOENT, ::rename("f", "d/f"));
       fails(ENOTDIR, ::rename("f", "g/f"));
       fails(ENOENT, ::rename("f", ""));
       fails(ENOENT, ::rename("", "x"));
       that(exists("f"), "it is still there");
     }},
    {"rename.trailing_slash", "a slash after a name means a directory",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       fails(ENOTDIR, ::rename("f/", "g"));
       fails(ENOTDIR, ::rename("f", "g/"));
       ok(::rename("d/", "e/"));
       that(exists("e"), "the directory has its new name");
     }},
    {"rename.replaced_file_loses_a_link", "what is replaced loses one link and lives on under its other names",
     [](const Context&) {
       make_file("f", "new");
       make_file("g", "old");
       ok(::link("g", "h"));
       ok(::rename("f", "g"));
       same(content_of("g"), "new", "content");
       same(content_of("h"), "old", "content of the other name");
       same(links_of("h"), 1, "st_nlink");
     }},
    {"rename.replaced_file_stays_open", "what is replaced can be read and written where it is open",
     [](const Context&) {
       make_file("f", "new");
       make_file("g", "old");
       const Fd file = open_file("g", O_RDWR);
       ok(::rename("f", "g"));
       same(content_of(file), "old", "content");
       write_at(file, "OLD", 0);
       same(status_of(file).st_nlink, 0, "st_nlink");
       same(content_of("g"), "new", "content of the new file");
     }},
    {"rename.replaced_directory_stays_open", "a directory that was replaced is as if removed where it is open",
     [](const Context&) {
       make_directory("d");
       make_directory("e");
       make_file("d/f");
       const Fd directory = open_file("e", O_RDONLY);
       ok(::rename("d", "e"));
       fails(ENOENT, ::openat(directory.get(), "new", O_CREAT | O_RDWR, 0644));
       that(exists("e/f"), "the moved one has its file");
     }},
    {"rename.directory_across", "a directory takes its tree along, its '..' and the parents' links follow",
     [](const Context&) {
       make_directory("a");
       make_directory("b");
       make_directory("a/d");
       make_directory("a/d/e");
       make_file("a/d/e/f", "deep");
       const nlink_t parent = links_of("a");
       ok(::rename("a/d", "b/d"));
       same(content_of("b/d/e/f"), "deep", "content");
       same(status_of("b/d/..").st_ino, status_of("b").st_ino, "st_ino of '..'");
       if (parent > 1) {
         same(links_of("a"), 2, "st_nlink of the old parent");
         same(links_of("b"), 3, "st_nlink of the new parent");
       }
     }},
    {"rename.directory_replacing_across", "replacing an empty directory elsewhere counts the parents' links right",
     [](const Context&) {
       make_directory("a");
       make_directory("b");
       make_directory("a/d");
       make_directory("b/d");
       const nlink_t parent = links_of("a");
       ok(::rename("a/d", "b/d"));
       if (parent > 1) {
         same(links_of("a"), 2, "st_nlink of the old parent");
         same(links_of("b"), 3, "st_nlink of the new parent");
       }
     }},
    {"rename.symlink_not_followed", "rename takes and replaces links, not their targets",
     [](const Context&) {
       make_file("f", "data");
       make_symlink("f", "l");
       make_file("g", "other");
       make_symlink("g", "m");
       ok(::rename("l", "m"));
       same(target_of("m"), "f", "target");
       same(content_of("g"), "other", "content of the replaced link's target");
     }},
    {"rename.atomic", "a name that is replaced again and again is never missing, and its content never mixed",
     [](const Context&) {
       make_file("f", std::string(5000, 'a'));
       Process writer([] {
         for (char letter = 'b';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
           make_file("new", std::string(5000, letter));
           ok(::rename("new", "f"));
         }
       });
       for (int i = 0; i < 300; ++i) {
         const std::string content = content_of("f");
         that(content == std::string(5000, content[0]), "the content is of one letter");
       }
     }},
    {"rename.crossing", "two processes that move directories into each other's make no loop and lose nothing",
     [](const Context&) {
       make_directory("a");
       make_directory("b");
       const auto move = [](const char* from, const char* to) {
         for (int i = 0; i < 200; ++i) {
           if (::rename(from, to) != 0) fails({EINVAL, ENOENT, ENOTEMPTY, EEXIST}, -1);
           if (::rename(to, from) != 0) fails({EINVAL, ENOENT, ENOTEMPTY, EEXIST}, -1);
         }
       };
       Process first([&] { move("a", "b/a"); }), second([&] { move("b", "a/b"); });
       first.join();
       second.join();
       that(exists("a") && exists("b"), "both are at their places");
     }},
    {"rename.race", "of two processes that move one file to different names exactly one succeeds",
     [](const Context&) {
       for (int round = 0; round < 10; ++round) {
         make_file("f");
         const auto move = [](const char* to) {
           if (::rename("f", to) != 0) fails(ENOENT, -1);
         };
         Process first([&] { move("a"); }), second([&] { move("b"); });
         first.join();
         second.join();
         that(exists("a") != exists("b"), "it has one of the names");
         ok(::unlink(exists("a") ? "a" : "b"));
       }
     }},
    {"rename.needs_write", "a rename needs permission to write both directories",
     [](const Context& c) {
       make_directory("open", 0777);
       make_directory("closed", 0755);
       make_file("closed/f");
       as_user(c.users[0], [] {
         make_file("open/g");
         fails(EACCES, ::rename("closed/f", "open/f"));
         fails(EACCES, ::rename("open/g", "closed/g"));
         fails(EACCES, ::rename("closed/f", "closed/h"));
       });
     },
     Needs::kRoot},
    {"rename.foreign_directory", "a directory moves to another parent only if its '..' may be written",
     [](const Context& c) {
       make_directory("a", 0777);
       make_directory("b", 0777);
       make_directory("a/d", 0755);
       as_user(c.users[0], [] {
         ok(::rename("a/d", "a/e"));
         fails(EACCES, ::rename("a/e", "b/e"));
       });
     },
     Needs::kRoot},
    {"rename.other_file_system", "a rename to another file system is EXDEV",
     [](const Context&) {
       make_file("f");
       fails(EXDEV, ::rename("f", "/proc/f"));
       that(exists("f"), "it is still there");
     }},
    {"rename.at", "renameat starts at its directories",
     [](const Context&) {
       make_directory("a");
       make_directory("b");
       make_file("a/f", "data");
       const Fd a = open_file("a", O_RDONLY), b = open_file("b", O_RDONLY);
       ok(::renameat(a.get(), "f", b.get(), "g"));
       same(content_of("b/g"), "data", "content");
     }},
    {"rename.many", "500 renames of one file end at the last name, alone",
     [](const Context&) {
       make_file("f0", "data");
       for (int i = 0; i < 500; ++i) ok(::rename(fmt::format("f{}", i).c_str(), fmt::format("f{}", i + 1).c_str()));
       same(names_in(".").size(), 1, "entries");
       same(content_of("f500"), "data", "content");
     }},
};

}  // namespace

Cases rename_cases() {
  Cases cases = cases_of(kRows);
  add_matrix(cases);
  return cases;
}

}  // namespace cenote::posix_tests
