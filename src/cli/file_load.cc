#include "file_load.h"

#include <algorithm>
#include <cstring>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/runtime/random.h"
#include "cenote/runtime/scope.h"

namespace cenote::cli {

using posix::Node;

namespace {

// The sizes of IO500's hard phases: neither is a multiple of anything.
constexpr std::uint64_t kHardRecordBytes = 47008;
constexpr std::uint64_t kSmallFileBytes = 3901;
// So often the data says whose it is.
constexpr std::size_t kStampEvery = 4096;
// What find looks for, as IO500's does.
constexpr std::string_view kWanted = "01";

std::string easy_name(std::uint64_t index) { return fmt::format("file-{:08}", index); }
std::string hard_name(std::uint32_t rank, std::uint64_t index) { return fmt::format("file-{:04}-{:08}", rank, index); }

}  // namespace

/// What one of the workers has made.
struct FileLoad::Worker {
  std::uint32_t rank = 0;  // among those of all clients
  std::optional<Node> directory;
  std::optional<Node> large;
  std::optional<posix::File> open;  // large, or the shared file, during a phase
  std::uint64_t transfers = 0, records = 0, easy_files = 0, hard_files = 0;
  Bytes buffer;
};

struct FileLoad::Phase {
  enum class Kind : std::uint8_t { kMakes, kReads, kRemoves, kWalks };
  std::string_view name;
  bool bandwidth = false;
  Kind kind = Kind::kReads;
  Step step = nullptr;
  std::uint64_t Worker::* made = nullptr;
};

const std::array<FileLoad::Phase, kFilePhases>& FileLoad::phases() {
  using Kind = Phase::Kind;
  static const std::array<Phase, kFilePhases> all{{
      {"ior-easy-write", true, Kind::kMakes, write_easy, &Worker::transfers},
      {"mdtest-easy-write", false, Kind::kMakes, create_easy, &Worker::easy_files},
      {"ior-hard-write", true, Kind::kMakes, write_hard, &Worker::records},
      {"mdtest-hard-write", false, Kind::kMakes, create_hard, &Worker::hard_files},
      {"find", false, Kind::kWalks, nullptr, nullptr},
      {"ior-easy-read", true, Kind::kReads, read_easy, &Worker::transfers},
      {"mdtest-easy-stat", false, Kind::kReads, stat_easy, &Worker::easy_files},
      {"ior-hard-read", true, Kind::kReads, read_hard, &Worker::records},
      {"mdtest-hard-stat", false, Kind::kReads, stat_hard, &Worker::hard_files},
      {"mdtest-easy-delete", false, Kind::kRemoves, delete_easy, &Worker::easy_files},
      {"mdtest-hard-read", false, Kind::kReads, read_small, &Worker::hard_files},
      {"mdtest-hard-delete", false, Kind::kRemoves, delete_hard, &Worker::hard_files},
  }};
  return all;
}

std::string_view phase_name(FilePhase phase) {
  constexpr std::array<std::string_view, kFilePhases> kNames{
      "ior-easy-write",   "mdtest-easy-write", "ior-hard-write", "mdtest-hard-write", "find",
      "ior-easy-read",    "mdtest-easy-stat",  "ior-hard-read",  "mdtest-hard-stat",  "mdtest-easy-delete",
      "mdtest-hard-read", "mdtest-hard-delete"};
  return kNames[static_cast<std::size_t>(phase)];
}

bool is_bandwidth(FilePhase phase) { return phase_name(phase).starts_with("ior-"); }

std::vector<FilePhase> needed_by(FilePhase phase) {
  switch (phase) {
    case FilePhase::kFind:
      return {FilePhase::kMdtestEasyWrite, FilePhase::kMdtestHardWrite};
    case FilePhase::kIorEasyRead:
      return {FilePhase::kIorEasyWrite};
    case FilePhase::kMdtestEasyStat:
    case FilePhase::kMdtestEasyDelete:
      return {FilePhase::kMdtestEasyWrite};
    case FilePhase::kIorHardRead:
      return {FilePhase::kIorHardWrite};
    case FilePhase::kMdtestHardStat:
    case FilePhase::kMdtestHardRead:
    case FilePhase::kMdtestHardDelete:
      return {FilePhase::kMdtestHardWrite};
    default:
      return {};
  }
}

namespace {

std::uint64_t stamp(std::uint64_t file, std::uint64_t offset) {
  return (file * 0x9e3779b97f4a7c15u) ^ (offset * 0xbf58476d1ce4e5b9u);
}

/// The data of every place differs from that of every other, so that nothing can be saved by recognising it.
void mark(MutableBytes data, std::uint64_t file, std::uint64_t offset) {
  for (std::size_t at = 0; at + 8 <= data.size(); at += kStampEvery)
    store_le(data.data() + at, stamp(file, offset + at));
}

/// Whether `data` is `pattern` with its marks.
bool is_marked(ByteView data, ByteView pattern, std::uint64_t file, std::uint64_t offset) {
  for (std::size_t at = 0; at < data.size(); at += kStampEvery) {
    const std::size_t end = std::min(at + kStampEvery, data.size());
    std::size_t plain = at;
    if (at + 8 <= data.size()) {
      if (load_le<std::uint64_t>(data.data() + at) != stamp(file, offset + at)) return false;
      plain += 8;
    }
    if (std::memcmp(data.data() + plain, pattern.data() + plain, end - plain) != 0) return false;
  }
  return true;
}

// Numbers of files in their data: large ones, the shared one, and small ones of every worker.
constexpr std::uint64_t kSharedFile = ~std::uint64_t{0};
std::uint64_t large_file(std::uint32_t rank) { return std::uint64_t{rank} << 40 | 0xffffffffffu; }
std::uint64_t small_file(std::uint32_t rank, std::uint64_t index) { return std::uint64_t{rank} << 40 | index; }

}  // namespace

FileLoad::FileLoad(std::uint32_t client, FileLoadOptions options, std::string top, std::atomic<bool>* stop)
    : client_(client), options_(options), top_name_(std::move(top)), stop_(stop) {}
FileLoad::~FileLoad() = default;

Task<Result<>> FileLoad::open(async::Container container) {
  reactor_ = &container.client().reactor();
  CO_TRY(files_, co_await posix::FileSystem::open(std::move(container)));
  if (client_ == 0) {
    CO_TRY(auto top, co_await files_->make_directory(files_->root(), top_name_, {.mode = 0755}));
    CO_TRY(auto shared, co_await files_->make_directory(top.node, "shared", {.mode = 0755}));
    CO_TRY(auto file, co_await files_->create_file(top.node, "shared-file", {.exclusive = true}));
    CO_TRY(auto own, co_await files_->make_directory(top.node, "own", {.mode = 0755}));
  }
  CO_TRY(const auto top, co_await files_->lookup(files_->root(), top_name_));
  CO_TRY(const auto shared, co_await files_->lookup(top.node, "shared"));
  CO_TRY(const auto file, co_await files_->lookup(top.node, "shared-file"));
  CO_TRY(const auto own, co_await files_->lookup(top.node, "own"));
  top_ = top.node;
  shared_directory_ = shared.node;
  shared_file_ = file.node;
  // The same for all clients, so that each can tell what another one wrote.
  Random random(1);
  pattern_.resize(std::max({options_.transfer_bytes, kHardRecordBytes, kSmallFileBytes}));
  for (std::size_t i = 0; i + 8 <= pattern_.size(); i += 8) store_le(pattern_.data() + i, random.next());
  for (std::uint32_t i = 0; i < options_.depth; ++i) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.rank = client_ * options_.depth + i;
    worker.buffer = pattern_;
    CO_TRY(const auto made,
           co_await files_->make_directory(own.node, fmt::format("worker-{:04}", worker.rank), {.mode = 0755}));
    worker.directory = made.node;
  }
  co_return Result<>();
}

