#include "log_writer.h"

#include <algorithm>
#include <cstring>

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
      scope_(reactor) {
  ASSERT(options_.writes_in_flight >= 1 && options_.pending_bytes_max >= frame_bytes(kMaxSealedPayload));
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

AlignedBuffer LogWriter::take_buffer(std::uint64_t bytes) {
  const std::uint64_t usual = frame_bytes(kGroupPayload + envelope_bytes_);
  if (bytes > usual) return AlignedBuffer(bytes);
  if (spares_.empty()) return AlignedBuffer(usual);
  AlignedBuffer buffer = std::move(spares_.back());
  spares_.pop_back();
  return buffer;
}

void LogWriter::give_back(AlignedBuffer buffer) {
  const bool usual = buffer.size() == frame_bytes(kGroupPayload + envelope_bytes_);
  if (usual && spares_.size() <= options_.writes_in_flight) spares_.push_back(std::move(buffer));
}

LogWriter::Group& LogWriter::open_group(std::uint32_t record_bytes) {
  if (fits_open_group(record_bytes)) return *groups_.back();
  if (!groups_.empty()) groups_.back()->closed = true;
  auto group = std::make_unique<Group>();
  group->buffer = take_buffer(frame_bytes(kLogRecordHeaderBytes + record_bytes + envelope_bytes_));
  group->envelope_bytes = envelope_bytes_;
  group->position = head_;
  groups_.push_back(std::move(group));
  return *groups_.back();
}

Lsn LogWriter::append(ByteView record, bool claims) {
  const auto record_bytes = static_cast<std::uint32_t>(record.size());
  ASSERT(!failure_ && !record.empty() && room(record_bytes) != Room::kFull);
  Group& group = open_group(record_bytes);
  std::byte* at = group.buffer.data() + kFrameHeaderBytes + group.payload_bytes;
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
  if (starting_ || failure_ || started_ == groups_.size() || in_flight_ >= options_.writes_in_flight) return;
  starting_ = scope_.spawn(start_after_turn());
}

Task<> LogWriter::start_after_turn() {
  starting_ = false;
  start_writes();
  co_return;
}

void LogWriter::start_writes() {
  while (!failure_ && in_flight_ < options_.writes_in_flight && started_ < groups_.size()) {
    Group& group = *groups_[started_];
    if (auto chained = chain(group); !chained) return fence(chained.error().with_context("log write failed"));
    ++started_;
    ++in_flight_;
    const bool spawned = scope_.spawn(write_group(&group));
    ASSERT(spawned);
  }
}

/// Gives the group its place in the chain. Groups are chained in order of position, just before they are written.
Result<> LogWriter::chain(Group& group) {
  ASSERT(group.records > 0 && group.position == next_.position);
  group.closed = true;
  const std::uint64_t bytes = group.bytes();
  const std::size_t used = kFrameHeaderBytes + group.payload_bytes;
  std::memset(group.buffer.data() + used, 0, bytes - used);
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
  const MutableBytes frame = group.buffer.first(bytes);
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

Task<> LogWriter::write_group(Group* group) {
  auto written = co_await put_on_media(*group);
  --in_flight_;
  if (!written) {
    fence(written.error().with_context("log write failed"));
    co_return;
  }
  // Now, not when the groups before it are done, too: behind one slow write there may be thousands.
  give_back(std::move(group->buffer));
  group->done = true;
  if (!failure_) advance();
}

Task<Result<>> LogWriter::put_on_media(const Group& group) {
  media::BlockDevice& device = *options_.device;
  if (group.claims && options_.flush_first != nullptr) CO_CHECK_OK(co_await options_.flush_first->flush());
  const bool durable = device.prefers_durable_writes();
  const auto how = durable ? media::Durability::kDurable : media::Durability::kCached;
  ByteView rest = group.buffer.first(group.bytes());
  std::uint64_t offset = group.position % ring_bytes_;
  while (!rest.empty()) {  // twice where the frame wraps at the end of the ring
    const ByteView part = rest.first(std::min<std::uint64_t>(rest.size(), ring_bytes_ - offset));
    const media::BlockNo block(options_.ring.first + offset / media::kBlockBytes);
    CO_CHECK_OK(co_await device.write(block, part, how));
    rest = rest.subspan(part.size());
    offset = 0;
  }
  if (!durable) CO_CHECK_OK(co_await device.flush());
  co_return Result<>{};
}

/// Moves `durable` over the groups that are done without a gap, wakes who waited for them and lets the next ones go.
void LogWriter::advance() {
  while (!groups_.empty() && groups_.front()->done) {
    Group& group = *groups_.front();
    durable_ = group.end();
    ++writes_;
    blocks_written_ += group.bytes() / media::kBlockBytes;
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

Task<Result<>> LogWriter::wait_durable(Lsn lsn, Until until) {
  struct Wait {
    LogWriter& log;
    Waiter waiter;
    bool await_ready() const { return log.failure_.has_value() || waiter.amount() <= log.durable_; }
    void await_suspend(std::coroutine_handle<> handle) {
      log.waiters_.push_back(waiter);
      waiter.start(handle);
    }
    Result<> await_resume() const { return waiter.result(); }
  };
  ASSERT(lsn.value() <= head_);
  CO_CHECK_OK(co_await Wait{*this, Waiter(reactor_, until, lsn.value())});
  if (lsn.value() <= durable_) co_return Result<>{};
  co_return fail(*failure_);
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
