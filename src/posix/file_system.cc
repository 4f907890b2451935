#include "cenote/posix/file_system.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "impl.h"
#include "open_file.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kSuperblockKey = "superblock";
constexpr std::string_view kLayoutKey = "layout";
constexpr std::size_t kSuperblockRoom = 256;
constexpr std::uint64_t kFreeingAtATime = 256;
constexpr Duration kClosingTime = std::chrono::seconds(65);
/// With replicas, changes of one record wait for each other for as long as a message takes.
constexpr std::uint32_t kMarksWithReplicas = 8;

Task<Result<>> format_in(async::Container view, FsSuperblock superblock, Until until) {
  const Bytes encoded = encode_superblock(superblock);
  CO_CHECK_OK(co_await view.update(value_update(superblock_object(view.redundancy()), kSuperblockKey, kLayoutKey,
                                                encoded.size(), Precondition::kAbsent),
                                   {ByteView(encoded)}, until));
  const WallTime now = superblock.created;
  co_return co_await Records(view).put_directory({.type = FileType::kDirectory,
                                                  .object = superblock.root,
                                                  .mode = 0755,
                                                  .atime = now,
                                                  .mtime = now,
                                                  .ctime = now,
                                                  .created = now,
                                                  .parent = superblock.root},
                                                 superblock.touch_marks, until);
}

/// Makes an empty file system, unless another client has been faster.
Task<Result<FsSuperblock>> format(async::Container container, Until until) {
  const std::uint32_t redundancy = container.redundancy();
  const FsSuperblock superblock{.touch_marks = redundancy > 0 ? kMarksWithReplicas : 1,
                                .root = root_object(redundancy),
                                .created = container.client().reactor().wall_now()};
  auto made =
      co_await container.transact([&](async::Container& view) { return format_in(view, superblock, until); }, until);
  if (made) co_return superblock;
  if (made.error() != Code::kConditionFailed) co_return fail(std::move(made).error());
  CO_TRY(const auto theirs, co_await load_superblock(container, until));
  if (!theirs) co_return fail(Code::kInternal, "the superblock is there and is not");
  co_return *theirs;
}

}  // namespace

Task<Result<std::optional<FsSuperblock>>> load_superblock(async::Container container, Until until) {
  FetchRequest request;
  request.object = superblock_object(container.redundancy());
  request.dkey = to_bytes(as_bytes(kSuperblockKey));
  AkeyFetch& layout = request.akeys.emplace_back();
  layout.akey = to_bytes(as_bytes(kLayoutKey));
  layout.max_bytes = kSuperblockRoom;
  Bytes buffer(kSuperblockRoom);
  CO_TRY(const FetchReply reply, co_await container.fetch(std::move(request), {MutableBytes(buffer)}, until));
  if (!reply.akeys[0].exists) co_return std::optional<FsSuperblock>();
  CO_TRY(const FsSuperblock superblock,
         decode_superblock(ByteView(buffer).first(reply.akeys[0].bytes), container.redundancy()));
  co_return std::optional<FsSuperblock>(superblock);
}

FileSystem::Impl::Impl(const async::Container& opened, const FsSuperblock& superblock)
    : container(opened),
      records(opened, &cache),
      touch_marks(superblock.touch_marks),
      snapshots(opened),
      session(opened),
      janitor(
          records, session,
          [this](Inode inode, Place place, Until until) {
            return free_removed(records, std::move(inode), std::move(place), until);
          },
          [this](Until until) { return settle_doubts(until); }),
      freeing(opened.client().reactor()),
      freeing_slots(opened.client().reactor(), kFreeingAtATime) {}

std::uint32_t FileSystem::Impl::mark_of(std::string_view name) const {
  return touch_marks == 1 ? 0 : crc32c(as_bytes(name)) % touch_marks;
}

FileSystem::FileSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileSystem::~FileSystem() = default;