void FileLoad::fail_with(Error error) {
  if (!failure_) failure_ = std::move(error);
  stop_->store(true, std::memory_order_relaxed);
}

Task<Result<FileLoadResult>> FileLoad::run(FilePhase which) {
  const Phase& phase = phases()[static_cast<std::size_t>(which)];
  ASSERT(phase.name == phase_name(which));
  result_ = {};
  const Instant begun = reactor_->now();
  end_ = begun + options_.duration;
  Scope scope(*reactor_);
  for (const auto& worker : workers_) {
    const bool started =
        scope.spawn(phase.kind == Phase::Kind::kWalks ? walk(this, worker.get()) : drive(this, worker.get(), &phase));
    ASSERT(started);
  }
  co_await scope.drain();
  result_.elapsed = reactor_->now() - begun;
  if (phase.kind == Phase::Kind::kRemoves)
    for (const auto& worker : workers_) (*worker).*phase.made = 0;
  if (failure_) co_return fail(*std::move(failure_));
  co_return result_;
}

/// Reads what its neighbour has made, so that what a worker itself knows is of no use.
Task<> FileLoad::drive(FileLoad* load, Worker* worker, const Phase* phase) {
  const bool makes = phase->kind == Phase::Kind::kMakes, reads = phase->kind == Phase::Kind::kReads;
  const std::size_t place = worker->rank - load->client_ * load->options_.depth;
  const Worker* const of = reads ? load->workers_[(place + 1) % load->workers_.size()].get() : worker;
  const std::uint64_t bytes_each = phase->step == write_hard ? kHardRecordBytes : load->options_.transfer_bytes;
  const std::uint64_t most =
      phase->bandwidth ? std::max<std::uint64_t>(load->options_.file_bytes / bytes_each, 1) : load->options_.files;
  const std::uint64_t count = makes ? most : of->*phase->made;
  for (std::uint64_t index = 0; index < count; ++index) {
    const Instant begun = load->reactor_->now();
    if (load->stop_->load(std::memory_order_relaxed) || (makes && begun >= load->end_)) break;
    auto moved = co_await phase->step(load, worker, of, index);
    if (!moved) {
      load->fail_with(moved.error().with_context(fmt::format("bench: {}", phase->name)));
      break;
    }
    load->result_.latency.record(load->reactor_->now() - begun);
    ++load->result_.operations;
    load->result_.bytes += *moved;
    if (makes) worker->*phase->made = index + 1;
  }
  if (!worker->open) co_return;
  auto closed = co_await worker->open->close();
  worker->open.reset();
  if (!closed) load->fail_with(closed.error());
}

