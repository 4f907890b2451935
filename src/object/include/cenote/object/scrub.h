#pragma once

#include <cstdint>
#include <functional>

#include "cenote/object/examine.h"
#include "cenote/runtime/cancel.h"
#include "cenote/store/store.h"

/// Proving what an open store holds of a container as its devices have it, while requests run.
namespace cenote::object {

/// What a scrub has gone through.
struct ScrubReport {
  std::uint64_t leaves = 0;
  std::uint64_t images = 0;             ///< of pages, read from the device
  std::uint64_t entries = 0;            ///< versions and punches of all levels, or records of the target
  std::uint64_t read_bytes = 0;         ///< from the devices
  std::uint64_t verified_bytes = 0;     ///< of data that equals its checksums
  std::uint64_t unprotected_bytes = 0;  ///< of data without checksums, which was read
  std::uint64_t damages = 0;
  std::uint64_t repaired = 0;  ///< pages whose image was damaged and that memory had whole; no damages
};

struct ScrubOptions {
  /// What is read from the devices, on average; 0: as much as they give, and a quarter of that while others use the
  /// target.
  std::uint64_t bytes_per_second = 32ull << 20;
  /// How many requests the target has served: whether others use it.
  std::function<std::uint64_t()> requests = [] { return std::uint64_t{0}; };
  std::function<void(const TargetFinding&)> found = [](const TargetFinding&) {};
  /// Now and then, after each leaf at least, with what was gone through so far and the key where another scrub would
  /// go on.
  std::function<void(const ScrubReport&, ByteView position)> progress = [](const ScrubReport&, ByteView) {};
  /// Ends the scrub between two reads.
  CancelSource* cancel = nullptr;
  /// Of a container: the key to begin at.
  Bytes from = {};
  /// Of a clone: also what it shows of the containers that it is a clone of. Findings name those.
  bool inherited = false;
};

/// Reads every page and all data of a container, of every retained version, from the devices and proves it: pages as of
/// store::TreeScrub, entries that can be no others, data against its checksums. What is damaged is reported, once, and
/// left out.
///
/// Never a false alarm: data is read under a guard that keeps its blocks from being reused, from before its entry was
/// looked up, and reported only if the entry still stands. What moves to an earlier key meanwhile (aggregation cuts
/// extents) may be missed.
///
/// Pages that only memory has whole are written anew, and the scrub ends with a checkpoint then.
///
/// Memory: 2 MiB for data and a page for each level of the tree. kContainerNotFound, also when the container is
/// destroyed meanwhile; kStopped; kCancelled; kFenced.
Task<Result<ScrubReport>> scrub_container(store::Store& store, Uuid container, ScrubOptions options);

/// The same for what the target keeps beside the containers: catalog, system tree, kept results of requests.
Task<Result<ScrubReport>> scrub_records(store::Store& store, ScrubOptions options);

}  // namespace cenote::object
