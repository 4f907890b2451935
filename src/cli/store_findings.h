#pragma once

#include "cenote/object/examine.h"
#include "output.h"
#include "progress.h"

namespace cenote::cli {

/// A place on a device and in the trees, in words: "block 12, page 3 of object.container.4".
std::string place_text(const store::Finding& finding);
const char* severity_name(store::Severity severity);
Json to_json(const object::TargetFinding& found);

/// Prints findings as they come, and keeps those that the document shows.
class StoreFindings {
 public:
  /// At most `most` are listed; all are counted.
  StoreFindings(const Output& out, std::uint64_t most, Progress& progress)
      : out_(out), most_(most), progress_(progress) {}

  void add(const object::TargetFinding& found);
  std::uint64_t omitted() const { return count_ > most_ ? count_ - most_ : 0; }
  Json take() { return std::move(listed_); }

 private:
  const Output& out_;
  std::uint64_t most_;
  Progress& progress_;
  std::uint64_t count_ = 0;
  Json listed_ = Json::array();
};

}  // namespace cenote::cli