Task<Result<std::uint64_t>> FileLoad::write_easy(FileLoad* load, Worker* worker, const Worker*, std::uint64_t index) {
  if (!worker->open) {
    CO_TRY(worker->open, co_await load->files_->create_at(*worker->directory, "large", {}));
    worker->large = worker->open->node();
  }
  const std::uint64_t offset = index * load->options_.transfer_bytes;
  const MutableBytes data = MutableBytes(worker->buffer).first(load->options_.transfer_bytes);
  mark(data, large_file(worker->rank), offset);
  CO_CHECK_OK(co_await worker->open->write(offset, data));
  co_return data.size();
}

Task<Result<std::uint64_t>> FileLoad::read_easy(FileLoad* load, Worker* worker, const Worker* of, std::uint64_t index) {
  if (!worker->open) {
    CO_TRY(worker->open, load->files_->open_file(*of->large));
  }
  const std::uint64_t offset = index * load->options_.transfer_bytes;
  const MutableBytes data = MutableBytes(worker->buffer).first(load->options_.transfer_bytes);
  CO_TRY(const std::uint64_t got, co_await worker->open->read(offset, data));
  if (got != data.size() || (load->options_.verify && !is_marked(data, load->pattern_, large_file(of->rank), offset)))
    co_return failf(Code::kCorrupt, "a large file does not hold at offset {} what was written", offset);
  co_return got;
}

