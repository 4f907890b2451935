// What moves mtime and ctime of a directory: changes of its entries, and nothing else.

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct Change {
  const char* name;
  const char* what;
  void (*action)();
  bool in_d = true, in_e = false;  // which directories it moves the times of
};

// Both directories hold a file f, a directory sub and a link l.
constexpr Change kChanges[] = {
    {"open_creates", "making a file", [] { open_file("d/new", O_CREAT | O_WRONLY); }},
    {"mkdir", "making a directory", [] { ok(::mkdir("d/new", 0755)); }},
    {"symlink", "making a link", [] { ok(::symlink("x", "d/new")); }},
    {"mkfifo", "making a fifo", [] { ok(::mkfifo("d/new", 0644)); }},
    {"link", "making a hard link, and not where the file was", [] { ok(::link("e/f", "d/new")); }},
    {"unlink", "removing a file", [] { ok(::unlink("d/f")); }},
    {"unlink_symlink", "removing a link", [] { ok(::unlink("d/l")); }},
    {"rmdir", "removing a directory", [] { ok(::rmdir("d/sub")); }},
    {"rename_within", "renaming in it", [] { ok(::rename("d/f", "d/new")); }},
    {"rename_replacing", "replacing in it", [] { ok(::rename("d/f", "d/l")); }},
    {"rename_across", "renaming from one directory to another, both", [] { ok(::rename("d/f", "e/new")); }, true, true},
    {"rename_directory_across", "moving a directory, both", [] { ok(::rename("d/sub", "e/new")); }, true, true},
    {"failed_create", "a create that fails, not", [] { fails(EEXIST, ::mkdir("d/f", 0755)); }, false},
    {"failed_unlink", "an unlink that fails, not", [] { fails(ENOENT, ::unlink("d/nothing")); }, false},
    {"failed_rename", "a rename that fails, not", [] { fails(EISDIR, ::rename("d/f", "d/sub")); }, false},
    {"rename_to_itself", "a rename to the same name, not", [] { ok(::rename("d/f", "d/f")); }, false},
    {"open_existing", "opening what exists, not", [] { open_file("d/f", O_CREAT | O_RDWR); }, false},
    {"write", "writing a file in it, not", [] { write_all(open_file("d/f", O_WRONLY), "data"); }, false},
    {"truncate", "truncating a file in it, not", [] { ok(::truncate("d/f", 10)); }, false},
    {"chmod", "chmod of a file in it, not", [] { ok(::chmod("d/f", 0600)); }, false},
    {"below", "making a file in a directory in it, not", [] { make_file("d/sub/f"); }, false},
    {"listing", "listing it, not", [] { names_in("d"); }, false},
};

void prepare() {
  for (const std::string top : {"d", "e"}) {
    make_directory(top);
    make_directory(top + "/sub");
    make_file(top + "/f", "data");
    make_symlink("f", top + "/l");
  }
}

}  // namespace

Cases parent_cases() {
  Cases cases;
  for (const Change& change : kChanges) {
    const auto moved = [](bool moves) { return moves ? Times::kModifyAndChange : Times::kNone; };
    const std::string proves = fmt::format("{} moves mtime and ctime of the directory", change.what);
    cases.emplace_back(fmt::format("parent.{}", change.name), proves, [&change, moved](const Context&) {
      prepare();
      moves_times("d", moved(change.in_d), [&] { moves_times("e", moved(change.in_e), change.action); });
    });
  }
  return cases;
}

}  // namespace cenote::posix_tests
