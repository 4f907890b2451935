#include "cenote/engine/sim_engine.h"

#include <algorithm>
#include <map>

#include "cenote/base/format.h"
#include "sim_coordinator_link.h"
#include "system_record.h"

namespace cenote::engine {
namespace {

constexpr std::uint64_t kCoordinatorBytes = 64ull << 20;

std::string path_of(std::uint32_t target, std::string_view role) {
  return role.empty() ? std::to_string(target) : fmt::format("{}.{}", target, role);
}

std::string node_name(const std::string& engine, std::uint32_t reactor) {
  // Clients know the first data reactor by the engine's name.
  return reactor == 0 ? engine : fmt::format("{}.{}", engine, reactor);
}

}  // namespace

class SimEngine::Host final : public EngineHost {
 public:
  Host(SimWorld& world, rpc::SimNetwork& network, const SimEngineOptions& options)
      : network_(network), options_(options) {
    for (std::uint32_t index = 0; index < std::max(options.reactors, 1U); ++index) {
      nodes_.push_back(&world.add_node(node_name(options.name, index)));
    }
    data_.assign(nodes_.begin(), nodes_.end());
    if (options.reactors > 0) nodes_.push_back(&world.add_node(options.name + ".control"));
    const auto id = [&world] {
      const std::uint64_t high = world.random();
      return Uuid::from_random(high, world.random());
    };
    identity_.system = id();
    identity_.engine = id();
    identity_.name = options.name;
    if (!options.shared) {
      identity_.coordinator = StoreIdentity{id(), "coordinator", kCoordinatorBytes, options.log_bytes};
      add_medium(identity_.coordinator->path, identity_.coordinator->bytes);
    }
    for (std::uint32_t index = 0; index < options.targets; ++index) {
      StoreIdentity& target =
          identity_.targets.emplace_back(id(), std::to_string(index), options.target_bytes, options.log_bytes);
      add_medium(target.path, target.bytes);
      if (!options.own_devices) continue;
      target.wal = DeviceIdentity{path_of(index, "wal"), 2 * options.log_bytes};
      target.data = DeviceIdentity{path_of(index, "data"), options.target_bytes};
      add_medium(target.wal->path, target.wal->bytes);
      add_medium(target.data->path, target.data->bytes);
    }
  }

  SimReactor& control_node() { return *nodes_.back(); }
  Identity& identity() { return identity_; }
  media::SimMedium& medium(const std::string& path) { return *media_.at(path); }
  media::SimDevice* device(const std::string& path) {
    const auto found = devices_.find(path);
    return found == devices_.end() ? nullptr : found->second;
  }

  Reactor& control() override { return control_node(); }
  std::span<Reactor* const> data() override { return data_; }
  Result<std::unique_ptr<media::BlockDevice>> open_device(Reactor& reactor, const std::string& path) override;
  Task<Result<>> enlarge(std::string path, std::uint64_t bytes) override {
    if (bytes / media::kBlockBytes < medium(path).block_count()) co_return fail(Code::kOutOfRange, "it is larger");
    medium(path).grow(bytes / media::kBlockBytes);
    co_return Result<>();
  }
  Result<std::vector<Endpoint>> endpoints(std::size_t index, rpc::Counters& counters) override {
    std::vector<Endpoint> endpoints;
    if (index == 0) endpoints.push_back({network_.transport(*nodes_[0], &counters), {options_.name, options_.port}});
    return endpoints;
  }
  Task<Result<>> replace_control_copy(Bytes copy, bool keep_last) override {
    co_await control().sleep_for(options_.control_copy_time);
    if (crashed_) co_return fail(Code::kDeviceDead, "the node has crashed");
    if (!control_copy_writable) co_return fail(Code::kDeviceFull, "no room for the control copy");
    if (keep_last && !control_copy_aside) control_copy_aside = std::move(control_copy);
    control_copy = std::move(copy);
    co_return Result<>();
  }
  Task<Result<std::optional<Bytes>>> read_control_copy() override { co_return control_copy; }
  Result<> commit_creation() override {
    // The process may have died without having noticed yet.
    if (crashed_) return fail(Code::kDeviceDead, "the node has crashed");
    identity_.state = Identity::State::kReady;
    return {};
  }

  cluster::Coordinator* coordinator() override { return link_.get(); }
  std::unique_ptr<rpc::Transport> outgoing() override { return network_.transport(control_node()); }
  std::unique_ptr<rpc::Transport> outgoing_at(std::size_t index) override { return network_.transport(*nodes_[index]); }

  /// What the directory of a real engine is asked before anything starts.
  Task<Result<>> join_system() {
    if (!options_.shared) co_return Result<>();
    link_ = std::make_unique<SimCoordinatorLink>(control_node(), *options_.shared->node, *options_.shared->coordinator);
    std::optional<SystemIdentity> proposal;
    if (identity_.state == Identity::State::kCreating) proposal = {identity_.system, identity_.name};
    CO_TRY(const auto system, co_await find_system(*link_, proposal, Until::forever()));
    if (proposal) {
      identity_.system = system->id;
      identity_.name = system->name;
    }
    if (!system || system->id != identity_.system) co_return fail(Code::kForeign, "it is of another system");
    co_return Result<>();
  }
  void leave() { link_.reset(); }
  void set_clock_skew(Duration skew) {
    for (SimReactor* node : nodes_) node->set_clock_skew(skew);
  }
  void use_coordinator(SimSharedCoordinator shared) { options_.shared = shared; }
  void set_coordinator_reachable(bool reachable) { link_->reachable = reachable && !crashed_; }

