#pragma once

#include <array>

#include "byte_stream.h"
#include "cenote/rpc/tcp.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::rpc {

/// A file descriptor that is closed with its owner.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// Ends `operation` soon, with -ECANCELED if it has not done its work.
void cancel_operation(UringReactor& reactor, UringOperation& operation);

/// A connected socket. At most one send and one receive are with the kernel.
class TcpStream final : public ByteStream {
 public:
  TcpStream(UringReactor& reactor, FileDescriptor socket, const TcpOptions& options, std::string peer_name);
  ~TcpStream() override;

  void attach(StreamEvents& events) override { events_ = &events; }
  void send(std::span<const iovec> parts) override;
  void receive(std::span<const iovec> parts) override;
  void cancel_send() override;
  void cancel_receive() override;
  void request_flush() override { reactor_.at_turn_end(flush_); }
  void hurry() override { reactor_.submit_prepared(); }
  void shutdown() override;
  const std::string& peer_name() const override { return peer_name_; }

 private:
  class Operation final : public UringOperation {
   public:
    Operation(TcpStream& stream, void (StreamEvents::*event)(Result<std::size_t>)) : stream_(stream), event_(event) {}
    void complete(std::int32_t result, std::uint32_t flags) override;

    msghdr message{};
    bool in_flight = false;

   private:
    TcpStream& stream_;
    void (StreamEvents::*event_)(Result<std::size_t>);
  };
  class Flush final : public TurnEnd {
   public:
    explicit Flush(TcpStream& stream) : stream_(stream) {}
    void at_turn_end() override { stream_.events_->on_flush(); }

   private:
    TcpStream& stream_;
  };

  io_uring_sqe& begin(Operation& operation, std::span<const iovec> parts);

  UringReactor& reactor_;
  FileDescriptor socket_;
  std::string peer_name_;
  StreamEvents* events_ = nullptr;
  Operation send_{*this, &StreamEvents::on_sent};
  Operation receive_{*this, &StreamEvents::on_received};
  Flush flush_{*this};
};

}  // namespace cenote::rpc