Task<Result<std::unique_ptr<FileSystem>>> FileSystem::open(async::Container container, Until until, Upkeep upkeep) {
  if (const std::string& type = container.info().type; type != "posix") {
    co_return failf(Code::kTypeMismatch,
                    "container '{}' holds no files ({}): create one with 'cenote container create --type posix'",
                    container.info().label,
                    type.empty() ? std::string("it has no type") : fmt::format("its type is '{}'", type));
  }
  CO_TRY(auto superblock, co_await load_superblock(container, until));
  if (!superblock && container.snapshot()) {
    co_return failf(Code::kNotFound, "container '{}' held no files yet at snapshot '{}'", container.info().label,
                    container.snapshot()->name);
  }
  if (!superblock) {
    CO_TRY(superblock, co_await format(container, until));
  }
  auto impl = std::make_unique<Impl>(container, *superblock);
  if (!container.snapshot() && upkeep == Upkeep::kShared) impl->janitor.start();
  co_return std::unique_ptr<FileSystem>(new FileSystem(std::move(impl)));
}

Task<> FileSystem::close(Until until) {
  Impl& self = *impl_;
  const Instant now = self.reactor().now();
  co_await self.janitor.stop();
  if (until.deadline <= now) {
    co_await self.freeing.stop();
    self.session.leave_behind();
  } else {
    co_await self.freeing.drain();
  }
  if (!self.doubtful.empty() || self.kept_open > 0) self.session.leave_behind();
  co_await self.session.close(until.no_later_than(now + kClosingTime));
}

std::uint64_t FileSystem::session_number() const { return impl_->session.number(); }

Node FileSystem::root() const {
  const ObjectId object = root_object(impl_->container.redundancy());
  return impl_->nodes.get(FileType::kDirectory, object, Place::of_directory(object));
}

Result<File> FileSystem::open_file(Node node) {
  if (node.type() == FileType::kDirectory) return fail(Code::kIsADirectory, "a directory is not opened as a file");
  if (node.type() != FileType::kFile) return fail(Code::kInvalidArgument, "no regular file");
  if (node.is_in_snapshot() && !impl_->container.snapshot())
    return node.state()->snapshot->files->open_file(std::move(node));
  ++node.state()->open_files;
  return File(std::make_shared<File::State>(impl_.get(), std::move(node)));
}

void FileSystem::hold(const Node& node) { ++node.state()->holds; }

Task<Result<>> FileSystem::release(Node node, Until until) {
  ASSERT(node.state()->holds > 0);
  --node.state()->holds;
  if (node.state()->is_in_use() || !node.state()->is_kept) co_return Result<>();
  Impl& self = *impl_;
  const bool held = static_cast<bool>(co_await self.freeing_slots.acquire(1, until));
  auto freed = co_await self.free_unused(std::move(node), until);
  if (held) self.freeing_slots.release();
  co_return freed;
}

Task<Result<SpaceInfo>> FileSystem::space(Until until) {
  async::Container& container = impl_->container;
  async::Client& client = container.client();
  CO_TRY(const PoolInfo pool, co_await client.query_pool(container.info().pool.to_string(), until));
  // Each byte is stored once for each copy.
  const std::uint64_t copies = container.redundancy() + 1;
  SpaceInfo space{.total_bytes = pool.size_bytes / copies,
                  .free_bytes = (pool.size_bytes - std::min(pool.size_bytes, pool.used_bytes)) / copies};
  CO_TRY(const ContainerInfo now,
         co_await client.query_container(pool.id.to_string(), container.info().id.to_string(), until));
  const auto quota = now.properties.find("quota");
  std::uint64_t limit = 0;
  if (quota == now.properties.end()) co_return space;
  const std::string& text = quota->second;
  if (std::from_chars(text.data(), text.data() + text.size(), limit).ec != std::errc()) co_return space;
  space.total_bytes = std::min(space.total_bytes, limit);
  space.free_bytes = std::min(space.free_bytes, limit - std::min(limit, now.used_bytes));
  co_return space;
}

}  // namespace cenote::posix
