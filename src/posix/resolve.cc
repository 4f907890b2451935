#include <algorithm>
#include <deque>

#include "cenote/base/format.h"
#include "impl.h"
#include "path.h"

namespace cenote::posix {

namespace {

/// Fills in the ancestors of an end of the walk.
Resolved arrive(const std::vector<Resolved>& walked, Resolved end) {
  for (const Resolved& directory : walked) end.ancestors.push_back(directory.inode->object);
  return end;
}

}  // namespace

Task<Result<Resolved>> FileSystem::Impl::resolve(std::string path, bool follow, Until until) {
  CO_TRY(auto components, split_path(path));
  std::deque<std::string> rest(components.begin(), components.end());
  // The directories walked through, the root first, so that ".." needs no parent pointers on the media.
  std::vector<Resolved> walked;
  // Most walks only pass the root: its attributes are fetched when it is where the walk ends.
  walked.push_back(
      {EntryPlace::root(redundancy()), Inode{.type = FileType::kDirectory, .object = root_object(redundancy())}, {}});
  std::uint32_t links_followed = 0;

  while (!rest.empty()) {
    std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == "..") {
      if (walked.size() > 1) walked.pop_back();
      continue;
    }
    Resolved here{{walked.back().inode->object, std::move(name)}, std::nullopt, {}};
    CO_TRY(here.inode, co_await entries.find(here.place, until));
    const bool last = rest.empty();
    if (!here.inode) {
      if (last) co_return arrive(walked, std::move(here));
      co_return failf(Code::kNotFound, "'{}': no directory '{}'", path, here.place.name);
    }
    if (here.inode->type == FileType::kSymlink && (!last || follow)) {
      if (++links_followed > kMaxSymlinkDepth) {
        co_return failf(Code::kTooManyLinks, "'{}': more than {} symbolic links", path, kMaxSymlinkDepth);
      }
      const std::string& target = here.inode->symlink_target;
      const bool absolute = target.starts_with('/');
      CO_TRY(auto expanded, split_path(absolute ? target : "/" + target));
      if (absolute) walked.resize(1);
      rest.insert(rest.begin(), std::make_move_iterator(expanded.begin()), std::make_move_iterator(expanded.end()));
      continue;
    }
    if (last && here.inode->type != FileType::kDirectory) co_return arrive(walked, std::move(here));
    if (here.inode->type != FileType::kDirectory) {
      co_return failf(Code::kNotADirectory, "'{}': '{}' is no directory", path, here.place.name);
    }
    walked.push_back(std::move(here));
  }
  if (walked.size() == 1) {
    CO_TRY(walked.back().inode, co_await entries.get(EntryPlace::root(redundancy()), until));
  }
  Resolved end = std::move(walked.back());
  walked.pop_back();
  co_return arrive(walked, std::move(end));
}

Task<Result<Resolved>> FileSystem::Impl::resolve_existing(std::string path, bool follow, Until until) {
  CO_TRY(Resolved found, co_await resolve(path, follow, until));
  if (!found.inode) co_return failf(Code::kNotFound, "'{}': no such file or directory", path);
  co_return found;
}

Task<Result<std::vector<DirectoryEntry>>> FileSystem::Impl::read_page(ObjectId directory, std::string after,
                                                                      Until until) {
  std::vector<DirectoryEntry> page;
  ListRequest request;
  request.object = directory;
  request.level = ListLevel::kDkeys;
  request.anchor = to_bytes(as_bytes(after));
  // A page of names may hold nothing but the rests of removed entries; an empty answer must mean the end.
  do {
    CO_TRY(ListReply listed, co_await entries.container().list(request, until));
    for (const ListedKey& key : listed.keys) {
      std::string name = to_text(key.key);
      CO_TRY(const auto inode, co_await entries.find({directory, name}, until));
      if (inode) page.push_back({std::move(name), inode->type, inode->object});
    }
    request.anchor = std::move(listed.anchor);
  } while (page.empty() && !request.anchor.empty());
  co_return page;
}

}  // namespace cenote::posix
