#pragma once

#include <string>

#include "fsx/model.h"
#include "kit/fd.h"

namespace cenote::posix_tests {

/// Does operations on the file and compares what it sees with the model. Throws Failure on a difference.
class Client {
 public:
  explicit Client(std::string path) : path_(std::move(path)) {}

  void open();
  void close();
  /// `model` is as the file must be before the operation.
  void perform(const Operation& operation, const Model& model);
  /// Size and content are those of `model`.
  void check(const Model& model);

 private:
  void read(const Operation& operation, const Model& model);
  void write(const Operation& operation);
  void append(const Operation& operation);
  void mapped_read(const Operation& operation, const Model& model);
  void mapped_write(const Operation& operation, const Model& model);
  void allocate(const Operation& operation, int mode);
  void copy(const Operation& operation);
  void walk_holes(const Model& model);

  std::string path_;
  Fd file_;
};

/// Which actions the file system offers, tried on a file of its own below `directory`.
std::vector<Action> offered_actions(const std::string& directory);

}  // namespace cenote::posix_tests
