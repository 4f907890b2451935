// Operations by path: a walk, then the operation by node.

#include <deque>

#include "cenote/base/format.h"
#include "impl.h"
#include "open_file.h"
#include "path.h"

namespace cenote::posix {
namespace {

/// Where a path leads: a name in a directory; the root, and what ends in "..", have none.
struct Walked {
  Node directory;
  std::string name;
  std::optional<Found> found;  ///< none: no such entry
};

std::deque<std::string> components_of(std::vector<std::string> components) {
  return {std::make_move_iterator(components.begin()), std::make_move_iterator(components.end())};
}

/// Follows a path, and the symbolic links in it. The last component need not exist; a link there is followed when
/// `follow` is set.
Task<Result<Walked>> walk(FileSystem& files, std::string path, bool follow, Until until) {
  CO_TRY(auto components, split_path(path));
  std::deque<std::string> rest = components_of(std::move(components));
  // The directories walked through: ".." goes back to where the walk came from.
  std::vector<Node> walked{files.root()};
  std::uint32_t links_followed = 0;
  while (!rest.empty()) {
    std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == "..") {
      if (walked.size() > 1) walked.pop_back();
      continue;
    }
    const bool last = rest.empty();
    auto next = co_await files.lookup(walked.back(), name, until);
    if (!next) {
      if (next.error() != Code::kNotFound) co_return fail(std::move(next).error().with_context(path));
      if (last) co_return Walked{walked.back(), std::move(name), std::nullopt};
      co_return failf(Code::kNotFound, "'{}': no directory '{}'", path, name);
    }
    Found found = *std::move(next);
    if (found.node.type() == FileType::kSymlink && (!last || follow)) {
      if (++links_followed > kMaxSymlinkDepth)
        co_return failf(Code::kTooManyLinks, "'{}': more than {} symbolic links", path, kMaxSymlinkDepth);
      CO_TRY(const std::string target, co_await files.read_link(found.node, until));
      const bool absolute = target.starts_with('/');
      CO_TRY(auto expanded, split_path(absolute ? target : "/" + target));
      if (absolute) walked.erase(walked.begin() + 1, walked.end());
      rest.insert(rest.begin(), std::make_move_iterator(expanded.begin()), std::make_move_iterator(expanded.end()));
      continue;
    }
    if (last) co_return Walked{walked.back(), std::move(name), std::move(found)};
    if (found.node.type() != FileType::kDirectory)
      co_return failf(Code::kNotADirectory, "'{}': '{}' is no directory", path, name);
    walked.push_back(std::move(found.node));
  }
  Node end = walked.back();
  CO_TRY(const Attributes attributes, co_await files.attributes(end, until));
  co_return Walked{walked.size() > 1 ? walked[walked.size() - 2] : end, {}, Found{std::move(end), attributes}};
}

Error not_found(std::string_view path) {
  return Error(Code::kNotFound, fmt::format("'{}': no such file or directory", path));
}

Error exists(std::string_view path) { return Error(Code::kExists, fmt::format("'{}' exists already", path)); }

}  // namespace

Task<Result<Found>> FileSystem::find(std::string path, bool follow, Until until) {
  CO_TRY(Walked walked, co_await walk(*this, path, follow, until));
  if (!walked.found) co_return fail(not_found(path));
  co_return *std::move(walked.found);
}

Task<Result<Attributes>> FileSystem::stat(std::string path, bool follow, Until until) {
  CO_TRY(Found found, co_await find(std::move(path), follow, until));
  co_return found.attributes;
}

Task<Result<>> FileSystem::set_attributes(std::string path, AttributeChange change, Until until) {
  CO_TRY(Found found, co_await find(std::move(path), true, until));
  CO_CHECK_OK(co_await set_attributes(std::move(found.node), change, until));
  co_return Result<>();
}

Task<Result<File>> FileSystem::create(std::string path, CreateOptions options, Until until) {
  CO_TRY(Walked walked, co_await walk(*this, path, !options.exclusive, until));
  if (walked.found && options.exclusive) co_return fail(exists(path));
  if (walked.found && walked.found->node.type() == FileType::kDirectory)
    co_return failf(Code::kIsADirectory, "'{}' is a directory", path);
  if (walked.found && walked.found->node.type() == FileType::kFile) {
    // It may have been reached through a link, and need not be at this name.
    if (options.truncate) {
      CO_CHECK_OK(co_await set_attributes(walked.found->node,
                                          {.atime = options.atime, .mtime = options.mtime, .size = 0}, until));
    }
    CO_TRY(File file, open_file(walked.found->node));
    file.state()->keeps_times = options.mtime.has_value();
    co_return file;
  }
  co_return co_await create_at(std::move(walked.directory), std::move(walked.name), options, until);
}

