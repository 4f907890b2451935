#include "cenote/media/uring_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "cenote/runtime/scope.h"
#include "device_test_support.h"

namespace cenote::media {
namespace {

constexpr std::uint64_t kFileBlocks = 512;
constexpr std::uint64_t kFileBytes = kFileBlocks * kBlockBytes;

/// Bounds the size of the files this process may write, in place of a full disk: deterministic, and no mount is needed.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    rlimit limit = old_limit_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  void (*old_handler_)(int);
  rlimit old_limit_{};
};

/// Where the device lies, how it is opened, and whether its reactor serves others: then what would wait goes through
/// the ring, else it may wait in the call. A file in memory takes a third path.
struct Place {
  const char* name;
  bool in_memory;
  bool direct;
  bool serves = false;
};

constexpr const char* kMemoryFolder = "/dev/shm/";

std::vector<Place> places() {
  std::vector<Place> all = {{"direct", false, true},
                            {"buffered", false, false},
                            {"direct_serving", false, true, true},
                            {"buffered_serving", false, false, true}};
  struct statfs system{};
  const bool in_memory = ::statfs(kMemoryFolder, &system) == 0 && system.f_type == TMPFS_MAGIC;
  if (in_memory) all.insert(all.end(), {{"memory", true, true}, {"memory_serving", true, true, true}});
  return all;
}

Task<> run_then_stop(UringReactor& reactor, Task<Result<>> operation, Result<>& outcome) {
  outcome = co_await std::move(operation);
  reactor.stop();
}

class UringDeviceTest : public testing::TestWithParam<Place> {
 protected:
  UringDeviceTest() {
    std::filesystem::create_directories(folder_);
    Result<std::unique_ptr<UringReactor>> made = UringReactor::create();
    EXPECT_TRUE(made) << made.error().to_string();
    reactor_ = *std::move(made);
  }
  ~UringDeviceTest() override {
    reactor_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name = "disk") const { return folder_ + "/" + name; }
  UringDeviceOptions options(std::uint64_t create_bytes = kFileBytes) const {
    return {.create_bytes = create_bytes, .direct = GetParam().direct};
  }
  std::unique_ptr<UringDevice> open_disk() {
    Result<std::unique_ptr<UringDevice>> device = UringDevice::open(*reactor_, path(), options());
    EXPECT_TRUE(device) << device.error().to_string();
    return *std::move(device);
  }
  /// The error of an open that must fail.
  Error refused(const std::string& name, UringDeviceOptions how) {
    Result<std::unique_ptr<UringDevice>> device = UringDevice::open(*reactor_, path(name), how);
    if (device) return Error(Code::kOk);
    EXPECT_NE(device.error().message().find(path(name)), std::string::npos) << device.error().message();
    return device.error();
  }
  Result<> result_of(Task<Result<>> operation) {
    if (!GetParam().serves) return reactor_->block_on(std::move(operation));
    Result<> outcome;
    Scope scope(*reactor_);
    scope.spawn(run_then_stop(*reactor_, std::move(operation), outcome));
    reactor_->run();
    return outcome;
  }
  Code run(Task<Result<>> operation) { return code_of(result_of(std::move(operation))); }
  void close(UringDevice& device) { reactor_->block_on(device.close()); }
  void expect_blocks(UringDevice& device, std::uint64_t first, std::vector<unsigned> marks) {
    Blocks into(marks.size());
    EXPECT_EQ(run(read(device, first, into.span())), Code::kOk);
    for (std::size_t i = 0; i < marks.size(); ++i) EXPECT_EQ(into.mark(i), static_cast<std::byte>(marks[i])) << i;
  }

