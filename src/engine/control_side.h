#pragma once

#include <memory>

#include "cenote/base/log.h"
#include "cenote/engine/coordinator_source.h"
#include "cenote/engine/data_directory.h"
#include "core_thread.h"

namespace cenote::engine {

/// The control reactor's thread, and on it the outside coordinator of an engine that has one: what is needed to find
/// out which system the engine belongs to, before anything else is there.
class ControlSide final : public SystemSource {
 public:
  /// `source` is nullptr for an engine that has a coordinator of its own. kIoError when the kernel refuses io_uring;
  /// what the source says.
  static Result<std::unique_ptr<ControlSide>> start(CoordinatorSource* source, const Logger& logger);
  /// Nobody uses the coordinator any more.
  ~ControlSide();

  CoreThread& thread() { return *thread_; }
  /// nullptr: none.
  cluster::Coordinator* coordinator() { return coordinator_.get(); }
  /// nullptr: the engine belongs to a system of its own.
  SystemSource* system_source() { return coordinator_ == nullptr ? nullptr : this; }

  Result<std::optional<SystemIdentity>> system(std::optional<SystemIdentity> proposal) override;
  std::string place() const override { return source_->place(); }

 private:
  ControlSide(std::unique_ptr<CoreThread> thread, CoordinatorSource* source)
      : thread_(std::move(thread)), source_(source) {}
  Task<> close();

  std::unique_ptr<CoreThread> thread_;
  CoordinatorSource* source_;
  std::unique_ptr<cluster::Coordinator> coordinator_;
};

}  // namespace cenote::engine
