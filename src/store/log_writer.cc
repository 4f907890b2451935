#include "log_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

/// A group is closed to further records when it would grow past this: large enough for full device bandwidth, small
/// enough that the first record in it does not wait for a long transfer.
constexpr std::uint32_t kGroupPayload = 256u << 10;
static_assert(kGroupPayload <= kMaxFramePayload);

}  // namespace

LogWriter::LogWriter(Reactor& reactor, LogListener& listener, LogWriterOptions options)
    : reactor_(reactor),
      listener_(listener),
      options_(options),
      envelope_bytes_(options.sealer != nullptr ? kEnvelopeBytes : 0),
      ring_bytes_(options.ring.blocks * media::kBlockBytes),
      head_(options.start.position),
      durable_(options.start.position),
      tail_(options.tail),
      next_(options.start),
      cut_(options.start.position),
      cut_point_(options.start),
      idle_(reactor),
      scope_(reactor) {
  ASSERT(options_.writes_in_flight >= 1 && options_.pending_bytes_max >= frame_bytes(kMaxSealedPayload));
  scope_.spawn(start_loop());
  check_invariants();
}

LogWriter::~LogWriter() { ASSERT(in_flight_ == 0 && waiters_.empty()); }

bool LogWriter::fits_open_group(std::uint32_t record_bytes) const {
  if (groups_.empty() || groups_.back()->closed) return false;
  return groups_.back()->payload_bytes + kLogRecordHeaderBytes + record_bytes <= kGroupPayload;
}

LogWriter::Room LogWriter::room(std::uint32_t record_bytes) const {
  const std::uint64_t payload = kLogRecordHeaderBytes + record_bytes + envelope_bytes_;
  const Group* open = fits_open_group(record_bytes) ? groups_.back().get() : nullptr;
  const std::uint64_t end =
      open ? open->position + frame_bytes(open->payload_bytes + payload) : head_ + frame_bytes(payload);
  if (end - tail_ > ring_bytes_) return Room::kFull;
  return end - durable_ > options_.pending_bytes_max ? Room::kBusy : Room::kYes;
}

LogWriter::FrameMemory LogWriter::take_memory(std::uint64_t bytes) {
  const std::uint64_t usual = frame_bytes(kGroupPayload + envelope_bytes_);
  if (bytes > usual) return {.buffer = AlignedBuffer(bytes)};
  if (spare_memory_.empty()) return {.buffer = AlignedBuffer(usual)};
  FrameMemory memory = std::move(spare_memory_.back());
  spare_memory_.pop_back();
  return memory;
}

void LogWriter::give_back(FrameMemory memory) {
  const bool usual = memory.buffer.size() == frame_bytes(kGroupPayload + envelope_bytes_);
  if (usual && spare_memory_.size() <= options_.writes_in_flight) spare_memory_.push_back(std::move(memory));
}

std::unique_ptr<LogWriter::Group> LogWriter::make_group() {
  if (spare_groups_.empty()) return std::make_unique<Group>(*this);
  auto group = std::move(spare_groups_.back());
  spare_groups_.pop_back();
  *group = Group(*this);
  return group;
}

LogWriter::Group& LogWriter::open_group(std::uint32_t record_bytes) {
  if (fits_open_group(record_bytes)) return *groups_.back();
  if (!groups_.empty()) groups_.back()->closed = true;
  auto group = make_group();
  group->memory = take_memory(frame_bytes(kLogRecordHeaderBytes + record_bytes + envelope_bytes_));
  group->envelope_bytes = envelope_bytes_;
  group->position = head_;
  groups_.push_back(std::move(group));
  return *groups_.back();
}

