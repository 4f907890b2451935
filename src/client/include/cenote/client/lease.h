#pragma once

#include <memory>
#include <optional>

#include "cenote/base/error.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::async {

/// What a lease is of: a dkey, or all of an object (no dkey).
struct LeaseKey {
  Uuid container;
  ObjectId object;
  std::optional<KeyBytes> dkey;
};

/// A promise that what was read with it stays true until `holds` says otherwise: nobody changes it before this client
/// was asked, and what the client changes itself ends it, too. Lasts as long as a copy of it lives, the engine can be
/// reached, and nobody wants to change it. Single reactor; may outlive the client.
class Lease {
 public:
  /// Asked before each use of what was read, with no suspension in between.
  bool holds() const;
  /// What was read stays true so long even if nothing is heard of the engine meanwhile; the past when it does not hold.
  Instant until() const;

  struct State;
  explicit Lease(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

/// An answer, and that it stays true if there is a lease: an engine gives none while others change it, when it has
/// given too many, and of containers whose type is not for it.
template <typename Reply>
struct Leased {
  Reply reply;
  std::optional<Lease> lease = std::nullopt;
};

}  // namespace cenote::async
