// The sending half of a stream link against a stream that the test plays itself.

#include "stream_link.h"

#include <gtest/gtest.h>

#include <functional>

#include "cenote/runtime/sim_reactor.h"

namespace cenote::rpc {
namespace {

/// Keeps what it is given; the test says when a send has ended and how far it came.
class PlayedStream final : public ByteStream {
 public:
  void attach(StreamEvents& events) override { events_ = &events; }
  void send(std::span<const iovec> parts) override {
    ASSERT(!in_flight_);
    in_flight_ = true;
    ++sends;
    offered_.clear();
    for (const iovec& part : parts) {
      const auto* bytes = static_cast<const std::byte*>(part.iov_base);
      offered_.insert(offered_.end(), bytes, bytes + part.iov_len);
    }
  }
  void receive(std::span<const iovec>) override {}
  void cancel_send() override {}
  void cancel_receive() override {}
  void request_flush() override { ++flush_requests; }
  void hurry() override { ++hurried; }
  void shutdown() override {}
  const std::string& peer_name() const override { return name_; }

  std::size_t offered() const { return offered_.size(); }
  void end_turn() { events_->on_flush(); }
  void end_send(std::size_t bytes) {
    in_flight_ = false;
    wire.insert(wire.end(), offered_.begin(), offered_.begin() + static_cast<std::ptrdiff_t>(bytes));
    events_->on_sent(bytes);
  }
  void end_all_sends() {
    while (in_flight_) end_send(offered());
  }

  Bytes wire;
  int sends = 0, hurried = 0, flush_requests = 0;

 private:
  StreamEvents* events_ = nullptr;
  bool in_flight_ = false;
  Bytes offered_;
  std::string name_ = "played";
};

struct Message final : Outgoing {
  explicit Message(std::uint64_t sequence) {
    header.session = 1;
    header.sequence = sequence;
    header.opcode = 1;
    header.expiry = 1;
  }
  void on_released(bool sent) override {
    ++released;
    was_sent = sent;
    if (then) then();
  }

  int released = 0;
  bool was_sent = false;
  std::function<void()> then;
};

class StreamLinkSends : public ::testing::Test {
 public:
  std::vector<std::unique_ptr<Message>> make(std::size_t count) {
    std::vector<std::unique_ptr<Message>> made;
    for (std::size_t i = 1; i <= count; ++i) made.push_back(std::make_unique<Message>(i));
    return made;
  }
  /// The sequences of the messages that reached the wire, each whole.
  std::vector<std::uint64_t> arrived() const {
    std::vector<std::uint64_t> sequences;
    EXPECT_EQ(stream->wire.size() % kHeaderBytes, 0u);
    for (std::size_t at = 0; at + kHeaderBytes <= stream->wire.size(); at += kHeaderBytes) {
      const Result<Header> header = decode_header(ByteView(stream->wire).subspan(at, kHeaderBytes));
      EXPECT_TRUE(header) << "torn stream at byte " << at;
      if (header) sequences.push_back(header->sequence);
    }
    return sequences;
  }

  SimWorld world{1};
  SimReactor& node = world.add_node("a");
  PlayedStream* stream = new PlayedStream;  // the link owns it
  StreamLink link{node, std::unique_ptr<ByteStream>(stream), 4096, nullptr};
};

using Sequences = std::vector<std::uint64_t>;

TEST_F(StreamLinkSends, AFewMessagesWaitForTheEndOfTheTurn) {
  auto messages = make(15);
  for (auto& message : messages) link.send(*message);
  EXPECT_EQ(stream->sends, 0);
  stream->end_turn();
  EXPECT_EQ(stream->sends, 1);
  EXPECT_EQ(stream->hurried, 0);
  stream->end_all_sends();
  EXPECT_EQ(arrived().size(), 15u);
}

TEST_F(StreamLinkSends, ManyBeginToLeaveWithinTheTurn) {
  auto messages = make(40);
  for (auto& message : messages) link.send(*message);
  EXPECT_EQ(stream->sends, 1);
  EXPECT_EQ(stream->hurried, 1);
  EXPECT_EQ(stream->offered(), 16 * kHeaderBytes);
  stream->end_turn();
  stream->end_all_sends();
  EXPECT_EQ(stream->sends, 2);
  EXPECT_EQ(arrived().size(), 40u);
}

TEST_F(StreamLinkSends, SendingFromAReleaseRepeatsNothing) {
  auto messages = make(60);
  messages[0]->then = [&] {
    for (std::size_t i = 3; i < 60; ++i) link.send(*messages[i]);
  };
  for (std::size_t i = 0; i < 3; ++i) link.send(*messages[i]);
  stream->end_turn();
  stream->end_send(2 * kHeaderBytes + 10);  // the third is partly out while the first is given back
  stream->end_all_sends();
  Sequences expected;
  for (std::uint64_t i = 1; i <= 60; ++i) expected.push_back(i);
  EXPECT_EQ(arrived(), expected);
  for (auto& message : messages) EXPECT_EQ(message->released, 1);
}

TEST_F(StreamLinkSends, AbandoningFromAReleaseWhatWasSentTearsNothing) {
  auto messages = make(4);
  messages[0]->then = [&] {
    link.abandon(*messages[1]);  // sent with the first, not yet given back
    link.abandon(*messages[2]);  // partly sent
    link.abandon(*messages[3]);  // not begun
  };
  for (auto& message : messages) link.send(*message);
  stream->end_turn();
  stream->end_send(2 * kHeaderBytes + 10);
  stream->end_all_sends();
  EXPECT_EQ(arrived(), (Sequences{1, 2, 3}));
  for (auto& message : messages) EXPECT_EQ(message->released, 1);
  EXPECT_TRUE(messages[1]->was_sent) << "a retry must know that the server has it";
  EXPECT_TRUE(messages[2]->was_sent);
  EXPECT_FALSE(messages[3]->was_sent);
}

TEST_F(StreamLinkSends, AbandoningFromAReleaseOfAnAbandonedOneTearsNothing) {
  auto messages = make(40);
  messages[1]->then = [&] {
    link.abandon(*messages[2]);
    for (std::size_t i = 3; i < 40; ++i) link.send(*messages[i]);
  };
  for (std::size_t i = 0; i < 3; ++i) link.send(*messages[i]);
  link.abandon(*messages[1]);
  stream->end_turn();
  stream->end_all_sends();
  EXPECT_EQ(arrived().size(), 38u);
  for (auto& message : messages) EXPECT_EQ(message->released, 1);
}

}  // namespace
}  // namespace cenote::rpc
