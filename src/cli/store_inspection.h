#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "cenote/media/uring_device.h"
#include "cenote/store/inspect.h"
#include "cenote/store/store_check.h"
#include "output.h"

namespace cenote::cli {

/// All that can be said of one store without changing it. Parts that damage keeps from being read are left out; `flaw`
/// says why.
struct StoreInspection {
  std::string name;  ///< "target 0", "coordinator", or the path
  std::string path;
  std::string wal, data;    ///< devices of their own for these roles, if it has them
  std::uint64_t bytes = 0;  ///< of all devices
  std::array<store::SuperblockReport, 2> superblocks;
  std::optional<store::StoreStatus> status;  ///< nullopt: it does not open
  std::vector<store::TreeReport> trees;
  std::optional<store::CheckReport> check;  ///< nullopt: it does not open, or the check found a contradiction
  std::optional<Error> flaw;
};

/// What `cenote debug store PATH` is to look at: the stores of a data directory (kept from being started meanwhile), or
/// one file or device. kLocked while a server has it, kNotFound, kInvalidArgument.
class InspectedPath {
 public:
  enum class Purpose : std::uint8_t { kLook, kChange };
  /// Several may look at a data directory at the same time; who changes its stores has it alone.
  static Result<InspectedPath> open(const std::string& path, const std::optional<SecretKey>& key,
                                    Purpose purpose = Purpose::kLook);
  InspectedPath(InspectedPath&& other) noexcept;
  InspectedPath& operator=(InspectedPath&&) = delete;
  ~InspectedPath();

  struct Member {
    std::string name, path;
    /// Whose it has to be; null where nobody says.
    Uuid system, target;
    /// Devices of their own for these roles; empty where `path` plays them.
    std::string wal = {}, data = {};
    std::optional<SecretKey> key = std::nullopt;  ///< if it is encrypted
  };
  const std::vector<Member>& members() const { return members_; }

 private:
  InspectedPath() = default;
  Result<> lock(const std::string& directory, Purpose purpose);
  std::vector<Member> members_;
  int lock_ = -1;
};

/// The open devices of a store that is looked at.
struct InspectedDevices {
  static Task<Result<InspectedDevices>> open(UringReactor& reactor, InspectedPath::Member member);
  store::Devices roles() const;
  Task<> close();

  std::unique_ptr<media::UringDevice> meta, wal, data;  // the last two are null where the first plays their role
};

/// Opens the store read-only, replays its log in memory, checks everything. Errors only where it cannot be looked at at
/// all (kLocked, kPermissionDenied, ...); damage is in the result, and so is kForeign for a store that is another's.
Result<StoreInspection> inspect_store(const InspectedPath::Member& member, std::uint64_t cache_bytes);

std::string to_text(const StoreInspection& inspection);
Json to_json(const StoreInspection& inspection);

}  // namespace cenote::cli
