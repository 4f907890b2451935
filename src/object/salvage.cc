#include "cenote/object/salvage.h"

#include <algorithm>
#include <cstring>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "container_key.h"
#include "entries.h"
#include "keys.h"
#include "salvage_records.h"
#include "salvage_source.h"
#include "value_check.h"

namespace cenote::object {
namespace {

using store::FindingKind;

/// What is put at once.
constexpr std::uint32_t kEntriesPerBatch = 128;
constexpr std::size_t kBytesPerBatch = 256u << 10;
/// The longest value, in units of their own blocks, and one to compare it with.
constexpr std::uint64_t kDataBuffers = 8ull << 20;

/// Checksums that make readers of the chunks that could not be read see that.
std::vector<std::uint32_t> telling_checksums(const Entry& entry, ByteView data, const std::vector<bool>& unread) {
  std::vector<std::uint32_t> checksums;
  for (std::uint64_t chunk = 0; chunk < chunk_count(entry.bytes); ++chunk) {
    const std::uint64_t from = chunk * kChecksumChunkBytes;
    const std::uint32_t checksum =
        crc32c(data.subspan(from, std::min<std::uint64_t>(kChecksumChunkBytes, entry.bytes - from)));
    checksums.push_back(unread[chunk] ? ~checksum : checksum);
  }
  return checksums;
}

/// The value of `entry` with its data elsewhere.
void append_moved(const Entry& entry, std::span<const std::uint32_t> checksums, std::span<const store::Extent> extents,
                  ValueBytes& out) {
  DataHeader header{.type = entry.type,
                    .bytes = entry.bytes,
                    .records = entry.records,
                    .record_bytes = entry.record_bytes,
                    .checksums = checksums,
                    .compression = entry.compression,
                    .nonce = entry.is_sealed ? entry.nonce : ByteView(),
                    .units = {}};
  std::vector<StoredUnit> units;
  for (std::uint32_t i = 0; entry.is_packed && i < unit_count(entry.bytes); ++i) units.push_back(entry.unit(i));
  header.units = units;
  append_stored(header, extents, out);
}

/// One run of `salvage`. Where a step fails the new store is given up, with whatever it holds.
class Salvage {
 public:
  Salvage(Reactor& reactor, SalvageOptions options)
      : reactor_(reactor), options_(std::move(options)), buffers_(reactor, {.budget_bytes = kDataBuffers}) {}

  Task<Result<SalvageReport>> run(store::Devices from, store::Devices to);

 private:
  Task<Result<>> make_store(store::Devices from, store::Devices to);
  Task<Result<>> copy_all();
  Task<Result<>> read_records();
  Task<Result<>> make_trees();
  void leave_out_entries(store::TreeId tree);
  Task<Result<>> make_tree(store::TreeId id, std::string name);
  Task<Result<>> copy_tree(store::TreeId tree, bool requests);
  Task<Result<>> copy_container(store::TreeId tree, const Uuid& id);
  Task<Result<>> copy_entry(const SalvageWalk& walk, SalvagedContainer& container);
  Task<Result<>> copy_data(const SalvageWalk& walk, const Entry& entry, SalvagedContainer& container);
  Task<Result<std::vector<bool>>> read_data(const Entry& entry, media::Buffer& into);
  Task<> read_extent(store::Extent extent, std::uint64_t first, media::Buffer& into, std::vector<bool>& unread);
  Task<Result<Extents>> write_data(media::Buffer& from, std::uint64_t blocks);
  Task<Result<>> compare(const SalvageWalk& walk, const Entry& entry, const Entry& copy, bool all_read,
                         SalvagedContainer& container);
  Task<Result<>> put_records();
  Task<Result<>> prove_it_opens();
  Task<Result<>> put(store::TreeId tree, ByteView key, ByteView value);
  Task<Result<>> flush();

