// Which names and paths can be: 255 bytes of anything but '/' and zero, 4095 bytes in all.

#include <fcntl.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

const std::string& longest() {
  static const std::string name(255, 'n');
  return name;
}

/// A path of exactly `length` bytes to `name` in the working directory.
std::string path_of_length(std::size_t length, const std::string& name) {
  std::string path;
  while (path.size() + name.size() + 2 <= length) path += "./";
  if (path.size() + name.size() < length) path += "/";
  return path + name;
}

/// Made, found, listed, renamed and removed under this name.
void use(const std::string& name) {
  make_directory("d");
  make_file("d/" + name, "data");
  same(content_of("d/" + name), "data", "content");
  const auto names = names_in("d");
  same(names.size(), 1, "entries");
  same(names[0], name, "listed name");
  ok(::rename(("d/" + name).c_str(), "d/x"));
  ok(::rename("d/x", ("d/" + name).c_str()));
  ok(::unlink(("d/" + name).c_str()));
  ok(::rmdir("d"));
}

constexpr Row kRows[] = {
    {"name.longest_of_file", "a file's name may have 255 bytes", [](const Context&) { use(longest()); }},
    {"name.longest_of_others", "names of directories, links, fifos and hard links may have 255 bytes",
     [](const Context&) {
       make_directory(longest());
       make_file(longest() + "/" + longest());
       ok(::link((longest() + "/" + longest()).c_str(), (longest() + "/h" + std::string(254, 'n')).c_str()));
       make_symlink("x", longest() + "/l" + std::string(254, 'n'));
       make_fifo(longest() + "/p" + std::string(254, 'n'));
       same(names_in(longest()).size(), 4, "entries");
     }},
    {"name.different_at_the_end", "long names that differ only in their last byte are different",
     [](const Context&) {
       const std::string start(254, 'n');
       for (char last = 'a'; last <= 'z'; ++last) make_file(start + last, std::string(1, last));
       for (char last = 'a'; last <= 'z'; ++last) same(content_of(start + last), std::string(1, last), "content");
     }},
    {"name.every_byte", "every byte but '/' and zero can be in a name",
     [](const Context&) {
       std::string all;
       for (int byte = 1; byte < 256; ++byte) {
         if (byte == '/') continue;
         use("a" + std::string(1, static_cast<char>(byte)));
         all += static_cast<char>(byte);
       }
       use(all);
     }},
    {"name.single_bytes", "every byte but '/', zero and '.' is a name",
     [](const Context&) {
       int made = 0;
       for (int byte = 1; byte < 256; ++byte) {
         if (byte == '/' || byte == '.') continue;
         make_file(std::string(1, static_cast<char>(byte)));
         ++made;
       }
       same(names_in(".").size(), made, "entries");
     }},
    {"name.no_utf8", "names that are no UTF-8 are kept as they are",
     [](const Context&) {
       use("\xff\xfe\xc0\x80");
       use("half \xe2\x82");
     }},
    {"name.dots", "names of dots other than '.' and '..' are names",
     [](const Context&) {
       for (const char* name : {"...", "....", "..a", ".a", "a.", "a..", " .", ". "}) use(name);
     }},
    {"name.spaces", "blanks, newlines and a leading dash are kept",
     [](const Context&) {
       for (const char* name : {" ", "  ", "a ", " a", "\n", "a\nb", "\t", "-rf", "*", "\\", "~", "a:b"}) use(name);
     }},
    {"name.case", "upper and lower case are different names",
     [](const Context&) {
       make_file("name", "lower");
       make_file("NAME", "upper");
       same(content_of("name") + content_of("NAME"), "lowerupper", "contents");
     }},
    {"name.normal_forms", "two forms of one character are different names",
     [](const Context&) {
       make_file("\xc3\xa9", "composed");
       make_file("e\xcc\x81", "decomposed");
       same(names_in(".").size(), 2, "entries");
     }},
    {"name.slashes", "several slashes are one, '.' on the way is nothing",
     [](const Context&) {
       make_directory("d");
       make_file("d//f", "data");
       same(content_of(".///d/.//./f"), "data", "content");
       same(content_of("d/../d/f"), "data", "content");
     }},
    {"name.longest_path", "a path of 4095 bytes works, one of 4096 is ENAMETOOLONG",
     [](const Context&) {
       const std::string path = path_of_length(4095, "f");
       same(path.size(), 4095, "bytes of the path");
       make_file(path, "data");
       same(content_of(path), "data", "content");
       fails(ENAMETOOLONG, ::open(path_of_length(4096, "f").c_str(), O_RDONLY));
       fails(ENAMETOOLONG, ::mkdir(path_of_length(4096, "d").c_str(), 0755));
     }},
    {"name.longest_real_path", "a tree may be deeper than a path is long, for those who go step by step",
     [](const Context&) {
       for (int i = 0; i < 20; ++i) {
         ok(::mkdir(longest().c_str(), 0755));
         ok(::chdir(longest().c_str()));
       }
       make_file("f", "far");
       same(content_of("f"), "far", "content");
     }},
    {"name.looks_like_temporary", "names that programs and file systems use for themselves are names",
     [](const Context&) {
       for (const char* name : {".fuse_hidden0000000100000001", ".nfs0001", "lost+found", ".snapshot", "con", "core"})
         use(name);
     }},
};

}  // namespace

Cases name_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
