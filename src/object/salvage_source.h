#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cenote/store/examine.h"
#include "cenote/store/log_listing.h"

namespace cenote::object {

/// What can be read of a store that may be damaged. Where it does not open, that is its newest checkpoint with the
/// changes laid over that can be read in the log, up to where it is damaged: they are logical, so it matters little
/// which pages can be read.
class SalvageSource {
 public:
  static Task<Result<std::unique_ptr<SalvageSource>>> open(Reactor& reactor, store::Devices devices,
                                                           store::ExamineOptions options);
  /// Must be awaited before destruction.
  Task<> close() { return examination_->close(); }

  store::Examination& examination() { return *examination_; }
  /// By id.
  const std::map<store::TreeId, std::string>& trees() const { return trees_; }
  std::optional<store::TreeId> find_tree(std::string_view name) const;
  /// Of the log that was laid over the checkpoint; nullopt: the store opened.
  const std::optional<store::LogListing>& log() const { return log_; }
  std::uint64_t log_batches() const { return batches_; }

 private:
  friend class SalvageWalk;
  /// Of the keys that the log changes: the last value, or that it was erased.
  using Changes = std::map<Bytes, std::optional<Bytes>>;

  Task<Result<>> read_log(Reactor& reactor, store::Devices devices, std::optional<SecretKey> key);
  void take(const store::LogOperation& operation);
  const Changes& changes_of(store::TreeId tree) const;

  std::unique_ptr<store::Examination> examination_;
  std::map<store::TreeId, std::string> trees_;
  std::map<store::TreeId, Changes> changes_;
  std::optional<store::LogListing> log_;
  std::uint64_t batches_ = 0;
};

/// The entries of one tree in the order of their keys. Reports damage.
class SalvageWalk {
 public:
  SalvageWalk(SalvageSource& source, store::TreeId tree);

  /// To the next entry. False: there is none.
  Task<bool> next();
  // Of the entry; valid until the next call of `next`.
  ByteView key() const { return key_; }
  ByteView value() const { return value_; }
  /// Zero: it comes from the log.
  std::uint64_t page() const { return page_; }

 private:
  std::optional<store::TreeWalk> walk_;  // of a tree that the checkpoint has
  std::uint32_t index_ = 0, count_ = 0;
  SalvageSource::Changes::const_iterator change_, last_change_;
  Bytes key_;
  ByteView value_;
  std::uint64_t page_ = 0;
};

}  // namespace cenote::object