  void found(store::Finding finding);
  void emit(const TargetFinding& finding);
  TargetFinding about(const SalvageWalk& walk, FindingKind kind) const;
  void lost(const Uuid& container, std::string why);
  void report_log();

  Reactor& reactor_;
  SalvageOptions options_;
  media::BufferPool buffers_;
  std::unique_ptr<SalvageSource> source_;
  std::unique_ptr<store::Store> store_;
  bool is_target_ = false;
  store::TreeId container_tree_;  // that is being copied
  SalvagedRecords records_;
  bool records_whole_ = true;
  SalvageReport report_;
  store::Batch batch_;
  std::uint32_t batched_ = 0;
  std::vector<store::Extent> reserved_;  // that the batch claims, or nobody yet
  std::uint64_t done_bytes_ = 0, total_bytes_ = 0;
};

void Salvage::emit(const TargetFinding& finding) {
  ++(finding.finding.severity == store::Severity::kWarning ? report_.warnings : report_.damages);
  options_.found(finding);
}

void Salvage::found(store::Finding finding) {
  TargetFinding target;
  if (finding.lost && finding.tree_name == kSystemTreeName) records_whole_ = false;
  if (finding.tree) target.container = records_.owner_of(*finding.tree);
  if (finding.lost && is_container_tree(finding.tree_name)) {
    finding.message += fmt::format("; lost are the entries from {} to {}, also those that hid older ones",
                                   describe_key_prefix(finding.lost->lower),
                                   finding.lost->upper ? describe_key_prefix(*finding.lost->upper) : "the end");
    if (target.container) finding.message += fmt::format(", of container {}", target.container->to_string());
  } else if (finding.lost && !finding.tree_name.empty()) {
    finding.message += fmt::format("; lost are entries of {}", finding.tree_name);
  }
  target.finding = std::move(finding);
  emit(target);
}

TargetFinding Salvage::about(const SalvageWalk& walk, FindingKind kind) const {
  TargetFinding finding;
  finding.finding.kind = kind;
  finding.finding.device = source_->examination().data_device().name();
  if (walk.page() != 0) finding.finding.page = walk.page();
  if (const auto key = parse_key(walk.key())) {
    finding.object = key->object;
    finding.epoch = key->epoch;
  }
  return finding;
}

void Salvage::lost(const Uuid& container, std::string why) {
  TargetFinding finding;
  finding.finding.kind = FindingKind::kEntry;
  finding.finding.tree_name = kSystemTreeName;
  finding.finding.message = fmt::format("container {}: {}", container.to_string(), why);
  finding.container = container;
  emit(finding);
}

void Salvage::report_log() {
  report_.recovered = source_->examination().recovered();
  const auto& log = source_->log();
  if (!log) return;
  report_.log_batches = source_->log_batches();
  report_.log_position = log->end_position;
  TargetFinding finding;
  finding.finding.kind = FindingKind::kLog;
  finding.finding.severity = log->flaw ? store::Severity::kDamage : store::Severity::kWarning;
  finding.finding.message =
      fmt::format("{} batches of the log were laid over the checkpoint, up to position {}{}", report_.log_batches,
                  report_.log_position, log->flaw ? "; whatever was changed after that is lost" : ", its end");
  emit(finding);
}

Task<Result<SalvageReport>> Salvage::run(store::Devices from, store::Devices to) {
  store::ExamineOptions examine;
  examine.system = options_.system;
  examine.target = options_.target;
  examine.cache_bytes = options_.cache_bytes;
  examine.key = options_.key;
  examine.found = [this](store::Finding finding) { found(std::move(finding)); };
  examine.progress = [this](std::uint64_t bytes) {
    done_bytes_ += bytes;
    options_.progress(done_bytes_, std::max(total_bytes_, done_bytes_));
  };
  CO_TRY(source_, co_await SalvageSource::open(reactor_, from, std::move(examine)));
  total_bytes_ = source_->examination().bytes_to_check(true);
  report_log();
  auto outcome = co_await make_store(from, to);
  if (outcome) outcome = co_await copy_all();
  for (const store::Extent& extent : reserved_) store_->cancel(extent);
  if (outcome) outcome = co_await prove_it_opens();
  if (store_) {
    auto closed = co_await store_->close();
    if (outcome) outcome = std::move(closed);
  }
  co_await source_->close();
  CO_CHECK_OK(std::move(outcome));
  co_return std::move(report_);
}

/// Empty, and with the numbers of trees that the old one has.
Task<Result<>> Salvage::make_store(store::Devices from, store::Devices to) {
  const auto superblocks = co_await store::read_superblocks(*from.meta);
  const store::SuperblockReport* newest = nullptr;
  for (const store::SuperblockReport& each : superblocks)
    if (!each.flaw && (newest == nullptr || each.sequence > newest->sequence)) newest = &each;
  ASSERT(newest != nullptr);  // or there would be nothing to examine
  store::FormatOptions format{.system = newest->system, .target = newest->target, .log_bytes = newest->log_bytes};
  if (source_->examination().sealed()) format.key = options_.key;
  CO_CHECK_OK(co_await store::Store::format(reactor_, to, format));
  store::OpenOptions open{.system = format.system, .target = format.target, .cache_bytes = options_.cache_bytes};
  open.key = format.key;
  CO_TRY(store_, co_await store::Store::open(reactor_, to, std::move(open)));
  co_return Result<>();
}

Task<Result<>> Salvage::copy_all() {
  const auto system = source_->find_tree(kSystemTreeName);
  const auto requests = source_->find_tree(kRequestTreeName);
  is_target_ = system || requests;
  if (is_target_) CO_CHECK_OK(co_await read_records());
  CO_CHECK_OK(co_await make_trees());
  for (const auto& [tree, name] : source_->trees()) {
    if (tree == system || is_container_tree(name) || name == kEntryTreeName) continue;
    CO_CHECK_OK(co_await copy_tree(tree, tree == requests));
  }
  for (const auto& [tree, container] : records_.trees()) CO_CHECK_OK(co_await copy_container(tree, container));
  if (is_target_) CO_CHECK_OK(co_await put_records());
  co_return co_await flush();
}

Task<Result<>> Salvage::read_records() {
  const auto tree = source_->find_tree(kSystemTreeName);
  if (!tree) {
    records_whole_ = false;
    co_return fail(Code::kCorrupt, "the system tree of the target is lost: what its other trees hold has no owner");
  }
  SalvageWalk walk(*source_, *tree);
  while (co_await walk.next()) {
    const auto taken = records_.take(walk.key(), walk.value());
    if (taken) continue;
    records_whole_ = false;
    TargetFinding finding;
    finding.finding.kind = FindingKind::kEntry;
    finding.finding.tree_name = kSystemTreeName;
    finding.finding.message = taken.error().message();
    emit(finding);
  }
  std::optional<SalvagedRecords::Keys> keys;
  if (source_->examination().sealed() && store_->sealed())
    keys = {source_->examination().derive_key(kContainerKeyLabel), store_->derive_key(kContainerKeyLabel)};
  records_.settle(keys, reactor_, [this](const Uuid& id, std::string why) { lost(id, std::move(why)); });
  for (const auto& [id, name] : source_->trees()) {
    if (!is_container_tree(name) || records_.owner_of(id) || records_.is_destroyed(id)) continue;
    TargetFinding finding;
    finding.finding.kind = FindingKind::kTree;
    finding.finding.tree = id;
    finding.finding.tree_name = name;
    finding.finding.message = fmt::format("{} belongs to no container that can be read: it is left out", name);
    emit(finding);
  }
  co_return Result<>();
}

/// Containers whose tree is lost get an empty one.
Task<Result<>> Salvage::make_trees() {
  std::map<store::TreeId, std::string> wanted;
  for (const auto& [id, name] : source_->trees())
    if (name == kEntryTreeName)
      leave_out_entries(id);
    else if (!is_container_tree(name))
      wanted[id] = name;
  for (const auto& [id, container] : records_.trees()) {
    wanted[id] = container_tree_name(id);
    if (!source_->trees().contains(id))
      lost(container, fmt::format("all of it is lost: its tree {} is not there", id.value()));
  }
  for (const auto& [id, name] : wanted) {
    store::TreeId next = store_->next_tree_id();
    while (next < id) next = store_->next_tree_id();
    ASSERT(next == id);
    CO_CHECK_OK(co_await make_tree(id, name));
  }
  if (!is_target_ || source_->find_tree(kRequestTreeName)) co_return Result<>();
  TargetFinding finding;
  finding.finding.kind = FindingKind::kTree;
  finding.finding.tree_name = kRequestTreeName;
  finding.finding.message = "the results of requests are lost: one that is sent again may take effect twice";
  emit(finding);
  co_return co_await make_tree(store_->next_tree_id(), std::string(kRequestTreeName));
}

/// A member of a redundancy group that lost something has no say in it any more.
void Salvage::leave_out_entries(store::TreeId tree) {
  TargetFinding finding;
  finding.finding.kind = FindingKind::kTree;
  finding.finding.tree = tree;
  finding.finding.tree_name = kEntryTreeName;
  finding.finding.message =
      "what redundancy groups had prepared or decided here is left out: the others in the groups know it, and this "
      "target has "
      "to be reintegrated";
  emit(finding);
}

Task<Result<>> Salvage::make_tree(store::TreeId id, std::string name) {
  store::Batch batch;
  batch.create_tree(id, name);
  CO_CHECK_OK(co_await store_->commit(std::move(batch)));
  ++report_.trees;
  co_return Result<>();
}

Task<Result<>> Salvage::copy_tree(store::TreeId tree, bool requests) {
  SalvageWalk walk(*source_, tree);
  while (co_await walk.next()) {
    if (requests) {
      const auto key = parse_request_key(walk.key());
      const auto record = decode_request(walk.value());
      if (!key || !record) {
        TargetFinding finding;
        finding.finding.kind = FindingKind::kEntry;
        finding.finding.tree_name = kRequestTreeName;
        finding.finding.message = "a kept result of a request: " + (key ? record.error() : key.error()).message();
        emit(finding);
        continue;
      }
      records_.saw(record->epoch);
    }
    CO_CHECK_OK(co_await put(tree, walk.key(), walk.value()));
  }
  co_return Result<>();
}

Task<Result<>> Salvage::copy_container(store::TreeId tree, const Uuid& id) {
  SalvagedContainer container{.id = id};
  container_tree_ = tree;
  Bytes object;
  SalvageWalk walk(*source_, tree);
  while (co_await walk.next()) {
    const std::uint64_t before = container.entries;
    CO_CHECK_OK(co_await copy_entry(walk, container));
    if (container.entries == before) continue;
    const ByteView its_object = walk.key().first(KeyPath::kObjectEnd);
    if (!equal(object, its_object)) ++container.used.objects;
    object = to_bytes(its_object);
  }
  records_.count(id, container.used);
  report_.containers.push_back(container);
  co_return Result<>();
}

Task<Result<>> Salvage::copy_entry(const SalvageWalk& walk, SalvagedContainer& container) {
  const auto described = describe_entry(walk.key(), walk.value());
  if (!described) {
    ++container.lost_entries;
    TargetFinding finding = about(walk, FindingKind::kEntry);
    finding.container = container.id;
    finding.finding.message = "an entry is left out: " + described.error().message();
    emit(finding);
    co_return Result<>();
  }
  const auto entry = decode_entry(walk.value());
  ASSERT(entry);
  ++container.entries;
  records_.saw(described->epoch);
  if (entry->holds_data()) container.used.bytes += entry->bytes;
  if (entry->holds_data() && !entry->is_inline) co_return co_await copy_data(walk, *entry, container);
  if (entry->holds_data()) CO_CHECK_OK(co_await compare(walk, *entry, *entry, true, container));
  co_return co_await put(container_tree_, walk.key(), walk.value());
}

Task<Result<>> Salvage::copy_data(const SalvageWalk& walk, const Entry& entry, SalvagedContainer& container) {
  const std::uint64_t blocks = entry.blocks();
  CO_TRY(media::Buffer buffer,
         co_await buffers_.allocate(static_cast<std::uint32_t>(blocks * media::kBlockBytes), Until::forever()));
  CO_TRY(const std::vector<bool> unread, co_await read_data(entry, buffer));
  CO_TRY(const Extents extents, co_await write_data(buffer, blocks));
  std::vector<std::uint32_t> checksums;
  for (std::uint64_t chunk = 0; !entry.checksums.empty() && chunk < chunk_count(entry.bytes); ++chunk)
    checksums.push_back(entry.checksum(chunk));
  if (!entry.is_packed && checksums.empty() && std::ranges::find(unread, true) != unread.end())
    checksums = telling_checksums(entry, buffer.span(), unread);
  ValueBytes value;
  append_moved(entry, checksums, extents.view(), value);
  const auto copy = decode_entry(value);
  ASSERT(copy);
  buffer = {};
  const bool all_read = std::ranges::find(unread, true) == unread.end();
  CO_CHECK_OK(co_await compare(walk, entry, *copy, all_read, container));
  for (const store::Extent& extent : extents) batch_.claim(extent);
  co_return co_await put(container_tree_, walk.key(), value);
}

/// Of each block whether it could not be read; such are zero.
Task<Result<std::vector<bool>>> Salvage::read_data(const Entry& entry, media::Buffer& into) {
  std::vector<bool> unread(entry.blocks());
  std::memset(into.data(), 0, into.size());
  std::uint64_t next = 0;
  for (const store::Extent& extent : entry.extents()) {
    std::string why;
    if (source_->examination().refer(extent, &why)) {
      co_await read_extent(extent, next, into, unread);
    } else {
      std::fill_n(unread.begin() + static_cast<std::ptrdiff_t>(next), extent.blocks, true);
    }
    next += extent.blocks;
  }
  co_return unread;
}

/// Block by block where a run of them cannot be read.
Task<> Salvage::read_extent(store::Extent extent, std::uint64_t first, media::Buffer& into, std::vector<bool>& unread) {
  media::BlockDevice& device = source_->examination().data_device();
  const MutableBytes bytes =
      into.span().subspan(first * media::kBlockBytes, std::size_t{extent.blocks} * media::kBlockBytes);
  source_->examination().progressed(bytes.size());
  if (co_await device.read(extent.first, bytes, into.registered_index())) co_return;
  for (std::uint32_t i = 0; i < extent.blocks; ++i) {
    const MutableBytes block = bytes.subspan(std::size_t{i} * media::kBlockBytes, media::kBlockBytes);
    const auto read = co_await device.read(media::BlockNo(extent.first.value() + i), block, into.registered_index());
    if (read) continue;
    unread[first + i] = true;
    std::memset(block.data(), 0, block.size());
  }
}

Task<Result<Extents>> Salvage::write_data(media::Buffer& from, std::uint64_t blocks) {
  Extents extents;
  for (auto missing = static_cast<std::uint32_t>(blocks); missing > 0;) {
    const auto extent = store_->reserve(std::min(missing, store::kGroupBlocks), store::SpaceClass::kForeground);
    if (!extent) {
      if (extent.error() == Code::kNoSpace)
        co_return fail(Code::kNoSpace, "the new store is full: give it larger files than the old one has");
      co_return fail(extent.error());
    }
    extents.push_back(*extent);
    reserved_.push_back(*extent);
    missing -= extent->blocks;
  }
  std::ranges::sort(extents);
  media::BlockDevice& device = store_->data_device();
  const auto durability = device.prefers_durable_writes() ? media::Durability::kDurable : media::Durability::kCached;
  std::size_t offset = 0;
  for (const store::Extent& extent : extents) {
    const std::size_t bytes = std::size_t{extent.blocks} * media::kBlockBytes;
    CO_CHECK_OK(
        co_await device.write(extent.first, from.span().subspan(offset, bytes), durability, from.registered_index()));
    offset += bytes;
  }
  co_return extents;
}

/// What was written against its checksums. What does not fit there has to be damaged where it came from.
Task<Result<>> Salvage::compare(const SalvageWalk& walk, const Entry& entry, const Entry& copy, bool all_read,
                                SalvagedContainer& container) {
  ValueOutcome outcome = co_await check_value({.device = store_->data_device(), .buffers = buffers_}, copy);
  const bool newer = source_->log() && std::ranges::any_of(entry.extents(), [this](const store::Extent& extent) {
                       return source_->examination().maybe_newer(extent);
                     });
  TargetFinding finding = about(walk, FindingKind::kData);
  finding.container = container.id;
  const auto described = describe_entry(walk.key(), walk.value());
  ASSERT(described);
  if (outcome.flaw) {
    ValueOutcome before;
    if (all_read)
      before = co_await check_value({.device = source_->examination().data_device(), .buffers = buffers_}, entry);
    if (all_read && !before.flaw)
      co_return failf(Code::kIoError, "'{}' does not hold what was written to it: {}", store_->data_device().name(),
                      *outcome.flaw);
    outcome.bad_block = before.bad_block;
    ++container.damaged_values;
    describe_flaw(*described, outcome, finding);
    finding.finding.message += "; it is kept, so that readers are told";
    emit(finding);
  } else if (outcome.unprotected_bytes > 0 && newer && source_->log()->flaw) {
    outcome.flaw = "it has no checksum, and what the log lost may have been written over it";
    outcome.bad_to = entry.bytes;
    describe_flaw(*described, outcome, finding);
    finding.finding.severity = store::Severity::kWarning;
    emit(finding);
  }
  co_return Result<>();
}

Task<Result<>> Salvage::put_records() {
  const auto now = Epoch(static_cast<std::uint64_t>(reactor_.wall_now().time_since_epoch().count()));
  for (const auto& [key, value] : records_.encode(records_whole_, now))
    CO_CHECK_OK(co_await put(*source_->find_tree(kSystemTreeName), key, value));
  co_return Result<>();
}

Task<Result<>> Salvage::put(store::TreeId tree, ByteView key, ByteView value) {
  batch_.put(tree, key, value);
  ++report_.entries;
  if (++batched_ < kEntriesPerBatch && batch_.encoded().size() < kBytesPerBatch) co_return Result<>();
  co_return co_await flush();
}

Task<Result<>> Salvage::flush() {
  if (batch_.empty()) co_return Result<>();
  store::Batch batch = std::exchange(batch_, {});
  batched_ = 0;
  CO_TRY(const store::Lsn lsn, co_await store_->run([&batch](store::View& view) { return view.apply(batch); }));
  // From here on the extents are the store's, whether or not it becomes durable.
  reserved_.clear();
  co_return co_await store_->durable(lsn);
}

/// As the server will open it.
Task<Result<>> Salvage::prove_it_opens() {
  if (!is_target_) co_return Result<>();
  ObjectStoreOptions options;
  options.aggregation = false;
  CO_TRY(const auto objects, co_await ObjectStore::open(*store_, buffers_, options));
  co_return co_await objects->close();
}

}  // namespace

Task<Result<SalvageReport>> salvage(Reactor& reactor, store::Devices from, store::Devices to, SalvageOptions options) {
  Salvage salvage(reactor, std::move(options));
  co_return co_await salvage.run(from, to);
}

}  // namespace cenote::object
