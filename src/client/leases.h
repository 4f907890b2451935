#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "cenote/client/lease.h"
#include "cenote/protocol/lease_requests.h"
#include "cenote/protocol/transaction_requests.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/service.h"
#include "cenote/runtime/scope.h"

namespace cenote::async {

/// The leases of a client (docs/protocols/leases.md): takes and renews them, gives them back, and ends those that are
/// asked back or that it changes the subject of itself. Single reactor.
///
/// Invariants: a lease holds only as long as its place said it would. While a change of this client is under way, or
/// may still take effect, no lease of what it touches holds or begins.
class Leases final : public rpc::Service {
 public:
  Leases(Reactor& reactor, Scope& scope) : reactor_(reactor), scope_(scope) {}
  ~Leases();

  /// Somewhere that gives leases.
  struct Place {
    rpc::Peer* peer = nullptr;
    std::uint16_t target = 0;
    auto operator<=>(const Place&) const = default;
  };

  /// A read that asks for a lease, while it runs.
  class Asking : public ListNode<struct AskingTag> {
   public:
    Asking(Leases& leases, LeaseKey key);
    LeaseToken token() const { return token_; }
    /// What the answer gave; nullopt: nothing, or it does not count any more.
    std::optional<Lease> take(Place place, const LeaseGrant& grant);

   private:
    friend class Leases;
    Leases& leases_;
    LeaseKey key_;
    LeaseToken token_;
    Instant asked_;
    bool spoiled_ = false;  // what was read may be changed already
  };

  /// A change of this client, while it runs.
  class Changing : public ListNode<struct ChangingTag> {
   public:
    /// Whose keys are borrowed.
    Changing(Leases& leases, const UpdateRequest& update);
    Changing(Leases& leases, const PunchRequest& punch);
    Changing(Leases& leases, const CommitRequest& commit);
    ~Changing();
    /// How it ended; after the deadline, and what clocks may differ by, it has no effect any more.
    void ended(const Result<rpc::Reply>& reply, Until until);

   private:
    friend class Leases;
    struct Touched {
      ObjectId object;
      std::optional<ByteView> dkey;
    };
    void touch(const UpdateRequest& update) { touched_.push_back({update.object, update.dkey.view()}); }
    void touch(const PunchRequest& punch);
    bool touches(const LeaseKey& key) const;
    void begin();

    Leases& leases_;
    Uuid container_;
    SmallVector<Touched, 2> touched_;
    std::optional<Instant> doubtful_until_;  // it may take effect yet
  };

  /// Tells the engines that it needs none any more, so that nobody waits for it.
  Task<> close();
  std::size_t size() const { return states_.size(); }

 private:
  friend class Lease;
  friend struct Lease::State;
  struct At {
    std::uint64_t generation = 0;
    Instant until;
    std::size_t leases = 0;
    std::vector<LeaseToken> dropped;
  };
  /// A change that may still take effect.
  struct Doubt {
    Uuid container;
    std::vector<std::pair<ObjectId, std::optional<KeyBytes>>> touched;
    Instant until;
  };

  Task<rpc::Response> handle(rpc::Request& request) override;
  bool is_read(rpc::Opcode /*opcode*/) const override { return true; }
  // By what leases are of: hashes, so what is found may be of something else.
  using Index = std::multimap<std::uint64_t, Lease::State*>;
  void insert(Lease::State& state);
  void remove(Lease::State& state);
  void end(Lease::State& state);
  void end_all_at(const Place& place);
  bool is_doubtful(const LeaseKey& key);
  bool is_changing(const LeaseKey& key);
  static Task<> renew(Leases& leases);
  static Task<> renew_one(Leases& leases, Place place);

  Reactor& reactor_;
  Scope& scope_;
  LeaseToken last_token_ = 0;
  std::unordered_map<LeaseToken, Lease::State*> states_;
  Index by_object_;  // all
  Index by_dkey_;    // those of a dkey
  Index by_whole_;   // the others
  std::map<Place, At> places_;
  std::vector<Doubt> doubts_;
  IntrusiveList<Asking, AskingTag> askings_;
  IntrusiveList<Changing, ChangingTag> changes_;
  bool renewing_ = false;
};

/// What all copies of a lease share. Tells the table when the last of them goes.
struct Lease::State {
  State(Leases& leases_in, LeaseKey key_in, Leases::Place place_in, LeaseToken token_in)
      : leases(&leases_in), key(std::move(key_in)), place(place_in), token(token_in) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  Leases* leases;                                                       ///< null: it is over
  std::multimap<std::uint64_t, State*>::iterator in_objects, in_parts;  ///< until then
  LeaseKey key;
  Leases::Place place;
  LeaseToken token;
};

}  // namespace cenote::async
