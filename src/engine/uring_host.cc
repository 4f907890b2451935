#include "uring_host.h"

#include <algorithm>

#include "cenote/media/uring_device.h"
#include "cenote/rpc/inproc.h"
#include "cenote/rpc/tcp.h"
#include "own_thread.h"

namespace cenote::engine {
namespace {

// The reactors of this host are UringReactors, all of them.
UringReactor& uring(Reactor& reactor) { return static_cast<UringReactor&>(reactor); }

}  // namespace

Result<std::unique_ptr<UringHost>> UringHost::start(const EngineOptions& options, ControlSide& control,
                                                    DataDirectory& directory, Logger logger) {
  std::unique_ptr<UringHost> host(new UringHost(options, control, directory, std::move(logger)));
  const std::size_t targets = directory.identity().targets.size();
  const std::size_t count = std::clamp<std::size_t>(options.reactors, 1, targets);
  for (std::size_t index = 0; index < count; ++index) {
    const int cpu = options.pin_cpus ? static_cast<int>(index) : -1;
    TRY(auto thread, CoreThread::start({.spin = options.spin, .cpu = cpu}));
    host->data_.push_back(&thread->reactor());
    host->threads_.push_back(std::move(thread));
  }
  return host;
}

Result<std::unique_ptr<media::BlockDevice>> UringHost::open_device(Reactor& reactor, const std::string& path) {
  TRY(auto device, media::UringDevice::open(uring(reactor), directory_.path_of(path), {}));
  if (!device->direct()) {
    logger_.info("no direct I/O here: going through the page cache", {{"device", device->name()}});
  }
  return device;
}

// Reserving a large file and making its size durable takes seconds, for which the control reactor has other work.
Task<Result<>> UringHost::enlarge(std::string path, std::uint64_t bytes) {
  co_return co_await on_own_thread(control(),
                                   [&]() -> Result<> { return directory_.enlarge(path, bytes, options_.preallocate); });
}

Task<Result<>> UringHost::replace_control_copy(Bytes copy, bool keep_last) {
  co_return co_await on_own_thread(control(),
                                   [&]() -> Result<> { return directory_.replace_control_copy(copy, keep_last); });
}

Task<Result<std::optional<Bytes>>> UringHost::read_control_copy() {
  co_return co_await on_own_thread(control(),
                                   [&]() -> Result<std::optional<Bytes>> { return directory_.read_control_copy(); });
}

void UringHost::register_buffers(Reactor&, media::BlockDevice& device, media::BufferPool& pool) {
  // Devices of this host are UringDevices. What the kernel refuses only costs speed.
  auto registered = static_cast<media::UringDevice&>(device).register_buffers(pool);
  if (!registered) logger_.debug("buffers are not registered", {{"error", registered.error()}});
}

std::unique_ptr<rpc::Transport> UringHost::outgoing() { return std::make_unique<rpc::TcpTransport>(uring(control())); }

std::unique_ptr<rpc::Transport> UringHost::outgoing_at(std::size_t index) {
  // An engine that only this process reaches has no others beside it, but targets that speak with each other.
  if (options_.listen_address.empty() && options_.inproc != nullptr)
    return std::make_unique<rpc::InprocTransport>(*options_.inproc, *data_[index]);
  return std::make_unique<rpc::TcpTransport>(uring(*data_[index]));
}

Result<std::vector<Endpoint>> UringHost::endpoints(std::size_t index, rpc::Counters& counters) {
  std::vector<Endpoint> endpoints;
  UringReactor& reactor = uring(*data_[index]);
  if (!options_.listen_address.empty()) {
    TRY(auto address, rpc::Address::parse(options_.listen_address));
    rpc::TcpOptions tcp;
    if (data_.size() > 1) tcp.sharing = index == 0 ? rpc::AddressSharing::kFirst : rpc::AddressSharing::kJoin;
    endpoints.push_back({std::make_unique<rpc::TcpTransport>(reactor, tcp, &counters), std::move(address)});
  }
  if (options_.inproc != nullptr && index == 0) {
    TRY(auto address, rpc::Address::parse(options_.inproc_address));
    endpoints.push_back(
        {std::make_unique<rpc::InprocTransport>(*options_.inproc, reactor, &counters), std::move(address)});
  }
  return endpoints;
}

}  // namespace cenote::engine
