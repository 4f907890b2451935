// chmod(2), umask(2) and the sticky bit.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr Row kRows[] = {
    {"mode.every_bit", "chmod sets each of the 12 bits and all of them, of files and directories",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       for (const char* name : {"f", "d"}) {
         for (mode_t bit = 1; bit < 010000; bit <<= 1) {
           ok(::chmod(name, bit));
           mode_is(name, bit);
         }
         ok(::chmod(name, 07777));
         mode_is(name, 07777);
         ok(::chmod(name, 0));
         mode_is(name, 0);
       }
     },
     Needs::kRoot},
    {"mode.keeps_type", "chmod ignores bits of the type",
     [](const Context&) {
       make_file("f");
       ok(::chmod("f", S_IFDIR | 0600));
       that(S_ISREG(status_of("f").st_mode), "it is a regular file");
       mode_is("f", 0600);
     }},
    {"mode.descriptor", "fchmod and fchmodat do what chmod does",
     [](const Context&) {
       make_file("f");
       ok(::fchmod(open_file("f", O_RDONLY).get(), 0640));
       mode_is("f", 0640);
       make_directory("d");
       make_file("d/g");
       ok(::fchmodat(open_file("d", O_RDONLY).get(), "g", 0604, 0));
       mode_is("d/g", 0604);
     }},
    {"mode.follows_symlink", "chmod follows a link, whose own mode stays 0777",
     [](const Context&) {
       make_file("f");
       make_symlink("f", "l");
       ok(::chmod("l", 0600));
       mode_is("f", 0600);
       mode_is("l", 0777);
     }},
    {"mode.times", "chmod moves ctime only",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       moves_times("f", Times::kChange, [] { ok(::chmod("f", 0600)); });
       moves_times("d", Times::kChange, [] { ok(::chmod("d", 0700)); });
     }},
    {"mode.failed_moves_no_times", "a chmod that is refused moves no times",
     [](const Context& c) {
       make_file("f");
       moves_times("f", Times::kNone, [&] { as_user(c.users[0], [] { fails(EPERM, ::chmod("f", 0600)); }); });
     },
     Needs::kRoot},
    {"mode.owner_only", "only the owner and root may chmod, whatever the mode allows",
     [](const Context& c) {
       as_user(c.users[0], [] { make_file("f", "", 0666); });
       as_user(c.users[1], [] {
         fails(EPERM, ::chmod("f", 0600));
         fails(EPERM, ::fchmod(open_file("f", O_RDWR).get(), 0600));
       });
       mode_is("f", 0666);
       as_user(c.users[0], [] { ok(::chmod("f", 0600)); });
       mode_is("f", 0600);
       ok(::chmod("f", 0644));
     },
     Needs::kRoot},
    {"mode.set_group_id_of_foreign_group", "chmod by an owner outside the file's group drops the set-group-id bit",
     [](const Context& c) {
       make_file("f");
       ok(::chown("f", c.users[0].id, c.users[1].id));
       as_user(c.users[0], [] { ok(::chmod("f", 02755)); });
       mode_is("f", 0755);
       as_user({c.users[0].id, {c.users[1].id}}, [] { ok(::chmod("f", 02755)); });
       mode_is("f", 02755);
     },
     Needs::kRoot},
    {"mode.set_ids_of_owner", "an owner in the file's group may set both set-id bits",
     [](const Context& c) {
       as_user(c.users[0], [] {
         make_file("f", "", 0755);
         ok(::chmod("f", 06755));
         mode_is("f", 06755);
       });
     },
     Needs::kRoot},
    {"mode.write_drops_set_ids", "a write by another than root drops the set-id bits, of executables",
     [](const Context& c) {
       make_file("f", "data");
       ok(::chmod("f", 06777));
       as_user(c.users[0], [] { write_all(open_file("f", O_WRONLY), "x"); });
       mode_is("f", 0777);
     },
     Needs::kRoot},
    {"mode.truncate_drops_set_ids", "a truncate by another than root drops the set-id bits",
     [](const Context& c) {
       make_file("f", "data");
       ok(::chmod("f", 06777));
       as_user(c.users[0], [] { ok(::truncate("f", 1)); });
       mode_is("f", 0777);
     },
     Needs::kRoot},
    {"mode.open_truncate_drops_set_ids", "O_TRUNC by another than root drops the set-id bits",
     [](const Context& c) {
       make_file("f", "data");
       ok(::chmod("f", 06777));
       as_user(c.users[0], [] { open_file("f", O_WRONLY | O_TRUNC); });
       mode_is("f", 0777);
     },
     Needs::kRoot},
    {"mode.reading_keeps_set_ids", "a read by another than root keeps the set-id bits",
     [](const Context& c) {
       make_file("f", "data");
       ok(::chmod("f", 06777));
       as_user(c.users[0], [] { same(content_of("f"), "data", "content"); });
       mode_is("f", 06777);
     },
     Needs::kRoot},
    {"mode.root_write_keeps_set_ids", "a write by root keeps the set-id bits",
     [](const Context&) {
       make_file("f", "data");
       ok(::chmod("f", 06777));
       write_all(open_file("f", O_WRONLY), "x");
       mode_is("f", 06777);
     },
     Needs::kRoot},
    {"mode.umask", "the umask takes bits from new files, directories and fifos, not from links or chmod",
     [](const Context&) {
       ::umask(027);
       open_file("f", O_CREAT | O_WRONLY, 0777);
       ok(::mkdir("d", 0777));
       ok(::mkfifo("p", 0777));
       ok(::mknod("n", S_IFREG | 0777, 0));
       make_symlink("f", "l");
       mode_is("f", 0750);
       mode_is("d", 0750);
       mode_is("p", 0750);
       mode_is("n", 0750);
       mode_is("l", 0777);
       ok(::chmod("f", 0777));
       mode_is("f", 0777);
     }},
    {"mode.umask_all", "a umask of 0777 makes files of mode 0, one of 0 leaves all bits",
     [](const Context&) {
       ::umask(0777);
       open_file("f", O_CREAT | O_WRONLY, 0777);
       mode_is("f", 0);
       ::umask(0);
       open_file("g", O_CREAT | O_WRONLY, 0666);
       mode_is("g", 0666);
     }},
    {"mode.set_ids_of_new", "open makes a file with the set-id and sticky bits asked for",
     [](const Context&) {
       ::umask(0);
       open_file("f", O_CREAT | O_WRONLY, 07755);
       mode_is("f", 07755);
     },
     Needs::kRoot},
    {"mode.directory_inherits_group", "in a set-group-id directory new files get its group, directories its bit too",
     [](const Context& c) {
       make_directory("d");
       ok(::chown("d", 0, c.users[1].id));
       ok(::chmod("d", 02777));
       as_user(c.users[0], [] {
         make_file("d/f");
         ok(::mkdir("d/e", 0755));
         make_symlink("f", "d/l");
         make_fifo("d/p");
       });
       for (const char* name : {"d/f", "d/e", "d/l", "d/p"}) same(status_of(name).st_gid, c.users[1].id, "st_gid");
       mode_is("d/e", 02755);
       mode_is("d/f", 0644);
     },
     Needs::kRoot},
    {"mode.foreign_group_in_set_group_id_directory",
     "a new executable there loses the set-group-id bit if its maker is not in the group",
     [](const Context& c) {
       make_directory("d");
       ok(::chown("d", 0, c.users[1].id));
       ok(::chmod("d", 02777));
       as_user(c.users[0], [] {
         ::umask(0);
         open_file("d/f", O_CREAT | O_WRONLY, 02775);
       });
       mode_is("d/f", 0775);
     },
     Needs::kRoot},
    {"sticky.others_cannot_remove", "in a sticky directory nobody removes or renames what others own",
     [](const Context& c) {
       make_directory("d", 01777);
       as_user(c.users[0], [] {
         make_file("d/f", "", 0666);
         make_directory("d/e", 0777);
       });
       as_user(c.users[1], [] {
         fails(EPERM, ::unlink("d/f"));
         fails(EPERM, ::rmdir("d/e"));
         fails(EPERM, ::rename("d/f", "d/g"));
         fails(EPERM, ::rename("d/f", "g"));
         make_file("d/mine");
         fails(EPERM, ::rename("d/mine", "d/f"));
         ok(::rename("d/mine", "d/still_mine"));
         ok(::unlink("d/still_mine"));
       });
     },
     Needs::kRoot},
    {"sticky.owner_of_file", "the owner of a file removes and renames it in a sticky directory",
     [](const Context& c) {
       make_directory("d", 01777);
       as_user(c.users[0], [] {
         make_file("d/f");
         ok(::rename("d/f", "d/g"));
         ok(::unlink("d/g"));
       });
     },
     Needs::kRoot},
    {"sticky.owner_of_directory", "the owner of a sticky directory removes what is in it",
     [](const Context& c) {
       make_directory("d", 01777);
       ok(::chown("d", c.users[1].id, c.users[1].id));
       as_user(c.users[0], [] { make_file("d/f"); });
       as_user(c.users[1], [] { ok(::unlink("d/f")); });
     },
     Needs::kRoot},
    {"sticky.root", "root removes anything from a sticky directory",
     [](const Context& c) {
       make_directory("d", 01777);
       as_user(c.users[0], [] { make_file("d/f"); });
       ok(::unlink("d/f"));
     },
     Needs::kRoot},
    {"sticky.without_it_others_remove", "without the sticky bit whoever may write the directory removes",
     [](const Context& c) {
       make_directory("d", 0777);
       as_user(c.users[0], [] { make_file("d/f", "", 0600); });
       as_user(c.users[1], [] { ok(::unlink("d/f")); });
     },
     Needs::kRoot},
};

}  // namespace

Cases mode_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
