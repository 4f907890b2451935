#include "linearizability.h"

#include <gtest/gtest.h>

namespace cenote::sim {
namespace {

/// One register: writes, and reads with what they saw.
struct Register {
  struct State {
    int value = 0;
    std::size_t hash() const { return static_cast<std::size_t>(value); }
    friend bool operator==(const State&, const State&) = default;
  };
  struct Operation {
    bool write;
    int value;
  };
  static std::optional<State> step(const State& state, const Operation& operation) {
    if (operation.write) return State{operation.value};
    if (operation.value != state.value) return std::nullopt;
    return state;
  }
};

using Check = LinearizabilityCheck<Register>;
using Verdict = Check::Verdict;

Check::Entry entry(bool write, int value, int called, int ended, bool certain = true) {
  return {{write, value}, Instant(Duration(called)), Instant(Duration(ended)), certain};
}
Check::Entry write(int value, int called, int ended, bool certain = true) {
  return entry(true, value, called, ended, certain);
}
Check::Entry read(int value, int called, int ended) { return entry(false, value, called, ended); }

Verdict verdict(std::vector<Check::Entry> history) { return Check(std::move(history)).run({}); }

TEST(Linearizability, AcceptsWhatOneCopyCouldHaveDone) {
  EXPECT_EQ(verdict({}), Verdict::kLinearizable);
  EXPECT_EQ(verdict({read(0, 1, 2), write(1, 3, 4), read(1, 5, 6)}), Verdict::kLinearizable);
  EXPECT_EQ(verdict({write(1, 1, 9), read(0, 2, 3), read(1, 4, 5)}), Verdict::kLinearizable)
      << "in the middle of the write";
  EXPECT_EQ(verdict({write(1, 1, 9), write(2, 1, 9), read(2, 10, 11)}), Verdict::kLinearizable);
}

TEST(Linearizability, FindsALostWrite) { EXPECT_EQ(verdict({write(1, 1, 2), read(0, 3, 4)}), Verdict::kViolated); }

TEST(Linearizability, FindsAReadThatGoesBack) {
  EXPECT_EQ(verdict({write(1, 1, 20), read(1, 2, 3), read(0, 4, 5)}), Verdict::kViolated);
}

TEST(Linearizability, FindsAPhantom) { EXPECT_EQ(verdict({write(1, 1, 2), read(7, 3, 4)}), Verdict::kViolated); }

TEST(Linearizability, AnUncertainWriteMayHaveHappenedOrNot) {
  EXPECT_EQ(verdict({write(1, 1, 100, false), read(0, 3, 4), read(0, 5, 6)}), Verdict::kLinearizable);
  EXPECT_EQ(verdict({write(1, 1, 100, false), read(0, 3, 4), read(1, 5, 6)}), Verdict::kLinearizable);
  EXPECT_EQ(verdict({write(1, 1, 100, false), read(1, 3, 4), read(0, 5, 6)}), Verdict::kViolated) << "but once";
}

TEST(Linearizability, AnExpiredWriteDoesNotHappenLater) {
  EXPECT_EQ(verdict({write(1, 1, 10, false), read(0, 11, 12), read(1, 13, 14)}), Verdict::kViolated);
  EXPECT_EQ(verdict({write(1, 1, 10, false), read(1, 13, 14)}), Verdict::kLinearizable);
}

TEST(Linearizability, AWriteThatCountsTwiceIsFound) {
  EXPECT_EQ(verdict({write(1, 1, 2), write(2, 3, 4), read(2, 5, 6), read(1, 7, 8)}), Verdict::kViolated);
}

}  // namespace
}  // namespace cenote::sim
