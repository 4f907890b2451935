#include "asker.h"

#include <gtest/gtest.h>

#include <future>

namespace cenote::cli {
namespace {

using Clock = std::chrono::steady_clock;

const Clock::time_point kPast{};

Clock::time_point long_hence() { return Clock::now() + std::chrono::minutes(2); }

TEST(Asker, AnswersEveryQuestionOnce) {
  Asker<int, int> asker([](const int& question) { return question * 2; });
  EXPECT_EQ(asker.answer_by(kPast), std::nullopt) << "nothing was asked";
  for (const int question : {1, 2, 3}) {
    asker.ask(question);
    EXPECT_EQ(asker.answer_by(long_hence()), question * 2);
    EXPECT_EQ(asker.answer_by(kPast), std::nullopt);
  }
}

TEST(Asker, WhoIsSilentHoldsNobodyUp) {
  std::promise<void> gate;
  std::promise<void> asked;
  Asker<int, int> asker([&, open = gate.get_future().share(), first = true](const int& question) mutable {
    if (std::exchange(first, false)) asked.set_value();
    open.wait();
    return question;
  });
  asker.ask(1);
  asked.get_future().wait();
  EXPECT_EQ(asker.answer_by(kPast), std::nullopt);
  // One question at a time.
  asker.ask(2);
  EXPECT_EQ(asker.answer_by(kPast), std::nullopt);
  gate.set_value();
  EXPECT_EQ(asker.answer_by(long_hence()), 1);
  asker.ask(3);
  EXPECT_EQ(asker.answer_by(long_hence()), 3);
}

TEST(Asker, EndsWithAnAnswerThatNobodyTook) {
  Asker<int, int> asker([](const int& question) { return question; });
  asker.ask(1);
}

}  // namespace
}  // namespace cenote::cli