Lsn LogWriter::append(ByteView record, bool claims) {
  const auto record_bytes = static_cast<std::uint32_t>(record.size());
  ASSERT(!failure_ && !record.empty() && room(record_bytes) != Room::kFull);
  Group& group = open_group(record_bytes);
  std::byte* at = group.memory.buffer.data() + kFrameHeaderBytes + group.payload_bytes;
  store_le(at, record_bytes);
  std::memcpy(at + kLogRecordHeaderBytes, record.data(), record.size());
  group.payload_bytes += kLogRecordHeaderBytes + record_bytes;
  ++group.records;
  group.claims = group.claims || claims;
  head_ = group.end();
  kick();
  return Lsn(group.position + kFrameHeaderBytes + group.payload_bytes);
}

std::uint64_t LogWriter::cut() {
  if (!groups_.empty()) groups_.back()->closed = true;
  cut_ = head_;
  cut_point_.reset();
  if (started_ == groups_.size()) cut_point_ = next_;
  return cut_;
}

ChainPoint LogWriter::point_at_cut() const {
  ASSERT(cut_point_ && durable_ >= cut_);
  return *cut_point_;
}

/// Starts writes at the end of this turn of the reactor, when every batch that is ready now has joined the group.
void LogWriter::kick() {
  if (!start_loop_ || failure_ || started_ == groups_.size() || in_flight_ >= options_.writes_in_flight) return;
  reactor_.schedule(std::exchange(start_loop_, {}));
}

Task<> LogWriter::start_loop() {
  struct Parked {
    LogWriter& log;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { log.start_loop_ = handle; }
    void await_resume() const {}
  };
  while (!closing_) {
    start_writes();
    co_await Parked{*this};
  }
}

void LogWriter::start_writes() {
  while (!failure_ && in_flight_ < options_.writes_in_flight && started_ < groups_.size()) {
    Group& group = *groups_[started_];
    if (auto chained = chain(group); !chained) return fence(chained.error().with_context("log write failed"));
    ++started_;
    ++in_flight_;
    next_step(group);
  }
}

/// Gives the group its place in the chain. Groups are chained in order of position, just before they are written.
Result<> LogWriter::chain(Group& group) {
  ASSERT(group.records > 0 && group.position == next_.position);
  group.closed = true;
  FrameMemory& memory = group.memory;
  const std::size_t used = kFrameHeaderBytes + group.payload_bytes + group.envelope_bytes;
  if (memory.used_bytes > used) std::memset(memory.buffer.data() + used, 0, memory.used_bytes - used);
  memory.used_bytes = used;
  FrameHeader header;
  header.previous_crc = next_.previous_crc;
  header.incarnation = options_.incarnation;
  header.generation = options_.generation;
  header.position = group.position;
  header.sequence = next_.sequence;
  header.durable = durable_;
  header.superblock = options_.superblock;
  header.payload_bytes = group.payload_bytes + group.envelope_bytes;
  header.records = group.records;
  header.sealed = options_.sealer != nullptr;
  const MutableBytes frame = memory.buffer.first(group.size());
  std::uint32_t crc = 0;
  if (header.sealed) {
    TRY(crc, seal_frame(header, frame, *options_.sealer));
  } else {
    crc = stamp_frame(header, frame);
  }
  next_ = {group.end(), next_.sequence + 1, crc};
  if (next_.position == cut_) cut_point_ = next_;
  return {};
}

/// Begins what comes next on the group's way to the media: the data of the extents that it claims, the frame itself,
/// the flush that makes it durable. A device never answers inside `submit`.
void LogWriter::next_step(Group& group) {
  switch (group.next) {
    case Group::Next::kAll:
      group.next = Group::Next::kFrame;
      if (group.claims && options_.flush_first != nullptr) return flush(group, *options_.flush_first);
      [[fallthrough]];
    case Group::Next::kFrame:
      if (group.requested_bytes < group.size()) return write_part(group);
      group.next = Group::Next::kNothing;
      if (!options_.device->prefers_durable_writes()) return flush(group, *options_.device);
      [[fallthrough]];
    case Group::Next::kNothing:
      break;
  }
  --in_flight_;
  // Now, not when the groups before it are done, too: behind one slow write there may be thousands.
  give_back(std::move(group.memory));
  group.done = true;
  if (!failure_) advance();
  if (in_flight_ == 0) idle_.notify_all();
}

