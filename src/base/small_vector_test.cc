#include "cenote/base/small_vector.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cenote {
namespace {

using Strings = SmallVector<std::string, 2>;

TEST(SmallVector, MovesInlineAndHeapElements) {
  for (std::size_t count : {0u, 1u, 2u, 3u, 40u}) {
    Strings from;
    for (std::size_t i = 0; i < count; ++i)
      from.push_back("a string too long for its own inline buffer " + std::to_string(i));
    const Strings copy = from;
    Strings to = std::move(from);
    EXPECT_EQ(to, copy);
    EXPECT_TRUE(from.empty());  // NOLINT: moved from, and empty by contract
    from.push_back("usable again");
    to = std::move(from);
    EXPECT_EQ(to.size(), 1u);
  }
}

TEST(SmallVector, AnElementMayBeAppendedToItself) {
  Strings strings{"first element, long enough for the heap", "second"};
  for (int i = 0; i < 5; ++i) strings.push_back(strings[0]);
  for (int i = 0; i < 5; ++i) strings.emplace_back(strings[0]);
  EXPECT_EQ(strings.back(), strings.front());
}

TEST(SmallVector, BehavesLikeAVector) {
  std::mt19937_64 random(11);
  SmallVector<std::string, 3> small;
  std::vector<std::string> model;
  for (int step = 0; step < 3000; ++step) {
    const std::string value = "value number " + std::to_string(random());
    switch (random() % 7) {
      case 0:
        small.resize(random() % 9);
        model.resize(small.size());
        break;
      case 1:
        if (!model.empty()) {
          const std::size_t at = random() % model.size();
          small.erase(at);
          model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
        }
        break;
      case 2: {
        const std::size_t at = random() % (model.size() + 1);
        small.insert(at, value);
        model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), value);
        break;
      }
      case 3: {
        SmallVector<std::string, 3> copy = small;
        small = copy;
        break;
      }
      default:
        small.push_back(value);
        model.push_back(value);
    }
    ASSERT_TRUE(std::equal(small.begin(), small.end(), model.begin(), model.end())) << "step " << step;
  }
}

}  // namespace
}  // namespace cenote