Task<Result<std::uint64_t>> FileLoad::write_hard(FileLoad* load, Worker* worker, const Worker*, std::uint64_t index) {
  if (!worker->open) {
    CO_TRY(worker->open, load->files_->open_file(*load->shared_file_));
  }
  const std::uint64_t workers = std::uint64_t{load->options_.clients} * load->options_.depth;
  const std::uint64_t offset = (index * workers + worker->rank) * kHardRecordBytes;
  const MutableBytes data = MutableBytes(worker->buffer).first(kHardRecordBytes);
  mark(data, kSharedFile, offset);
  CO_CHECK_OK(co_await worker->open->write(offset, data));
  co_return data.size();
}

Task<Result<std::uint64_t>> FileLoad::read_hard(FileLoad* load, Worker* worker, const Worker* of, std::uint64_t index) {
  if (!worker->open) {
    CO_TRY(worker->open, load->files_->open_file(*load->shared_file_));
  }
  const std::uint64_t workers = std::uint64_t{load->options_.clients} * load->options_.depth;
  const std::uint64_t offset = (index * workers + of->rank) * kHardRecordBytes;
  const MutableBytes data = MutableBytes(worker->buffer).first(kHardRecordBytes);
  CO_TRY(const std::uint64_t got, co_await worker->open->read(offset, data));
  if (got != data.size() || (load->options_.verify && !is_marked(data, load->pattern_, kSharedFile, offset)))
    co_return failf(Code::kCorrupt, "the shared file does not hold at offset {} what was written", offset);
  co_return got;
}

Task<Result<std::uint64_t>> FileLoad::create_easy(FileLoad* load, Worker* worker, const Worker*, std::uint64_t index) {
  CO_TRY(posix::File file, co_await load->files_->create_at(*worker->directory, easy_name(index), {.exclusive = true}));
  CO_CHECK_OK(co_await file.close());
  co_return 0;
}

Task<Result<std::uint64_t>> FileLoad::stat_easy(FileLoad* load, Worker*, const Worker* of, std::uint64_t index) {
  CO_TRY(const auto found, co_await load->files_->lookup(*of->directory, easy_name(index)));
  if (found.attributes.size != 0) co_return failf(Code::kCorrupt, "an empty file has {} bytes", found.attributes.size);
  co_return 0;
}

Task<Result<std::uint64_t>> FileLoad::delete_easy(FileLoad* load, Worker* worker, const Worker*, std::uint64_t index) {
  CO_CHECK_OK(co_await load->files_->unlink(*worker->directory, easy_name(index)));
  co_return 0;
}

Task<Result<std::uint64_t>> FileLoad::create_hard(FileLoad* load, Worker* worker, const Worker*, std::uint64_t index) {
  CO_TRY(posix::File file, co_await load->files_->create_at(*load->shared_directory_, hard_name(worker->rank, index),
                                                            {.exclusive = true}));
  const MutableBytes data = MutableBytes(worker->buffer).first(kSmallFileBytes);
  mark(data, small_file(worker->rank, index), 0);
  auto written = co_await file.write(0, data);
  auto closed = co_await file.close();
  CO_CHECK_OK(std::move(written));
  CO_CHECK_OK(std::move(closed));
  co_return data.size();
}

Task<Result<std::uint64_t>> FileLoad::stat_hard(FileLoad* load, Worker*, const Worker* of, std::uint64_t index) {
  CO_TRY(const auto found, co_await load->files_->lookup(*load->shared_directory_, hard_name(of->rank, index)));
  if (found.attributes.size != kSmallFileBytes)
    co_return failf(Code::kCorrupt, "a file of {} bytes has {}", kSmallFileBytes, found.attributes.size);
  co_return 0;
}

