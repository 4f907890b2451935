#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace cenote::cli {

/// A thread that asks somebody each time it is told to, so that who does not answer delays nobody else.
///
/// Invariants: one question is asked at a time; an answer is given out once, the newest only.
template <typename Question, typename Answer>
class Asker {
 public:
  /// `ask` blocks, with a bound of its own, for which the destructor waits, too. Called in that thread only. Throws
  /// what std::thread throws.
  explicit Asker(std::function<Answer(const Question&)> ask) : ask_(std::move(ask)), thread_([this] { work(); }) {}
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;
  ~Asker() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// Unless the question of before is not answered yet.
  void ask(Question question) {
    {
      const std::lock_guard lock(mutex_);
      if (busy_) return;
      busy_ = true;
      question_.emplace(std::move(question));
    }
    changed_.notify_all();
  }

  /// Waits until then at most; one to a question of before, which came late, is better than none. nullopt: none came.
  std::optional<Answer> answer_by(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return !busy_; });
    return std::exchange(answer_, std::nullopt);
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || question_.has_value(); });
      if (ending_) return;
      const Question question = *std::exchange(question_, std::nullopt);
      lock.unlock();
      Answer answer = ask_(question);
      lock.lock();
      answer_.emplace(std::move(answer));
      busy_ = false;
      changed_.notify_all();
    }
  }

  std::function<Answer(const Question&)> ask_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false, ending_ = false;
  std::optional<Question> question_;
  std::optional<Answer> answer_;
  std::thread thread_;  ///< last: it uses the others
};

}  // namespace cenote::cli
