// readdir(3): complete, also while others change the directory.

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct Closer {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using Stream = std::unique_ptr<DIR, Closer>;

Stream open_stream(const char* path, Here here = Here::current()) {
  Stream stream(::opendir(path));
  if (stream == nullptr) fail("opendir: expected success, got " + error_name(errno), here);
  return stream;
}

/// The next entry, or null at the end.
const dirent* next(const Stream& stream, Here here = Here::current()) {
  errno = 0;
  const dirent* entry = ::readdir(stream.get());
  if (entry == nullptr && errno != 0) fail("readdir: expected success, got " + error_name(errno), here);
  return entry;
}

/// Each name, and how often it came, without "." and "..".
std::map<std::string, int> rest_of(const Stream& stream) {
  std::map<std::string, int> names;
  while (const dirent* entry = next(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") ++names[name];
  }
  return names;
}

std::string numbered(int i) { return fmt::format("d/entry-{:06}", i); }

/// A directory "d" of `count` names of one file: quick to make.
void make_entries(int count) {
  make_directory("d");
  make_file("file");
  for (int i = 0; i < count; ++i) {
    // Files of their own now and then, since the number of links has a limit.
    if (::link("file", numbered(i).c_str()) != 0) make_file(numbered(i));
  }
}

void each_once(const std::map<std::string, int>& names, int first, int last) {
  for (int i = first; i < last; ++i) {
    const std::string name = numbered(i).substr(2);
    const auto found = names.find(name);
    same(found == names.end() ? 0 : found->second, 1, fmt::format("times that {} came", name));
  }
}

/// Lists "d" again and again while another process makes and removes names beside those that stay.
void while_others_change(const Context&) {
  constexpr int kStay = 500;
  make_entries(kStay);
  Process changer([] {
    for (int round = 0;; ++round) {
      const std::string name = fmt::format("d/changing-{}", round % 100);
      if (round % 200 < 100) {
        ok(::mknod(name.c_str(), S_IFREG | 0644, 0));
      } else {
        ok(::unlink(name.c_str()));
      }
    }
  });
  for (int round = 0; round < 20; ++round) {
    const Stream stream = open_stream("d");
    each_once(rest_of(stream), 0, kStay);
  }
}

/// Removes what it lists, as rm -r does, in small steps.
void removing_while_listing(const Context&) {
  make_entries(2000);
  const Stream stream = open_stream("d");
  while (const dirent* entry = next(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") ok(::unlink(("d/" + name).c_str()));
  }
  ok(::rmdir("d"));
}

constexpr Row kRows[] = {
    {"readdir.dots", "an empty directory lists '.' and '..'",
     [](const Context&) {
       make_directory("d");
       const Stream stream = open_stream("d");
       std::set<std::string> names;
       while (const dirent* entry = next(stream)) names.insert(entry->d_name);
       that(names == std::set<std::string>{".", ".."}, "there is nothing else");
     }},
    {"readdir.types_and_inodes", "entries tell the type or DT_UNKNOWN, and the inode that stat tells",
     [](const Context&) {
       make_directory("d");
       make_file("d/f");
       make_directory("d/e");
       make_symlink("f", "d/l");
       make_fifo("d/p");
       const std::map<std::string, int> types{{"f", DT_REG}, {"e", DT_DIR}, {"l", DT_LNK}, {"p", DT_FIFO}};
       const Stream stream = open_stream("d");
       while (const dirent* entry = next(stream)) {
         const std::string name = entry->d_name;
         if (name == "." || name == "..") continue;
         that(entry->d_type == DT_UNKNOWN || entry->d_type == types.at(name), "the type of " + name + " is right");
         same(entry->d_ino, status_of("d/" + name).st_ino, "d_ino");
       }
     }},
    {"readdir.ten_thousand", "10,000 entries come once each",
     [](const Context&) {
       make_entries(10'000);
       const Stream stream = open_stream("d");
       const auto names = rest_of(stream);
       same(names.size(), 10'000, "entries");
       each_once(names, 0, 10'000);
     }},
    {"readdir.long_names", "names of 255 bytes are listed whole",
     [](const Context&) {
       make_directory("d");
       for (int i = 0; i < 100; ++i) make_file(fmt::format("d/{:0255}", i));
       const auto names = names_in("d");
       for (int i = 0; i < 100; ++i) same(names[static_cast<std::size_t>(i)], fmt::format("{:0255}", i), "name");
     }},
    {"readdir.rewind", "rewinddir starts again and shows what is new",
     [](const Context&) {
       make_entries(10);
       const Stream stream = open_stream("d");
       same(rest_of(stream).size(), 10, "entries");
       make_file("d/new");
       ok(::unlink(numbered(3).c_str()));
       ::rewinddir(stream.get());
       const auto names = rest_of(stream);
       same(names.size(), 10, "entries");
       that(names.contains("new"), "the new one is there");
     }},
    {"readdir.seek", "seekdir to what telldir told continues there, from any place",
     [](const Context&) {
       make_entries(1000);
       const Stream stream = open_stream("d");
       std::vector<std::pair<long, std::string>> places;
       for (;;) {
         const long place = ::telldir(stream.get());
         const dirent* entry = next(stream);
         if (entry == nullptr) break;
         places.emplace_back(place, entry->d_name);
       }
       same(places.size(), 1002, "entries");
       for (std::size_t i = 0; i < places.size(); i += 97) {
         const auto& [place, name] = places[places.size() - 1 - i];
         ::seekdir(stream.get(), place);
         const dirent* entry = next(stream);
         that(entry != nullptr, "there is an entry");
         same(std::string(entry->d_name), name, "entry after seekdir");
       }
     }},
    {"readdir.seek_after_removal", "a place stays good when entries before it are removed",
     [](const Context&) {
       make_entries(500);
       const Stream stream = open_stream("d");
       std::vector<std::string> before;
       for (int i = 0; i < 250; ++i) before.emplace_back(next(stream)->d_name);
       const long place = ::telldir(stream.get());
       const auto after = rest_of(stream);
       for (const std::string& name : before) {
         if (name != "." && name != "..") ok(::unlink(("d/" + name).c_str()));
       }
       ::seekdir(stream.get(), place);
       that(rest_of(stream) == after, "the same entries follow");
     }},
    {"readdir.removing_while_listing", "removing each name that was listed leaves nothing", removing_while_listing},
    {"readdir.while_others_change", "names that stay come once each while others come and go", while_others_change},
    {"readdir.new_during_listing", "names made during a listing do not disturb it",
     [](const Context&) {
       make_entries(1000);
       const Stream stream = open_stream("d");
       std::map<std::string, int> names;
       for (int i = 0; i < 100; ++i) ++names[next(stream)->d_name];
       for (int i = 1000; i < 2000; ++i) make_file(numbered(i));
       for (const auto& [name, times] : rest_of(stream)) names[name] += times;
       each_once(names, 0, 1000);
       for (const auto& [name, times] : names) that(times == 1, name + " came once");
     }},
    {"readdir.renamed_during_listing", "renaming one entry during a listing disturbs no other",
     [](const Context&) {
       make_entries(1000);
       const Stream stream = open_stream("d");
       std::map<std::string, int> names;
       for (int i = 0; i < 100; ++i) ++names[next(stream)->d_name];
       ok(::rename(numbered(999).c_str(), "d/a"));
       for (const auto& [name, times] : rest_of(stream)) names[name] += times;
       each_once(names, 0, 999);
     }},
    {"readdir.two_streams", "two streams of one directory do not share a place",
     [](const Context&) {
       make_entries(300);
       const Stream a = open_stream("d"), b = open_stream("d");
       for (int i = 0; i < 100; ++i) next(a);
       each_once(rest_of(b), 0, 300);
     }},
    {"readdir.small_buffer", "getdents64 with a buffer too small for one entry is EINVAL",
     [](const Context&) {
       make_directory("d");
       make_file("d/" + std::string(200, 'n'));
       char buffer[8];
       fails(EINVAL, ::syscall(SYS_getdents64, open_file("d", O_RDONLY).get(), buffer, sizeof buffer));
     }},
    {"readdir.not_a_directory", "listing a file is ENOTDIR",
     [](const Context&) {
       make_file("f");
       errno = 0;
       that(::opendir("f") == nullptr && errno == ENOTDIR, "opendir is ENOTDIR");
       char buffer[1000];
       fails(ENOTDIR, ::syscall(SYS_getdents64, open_file("f", O_RDONLY).get(), buffer, sizeof buffer));
     }},
    {"readdir.removed_directory", "a removed directory lists nothing",
     [](const Context&) {
       make_directory("d");
       const Stream stream = open_stream("d");
       ok(::rmdir("d"));
       that(rest_of(stream).empty(), "there is nothing");
     }},
    {"readdir.from_descriptor", "fdopendir lists an open directory, also after its rename",
     [](const Context&) {
       make_entries(10);
       Fd directory = open_file("d", O_RDONLY);
       ok(::rename("d", "e"));
       const Stream stream(::fdopendir(directory.release()));
       same(rest_of(stream).size(), 10, "entries");
     }},
    {"readdir.fresh_after_change", "a new listing shows every change at once, for other processes too",
     [](const Context&) {
       make_directory("d");
       for (int i = 0; i < 20; ++i) {
         make_file(numbered(i));
         same(names_in("d").size(), 1, "entries");
         in_process([&] { same(names_in("d").size(), 1, "entries seen by another"); });
         ok(::unlink(numbered(i).c_str()));
         same(names_in("d").size(), 0, "entries");
       }
     }},
    {"readdir.needs_read", "listing needs permission to read, using names in it to search",
     [](const Context& c) {
       make_directory("d", 0711);
       make_file("d/f");
       as_user(c.users[0], [] {
         fails(EACCES, ::open("d", O_RDONLY));
         open_file("d/f", O_RDONLY);
       });
     },
     Needs::kRoot},
};

}  // namespace

Cases readdir_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