  std::string folder_ =
      fmt::format("{}cenote-media-{}", GetParam().in_memory ? kMemoryFolder : testing::TempDir(), ::getpid());
  std::unique_ptr<UringReactor> reactor_;
};
INSTANTIATE_TEST_SUITE_P(Places, UringDeviceTest, testing::ValuesIn(places()),
                         [](const auto& info) { return info.param.name; });

TEST_P(UringDeviceTest, KeepsWhatIsWrittenAcrossReopening) {
  auto device = open_disk();
  EXPECT_EQ(device->block_count(), kFileBlocks);
  EXPECT_EQ(device->name(), path());
  if (!GetParam().direct) EXPECT_FALSE(device->direct());
  if (GetParam().in_memory) EXPECT_TRUE(device->prefers_durable_writes());
  Blocks plain(3, 10), durable(2, 20);
  EXPECT_EQ(run(write(*device, 0, plain.span(), Durability::kCached)), Code::kOk);
  EXPECT_EQ(run(flush(*device)), Code::kOk);
  EXPECT_EQ(run(write(*device, kFileBlocks - 2, durable.span(), Durability::kDurable)), Code::kOk);
  expect_blocks(*device, 0, {10, 11, 12});
  const DeviceCounters counters = device->counters();
  EXPECT_EQ(counters.writes, 2u);
  EXPECT_EQ(counters.written_bytes, 5 * kBlockBytes);
  EXPECT_EQ(counters.reads, 1u);
  EXPECT_EQ(counters.flushes, 1u);
  EXPECT_EQ(counters.errors, 0u);
  close(*device);

  // The lock went with the device, and an existing file keeps its size.
  auto again = UringDevice::open(*reactor_, path(), options(2 * kFileBytes));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ((*again)->block_count(), kFileBlocks);
  expect_blocks(**again, 1, {11, 12});
  expect_blocks(**again, kFileBlocks - 2, {20, 21});
  close(**again);
}

TEST_P(UringDeviceTest, WaitsInTheCallOnlyWhereNobodyElseIsServed) {
  auto device = open_disk();
  Blocks data(1, 10);
  // The first operation also puts the file into the ring's table, and so is not alone.
  EXPECT_EQ(run(flush(*device)), Code::kOk);
  while (reactor_->operations_in_flight() > 0) EXPECT_EQ(run(flush(*device)), Code::kOk);
  LatencyHistogram flushes;
  device->health().record_into(IoKind::kFlush, &flushes);
  const std::uint64_t before = reactor_->system_calls();
  EXPECT_EQ(run(write(*device, 1, data.span(), Durability::kCached)), Code::kOk);
  EXPECT_EQ(run(flush(*device)), Code::kOk);
  EXPECT_EQ(run(write(*device, 2, data.span(), Durability::kDurable)), Code::kOk);
  expect_blocks(*device, 1, {10});
  const bool through_ring = GetParam().serves && !GetParam().in_memory;
  EXPECT_EQ(reactor_->system_calls() > before, through_ring);
  EXPECT_EQ(flushes.count(), 1u);
  if (!GetParam().in_memory) EXPECT_GT(flushes.percentile(50), Duration::zero());
  close(*device);
  device->health().record_into(IoKind::kFlush, nullptr);
}

TEST_P(UringDeviceTest, ANewFileHasItsSpaceReserved) {
  auto device = open_disk();
  struct stat status{};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), kFileBytes);
  EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, kFileBytes);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_P(UringDeviceTest, AnEmptyFileLeftByACrashIsGivenItsSize) {
  std::ofstream{path()}.flush();
  EXPECT_EQ(open_disk()->block_count(), kFileBlocks);
}

TEST_P(UringDeviceTest, SaysWhatIsWrongWithAPath) {
  EXPECT_EQ(refused("absent", options(0)), Code::kNotFound);
  EXPECT_EQ(refused("absent/disk", options()), Code::kNotFound);
  EXPECT_EQ(refused("disk", options(100)), Code::kInvalidArgument);

  const Error directory = refused(".", options());
  EXPECT_EQ(directory, Code::kInvalidArgument);
  EXPECT_NE(directory.message().find("is a directory, a file or block device is needed"), std::string::npos);

  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(refused("pipe", options()), Code::kInvalidArgument);
  std::ofstream(path("short")) << "less than a block";
  EXPECT_EQ(refused("short", options()), Code::kInvalidArgument);
  EXPECT_EQ(refused("short/disk", options()), Code::kInvalidArgument);
}

