#pragma once

#include <string>
#include <vector>

#include "kit/random.h"
#include "tree/step.h"

namespace cenote::posix_tests {

struct DrawOptions {
  std::uint64_t seed = 1;
  bool owners = false;  ///< draw chown, which needs root
  bool held = true;     ///< draw files that are held open
};

/// Draws steps that mostly mean something in the tree as it is: about names that are there, and names beside them.
class Drawer {
 public:
  explicit Drawer(DrawOptions options) : options_(options), random_(options.seed) {}
  /// `paths` as `paths_of` tells them, of the same tree for the same seed.
  Step next(const std::vector<std::string>& paths);

 private:
  Deed draw_deed(std::size_t paths);
  std::string existing(const std::vector<std::string>& paths);
  /// A directory, or what is none, where a few draws find one.
  std::string existing(const std::vector<std::string>& paths, bool directory);
  /// Below an existing directory.
  std::string fresh(const std::vector<std::string>& paths);
  std::string any(const std::vector<std::string>& paths);
  std::string first_path(Deed deed, const std::vector<std::string>& paths);
  std::string name();
  std::uint64_t mode();
  void draw_second_path(Step& step, const std::vector<std::string>& paths);
  void draw_data(Step& step);

  DrawOptions options_;
  Random random_;
  std::uint64_t number_ = 0;
};

}  // namespace cenote::posix_tests
