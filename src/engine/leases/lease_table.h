#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/protocol/lease_requests.h"
#include "cenote/protocol/transaction_requests.h"
#include "cenote/rpc/session.h"
#include "cenote/runtime/scope.h"

namespace cenote::engine {

/// A client as a target knows it, and the way to it.
struct LeaseClient {
  std::uint64_t session = 0;
  /// Of its connection; only there is `way` followed.
  Reactor* home = nullptr;
  std::weak_ptr<rpc::Session> way;
};

/// What has leases: a dkey of an object, or all of the object that is here.
struct LeaseTopic {
  ObjectId object;
  std::optional<KeyBytes> dkey = std::nullopt;  ///< none: all of it
};

/// The leases that clients have at one target: who has to be asked before something is changed. On the target's
/// reactor; in memory only, so a target that starts, or begins to lead others, lets nothing be changed before all
/// leases of its predecessor are over (`wait_out`).
///
/// Invariants: while a Change lives that is entered, nobody has a lease of what it touches but who makes it, and nobody
/// gets one. A client that was not asked in vain has no lease after its time is over. Every lease is in the index of
/// its client and in that of its topic, and in no other.
class LeaseTable {
 public:
  /// Asks a client; true when it goes by none of the leases any more.
  using Ask = std::function<Task<bool>(LeaseClient, RecallRequest, Until)>;
  struct Options {
    Duration term = kLeaseTerm;
    /// What clocks of two machines may differ by within a term.
    Duration margin = std::chrono::milliseconds(30);
    std::size_t leases_max = 1u << 18;
    std::size_t clients_max = 1u << 14;
  };
  LeaseTable(Reactor& reactor, Ask ask, Options options);
  LeaseTable(Reactor& reactor, Ask ask) : LeaseTable(reactor, std::move(ask), Options()) {}
  ~LeaseTable();
  Task<> stop();

  /// From now on nothing is changed that may have leases for as long as one that another leader gave may last.
  void wait_out();
  /// But not of a container that did not exist then.
  void note_created(const Uuid& container);

  /// A lease that is being given: made before what it is of is read, and settled after. Ends before the table.
  class Offer {
   public:
    Offer(LeaseTable& table, const Uuid& container, const LeaseTopic& topic, const LeaseClient& client,
          LeaseToken token);
    Offer(const Offer&) = delete;
    Offer& operator=(const Offer&) = delete;
    ~Offer();
    /// Nothing was changed since: it counts, but no longer than until `end`. Generation 0: there is none.
    LeaseGrant settle(Instant end);

   private:
    LeaseTable& table_;
    std::uint64_t session_;
    LeaseToken token_;
    bool registered_ = false;
    bool settled_ = false;
  };

  /// What touches data that may have leases, while it runs. Ends before the table.
  class Change : public ListNode<> {
   public:
    /// Whose keys are borrowed.
    Change(LeaseTable& table, const UpdateRequest& update);
    Change(LeaseTable& table, const PunchRequest& punch);
    Change(LeaseTable& table, const CommitRequest& commit);
    /// Of all there is of a container, or of all containers.
    Change(LeaseTable& table, std::optional<Uuid> container) : table_(table), container_(container), all_(true) {}
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    /// Returns when nobody but the client itself (0: nobody) goes by what it touches. kDeadlineExceeded, kCancelled:
    /// of `until`.
    Task<Result<>> enter(std::uint64_t session, Until until);

   private:
    friend class LeaseTable;
    struct Touched {
      ObjectId object;
      std::optional<ByteView> dkey;  ///< none: all of it
    };
    Task<Result<>> ask(std::uint64_t session, Until until);
    void touch(const UpdateRequest& update);
    void touch(const PunchRequest& punch);
    bool touches(const Uuid& container, const LeaseTopic& topic) const;

    LeaseTable& table_;
    std::optional<Uuid> container_;
    bool all_ = false;
    SmallVector<Touched, 2> touched_;
  };

