#include "event_history.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::cluster {

void EventHistory::note(Revision revision, store::Lsn lsn, std::vector<WatchEvent> events) {
  ASSERT(revision > shown_ && (changes_.empty() || revision > changes_.back().revision));
  std::size_t bytes = 0;
  for (const WatchEvent& event : events) bytes += event.key.size() + (event.value ? event.value->size() : 0);
  events_ += events.size();
  bytes_ += bytes;
  changes_.push_back({revision, lsn, std::move(events), bytes});
}

void EventHistory::show(store::Lsn lsn) {
  const auto first = std::ranges::upper_bound(changes_, shown_, {}, &Change::revision);
  const auto last = std::ranges::find_if(first, changes_.end(), [&](const Change& change) { return change.lsn > lsn; });
  if (first == last) return;
  shown_ = std::prev(last)->revision;
  forget();
  changed_.notify_all();
}

// What is not durable is never forgotten: it is bounded by the transactions that are waited for.
void EventHistory::forget() {
  while ((events_ > limits_.events || bytes_ > limits_.bytes) && changes_.front().revision <= shown_) {
    floor_ = changes_.front().revision;
    events_ -= changes_.front().events.size();
    bytes_ -= changes_.front().bytes;
    changes_.pop_front();
    if (changes_.empty()) return;
  }
}

void EventHistory::end(Error reason) {
  if (ended_) return;
  ended_ = std::move(reason);
  changed_.notify_all();
}

std::vector<WatchEvent> EventHistory::collect(std::string_view prefix, Revision& after, std::size_t limit) const {
  std::vector<WatchEvent> found;
  auto change = std::ranges::upper_bound(changes_, after, {}, &Change::revision);
  for (; change != changes_.end() && change->revision <= shown_ && found.size() < limit; ++change) {
    for (const WatchEvent& event : change->events) {
      if (event.key.starts_with(prefix)) found.push_back(event);
    }
    after = change->revision;
  }
  return found;
}

Task<Result<std::vector<WatchEvent>>> EventHistory::next(std::string_view prefix, Revision& after, std::size_t limit,
                                                         Until until) {
  for (;;) {
    if (after < floor_) {
      co_return failf(Code::kCompacted,
                      "changes after revision {} are forgotten up to {}: read everything again, then watch from there",
                      after.value(), floor_.value());
    }
    auto found = collect(prefix, after, limit);
    if (!found.empty()) co_return found;
    if (ended_) co_return fail(*ended_);
    CO_CHECK_OK(co_await changed_.wait(until));
  }
}

void EventHistory::check_invariants() const {
  std::size_t events = 0, bytes = 0;
  Revision last = floor_;
  for (const Change& change : changes_) {
    ASSERT(change.revision > last);
    last = change.revision;
    events += change.events.size();
    bytes += change.bytes;
  }
  ASSERT(events == events_ && bytes == bytes_ && shown_ >= floor_);
}

}  // namespace cenote::cluster