/// The whole frame, or what is left of it to the end of the ring or from its beginning.
void LogWriter::write_part(Group& group) {
  media::BlockDevice& device = *options_.device;
  const std::uint64_t offset = (group.position + group.requested_bytes) % ring_bytes_;
  group.kind = media::IoKind::kWrite;
  group.durability = device.prefers_durable_writes() ? media::Durability::kDurable : media::Durability::kCached;
  group.first = media::BlockNo(options_.ring.first + offset / media::kBlockBytes);
  group.data = group.memory.buffer.data() + group.requested_bytes;
  group.bytes = std::min(group.size() - group.requested_bytes, ring_bytes_ - offset);
  group.requested_bytes += group.bytes;
  device.submit(group);
}

void LogWriter::flush(Group& group, media::BlockDevice& device) {
  group.kind = media::IoKind::kFlush;
  group.data = nullptr;
  group.bytes = 0;
  device.submit(group);
}

void LogWriter::step_ended(Group& group, Result<> result) {
  if (result) return next_step(group);
  --in_flight_;
  fence(result.error().with_context("log write failed"));
  if (in_flight_ == 0) idle_.notify_all();
}

/// Moves `durable` over the groups that are done without a gap, wakes who waited for them and lets the next ones go.
void LogWriter::advance() {
  while (!groups_.empty() && groups_.front()->done) {
    Group& group = *groups_.front();
    durable_ = group.end();
    ++writes_;
    blocks_written_ += group.size() / media::kBlockBytes;
    if (spare_groups_.size() <= options_.writes_in_flight) spare_groups_.push_back(std::move(groups_.front()));
    groups_.pop_front();
    --started_;
  }
  wake_waiters();
  start_writes();
  listener_.log_advanced();
}

void LogWriter::wake_waiters() {
  for (Waiter* waiter = waiters_.front(); waiter != nullptr;) {
    Waiter* following = waiters_.next(*waiter);
    if (failure_ || waiter->amount() <= durable_) waiter->wake();
    waiter = following;
  }
}

LogWriter::DurableWait LogWriter::wait_durable(Lsn lsn, Until until) {
  ASSERT(lsn.value() <= head_);
  return {*this, lsn, until};
}

Result<> LogWriter::DurableWait::await_resume() const {
  CHECK_OK(waiter_.result());
  if (waiter_.amount() <= log_.durable_) return {};
  return fail(*log_.failure_);
}

void LogWriter::release(std::uint64_t position, std::uint64_t superblock) {
  ASSERT(position >= tail_ && position <= durable_ && superblock > options_.superblock);
  tail_ = position;
  options_.superblock = superblock;
}

Error fenced_by(const Error& cause) {
  return Error(Code::kFenced, fmt::format("no change is taken any more, since {}. What was durable is there and can be "
                                          "read: see to the device, then restart the engine",
                                          cause.to_string()));
}

void LogWriter::fence(const Error& cause) {
  if (failure_) return;
  failure_ = fenced_by(cause);
  wake_waiters();
  listener_.log_failed(cause);
}

Task<> LogWriter::close() {
  if (!failure_) static_cast<void>(co_await wait_durable(Lsn(head_), Until::forever()));
  while (in_flight_ > 0) static_cast<void>(co_await idle_.wait(Until::forever()));
  closing_ = true;
  if (start_loop_) reactor_.schedule(std::exchange(start_loop_, {}));
  co_await scope_.drain();
}

void LogWriter::check_invariants() const {
  ASSERT(tail_ <= durable_ && durable_ <= head_ && head_ - tail_ <= ring_bytes_);
  ASSERT(started_ <= groups_.size() && in_flight_ <= options_.writes_in_flight);
  std::uint64_t position = durable_;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    ASSERT(groups_[i]->position == position);
    ASSERT(groups_[i]->closed || i + 1 == groups_.size());
    position = groups_[i]->end();
  }
  ASSERT(position == head_);
}

}  // namespace cenote::store
