#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/engine/data_directory.h"
#include "cenote/engine/engine_host.h"
#include "cenote/engine/engine_options.h"
#include "control_side.h"
#include "core_thread.h"

namespace cenote::engine {

/// A real machine: one thread with an io_uring per reactor, files and block devices, TCP.
class UringHost final : public EngineHost {
 public:
  /// `control` and `directory` outlive it. kIoError when the kernel refuses io_uring.
  static Result<std::unique_ptr<UringHost>> start(const EngineOptions& options, ControlSide& control,
                                                  DataDirectory& directory, Logger logger);

  CoreThread& control_thread() { return control_.thread(); }

  Reactor& control() override { return control_.thread().reactor(); }
  std::span<Reactor* const> data() override { return data_; }
  Result<std::unique_ptr<media::BlockDevice>> open_device(Reactor& reactor, const std::string& path) override;
  Task<Result<>> enlarge(std::string path, std::uint64_t bytes) override;
  void register_buffers(Reactor& reactor, media::BlockDevice& device, media::BufferPool& pool) override;
  Result<std::vector<Endpoint>> endpoints(std::size_t index, rpc::Counters& counters) override;
  cluster::Coordinator* coordinator() override { return control_.coordinator(); }
  std::unique_ptr<rpc::Transport> outgoing() override;
  std::unique_ptr<rpc::Transport> outgoing_at(std::size_t index) override;
  Task<Result<>> replace_control_copy(Bytes copy, bool keep_last) override;
  Task<Result<std::optional<Bytes>>> read_control_copy() override;
  Result<> commit_creation() override { return directory_.commit(); }

 private:
  UringHost(const EngineOptions& options, ControlSide& control, DataDirectory& directory, Logger logger)
      : options_(options), control_(control), directory_(directory), logger_(std::move(logger)) {}

  EngineOptions options_;
  ControlSide& control_;
  DataDirectory& directory_;
  Logger logger_;
  std::vector<std::unique_ptr<CoreThread>> threads_;
  std::vector<Reactor*> data_;
};

}  // namespace cenote::engine
