#include "runner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

/// A case that has not ended by then hangs; the whole suite takes seconds.
constexpr unsigned kSecondsMax = 300;

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return "passed";
    case Verdict::kFailed:
      return "failed";
    case Verdict::kDiffers:
      return "differs";
    case Verdict::kStale:
      return "stale choice";
    case Verdict::kNotOffered:
      return "not offered";
    case Verdict::kLeftOut:
      return "left out";
  }
  return "?";
}

Runner::Runner(RunOptions options, Choices choices)
    : options_(std::move(options)),
      choices_(std::move(choices)),
      folder_(fmt::format("posix_conformance.{}", ::getpid())) {}

Runner::~Runner() {
  if (!made_ || kept_) return;
  std::error_code error;
  std::filesystem::remove_all(options_.top + "/" + folder_, error);
  if (error) fmt::print(stderr, "cannot remove {}/{}: {}\n", options_.top, folder_, error.message());
}

bool Runner::prepare() {
  try {
    make_directory(options_.top + "/" + folder_, 0755);
    made_ = true;
  } catch (const Failure& failure) {
    fmt::print(stderr, "{}\n", failure.what);
  }
  return made_;
}

bool Runner::is_left_out(const Case& subject) const {
  return (subject.needs == Needs::kRoot && options_.unprivileged) ||
         (subject.needs == Needs::kReadOnlyMount && options_.read_only.empty()) ||
         (subject.needs == Needs::kPatience && !options_.slow);
}

Outcome Runner::run_alone(const Case& subject) {
  const std::string place = folder_ + "/" + subject.name;
  Context context;
  for (const uid_t id : options_.user_ids) context.users.push_back({id});
  if (!options_.read_only.empty()) context.read_only_top = options_.read_only + "/" + place;
  Process process([&] {
    ::alarm(kSecondsMax);
    ::umask(022);
    make_directory(options_.top + "/" + place, 0777);
    ok(::chdir((options_.top + "/" + place).c_str()));
    subject.run(context);
  });
  return process.outcome();
}

CaseResult Runner::run(const Case& subject) {
  CaseResult result{&subject};
  const auto choice = choices_.find(subject.name);
  if (is_left_out(subject)) {
    result.verdict = Verdict::kLeftOut;
    return result;
  }
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run_alone(subject);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.detail = outcome.what;
  switch (outcome.kind) {
    case Outcome::Kind::kPassed:
      result.verdict = choice == choices_.end() ? Verdict::kPassed : Verdict::kStale;
      break;
    case Outcome::Kind::kNotOffered:
      result.verdict = Verdict::kNotOffered;
      break;
    default:
      result.verdict = choice == choices_.end() ? Verdict::kFailed : Verdict::kDiffers;
  }
  if (result.verdict == Verdict::kStale) result.detail = "passes, but is listed as a choice: " + choice->second;
  if (result.verdict == Verdict::kDiffers) result.detail += "; a choice: " + choice->second;
  if (result.is_failure() && options_.keep) {
    kept_ = true;
    return result;
  }
  std::error_code error;
  std::filesystem::remove_all(options_.top + "/" + folder_ + "/" + subject.name, error);
  if (error && !result.is_failure()) {
    result.verdict = Verdict::kFailed;
    result.detail = fmt::format("its directory cannot be removed afterwards: {}", error.message());
  }
  return result;
}

}  // namespace cenote::posix_tests