  void crash(media::CrashOptions options) {
    crashed_ = true;
    if (link_ != nullptr) link_->reachable = false;
    for (auto& [path, device] : devices_) device->crash(options);
    for (SimReactor* node : nodes_) network_.crash(node->name());
  }
  void revive() {
    crashed_ = false;
    for (SimReactor* node : nodes_) network_.revive(node->name());
  }
  bool crashed() const { return crashed_; }

  std::optional<Bytes> control_copy, control_copy_aside;
  bool control_copy_writable = true;

 private:
  class Device;

  void add_medium(const std::string& path, std::uint64_t bytes) {
    media_.emplace(path, std::make_unique<media::SimMedium>(bytes / media::kBlockBytes));
  }

  rpc::SimNetwork& network_;
  SimEngineOptions options_;
  std::vector<SimReactor*> nodes_;  // data nodes, then the control node if it is another one
  std::vector<Reactor*> data_;
  Identity identity_;
  std::map<std::string, std::unique_ptr<media::SimMedium>> media_;  // by path
  std::map<std::string, media::SimDevice*> devices_;                // the open ones
  std::unique_ptr<SimCoordinatorLink> link_;                        // of the software that runs
  bool crashed_ = false;
};

/// A device as the engine owns it; the host knows of it as long as it lives.
class SimEngine::Host::Device final : public media::BlockDevice {
 public:
  Device(Host& host, std::string path, std::unique_ptr<media::SimDevice> device)
      : host_(host), path_(std::move(path)), device_(std::move(device)) {
    host_.devices_[path_] = device_.get();
  }
  ~Device() override { host_.devices_.erase(path_); }

  std::uint64_t block_count() const override { return device_->block_count(); }
  Result<std::uint64_t> measure() override { return device_->measure(); }
  const std::string& name() const override { return device_->name(); }
  bool prefers_durable_writes() const override { return device_->prefers_durable_writes(); }
  void submit(media::IoRequest& request) override { device_->submit(request); }
  media::DeviceCounters counters() const override { return device_->counters(); }
  media::DeviceHealth& health() override { return device_->health(); }
  Task<> close() override { return device_->close(); }

 private:
  Host& host_;
  std::string path_;
  std::unique_ptr<media::SimDevice> device_;
};

Result<std::unique_ptr<media::BlockDevice>> SimEngine::Host::open_device(Reactor& reactor, const std::string& path) {
  const auto node = std::ranges::find_if(nodes_, [&](SimReactor* candidate) { return candidate == &reactor; });
  ASSERT(node != nodes_.end());
  // A start that a crash overtook must not write any more.
  if (crashed_) return fail(Code::kDeviceDead, "the node has crashed");
  auto device = std::make_unique<media::SimDevice>(**node, fmt::format("{}:{}", options_.name, path), medium(path),
                                                   options_.device);
  return std::make_unique<Device>(*this, path, std::move(device));
}

SimEngine::SimEngine(SimWorld& world, rpc::SimNetwork& network, SimEngineOptions options)
    : host_(std::make_unique<Host>(world, network, options)), options_(std::move(options)) {}

SimEngine::~SimEngine() { ASSERT(core_ == nullptr); }

Task<Result<>> SimEngine::start() {
  ASSERT(core_ == nullptr);
  if (host_->crashed()) co_return fail(Code::kDeviceDead, "the node has crashed");
  if (auto joined = co_await host_->join_system(); !joined) {
    host_->leave();
    co_return joined;
  }
  core_ = std::make_unique<EngineCore>(*host_, host_->identity(), options_.core, metrics_, options_.logger);
  auto started = co_await core_->start();
  if (!started && !host_->crashed()) forget_core();
  co_return started;
}

Task<Result<>> SimEngine::stop() {
  Result<> outcome = co_await core_->stop();
  forget_core();
  co_return outcome;
}

void SimEngine::forget_core() {
  core_.reset();
  host_->leave();
}

void SimEngine::set_coordinator_reachable(bool reachable) { host_->set_coordinator_reachable(reachable); }

void SimEngine::set_clock_skew(Duration skew) { host_->set_clock_skew(skew); }

void SimEngine::crash(media::CrashOptions options) { host_->crash(options); }

Task<> SimEngine::clear() {
  ASSERT(host_->crashed());
  // Everything fails on dead media, as it should.
  if (core_ != nullptr) static_cast<void>(co_await core_->stop());
  forget_core();
  host_->revive();
}

bool SimEngine::running() const { return core_ != nullptr && core_->ready(); }
rpc::Address SimEngine::address() const { return {options_.name, options_.port}; }
const std::optional<Bytes>& SimEngine::control_copy() const { return host_->control_copy; }
const std::optional<Bytes>& SimEngine::control_copy_aside() const { return host_->control_copy_aside; }
void SimEngine::set_control_copy_writable(bool writable) { host_->control_copy_writable = writable; }
void SimEngine::use_coordinator(SimSharedCoordinator shared) { host_->use_coordinator(shared); }
SimReactor& SimEngine::control() { return host_->control_node(); }
EngineCore& SimEngine::core() { return *core_; }
const Identity& SimEngine::identity() const { return host_->identity(); }
MetricRegistry& SimEngine::metrics() { return metrics_; }
media::SimDevice* SimEngine::device(std::uint32_t target, std::string_view role) {
  return host_->device(path_of(target, role));
}
media::SimDevice* SimEngine::control_device() { return host_->device(host_->identity().coordinator->path); }
media::SimMedium& SimEngine::medium(std::uint32_t target, std::string_view role) {
  return host_->medium(path_of(target, role));
}

}  // namespace cenote::engine
