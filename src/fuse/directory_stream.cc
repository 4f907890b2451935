#include "directory_stream.h"

#include <array>
#include <utility>

namespace cenote::fuse {
namespace {

constexpr std::uint64_t kDots = 2;
// Nobody needs the number of the directory above, and to ask for it would double what a small directory costs.
constexpr std::uint64_t kUnknownNumber = 0xffffffff;

}  // namespace

Task<Result<>> DirectoryStream::seek(posix::FileSystem& files, std::uint64_t place, bool with_attributes, Until until) {
  if (place != 0 && place == place_ && with_attributes == with_attributes_) co_return Result<>();
  page_.clear();
  next_ = 0;
  at_end_ = false;
  with_attributes_ = with_attributes;
  last_name_.clear();
  place_ = place;
  if (place < kDots) {
    static constexpr std::array<const char*, kDots> kNames{".", ".."};
    for (std::uint64_t i = place; i < kDots; ++i) {
      page_.push_back({.name = kNames[i],
                       .number = i == 0 || directory_.number() == 1 ? directory_.number() : kUnknownNumber,
                       .place = i + 1,
                       .found = {}});
    }
    co_return Result<>();
  }
  const auto continuation = places_.behind(place - kDots);
  last_name_ = continuation.after;
  for (std::uint64_t left = continuation.skip; left > 0; --left) {
    CO_CHECK_OK(co_await fill(files, until));
    if (at_end_) break;
    ++next_;
  }
  co_return Result<>();
}

Task<Result<const DirectoryStream::Entry*>> DirectoryStream::peek(posix::FileSystem& files, Until until) {
  CO_CHECK_OK(co_await fill(files, until));
  if (at_end_) co_return nullptr;
  Entry& entry = page_[next_];
  if (entry.place == 0) entry.place = kDots + places_.place(place_ < kDots ? 0 : place_ - kDots, entry.name);
  co_return &entry;
}

void DirectoryStream::advance() { place_ = page_[next_++].place; }

/// Makes sure that a page is there that has not been taken to its end, or that there is none.
Task<Result<>> DirectoryStream::fill(posix::FileSystem& files, Until until) {
  if (next_ < page_.size() || at_end_) co_return Result<>();
  std::vector<Entry> page;
  if (with_attributes_) {
    CO_TRY(auto named, co_await files.read_directory_plus(directory_, last_name_, until));
    for (posix::NamedNode& entry : named) {
      const std::uint64_t number = entry.found.node.number();
      page.push_back({.name = std::move(entry.name),
                      .type = entry.found.attributes.type,
                      .number = number,
                      .found = std::move(entry.found)});
    }
  } else {
    CO_TRY(auto entries, co_await files.read_directory(directory_, last_name_, until));
    for (posix::DirectoryEntry& entry : entries) {
      page.push_back({.name = std::move(entry.name),
                      .type = entry.type,
                      .number = posix::inode_number(entry.object, entry.snapshot),
                      .found = {}});
    }
  }
  at_end_ = page.empty();
  if (!page.empty()) last_name_ = page.back().name;
  page_ = std::move(page);
  next_ = 0;
  co_return Result<>();
}

}  // namespace cenote::fuse
