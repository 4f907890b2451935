#include "store_devices.h"

#include "cenote/base/format.h"

namespace cenote::engine {

using namespace std::chrono_literals;

namespace {

Task<Result<std::unique_ptr<media::BlockDevice>>> open_when_free(EngineHost& host, Reactor& reactor, std::string path) {
  constexpr Duration kPatience = std::chrono::seconds(5);
  constexpr Duration kPause = std::chrono::milliseconds(5);
  const Instant give_up = reactor.now() + kPatience;
  for (;;) {
    auto device = host.open_device(reactor, path);
    if (device || !(device.error() == Code::kLocked) || reactor.now() >= give_up) co_return device;
    co_await reactor.sleep_for(kPause);
  }
}

}  // namespace

Task<Result<StoreDevices>> StoreDevices::open(EngineHost& host, Reactor& reactor, StoreIdentity store) {
  StoreDevices devices;
  CO_TRY(devices.meta, co_await open_when_free(host, reactor, store.path));
  if (store.wal) {
    CO_TRY(devices.wal, co_await open_when_free(host, reactor, store.wal->path));
  }
  if (store.data) {
    CO_TRY(devices.data, co_await open_when_free(host, reactor, store.data->path));
  }
  co_return devices;
}

Error lost_store(Error error) {
  if (!(error == Code::kNotFound)) return error;
  return Error(Code::kCorrupt, error.message() +
                                   " any more, though the identity of the data directory lists one: its beginning was "
                                   "overwritten, or this is another device");
}

Task<> StoreDevices::close() {
  for (auto* device : {&data, &wal, &meta}) {
    if (*device != nullptr) co_await (*device)->close();
    device->reset();
  }
}

store::Devices StoreDevices::roles() const {
  const auto or_meta = [this](const std::unique_ptr<media::BlockDevice>& own) { return own ? own.get() : meta.get(); };
  return {.wal = or_meta(wal), .meta = meta.get(), .data = or_meta(data)};
}

std::string StoreDevices::name() const {
  std::string text = fmt::format("'{}'", meta->name());
  if (wal) text += fmt::format(", wal '{}'", wal->name());
  if (data) text += fmt::format(", data '{}'", data->name());
  return text;
}

media::DeviceCounters StoreDevices::counters() const {
  media::DeviceCounters sum;
  for_each([&sum](const char*, const media::BlockDevice& device) { sum += device.counters(); });
  return sum;
}

std::string StoreDevices::trouble(Instant now) const {
  using State = media::DeviceHealth::State;
  State worst = State::kOk;
  std::string text;
  for_each([&](const char* role, media::BlockDevice& device) {
    const State state = device.health().state(now);
    if (state <= worst) return;
    worst = state;
    const auto silence = std::chrono::duration_cast<std::chrono::seconds>(device.health().silence(now)).count();
    text = state == State::kSlow ? fmt::format("slow: operations of its {} device '{}' take more than {} ms", role,
                                               device.name(), media::DeviceHealth::kSlowOperation / 1ms)
                                 : fmt::format("not answering: its {} device '{}' has completed nothing for {} s", role,
                                               device.name(), silence);
  });
  return text;
}

}  // namespace cenote::engine