TEST_P(UringDeviceTest, AForbiddenFileIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read and write every file";
  open_disk();
  ASSERT_EQ(::chmod(path().c_str(), 0400), 0);
  EXPECT_EQ(refused("disk", options()), Code::kPermissionDenied);
}

TEST_P(UringDeviceTest, ASecondOpenerIsRefused) {
  auto device = open_disk();
  const Error locked = refused("disk", options());
  EXPECT_EQ(locked, Code::kLocked);
  UringDeviceOptions shared = options();
  shared.exclusive = false;
  EXPECT_TRUE(UringDevice::open(*reactor_, path(), shared));
  device.reset();
  EXPECT_TRUE(UringDevice::open(*reactor_, path(), options()));
}

TEST_P(UringDeviceTest, AFileThatDoesNotFitIsNotLeftBehind) {
  const FileSizeLimit limit(kFileBytes / 2);
  EXPECT_EQ(refused("disk", options()), Code::kDeviceFull);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_P(UringDeviceTest, AFullDiskFailsTheWriteAndNothingElse) {
  auto device = open_disk();
  Blocks data(4, 10);
  {
    const FileSizeLimit limit(2 * kBlockBytes);
    // The first half of this write has room: it is short, and its continuation fails.
    const Result<> crossing = result_of(write(*device, 0, data.span(), Durability::kDurable));
    ASSERT_FALSE(crossing);
    EXPECT_EQ(crossing.error(), Code::kDeviceFull);
    EXPECT_NE(crossing.error().message().find(path() + ": write of blocks 0-3"), std::string::npos);
    EXPECT_EQ(run(write(*device, 8, data.span(), Durability::kCached)), Code::kDeviceFull);
    EXPECT_EQ(run(flush(*device)), Code::kOk);
  }
  expect_blocks(*device, 0, {10, 11});
  EXPECT_EQ(run(write(*device, 0, data.span(), Durability::kDurable)), Code::kOk);
  expect_blocks(*device, 0, {10, 11, 12, 13});
  EXPECT_EQ(device->counters().errors, 2u);
  close(*device);
}

TEST_P(UringDeviceTest, AFileThatWasCutIsNoticed) {
  auto device = open_disk();
  ASSERT_EQ(::truncate(path().c_str(), 2 * kBlockBytes), 0);
  Blocks into(4);
  const Result<> result = result_of(read(*device, 0, into.span()));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), Code::kIoError);
  EXPECT_NE(result.error().message().find("truncated"), std::string::npos);
  close(*device);
}

TEST_P(UringDeviceTest, RefusesWhatIsMisalignedOrOutOfRange) {
  auto device = open_disk();
  Blocks data(3);
  EXPECT_EQ(run(write(*device, 0, data.span().first(100), Durability::kCached)), Code::kMisaligned);
  EXPECT_EQ(run(read(*device, 0, data.span().subspan(8, kBlockBytes))), Code::kMisaligned);
  EXPECT_EQ(run(read(*device, kFileBlocks - 2, data.span())), Code::kOutOfRange);
  EXPECT_EQ(run(write(*device, UINT64_MAX - 1, data.span(), Durability::kCached)), Code::kOutOfRange);
  EXPECT_EQ(run(discard(*device, 1, kFileBlocks)), Code::kOutOfRange);
  close(*device);
}

