// Each call that takes a path, with each fault that a path can have.

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

struct Call {
  const char* name;
  long (*call)(const char* path);
};

long open_directory(const char* path) {
  DIR* const stream = ::opendir(path);
  if (stream == nullptr) return -1;
  ::closedir(stream);
  return 0;
}

long open_and_close(const char* path, int flags) {
  const Fd file(::open(path, flags, 0644));
  return file.is_open() ? 0 : -1;
}

// "file" is a regular file that is there.
constexpr Call kCalls[] = {
    {"open", [](const char* path) { return open_and_close(path, O_RDONLY); }},
    {"open_creating", [](const char* path) { return open_and_close(path, O_RDWR | O_CREAT); }},
    {"stat",
     [](const char* path) {
       struct stat status{};
       return long{::stat(path, &status)};
     }},
    {"lstat",
     [](const char* path) {
       struct stat status{};
       return long{::lstat(path, &status)};
     }},
    {"statvfs",
     [](const char* path) {
       struct statvfs status{};
       return long{::statvfs(path, &status)};
     }},
    {"access", [](const char* path) { return long{::access(path, F_OK)}; }},
    {"chmod", [](const char* path) { return long{::chmod(path, 0644)}; }},
    {"chown", [](const char* path) { return long{::chown(path, ::geteuid(), ::getegid())}; }},
    {"lchown", [](const char* path) { return long{::lchown(path, ::geteuid(), ::getegid())}; }},
    {"truncate", [](const char* path) { return long{::truncate(path, 0)}; }},
    {"utimensat", [](const char* path) { return long{::utimensat(AT_FDCWD, path, nullptr, 0)}; }},
    {"mkdir", [](const char* path) { return long{::mkdir(path, 0755)}; }},
    {"rmdir", [](const char* path) { return long{::rmdir(path)}; }},
    {"mkfifo", [](const char* path) { return long{::mkfifo(path, 0644)}; }},
    {"unlink", [](const char* path) { return long{::unlink(path)}; }},
    {"link_from", [](const char* path) { return long{::link(path, "new")}; }},
    {"link_to", [](const char* path) { return long{::link("file", path)}; }},
    {"symlink", [](const char* path) { return long{::symlink("target", path)}; }},
    {"readlink",
     [](const char* path) {
       char buffer[16];
       return ::readlink(path, buffer, sizeof buffer);
     }},
    {"rename_from", [](const char* path) { return long{::rename(path, "new")}; }},
    {"rename_to", [](const char* path) { return long{::rename("file", path)}; }},
    {"opendir", open_directory},
    {"chdir", [](const char* path) { return long{::chdir(path)}; }},
    {"setxattr", [](const char* path) { return long{::setxattr(path, "user.name", "v", 1, 0)}; }},
    {"getxattr",
     [](const char* path) {
       char value[16];
       return ::getxattr(path, "user.name", value, sizeof value);
     }},
    {"listxattr",
     [](const char* path) {
       char names[64];
       return ::listxattr(path, names, sizeof names);
     }},
    {"removexattr", [](const char* path) { return long{::removexattr(path, "user.name")}; }},
};

struct Fault {
  const char* name;
  const char* proves;
  int error;
  std::string (*path)();
  bool as_user = false;  // root is never refused
};

const Fault kFaults[] = {
    {"missing_directory", "a directory of the path that is missing is ENOENT", ENOENT,
     [] { return std::string("no/f"); }},
    {"file_as_directory", "a file in the middle of the path is ENOTDIR", ENOTDIR, [] { return std::string("file/f"); }},
    {"loop", "a loop of links in the path is ELOOP", ELOOP, [] { return std::string("loop/f"); }},
    {"long_name", "a name of 256 bytes is ENAMETOOLONG", ENAMETOOLONG, [] { return std::string(256, 'n'); }},
    {"long_directory_name", "a directory's name of 256 bytes is ENAMETOOLONG", ENAMETOOLONG,
     [] { return std::string(256, 'n') + "/f"; }},
    {"long_path", "a path of 4096 bytes is ENAMETOOLONG", ENAMETOOLONG,
     [] {
       std::string path;
       while (path.size() < 4094) path += "./";
       return path + "ff";
     }},
    {"no_search", "a directory that may not be searched is EACCES", EACCES, [] { return std::string("closed/f"); },
     true},
};

void prepare(mode_t mode_of_closed) {
  make_file("file", "data", 0666);
  make_symlink("loop", "loop");
  make_directory("closed", 0700);
  make_file("closed/f", "", 0666);
  ok(::chmod("closed", mode_of_closed));
}

}  // namespace

Cases path_cases() {
  Cases cases;
  for (const Fault& fault : kFaults) {
    for (const Call& call : kCalls) {
      cases.emplace_back(
          fmt::format("path.{}.{}", fault.name, call.name), fault.proves,
          [&](const Context& c) {
            // Who is not root could not remove what is in it afterwards.
            prepare(fault.as_user ? 0600 : 0700);
            const auto check = [&] { fails(fault.error, call.call(fault.path().c_str())); };
            fault.as_user ? as_user(c.users[0], check) : check();
            same(names_in(".").size(), 3, "entries afterwards");
          },
          fault.as_user ? Needs::kRoot : Needs::kNothing);
    }
  }
  return cases;
}

}  // namespace cenote::posix_tests
