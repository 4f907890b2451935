#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/engine/data_directory.h"
#include "cenote/engine/engine_host.h"
#include "cenote/engine/engine_options.h"
#include "core_thread.h"

namespace cenote::engine {

/// A real machine: one thread with an io_uring per reactor, files and block devices, TCP.
class UringHost final : public EngineHost {
 public:
  /// `directory` outlives it. kIoError when the kernel refuses io_uring.
  static Result<std::unique_ptr<UringHost>> start(const EngineOptions& options, DataDirectory& directory,
                                                  Logger logger);

  CoreThread& control_thread() { return *control_; }

  Reactor& control() override { return control_->reactor(); }
  std::span<Reactor* const> data() override { return data_; }
  Result<std::unique_ptr<media::BlockDevice>> open_device(Reactor& reactor, const std::string& path) override;
  Task<Result<>> enlarge(std::string path, std::uint64_t bytes) override;
  void register_buffers(Reactor& reactor, media::BlockDevice& device, media::BufferPool& pool) override;
  Result<std::vector<Endpoint>> endpoints(std::size_t index, rpc::Counters& counters) override;
  Result<> commit_creation() override { return directory_.commit(); }

 private:
  UringHost(const EngineOptions& options, DataDirectory& directory, Logger logger)
      : options_(options), directory_(directory), logger_(std::move(logger)) {}

  EngineOptions options_;
  DataDirectory& directory_;
  Logger logger_;
  std::unique_ptr<CoreThread> control_;
  std::vector<std::unique_ptr<CoreThread>> threads_;
  std::vector<Reactor*> data_;
};

}  // namespace cenote::engine
