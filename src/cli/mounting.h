#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cenote/base/error.h"

namespace cenote::cli {

struct Context;

/// What `cenote fs mount` is told.
struct MountArguments {
  std::string container, directory, snapshot, log_file, log_level = "info";
  bool foreground = false, multi_user = false, read_only = false, single_client = false, auto_unmount = false;
  std::vector<std::string> kernel_options;
};

/// Mounts, and returns when that is over or, in the background, in the process that was asked as soon as it is mounted.
/// Only the program cenote-fuse has one, so that `cenote` needs no libfuse.
using Mounter = std::function<Result<>(Context&, const MountArguments&)>;

/// What mount(8) calls a helper with, `mount.cenote SOURCE DIRECTORY [-sfnv] [-o OPTIONS]`, as arguments of `cenote`.
/// kInvalidArgument for what neither mount(8) nor a mount of Cenote knows.
Result<std::vector<std::string>> from_mount_helper(const std::vector<std::string>& arguments);

/// The mount of Cenote on this directory, as the kernel lists them; kNotFound when there is none. Looks at nothing in
/// it, so it does not wait for servers.
Result<std::string> find_mount(const std::string& directory);

/// All of them.
std::vector<std::string> list_mounts();

}  // namespace cenote::cli
