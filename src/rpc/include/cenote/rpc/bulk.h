#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/rpc/wire.h"

namespace cenote::rpc {

/// Where the memory of a bulk lies. Device memory is part of the interface so that it later changes a transport and
/// nothing else; a transport that cannot reach it answers kUnsupported.
enum class MemoryKind : std::uint8_t { kHost, kDevice };

/// Memory of one side that one call moves: a scatter list of spans, described once per call. Owns nothing: the memory,
/// and the list where there is one, belong to whoever awaits the call and stay valid until it returns. Cheap to copy.
template <typename Byte>
class Bulk {
 public:
  using Span = std::span<Byte>;

  Bulk() = default;
  /// One span.
  Bulk(Span memory) : single_(memory), bytes_(memory.size()) {}  // NOLINT: a span is a bulk
  /// Several; the list itself is borrowed, too.
  explicit Bulk(std::span<const Span> list, MemoryKind kind = MemoryKind::kHost, std::int32_t device = -1)
      : list_(list), device_(device), kind_(kind) {
    for (Span span : list) bytes_ += span.size();
  }

  /// The spans in order; a view that is valid as long as this object and its list.
  std::span<const Span> spans() const { return list_.empty() ? std::span<const Span>(&single_, 1) : list_; }
  std::size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  MemoryKind kind() const { return kind_; }
  /// Ordinal of the device of kDevice memory.
  std::int32_t device() const { return device_; }

 private:
  std::span<const Span> list_;
  Span single_;
  std::size_t bytes_ = 0;
  std::int32_t device_ = -1;
  MemoryKind kind_ = MemoryKind::kHost;
};

/// Memory a call sends from.
using BulkSource = Bulk<const std::byte>;
/// Memory a call receives into.
using BulkSink = Bulk<std::byte>;

/// The payload of a request as the server received it: block-aligned buffers of the connection's pool, each full but
/// the last. Owned; the buffers go back to the pool on the connection's reactor, so a handler on another reactor uses
/// the memory and leaves this object where it is.
class PulledBulk {
 public:
  static constexpr std::size_t kMaxBuffers = 2;
  static_assert(kMaxBuffers * media::BufferPool::kMaxBufferBytes >= kMaxBulkBytes);

  std::uint32_t bytes() const { return bytes_; }
  std::size_t count() const { return count_; }
  /// Bytes of data in buffer `index`; the buffer's capacity is rounded up to whole blocks, with undefined contents
  /// there.
  MutableBytes span(std::size_t index) const;
  /// Takes buffer `index` out, for a device write that outlives the request.
  media::Buffer take(std::size_t index) { return std::move(buffers_[index]); }

 private:
  friend class IncomingRequest;
  std::array<media::Buffer, kMaxBuffers> buffers_;
  std::uint32_t bytes_ = 0;
  std::uint32_t count_ = 0;
};

/// Whoever owns bytes that a reply sends. `release` is called once, on the connection's reactor, when the transport has
/// let go of them; an owner whose memory belongs to another reactor sends itself home from there.
class PayloadOwner {
 public:
  virtual void release() = 0;

 protected:
  ~PayloadOwner() = default;
};

/// The payload of a reply: bytes in order, from owned buffers or from memory with an owner. The transport moves them
/// straight into the caller's memory. Move-only; destroying it releases everything.
class Payload {
 public:
  Payload() = default;
  Payload(Payload&& other) noexcept { take(other); }
  Payload& operator=(Payload&& other) noexcept;
  ~Payload() { clear(); }

  /// The first `bytes` of `buffer` from `offset`; takes the buffer, which must be of the connection's reactor.
  void add(media::Buffer buffer, std::uint32_t offset, std::uint32_t bytes);
  /// Memory that stays valid and unchanged until `owner.release()`, which is called once for this part.
  void add(ByteView memory, PayloadOwner& owner);
  /// Memory of static lifetime or kept by what outlives the server (a page of zeros).
  void add_static(ByteView memory);

  /// At most kMaxBulkBytes when sent, or the reply becomes kOutOfRange.
  std::size_t bytes() const { return bytes_; }
  /// Valid until the payload changes, moves or ends.
  std::span<const ByteView> spans() const {
    return more_ ? std::span<const ByteView>(more_->spans) : std::span<const ByteView>(&only_, any_ ? 1 : 0);
  }
  bool empty() const { return !any_; }
  void clear();

 private:
  struct Parts {
    std::vector<ByteView> spans;
    std::vector<media::Buffer> buffers;
    std::vector<PayloadOwner*> owners;
  };
  void take(Payload& other);
  void add_span(ByteView memory);
  Parts& more();

  // Most replies have no part, most others one from an owner: neither allocates, and moving them costs next to nothing.
  // Invariant: `only_` and `only_owner_` count while there is no `more_`.
  ByteView only_;
  PayloadOwner* only_owner_ = nullptr;
  std::size_t bytes_ = 0;
  bool any_ = false;
  std::unique_ptr<Parts> more_;
};

}  // namespace cenote::rpc
