#pragma once

#include <string>

#include "tree/snapshot.h"

namespace cenote::posix_tests {

struct TreeOptions {
  std::string directory;  ///< what is judged
  std::string reference;  ///< what it is compared with
  std::uint64_t seed = 1;
  std::uint64_t operations = 5'000;
  std::uint64_t check_every = 200;
  std::string journal;        ///< empty: none is written
  bool sync_all = false;      ///< syncfs before an operation of a journal is acknowledged
  bool partial_data = false;  ///< a write in flight may be there in part
  bool keep = false;
  bool verbose = false;
  SnapshotOptions snapshot{};
};

enum class TreeVerdict : unsigned char { kRight, kWrong, kInterrupted };

/// Does random operations on both trees at once; prints what differs.
TreeVerdict run_tree(const TreeOptions& options);
/// Whether a tree is what the journal at `path` tells; `options.reference` is used to repeat it.
TreeVerdict verify_tree(const TreeOptions& options, const std::string& path);

/// The directory of a run in `directory`.
std::string tree_of(const std::string& directory, std::uint64_t seed);

}  // namespace cenote::posix_tests