Task<Result<File>> FileSystem::create_at(Node directory, std::string name, CreateOptions options, Until until) {
  CO_TRY(Created made, co_await create_file(std::move(directory), std::move(name), options, until));
  CO_TRY(File file, open_file(made.found.node));
  file.state()->keeps_times = options.mtime.has_value();
  if (made.created) file.state()->created = made.found.attributes.ctime;
  co_return file;
}

Task<Result<File>> FileSystem::open_file(std::string path, Until until) {
  CO_TRY(Found found, co_await find(path, true, until));
  if (found.node.type() == FileType::kDirectory) co_return failf(Code::kIsADirectory, "'{}' is a directory", path);
  co_return open_file(std::move(found.node));
}

Task<Result<>> FileSystem::mkdir(std::string path, CreateOptions options, Until until) {
  CO_TRY(Walked walked, co_await walk(*this, path, false, until));
  if (walked.found) co_return fail(exists(path));
  CO_CHECK_OK(co_await make_directory(std::move(walked.directory), std::move(walked.name), options, until));
  co_return Result<>();
}

Task<Result<>> FileSystem::symlink(std::string target, std::string path, CreateOptions options, Until until) {
  CO_TRY(Walked walked, co_await walk(*this, path, false, until));
  if (walked.found) co_return fail(exists(path));
  CO_CHECK_OK(
      co_await make_symlink(std::move(walked.directory), std::move(walked.name), std::move(target), options, until));
  co_return Result<>();
}

Task<Result<std::string>> FileSystem::readlink(std::string path, Until until) {
  CO_TRY(Found found, co_await find(path, false, until));
  if (found.node.type() != FileType::kSymlink)
    co_return failf(Code::kInvalidArgument, "'{}' is no symbolic link", path);
  co_return co_await read_link(std::move(found.node), until);
}

Task<Result<>> FileSystem::unlink(std::string path, Until until) {
  CO_CHECK_OK(validate_names_entry(path));
  CO_TRY(Walked walked, co_await walk(*this, path, false, until));
  if (!walked.found) co_return fail(not_found(path));
  if (walked.found->node.type() == FileType::kDirectory) {
    co_return failf(Code::kIsADirectory, "'{}' is a directory: remove it with everything in it ('cenote fs rm -r')",
                    path);
  }
  co_return co_await unlink(std::move(walked.directory), std::move(walked.name), until);
}

Task<Result<>> FileSystem::rmdir(std::string path, Until until) {
  CO_CHECK_OK(validate_names_entry(path));
  CO_TRY(Walked walked, co_await walk(*this, path, false, until));
  if (!walked.found) co_return fail(not_found(path));
  if (walked.name.empty()) co_return fail(Code::kInvalidArgument, "the root directory cannot be removed");
  co_return co_await remove_directory(std::move(walked.directory), std::move(walked.name), until);
}

Task<Result<>> FileSystem::rename(std::string from, std::string to, Until until) {
  CO_CHECK_OK(validate_names_entry(from));
  CO_CHECK_OK(validate_names_entry(to));
  CO_TRY(Walked source, co_await walk(*this, from, false, until));
  if (!source.found) co_return fail(not_found(from));
  CO_TRY(Walked target, co_await walk(*this, to, false, until));
  if (source.name.empty() || target.name.empty())
    co_return fail(Code::kInvalidArgument, "the root directory cannot be renamed");
  co_return co_await rename(std::move(source.directory), std::move(source.name), std::move(target.directory),
                            std::move(target.name), RenameMode::kReplace, until);
}

Task<Result<std::vector<DirectoryEntry>>> FileSystem::read_directory(std::string path, std::string after, Until until) {
  CO_TRY(Found found, co_await find(path, true, until));
  if (found.node.type() != FileType::kDirectory) co_return failf(Code::kNotADirectory, "'{}' is no directory", path);
  co_return co_await read_directory(std::move(found.node), std::move(after), until);
}

}  // namespace cenote::posix
