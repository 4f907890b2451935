// mknod(2): fifos, sockets, devices.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "case.h"
#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

sockaddr_un address_of(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Fd bound_socket(std::string_view path) {
  Fd socket(ok(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  const sockaddr_un address = address_of(path);
  ok(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return socket;
}

constexpr Row kRows[] = {
    {"special.fifo", "a fifo has its type, mode and no size",
     [](const Context&) {
       ::umask(022);
       ok(::mkfifo("p", 0666));
       that(S_ISFIFO(status_of("p").st_mode), "it is a fifo");
       mode_is("p", 0644);
       same(status_of("p").st_size, 0, "st_size");
     }},
    {"special.fifo_carries_data", "data goes through a fifo from one process to another",
     [](const Context&) {
       make_fifo("p");
       Process writer([] { write_all(open_file("p", O_WRONLY), "through the fifo"); });
       const Fd reader = open_file("p", O_RDONLY);
       char bytes[100];
       same(ok(::read(reader.get(), bytes, sizeof bytes)), 16, "bytes");
       same(std::string(bytes, 16), "through the fifo", "data");
       writer.join();
       same(ok(::read(reader.get(), bytes, sizeof bytes)), 0, "bytes when the writer is gone");
     }},
    {"special.fifo_without_reader", "opening a fifo for writing without waiting is ENXIO when nobody reads",
     [](const Context&) {
       make_fifo("p");
       fails(ENXIO, ::open("p", O_WRONLY | O_NONBLOCK));
       const Fd reader = open_file("p", O_RDONLY | O_NONBLOCK);
       open_file("p", O_WRONLY | O_NONBLOCK);
     }},
    {"special.fifo_renamed", "a fifo keeps carrying data when it is renamed",
     [](const Context&) {
       make_fifo("p");
       const Fd both = open_file("p", O_RDWR);
       ok(::rename("p", "q"));
       write_all(open_file("q", O_WRONLY), "x");
       char byte = 0;
       same(ok(::read(both.get(), &byte, 1)), 1, "bytes");
     }},
    {"special.fifo_seek", "a fifo cannot seek",
     [](const Context&) {
       make_fifo("p");
       fails(ESPIPE, ::lseek(open_file("p", O_RDWR).get(), 0, SEEK_SET));
     }},
    {"special.socket", "bind makes a socket, to which others connect",
     [](const Context&) {
       const Fd listener = bound_socket("s");
       that(S_ISSOCK(status_of("s").st_mode), "it is a socket");
       ok(::listen(listener.get(), 1));
       const Fd client(ok(::socket(AF_UNIX, SOCK_STREAM, 0)));
       const sockaddr_un address = address_of("s");
       ok(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
       const Fd server(ok(::accept(listener.get(), nullptr, nullptr)));
       write_all(client, "x");
       char byte = 0;
       same(ok(::read(server.get(), &byte, 1)), 1, "bytes");
     }},
    {"special.socket_existing", "bind to any name that exists is EADDRINUSE",
     [](const Context&) {
       make_file("f");
       const Fd first = bound_socket("s");
       const Fd socket(ok(::socket(AF_UNIX, SOCK_STREAM, 0)));
       for (const char* name : {"f", "s"}) {
         const sockaddr_un address = address_of(name);
         fails(EADDRINUSE, ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
       }
     }},
    {"special.socket_after_its_process", "a socket stays when nobody listens, and connecting is ECONNREFUSED",
     [](const Context&) {
       bound_socket("s");
       const Fd client(ok(::socket(AF_UNIX, SOCK_STREAM, 0)));
       const sockaddr_un address = address_of("s");
       fails(ECONNREFUSED, ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
       fails(ENXIO, ::open("s", O_RDWR));
     }},
    {"special.mknod_kinds", "mknod makes regular files, fifos and sockets for everybody",
     [](const Context&) {
       ok(::mknod("f", S_IFREG | 0640, 0));
       ok(::mknod("g", 0640, 0));
       ok(::mknod("p", S_IFIFO | 0640, 0));
       ok(::mknod("s", S_IFSOCK | 0640, 0));
       that(S_ISREG(status_of("f").st_mode) && S_ISREG(status_of("g").st_mode), "f and g are regular files");
       that(S_ISFIFO(status_of("p").st_mode), "p is a fifo");
       that(S_ISSOCK(status_of("s").st_mode), "s is a socket");
     }},
    {"special.mknod_existing", "mknod of any name that exists is EEXIST",
     [](const Context&) {
       make_file("f");
       make_symlink("nowhere", "l");
       fails(EEXIST, ::mknod("f", S_IFIFO | 0644, 0));
       fails(EEXIST, ::mknod("l", S_IFREG | 0644, 0));
       that(!exists("nowhere"), "the target of the link was not made");
     }},
    {"special.mknod_invalid", "mknod of a directory is EPERM or EINVAL, of a link EINVAL",
     [](const Context&) {
       fails({EPERM, EINVAL}, ::mknod("d", S_IFDIR | 0755, 0));
       fails({EPERM, EINVAL}, ::mknod("l", S_IFLNK | 0755, 0));
     }},
    {"special.devices", "root makes devices, which keep their numbers",
     [](const Context&) {
       ok(::mknod("c", S_IFCHR | 0600, makedev(1, 3)));
       ok(::mknod("b", S_IFBLK | 0600, makedev(7, 300)));
       that(S_ISCHR(status_of("c").st_mode), "c is a character device");
       that(S_ISBLK(status_of("b").st_mode), "b is a block device");
       same(status_of("c").st_rdev, makedev(1, 3), "st_rdev of c");
       same(status_of("b").st_rdev, makedev(7, 300), "st_rdev of b");
       ok(::rename("c", "c2"));
       same(status_of("c2").st_rdev, makedev(1, 3), "st_rdev after a rename");
     },
     Needs::kRoot},
    {"special.device_works", "a device file is the device, unless mounted with nodev",
     [](const Context&) {
       ok(::mknod("zero", S_IFCHR | 0600, makedev(1, 5)));
       const Fd device(::open("zero", O_RDONLY));
       if (!device.is_open()) {
         fails(EACCES, -1);
         throw NotOffered{"devices that can be opened (nodev)"};
       }
       same(read_at(device, 4, 0), std::string(4, '\0'), "what it reads");
     },
     Needs::kRoot},
    {"special.devices_by_users", "nobody but root makes devices",
     [](const Context& c) {
       as_user(c.users[0], [] {
         fails(EPERM, ::mknod("c", S_IFCHR | 0600, makedev(1, 3)));
         fails(EPERM, ::mknod("b", S_IFBLK | 0600, makedev(7, 0)));
         ok(::mknod("p", S_IFIFO | 0600, 0));
       });
     },
     Needs::kRoot},
    {"special.whiteouts", "a character device of number 0 can be made by everybody or by root only",
     [](const Context&) {
       if (::mknod("w", S_IFCHR, makedev(0, 0)) != 0) return fails(EPERM, -1);
       that(S_ISCHR(status_of("w").st_mode), "it is a character device");
     }},
};

}  // namespace

Cases special_cases() { return cases_of(kRows); }

}  // namespace cenote::posix_tests
