#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cenote/base/format.h"
#include "context.h"
#include "mounting.h"

namespace cenote::cli {
namespace {

/// The program that has a mounter goes on from here, with the same words.
Error run_the_other_program(const Context& context) {
  std::error_code failed;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path() / "cenote-fuse";
  std::vector<char*> words;
  for (const std::string& word : context.arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::string own_name = "cenote";
  words.front() = own_name.data();
  ::execv(beside.c_str(), words.data());
  ::execvp("cenote-fuse", words.data());
  return Error(Code::kNotFound, fmt::format("cannot run cenote-fuse, which is neither '{}' nor in the PATH: {}",
                                            beside.string(), std::strerror(errno)));
}

Result<> mount(Context& context, const MountArguments& arguments) {
  if (context.mounter) return context.mounter(context, arguments);
  return fail(run_the_other_program(context));
}

struct UnmountArguments {
  std::string directory;
  bool force = false;
};

/// Users who are not root have a helper that may.
bool run_fusermount(const std::string& place, bool lazy) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::array<const char*, 7> words{
        "fusermount3", "-u", "-q", lazy ? "-z" : "--", lazy ? "--" : place.c_str(), lazy ? place.c_str() : nullptr,
        nullptr};
    ::execvp(words[0], const_cast<char* const*>(words.data()));
    ::_exit(1);
  }
  int status = 1;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Error unmount_failure(const std::string& place, int number) {
  switch (number) {
    case EBUSY:
      return Error(Code::kBusy, fmt::format("'{0}' is in use: end what uses it ('fuser -vm {0}' lists it), or use "
                                            "--force",
                                            place));
    case EPERM:
      return Error(Code::kPermissionDenied, fmt::format("no permission to unmount '{}'", place));
    default:
      return Error(Code::kIoError, fmt::format("cannot unmount '{}': {}", place, std::strerror(number)));
  }
}

Result<> take_away(const std::string& place, bool force) {
  if (::geteuid() != 0) {
    if (run_fusermount(place, force)) return {};
    return fail(unmount_failure(place, EBUSY));
  }
  // With force, what waits for servers fails at once, and what is open loses its files.
  if (force) static_cast<void>(::umount2(place.c_str(), UMOUNT_NOFOLLOW | MNT_FORCE));
  if (::umount2(place.c_str(), UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) == 0) return {};
  if (force && errno == EINVAL) return {};  // the first call did it
  return fail(unmount_failure(place, errno));
}

Result<> unmount(Context& context, const UnmountArguments& arguments) {
  TRY(const std::string place, find_mount(arguments.directory));
  CHECK_OK(take_away(place, arguments.force));
  context.out.document({{"unmounted", place}});
  return {};
}

void add_mount_options(CLI::App& verb, MountArguments& arguments) {
  verb.add_option("POOL/CONTAINER", arguments.container, "the container, of type 'posix'")->required();
  verb.add_option("DIRECTORY", arguments.directory, "an empty directory to mount it on")->required();
  verb.add_flag("--foreground,-f", arguments.foreground, "stay, and log to standard error; ends with the mount");
  verb.add_flag(
      "--multi-user", arguments.multi_user,
      "let all users in, with the permissions that files have; otherwise only who mounts may go in, and may do "
      "everything");
  verb.add_flag("--read-only", arguments.read_only, "change nothing");
  add_snapshot_option(verb, arguments.snapshot, "show the container as it was in this snapshot, read-only");
  verb.add_flag("--single-client", arguments.single_client,
                "for a container that nobody else uses meanwhile: the kernel keeps names, attributes and data without "
                "asking again, and what programs write is stored at fsync, close or some seconds later");
  verb.add_flag("--auto-unmount", arguments.auto_unmount, "unmount when the process ends, however it does");
  verb.add_option("--log-file", arguments.log_file, "log there, not to syslog or standard error")->type_name("FILE");
  verb.add_option("--log-level", arguments.log_level, "how much is logged")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->capture_default_str();
  verb.add_option("--kernel-option", arguments.kernel_options, "option of mount(8) for the kernel, like noexec")
      ->type_name("OPTION")
      ->check(CLI::IsMember({"dev", "nodev", "suid", "nosuid", "exec", "noexec", "atime", "noatime", "diratime",
                             "nodiratime", "relatime", "sync", "async"}));
}

}  // namespace

void add_mount(CLI::App& fs, Context& context) {
  const auto mounting = std::make_shared<MountArguments>();
  CLI::App* verb = add_verb(fs, "mount", "Mount a container as a directory",
                            "  mkdir home\n"
                            "  cenote fs mount scratch/home home                    # returns when it is mounted\n"
                            "  ls home\n"
                            "  cenote fs unmount home\n"
                            "For all users, with more patience, and by mount(8):\n"
                            "- cenote fs mount scratch/home /mnt/home --multi-user --timeout 2m\n"
                            "- mount -t cenote scratch/home /mnt/home -o server=node1,multi_user\n"
                            "--timeout is how long a file operation waits for servers before it fails.");
  add_mount_options(*verb, *mounting);
  verb->callback([=, &context] { context.action = [=, &context] { return mount(context, *mounting); }; });

  const auto unmounting = std::make_shared<UnmountArguments>();
  verb = add_verb(fs, "unmount", "Take a mount away",
                  "  mkdir -p home\n"
                  "  cenote fs mount scratch/home home\n"
                  "  cenote fs unmount home\n"
                  "Works without servers, too. What programs have open keeps a mount in use; --force takes it away "
                  "all the same.");
  verb->add_option("DIRECTORY", unmounting->directory, "where it is mounted")->required();
  verb->add_flag("--force", unmounting->force, "also when it is in use: operations that run fail");
  verb->callback([=, &context] { context.action = [=, &context] { return unmount(context, *unmounting); }; });
}

}  // namespace cenote::cli