  /// Of the leases of a client here. Generation 0: it has none any more.
  LeaseGrant renew(const LeaseClient& client, const RenewLeasesRequest& request, Instant limit);
  /// Nobody goes by anything that this table has given of a container (all of them: nullopt) when it returns.
  Task<Result<>> recall_all(std::optional<Uuid> container, Until until);

  std::size_t size() const { return leases_; }
  struct Counters {
    std::uint64_t given = 0;
    std::uint64_t refused = 0;
    std::uint64_t recalled = 0;
    std::uint64_t expired = 0;  ///< clients that did not answer in time
  };
  const Counters& counters() const { return counters_; }
  void check_invariants() const;

 private:
  struct Recall;
  struct Client;
  struct Topic;
  struct Holder {
    Client* client;
    LeaseToken token;
    friend bool operator==(const Holder&, const Holder&) = default;
  };
  /// All that is known of a thing that has leases, or had some a moment ago.
  struct Topic {
    Uuid container;
    LeaseTopic what;
    std::vector<Holder> holders;
    std::vector<std::shared_ptr<Recall>> recalls;  ///< of leases that it had
    bool unused() const { return holders.empty() && recalls.empty(); }
  };
  struct KeyHash {
    std::size_t operator()(const KeyBytes& key) const { return hash64(key); }
  };
  struct ObjectTopics {
    std::unique_ptr<Topic> whole;
    std::unordered_map<KeyBytes, Topic, KeyHash> dkeys;
  };
  struct ObjectHash {
    std::size_t operator()(const ObjectId& object) const {
      std::byte bytes[16];
      store_le(bytes, object.high());
      store_le(bytes + 8, object.low());
      return hash64(bytes);
    }
  };
  using Objects = std::unordered_map<ObjectId, ObjectTopics, ObjectHash>;
  struct Client {
    LeaseClient way;
    std::uint64_t generation = 0;
    Instant until;              ///< what it goes by lasts no longer
    std::uint32_t recalls = 0;  ///< that run: meanwhile its time gets no longer
    std::unordered_map<LeaseToken, Topic*> leases;
  };
  /// Leases of one client that are asked back.
  struct Recall {
    explicit Recall(Reactor& reactor) : ended(reactor) {}
    LeaseClient way;
    RecallRequest request;
    Instant limit;
    std::vector<Topic*> topics;
    Event ended;
  };
  using Recalls = std::vector<std::shared_ptr<Recall>>;

  bool is_quiet(const std::optional<Uuid>& container) const {
    return reactor_.now() < quiet_until_ && !(container && created_.contains(*container));
  }
  bool is_changing(const Uuid& container, const LeaseTopic& topic);
  Client* find_client(std::uint64_t session, std::uint64_t generation);
  Client* holder_of(std::uint64_t session, LeaseToken token);
  Client* open_client(const LeaseClient& client);
  Topic& topic_of(const Uuid& container, const LeaseTopic& topic);
  /// Those of a change that are in the table.
  std::vector<Topic*> topics_of(const Change& change);
  void drop_unused(Topic& topic);
  void drop(Client& client, LeaseToken token);
  void forget(Client& client);
  void sweep();
  /// Begins to ask back what others than `session` have of the topics, ends what it has itself, and returns what has
  /// to be waited for.
  Recalls recall(const std::vector<Topic*>& topics, std::uint64_t session);
  static Task<> run(LeaseTable& table, std::shared_ptr<Recall> recall);

  Reactor& reactor_;
  Ask ask_;
  Options options_;
  Counters counters_;
  std::size_t leases_ = 0;
  std::uint64_t last_generation_ = 0;
  Instant quiet_until_;
  std::unordered_set<Uuid> created_;  // since the last `wait_out`; while that matters
  Instant next_sweep_;
  std::unordered_map<Uuid, Objects> containers_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
  IntrusiveList<Change> changes_;
  Scope scope_;
};

}  // namespace cenote::engine