TEST_P(UringDeviceTest, ADiscardForgetsOnlyItsBlocks) {
  auto device = open_disk();
  Blocks data(4, 10);
  EXPECT_EQ(run(write(*device, 0, data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(run(discard(*device, 1, 2)), Code::kOk);
  expect_blocks(*device, 0, {10});
  expect_blocks(*device, 3, {13});
  Blocks again(2, 30);
  EXPECT_EQ(run(write(*device, 1, again.span(), Durability::kDurable)), Code::kOk);
  expect_blocks(*device, 0, {10, 30, 31, 13});
  EXPECT_EQ(device->block_count(), kFileBlocks);
  close(*device);
}

struct Recorder final : IoRequest {
  void complete(Result<> result) override { codes->push_back(code_of(result)); }
  std::vector<Code>* codes = nullptr;
};

TEST_P(UringDeviceTest, NeverCompletesInsideSubmit) {
  auto device = open_disk();
  std::vector<Code> codes;
  Recorder misaligned;
  misaligned.codes = &codes;
  misaligned.bytes = 7;
  device->submit(misaligned);
  EXPECT_TRUE(codes.empty());
  // Closing waits for it.
  close(*device);
  EXPECT_EQ(codes, std::vector{Code::kMisaligned});
  Recorder late;
  late.codes = &codes;
  late.kind = IoKind::kFlush;
  device->submit(late);
  EXPECT_EQ(codes.size(), 1u);
  close(*device);
  EXPECT_EQ(codes.back(), Code::kDeviceDead);
}

Task<Result<>> write_read_flush(UringDevice& device, Blocks& data) {
  CO_CHECK_OK(co_await device.write(BlockNo(0), data.span(), Durability::kDurable));
  CO_CHECK_OK(co_await device.read(BlockNo(0), data.span()));
  CO_CHECK_OK(co_await device.write(BlockNo(0), data.span(), Durability::kCached));
  co_return co_await device.flush();
}

TEST_P(UringDeviceTest, ASmallTransferInMemoryDoesNotWaitForTheKernel) {
  if (!GetParam().in_memory) GTEST_SKIP() << "of files in memory";
  auto device = open_disk();
  Blocks small(256, 1), large(257, 1);
  // The first operation puts the file into the ring's table.
  EXPECT_EQ(run(write_read_flush(*device, small)), Code::kOk);
  const std::uint64_t before = reactor_->system_calls();
  EXPECT_EQ(run(write_read_flush(*device, small)), Code::kOk);
  EXPECT_EQ(reactor_->system_calls(), before);
  // A large one would keep others waiting, if there are any.
  EXPECT_EQ(run(write_read_flush(*device, large)), Code::kOk);
  EXPECT_EQ(reactor_->system_calls() > before, GetParam().serves);
  close(*device);
}

/// Submits one-block transfers at once, in this order, and returns how each ended, in the order of the blocks.
std::vector<Code> transfer_all(UringReactor& reactor, UringDevice& device, IoKind kind,
                               const std::vector<std::size_t>& blocks, Blocks& data) {
  struct Noted final : IoRequest {
    void complete(Result<> result) override { code = code_of(result); }
    std::optional<Code> code;
  };
  std::vector<Noted> requests(blocks.size());
  for (const std::size_t block : blocks) {
    Noted& request = requests[block];
    request.kind = kind;
    request.first = BlockNo(block);
    request.data = data.span().data() + block * kBlockBytes;
    request.bytes = kBlockBytes;
    request.durability = block % 7 == 6 ? Durability::kCached : Durability::kDurable;
    device.submit(request);
  }
  std::vector<Code> codes;
  for (const Noted& request : requests) {
    while (!request.code) (void)reactor.block_on(flush(device));
    codes.push_back(*request.code);
  }
  return codes;
}

std::vector<std::size_t> numbers_to(std::size_t end) {
  std::vector<std::size_t> numbers(end);
  for (std::size_t i = 0; i < end; ++i) numbers[i] = i;
  return numbers;
}

TEST_P(UringDeviceTest, NeighboursThatAreTransferredTogetherKeepApart) {
  auto device = open_disk();
  constexpr std::size_t kCount = 150;  // more than go together
  std::vector<std::size_t> mixed = numbers_to(kCount);
  std::swap(mixed[20], mixed[90]);
  std::ranges::reverse(mixed.begin() + 40, mixed.begin() + 50);
  const std::vector<Code> all_well(kCount, Code::kOk);
  Blocks written(kCount, 3), back(kCount);
  EXPECT_EQ(transfer_all(*reactor_, *device, IoKind::kWrite, mixed, written), all_well);
  EXPECT_EQ(transfer_all(*reactor_, *device, IoKind::kRead, numbers_to(kCount), back), all_well);
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_EQ(back.mark(i), written.mark(i)) << i;
  close(*device);
}

TEST_P(UringDeviceTest, WhereNeighboursFailEachGetsItsOwnAnswer) {
  auto device = open_disk();
  std::vector<Code> expected(10, Code::kOk);
  Blocks data(10, 1);
  {
    const FileSizeLimit limit(4 * kBlockBytes);
    std::ranges::fill(expected.begin() + 4, expected.end(), Code::kDeviceFull);
    EXPECT_EQ(transfer_all(*reactor_, *device, IoKind::kWrite, numbers_to(10), data), expected);
  }
  std::filesystem::resize_file(path(), 6 * kBlockBytes);
  std::ranges::fill(expected, Code::kOk);
  std::ranges::fill(expected.begin() + 6, expected.end(), Code::kIoError);
  EXPECT_EQ(transfer_all(*reactor_, *device, IoKind::kRead, numbers_to(10), data), expected);
  close(*device);
}

/// Submits the next write from inside the completion of the last one.
struct Chain final : IoRequest {
  void complete(Result<> result) override {
    ASSERT_TRUE(result);
    ASSERT_FALSE(inside);
    inside = true;
    if (++completed < 100) device->submit(*this);
    inside = false;
  }
  UringDevice* device = nullptr;
  int completed = 0;
  bool inside = false;
};

TEST_P(UringDeviceTest, ACompletionMaySubmitMore) {
  auto device = open_disk();
  Blocks data(4, 10);
  std::vector<Chain> chains(4);
  for (std::size_t i = 0; i < chains.size(); ++i) {
    chains[i].device = device.get();
    chains[i].kind = IoKind::kWrite;
    chains[i].first = BlockNo(i);
    chains[i].data = data.span().data() + i * kBlockBytes;
    chains[i].bytes = kBlockBytes;
    device->submit(chains[i]);
  }
  for (const Chain& chain : chains) {
    while (chain.completed < 100) ASSERT_EQ(run(flush(*device)), Code::kOk);
  }
  close(*device);
}

/// Destroys the device when the answer of its only operation comes.
struct Destroyer final : IoRequest {
  explicit Destroyer(Reactor& reactor) : gone(reactor) {}
  void complete(Result<> result) override {
    EXPECT_TRUE(result);
    device.reset();
    gone.notify_all();
  }
  std::unique_ptr<UringDevice> device;
  Condition gone;
};

Task<> wait_until_gone(Destroyer& destroyer) {
  while (destroyer.device != nullptr) (void)co_await destroyer.gone.wait(Until::forever());
}

TEST_P(UringDeviceTest, TheLastAnswerMayDestroyTheDevice) {
  Blocks data(1, 10);
  Destroyer destroyer(*reactor_);
  destroyer.device = open_disk();
  // The first operation also puts the file into the ring's table, which the device may not be destroyed before.
  EXPECT_EQ(run(flush(*destroyer.device)), Code::kOk);
  while (reactor_->operations_in_flight() > 0) EXPECT_EQ(run(flush(*destroyer.device)), Code::kOk);
  destroyer.kind = IoKind::kWrite;
  destroyer.data = data.span().data();
  destroyer.bytes = kBlockBytes;
  destroyer.device->submit(destroyer);
  reactor_->block_on(wait_until_gone(destroyer));
}

Task<> write_then_read(UringDevice& device, BufferPool& pool, std::uint64_t block, int& right) {
  Result<Buffer> out = co_await pool.allocate(kBlockBytes, Until::forever());
  std::ranges::fill(out->span(), static_cast<std::byte>(block));
  const Result<> written =
      co_await device.write(BlockNo(block), out->span(), Durability::kCached, out->registered_index());
  Result<Buffer> in = co_await pool.allocate(kBlockBytes, Until::forever());
  const Result<> done = co_await device.read(BlockNo(block), in->span(), in->registered_index());
  if (written && done && equal(out->span(), in->span())) ++right;
}

TEST_P(UringDeviceTest, ManyOperationsAtOnce) {
  auto device = open_disk();
  BufferPool pool(*reactor_);
  Scope scope(*reactor_);
  int right = 0;
  for (std::uint64_t block = 0; block < kFileBlocks; ++block) {
    scope.spawn(write_then_read(*device, pool, block, right));
  }
  reactor_->block_on(scope.drain());
  EXPECT_EQ(right, static_cast<int>(kFileBlocks));
  close(*device);
}

TEST_P(UringDeviceTest, CloseWaitsForWhatIsInFlight) {
  auto device = open_disk();
  std::vector<Code> codes;
  std::vector<Recorder> requests(64);
  Blocks data(64, 1);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].codes = &codes;
    requests[i].kind = IoKind::kWrite;
    requests[i].durability = Durability::kDurable;
    requests[i].first = BlockNo(i);
    requests[i].data = data.span().data() + i * kBlockBytes;
    requests[i].bytes = kBlockBytes;
    device->submit(requests[i]);
  }
  close(*device);
  EXPECT_EQ(codes, std::vector(64, Code::kOk));
  device.reset();
  auto again = open_disk();
  expect_blocks(*again, 63, {64});
  close(*again);
}

TEST_P(UringDeviceTest, RegisteredBuffersCarryData) {
  auto device = open_disk();
  auto other = UringDevice::open(*reactor_, path("other"), options());
  ASSERT_TRUE(other) << other.error().to_string();
  for (int round = 0; round < 2; ++round) {
    BufferPool pool(*reactor_, {.budget_bytes = 4ull << 20}), second(*reactor_);
    const Buffer early = *pool.try_allocate(kBlockBytes);
    const Result<> registered = device->register_buffers(pool);
    ASSERT_TRUE(registered) << registered.error().to_string();
    EXPECT_TRUE((*other)->register_buffers(pool));
    EXPECT_EQ(code_of(device->register_buffers(second)), Code::kExists);
    EXPECT_EQ(early.registered_index(), -1);

    // One buffer from a slab that was there before, one from a slab that comes later.
    const Buffer first = *pool.try_allocate(2 * kBlockBytes);
    const Buffer late = *pool.try_allocate(BufferPool::kMaxBufferBytes);
    EXPECT_EQ(first.registered_index(), 0);
    EXPECT_EQ(late.registered_index(), 1);
    for (UringDevice* target : {device.get(), other->get()}) {
      const auto mark = static_cast<std::byte>(target == device.get() ? 40 + round : 50 + round);
      std::ranges::fill(first.span(), mark);
      std::ranges::fill(late.span(), std::byte{0});
      int right = 0;
      Scope scope(*reactor_);
      scope.spawn(write_then_read(*target, pool, 9, right));
      reactor_->block_on(scope.drain());
      EXPECT_EQ(right, 1);
      EXPECT_EQ(run([](UringDevice& to, const Buffer& from) -> Task<Result<>> {
                  co_return co_await to.write(BlockNo(3), from.span(), Durability::kDurable, from.registered_index());
                }(*target, first)),
                Code::kOk);
      EXPECT_EQ(run([](UringDevice& from, const Buffer& into) -> Task<Result<>> {
                  co_return co_await from.read(BlockNo(4), into.span().first(kBlockBytes), into.registered_index());
                }(*target, late)),
                Code::kOk);
      EXPECT_EQ(late.data()[0], mark);
    }
  }
  close(*device);
  close(**other);
}

}  // namespace
}  // namespace cenote::media
