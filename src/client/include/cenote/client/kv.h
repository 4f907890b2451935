#pragma once

#include <optional>
#include <string>

#include "cenote/client/async.h"
#include "cenote/protocol/object_class.h"

namespace cenote::async {

/// An object used as a map from keys (1 to kMaxDkeyBytes) to values (up to kMaxSingleValueBytes), listed in byte order
/// and spread over the targets. Cheap to copy; every change is atomic and durable when it returns.
class Kv {
 public:
  Kv(Container container, ObjectId object) : container_(std::move(container)), object_(object) {}

  /// The map that tools and `cenote kv` use when none is named, in a container of this redundancy.
  static ObjectId default_object(std::uint32_t redundancy) {
    return ObjectId::make(with_redundancy(ObjectClass::kSX, redundancy), KeyFlavour::kLexical, KeyFlavour::kLexical, 0,
                          2);
  }

  /// `condition` kAbsent inserts only, kPresent replaces only; kConditionFailed otherwise.
  Task<Result<>> put(std::string key, ByteView value, Precondition condition = Precondition::kNone, Until until = {});
  /// nullopt: no such key.
  Task<Result<std::optional<Bytes>>> get(std::string key, Until until = {});
  /// kNotFound when the key is not there.
  Task<Result<>> remove(std::string key, Until until = {});

  struct Page {
    std::vector<std::string> keys;
    std::string after;  ///< give it to the next call; empty: the end was reached
  };
  /// Up to `limit` keys greater than `after` that start with `prefix`, ascending.
  Task<Result<Page>> list(std::string prefix, std::string after, std::uint32_t limit = kMaxListEntries,
                          Until until = {});

 private:
  Container container_;
  ObjectId object_;
};

}  // namespace cenote::async
