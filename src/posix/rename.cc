#include <algorithm>

#include "cenote/base/format.h"
#include "impl.h"
#include "path.h"

namespace cenote::posix {
namespace {

Result<> check_replacement(const Inode& moved, const Inode& replaced, std::string_view to) {
  const bool moves_directory = moved.type == FileType::kDirectory;
  const bool replaces_directory = replaced.type == FileType::kDirectory;
  if (moves_directory && !replaces_directory) return failf(Code::kNotADirectory, "'{}' exists and is no directory", to);
  if (!moves_directory && replaces_directory) return failf(Code::kIsADirectory, "'{}' is a directory", to);
  return {};
}

}  // namespace

Task<Result<>> FileSystem::rename(std::string from, std::string to, Until until) {
  CO_CHECK_OK(validate_names_entry(from));
  CO_CHECK_OK(validate_names_entry(to));
  // Another client may change the target between the look and the move.
  constexpr int kAttempts = 8;
  Result<> renamed;
  for (int i = 0; i < kAttempts; ++i) {
    renamed = co_await impl_->rename_once(from, to, until);
    if (renamed || renamed.error() != Code::kTxRestart) break;
  }
  co_return renamed;
}

Task<Result<>> FileSystem::Impl::rename_once(std::string from, std::string to, Until until) {
  CO_TRY(Resolved source, co_await resolve_existing(from, false, until));
  CO_TRY(Resolved target, co_await resolve(to, false, until));
  if (source.is_root() || target.is_root())
    co_return fail(Code::kInvalidArgument, "the root directory cannot be renamed");
  if (target.inode && target.inode->object == source.inode->object) co_return Result<>();  // the same name
  if (std::ranges::find(target.ancestors, source.inode->object) != target.ancestors.end()) {
    co_return failf(Code::kInvalidArgument, "'{}' cannot be moved into itself as '{}'", from, to);
  }
  if (target.inode) {
    CO_CHECK_OK(check_replacement(*source.inode, *target.inode, to));
    if (target.inode->type == FileType::kDirectory) {
      CO_TRY(const bool empty, co_await entries.is_empty(target.inode->object, until));
      if (!empty) co_return failf(Code::kNotEmpty, "directory '{}' is not empty", to);
    }
  }
  source.inode->ctime = now();
  co_return co_await entries.move(std::move(source.place), *std::move(source.inode), std::move(target.place),
                                  std::move(target.inode), until);
}

}  // namespace cenote::posix