Task<Result<std::uint64_t>> FileLoad::read_small(FileLoad* load, Worker* worker, const Worker* of,
                                                 std::uint64_t index) {
  CO_TRY(const auto found, co_await load->files_->lookup(*load->shared_directory_, hard_name(of->rank, index)));
  CO_TRY(posix::File file, load->files_->open_file(found.node));
  const MutableBytes data = MutableBytes(worker->buffer).first(kSmallFileBytes);
  auto got = co_await file.read(0, data);
  auto closed = co_await file.close();
  CO_TRY(const std::uint64_t bytes, std::move(got));
  CO_CHECK_OK(std::move(closed));
  if (bytes != data.size() ||
      (load->options_.verify && !is_marked(data, load->pattern_, small_file(of->rank, index), 0)))
    co_return failf(Code::kCorrupt, "file '{}' does not hold what was written", hard_name(of->rank, index));
  co_return bytes;
}

Task<Result<std::uint64_t>> FileLoad::delete_hard(FileLoad* load, Worker* worker, const Worker*, std::uint64_t index) {
  CO_CHECK_OK(co_await load->files_->unlink(*load->shared_directory_, hard_name(worker->rank, index)));
  co_return 0;
}

/// A page of a directory counts as one operation of the latencies, and as its entries in the rate.
Task<Result<>> FileLoad::find_in(Node directory) {
  std::string after;
  for (;;) {
    const Instant begun = reactor_->now();
    CO_TRY(const auto page, co_await files_->read_directory_plus(directory, after));
    result_.latency.record(reactor_->now() - begun);
    if (page.empty()) co_return Result<>();
    after = page.back().name;
    result_.operations += page.size();
    result_.matches += static_cast<std::uint64_t>(std::ranges::count_if(page, [](const posix::NamedNode& entry) {
      return entry.found.attributes.size == kSmallFileBytes && entry.name.find(kWanted) != std::string::npos;
    }));
    if (stop_->load(std::memory_order_relaxed)) co_return Result<>();
  }
}

/// Each worker its own directory, and one of them the shared one as well.
Task<> FileLoad::walk(FileLoad* load, Worker* worker) {
  auto walked = co_await load->find_in(*worker->directory);
  if (walked && worker->rank == 0) walked = co_await load->find_in(*load->shared_directory_);
  if (!walked) load->fail_with(walked.error().with_context("bench: find"));
}

Task<> FileLoad::unlink_each(FileLoad* load, Node directory, std::vector<posix::DirectoryEntry>* entries) {
  while (!entries->empty()) {
    const posix::DirectoryEntry entry = std::move(entries->back());
    entries->pop_back();
    auto removed = entry.type == posix::FileType::kDirectory ? co_await load->remove_directory(directory, entry.name)
                                                             : co_await load->files_->unlink(directory, entry.name);
    if (!removed && removed.error() != Code::kNotFound) load->fail_with(removed.error());
  }
}

Task<Result<>> FileLoad::remove_directory(Node parent, std::string name) {
  CO_TRY(const auto found, co_await files_->lookup(parent, name));
  for (;;) {
    CO_TRY(auto page, co_await files_->read_directory(found.node, ""));
    if (page.empty()) break;
    Scope scope(*reactor_);
    for (std::uint32_t i = 0; i < options_.depth; ++i) scope.spawn(unlink_each(this, found.node, &page));
    co_await scope.drain();
    if (failure_) co_return fail(*failure_);
  }
  co_return co_await files_->remove_directory(parent, std::move(name));
}

Task<Result<>> FileLoad::remove_all() {
  failure_.reset();
  auto removed = co_await remove_directory(files_->root(), top_name_);
  // It did not come to be.
  if (!removed && removed.error() == Code::kNotFound) co_return Result<>();
  co_return removed;
}

Task<> FileLoad::close() {
  workers_.clear();
  top_.reset(), shared_directory_.reset(), shared_file_.reset();
  if (files_) co_await files_->close();
  files_.reset();
}

}  // namespace cenote::cli
