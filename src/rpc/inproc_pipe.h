#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cenote/rpc/link.h"
#include "cenote/runtime/reactor.h"

namespace cenote::rpc {

struct InprocPipe;

/// One end of a connection inside the process. Each end belongs to its own reactor; the two exchange mails and never
/// touch each other's state. A batch of messages travels as one mail, the parcel, and comes back when the other end has
/// taken them out of this end's memory.
///
/// Invariants:
///  - While `parcel_out_` the parcel and the list nodes of its messages belong to the other end; while `recall_out_`,
///    so does the recall. Both always come back.
///  - Each end sends one close, after which it sends no parcel and no recall of its own. An end is over when both
///    closes have been exchanged, its mails are home and it holds none of the other's; no mail to it is then under way.
class InprocEnd {
 public:
  InprocEnd(Reactor& reactor, std::string peer_name, Counters* counters);
  ~InprocEnd() { ASSERT(over_ || !opened_); }
  void connect_to(InprocEnd& other) { other_ = &other; }

  void open(std::shared_ptr<InprocPipe> pipe);
  void start(LinkHandler& handler);
  void send(Outgoing& message);
  void abandon(Outgoing& message);
  void resume();
  void close(Error reason);
  /// The link is destroyed; a connection that is not over ends by itself.
  void release();

  const std::string& peer_name() const { return peer_name_; }
  bool over() const { return over_; }
  Reactor& reactor() { return reactor_; }

 private:
  /// Goes to the other end with messages and comes back with those that it took in `done`.
  struct Parcel final : Mail {
    explicit Parcel(InprocEnd& end) : home(end) {}
    void deliver() override;
    InprocEnd& home;
    bool returning = false;
    IntrusiveList<Outgoing, OutgoingTag> todo, done;
  };
  /// Asks for the parcel back, with what was not taken.
  struct Recall final : Mail {
    explicit Recall(InprocEnd& end) : home(end) {}
    void deliver() override;
    InprocEnd& home;
    bool returning = false;
  };
  struct Close final : Mail {
    explicit Close(InprocEnd& end) : home(end) {}
    void deliver() override { home.other_->on_close(); }
    InprocEnd& home;
  };
  /// Sends what was queued in this turn.
  struct Flush final : Mail {
    explicit Flush(InprocEnd& end) : home(end) {}
    void deliver() override { home.on_flush(); }
    InprocEnd& home;
  };

  void on_flush();
  void flush();
  void on_parcel(Parcel& parcel);
  void take_messages();
  bool take(Outgoing& message);
  void return_parcel();
  void on_parcel_home();
  void on_recall(Recall& recall);
  void send_recall();
  void on_close();
  void begin_close(Error reason);
  void finish_if_over();

  Reactor& reactor_;
  std::string peer_name_;
  Counters unused_counters_;
  Counters& counters_;
  InprocEnd* other_ = nullptr;
  LinkHandler* handler_ = nullptr;
  // Keeps both ends while mails of this one may be under way.
  std::shared_ptr<InprocPipe> pipe_;

  IntrusiveList<Outgoing, OutgoingTag> queue_;
  Parcel parcel_{*this};
  Recall recall_{*this};
  Close close_{*this};
  Flush flush_{*this};
  bool parcel_out_ = false;
  bool recall_out_ = false;
  bool recall_wanted_ = false;
  bool flush_requested_ = false;

  Parcel* held_ = nullptr;  // the other end's, not wholly taken
  bool taking_ = false;
  bool paused_ = false;

  std::optional<Error> reason_;
  bool close_received_ = false;
  bool opened_ = false;
  bool over_ = false;
};

struct InprocPipe {
  InprocPipe(Reactor& first, Reactor& second, std::string first_name, std::string second_name, Counters* first_counters,
             Counters* second_counters)
      : ends{InprocEnd(first, std::move(second_name), first_counters),
             InprocEnd(second, std::move(first_name), second_counters)} {
    ends[0].connect_to(ends[1]);
    ends[1].connect_to(ends[0]);
  }
  InprocEnd ends[2];
};

}  // namespace cenote::rpc
