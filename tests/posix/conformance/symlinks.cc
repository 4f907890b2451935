// symlink(2), readlink(2), and links on the way.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

/// l1 -> l2 -> ... -> f
void make_chain(int length) {
  make_file("f", "data");
  for (int i = 1; i < length; ++i) make_symlink(fmt::format("l{}", i + 1), fmt::format("l{}", i));
  make_symlink("f", fmt::format("l{}", length));
}

constexpr Row kRows[] = {
    {"symlink.make", "a link has mode 0777, one name, and its target as it was given",
     [](const Context&) {
       for (const std::string target : {"f", "/absolute/path", "../../up", "with//slashes/", ".", "\xff\x01 \n"}) {
         make_symlink(target, "l");
         same(target_of("l"), target, "target");
         mode_is("l", 0777);
         same(links_of("l"), 1, "st_nlink");
         ok(::unlink("l"));
       }
     }},
    {"symlink.lengths", "targets of 1 to 4095 bytes are kept, with st_size their length",
     [](const Context&) {
       for (const std::size_t length : {1u, 31u, 59u, 60u, 61u, 255u, 1000u, 2048u, 4094u, 4095u}) {
         const std::string target = pattern(length), name = "l" + std::to_string(length);
         make_symlink(target, name);
         that(target_of(name) == target, "the target is as given");
         same(status_of(name).st_size, length, "st_size");
       }
     }},
    {"symlink.too_long", "a target of 4096 bytes is ENAMETOOLONG, an empty one ENOENT",
     [](const Context&) {
       fails(ENAMETOOLONG, ::symlink(std::string(4096, 't').c_str(), "l"));
       fails(ENOENT, ::symlink("", "l"));
       fails(ENOENT, ::symlink("target", ""));
       that(!exists("l"), "nothing was made");
     }},
    {"symlink.existing", "a link over any name that exists is EEXIST",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       make_symlink("nowhere", "l");
       for (const char* name : {"f", "d", "l", "."}) fails(EEXIST, ::symlink("x", name));
       same(target_of("l"), "nowhere", "target");
     }},
    {"symlink.missing_parent", "a link below nothing is ENOENT, below a file ENOTDIR",
     [](const Context&) {
       make_file("f");
       fails(ENOENT, ::symlink("x", "d/l"));
       fails(ENOTDIR, ::symlink("x", "f/l"));
       fails(ENOENT, ::symlink("x", "l/"));
     }},
    {"symlink.read_part", "readlink cuts at the buffer's size and adds no zero",
     [](const Context&) {
       make_symlink("0123456789", "l");
       char buffer[20];
       std::fill_n(buffer, sizeof buffer, '~');
       same(::readlink("l", buffer, 4), 4, "bytes");
       same(std::string(buffer, 6), "0123~~", "buffer");
       same(::readlink("l", buffer, sizeof buffer), 10, "bytes");
       same(std::string(buffer + 10, 1), "~", "byte after the target");
       fails(EINVAL, ::readlink("l", buffer, 0));
     }},
    {"symlink.read_what_is_none", "readlink of a file or directory is EINVAL, of nothing ENOENT",
     [](const Context&) {
       make_file("f");
       make_directory("d");
       char buffer[20];
       fails(EINVAL, ::readlink("f", buffer, sizeof buffer));
       fails(EINVAL, ::readlink("d", buffer, sizeof buffer));
       fails(ENOENT, ::readlink("nothing", buffer, sizeof buffer));
       fails(ENOENT, ::readlink("", buffer, sizeof buffer));
     }},
    {"symlink.read_descriptor", "readlinkat with an empty path reads the link that a descriptor names",
     [](const Context&) {
       make_symlink("target", "l");
       char buffer[20];
       same(ok(::readlinkat(open_file("l", O_PATH | O_NOFOLLOW).get(), "", buffer, sizeof buffer)), 6, "bytes");
     }},
    {"symlink.to_directory", "a link to a directory stands for it in paths",
     [](const Context&) {
       make_directory("d");
       make_symlink("d", "l");
       make_file("l/f", "data");
       same(content_of("d/f"), "data", "content");
       same(names_in("l").size(), 1, "entries");
       ok(::mkdir("l/e", 0755));
       ok(::rename("l/f", "l/e/g"));
       that(exists("d/e/g"), "it is in the directory");
     }},
    {"symlink.relative", "a relative target starts where the link lies, also after the link moved",
     [](const Context&) {
       make_directory("d");
       make_directory("e");
       make_file("d/f", "in d");
       make_file("e/f", "in e");
       make_symlink("f", "d/l");
       same(content_of("d/l"), "in d", "content");
       ok(::rename("d/l", "e/l"));
       same(content_of("e/l"), "in e", "content");
     }},
    {"symlink.up", "'..' in a target goes up from the target's way, not from the link's",
     [](const Context&) {
       make_directory("d");
       make_directory("d/e");
       make_file("d/f", "in d");
       make_file("f", "at the top");
       make_symlink("d/e", "l");
       same(content_of("l/../f"), "in d", "content");
     }},
    {"symlink.absolute", "an absolute target starts at the root",
     [](const Context&) {
       make_symlink("/proc/self", "l");
       that(!content_of("l/cmdline").empty(), "/proc/self/cmdline is read through it");
     }},
    {"symlink.chain", "40 links one after the other are followed, 41 are ELOOP",
     [](const Context&) {
       make_chain(41);
       same(content_of("l2"), "data", "content through 40");
       fails(ELOOP, ::open("l1", O_RDONLY));
     }},
    {"symlink.loop", "a link to itself and a loop are ELOOP; the links themselves can be used",
     [](const Context&) {
       make_symlink("self", "self");
       make_symlink("b", "a");
       make_symlink("a", "b");
       struct stat status{};
       fails(ELOOP, ::stat("self", &status));
       fails(ELOOP, ::stat("a", &status));
       fails(ELOOP, ::chmod("self", 0644));
       same(target_of("self"), "self", "target");
       ok(::rename("a", "c"));
       ok(::unlink("c"));
     }},
    {"symlink.dangling", "a link to nothing is there itself, its target is ENOENT",
     [](const Context&) {
       make_symlink("nowhere", "l");
       struct stat status{};
       fails(ENOENT, ::stat("l", &status));
       fails(ENOENT, ::open("l", O_RDONLY));
       that(exists("l"), "the link is there");
     }},
    {"symlink.does_not_hold_target", "removing the target leaves the link, making it again revives it",
     [](const Context&) {
       make_file("f", "one");
       make_symlink("f", "l");
       same(links_of("f"), 1, "st_nlink of the target");
       ok(::unlink("f"));
       make_file("f", "two");
       same(content_of("l"), "two", "content");
     }},
    {"symlink.mode_is_not_asked", "following a link asks for permissions of the way and the target only",
     [](const Context& c) {
       make_file("f", "data", 0600);
       as_user(c.users[0], [] {
         make_symlink("f", "l");
         fails(EACCES, ::open("l", O_RDONLY));
         same(target_of("l"), "f", "target");
       });
       same(content_of("l"), "data", "content");
     },
     Needs::kRoot},
    {"symlink.link_times", "reading a link moves neither its mtime nor its ctime",
     [](const Context&) {
       make_symlink("f", "l");
       moves_times("l", Times::kNone, [] { target_of("l"); });
     }},
    {"symlink.many", "each of 500 links keeps its own target",
     [](const Context&) {
       for (int i = 0; i < 500; ++i) make_symlink(fmt::format("target of {}", i), fmt::format("l{}", i));
       for (int i = 0; i < 500; ++i) same(target_of(fmt::format("l{}", i)), fmt::format("target of {}", i), "target");
     }},
};

}  // namespace

Cases symlink_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
