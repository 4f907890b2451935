// chown(2) and its relatives: who may, and which bits go.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr uid_t kSameUser = static_cast<uid_t>(-1);
constexpr gid_t kSameGroup = static_cast<gid_t>(-1);

void owner_is(const char* path, uid_t user, gid_t group, Here here = Here::current()) {
  same(status_of(path).st_uid, user, "st_uid", here);
  same(status_of(path).st_gid, group, "st_gid", here);
}

constexpr Row kRows[] = {
    {"owner.set", "root gives a file, a directory and a fifo any owner and group",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_fifo("p");
       for (const char* name : {"f", "d", "p"}) {
         ok(::chown(name, 70'000, 80'000));
         owner_is(name, 70'000, 80'000);
       }
     },
     Needs::kRoot},
    {"owner.parts", "-1 leaves the owner or the group",
     [](const Context&) {
       make_file("f");
       ok(::chown("f", 70, kSameGroup));
       owner_is("f", 70, ::getegid());
       ok(::chown("f", kSameUser, 80));
       owner_is("f", 70, 80);
       ok(::chown("f", kSameUser, kSameGroup));
       owner_is("f", 70, 80);
     },
     Needs::kRoot},
    {"owner.large_ids", "ids up to 2^32 - 2 are kept",
     [](const Context&) {
       make_file("f");
       ok(::chown("f", 4'294'967'294U, 4'294'967'293U));
       owner_is("f", 4'294'967'294U, 4'294'967'293U);
     },
     Needs::kRoot},
    {"owner.descriptor", "fchown and fchownat do what chown does",
     [](const Context&) {
       make_file("f");
       ok(::fchown(open_file("f", O_RDONLY).get(), 70, 80));
       owner_is("f", 70, 80);
       ok(::fchownat(AT_FDCWD, "f", 71, 81, 0));
       owner_is("f", 71, 81);
       ok(::fchownat(open_file("f", O_PATH).get(), "", 72, 82, AT_EMPTY_PATH));
       owner_is("f", 72, 82);
     },
     Needs::kRoot},
    {"owner.of_symlink", "chown follows a link, lchown changes it",
     [](const Context&) {
       make_file("f");
       make_symlink("f", "l");
       ok(::chown("l", 70, 80));
       owner_is("f", 70, 80);
       owner_is("l", 0, 0);
       ok(::lchown("l", 71, 81));
       owner_is("f", 70, 80);
       owner_is("l", 71, 81);
     },
     Needs::kRoot},
    {"owner.times", "chown moves ctime only",
     [](const Context&) {
       make_file("f");
       moves_times("f", Times::kChange, [] { ok(::chown("f", 70, 80)); });
     },
     Needs::kRoot},
    {"owner.give_away", "an owner cannot give a file away",
     [](const Context& c) {
       as_user(c.users[0], [&] {
         make_file("f");
         fails(EPERM, ::chown("f", c.users[1].id, kSameGroup));
         fails(EPERM, ::chown("f", 0, kSameGroup));
       });
       owner_is("f", c.users[0].id, c.users[0].id);
     },
     Needs::kRoot},
    {"owner.foreign_file", "nobody but root changes what another owns",
     [](const Context& c) {
       make_file("f", "", 0666);
       as_user(c.users[0], [&] {
         fails(EPERM, ::chown("f", c.users[0].id, c.users[0].id));
         fails(EPERM, ::chown("f", kSameUser, c.users[0].id));
       });
       owner_is("f", 0, 0);
     },
     Needs::kRoot},
    {"owner.to_own_group", "an owner may give a file to a group it is in, to no other",
     [](const Context& c) {
       as_user({c.users[0].id, {c.users[1].id}}, [&] {
         make_file("f");
         ok(::chown("f", kSameUser, c.users[1].id));
         ok(::chown("f", c.users[0].id, c.users[0].id));
         fails(EPERM, ::chown("f", kSameUser, c.users[2].id));
       });
       owner_is("f", c.users[0].id, c.users[0].id);
     },
     Needs::kRoot},
    {"owner.change_drops_set_ids", "chown of an executable drops its set-id bits, for an owner and for root",
     [](const Context& c) {
       as_user({c.users[0].id, {c.users[1].id}}, [&] {
         make_file("f", "", 0755);
         ok(::chmod("f", 06755));
         ok(::chown("f", kSameUser, c.users[1].id));
         mode_is("f", 0755);
       });
       ok(::chmod("f", 06755));
       ok(::chown("f", 0, 0));
       mode_is("f", 0755);
     },
     Needs::kRoot},
    {"owner.directory_keeps_set_group_id", "chown of a directory keeps its set-group-id bit",
     [](const Context&) {
       make_directory("d");
       ok(::chmod("d", 02775));
       ok(::chown("d", 70, 80));
       mode_is("d", 02775);
     },
     Needs::kRoot},
    {"owner.missing", "chown of what is not there is ENOENT, also through a link, lchown of the link is not",
     [](const Context&) {
       make_symlink("nowhere", "l");
       fails(ENOENT, ::chown("f", 0, 0));
       fails(ENOENT, ::chown("l", 0, 0));
       ok(::lchown("l", 0, 0));
     },
     Needs::kRoot},
    {"owner.bad_descriptor", "fchown of a descriptor that is not open or only a path is EBADF",
     [](const Context&) {
       make_file("f");
       fails(EBADF, ::fchown(987, 0, 0));
       fails(EBADF, ::fchown(open_file("f", O_PATH).get(), 0, 0));
     },
     Needs::kRoot},
    {"owner.content_stays", "chown changes neither content nor size",
     [](const Context&) {
       make_file("f", pattern(10'000));
       ok(::chown("f", 70, 80));
       same(content_of("f"), pattern(10'000), "content");
     },
     Needs::kRoot},
};

}  // namespace

Cases owner_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
