#include "in_process.h"

#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/data_directory.h"
#include "cenote/engine/engine.h"

namespace cenote::detail {
namespace {

constexpr const char* kAddress = "engine:1";

}  // namespace

struct InProcess::Impl {
  rpc::InprocNetwork network;
  MetricRegistry metrics;
  std::unique_ptr<engine::Engine> engine;
};

Result<std::unique_ptr<InProcess>> InProcess::start(std::string directory, OpenOptions options) {
  // Reading changes nothing, so a directory that is no store stays as it is when none may be made of it.
  const auto existing = engine::DataDirectory::read_identity(directory);
  const bool missing = !existing && existing.error() == Code::kNotFound;
  if (!existing && !(missing && options.create)) return fail(existing.error());
  auto impl = std::make_unique<Impl>();
  engine::EngineOptions engine_options;
  engine_options.data_directory = std::move(directory);
  engine_options.listen_address.clear();
  engine_options.control_address.clear();
  engine_options.inproc = &impl->network;
  engine_options.inproc_address = kAddress;
  // A directory that a server made may have more.
  if (missing) engine_options.targets = 1;
  engine_options.target_bytes = options.size_bytes;
  engine_options.cache_bytes = options.cache_bytes;
  engine_options.encryption_key = std::move(options.encryption_key);
  // A library writes nothing to its program's standard error: failures are returned.
  TRY(impl->engine, engine::Engine::start(std::move(engine_options), impl->metrics, Logger()));
  return std::unique_ptr<InProcess>(new InProcess(std::move(impl)));
}

InProcess::InProcess(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InProcess::~InProcess() = default;

rpc::InprocNetwork& InProcess::network() { return impl_->network; }

rpc::Address InProcess::address() const { return impl_->engine->addresses().front(); }

}  // namespace cenote::detail
