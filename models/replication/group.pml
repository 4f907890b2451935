/* One redundancy group of three members and one request that its client may send again and again, executed in up to two attempts:
 * docs/protocols/replication.md. Run by scripts/check-models.
 *
 * Messages are facts that stay: once sent they may arrive at any later moment, any number of times, or never, and whoever can answer may do
 * so at any moment. A crash with a restart is therefore nothing but a delay: what it makes a leader forget, the leader may also never have
 * heard, and what is durable stays. So is a lease that ends without consequence. Everything a member does is one step, because a target's
 * reactor decides between two suspensions.
 *
 * Versions of the map are counted from the one that is active: OLD ones, the ACTIVE one, and NEXT, which was made and is not active yet. When
 * it becomes so, everything moves down by one. So neither versions nor faults are bounded.
 *
 *   -DSKIP           a version may be replaced by another exclusion before it is active
 *   -DFORGET         the request may expire; then its records may be forgotten
 *   -DBREAK_<name>   leaves out one rule of the page; the check must then find a counterexample */

#define MEMBERS 3
#define OLD 0
#define ACTIVE 1
#define NEXT 2

mtype state[6];      /* durable: state of each entry at each member */
byte known[3] = ACTIVE; /* durable: map version that a member works on */
byte missed;         /* members that have not learned that they were excluded; */
byte skipped;        /* that know a version which never became active, as a newer one took its place */

byte newest = ACTIVE; /* the coordinator's maps: the newest version; */
byte up[3];          /* per version who is up, */
byte complete[3];    /* and who is complete; */
byte excluded;       /* whom NEXT excludes; */
byte returned;       /* version in which the member that now returns became up, 0: none returns; */
bool copied;         /* it has what was committed before, */
bool early[2];       /* and these entries were undecided at it when the copy ended */

byte entries;        /* attempts begun so far; per entry: */
byte born[2];        /* map version; */
byte participants[2]; /* those that were not excluded since, as of ACTIVE; */
bool older[2];       /* begun before the version `returned`; */
byte answered[2];    /* the latest version in which a member said "prepared", 0: none that counts, */
byte yes[2];         /* and who has said so in it; */
byte abort_sent[2];  /* the version of the latest abort, 0: none that counts */
bool commit_sent[2];

bool shown;          /* the client or a reader may have seen the update */
byte told;           /* the client was told that its request failed: 1 + the map version, 0: it was not */

#include "entry.pml"

#ifdef BREAK_FORGET
#define FORGET
#endif
#ifdef FORGET
bool expired;        /* the request */
bool confirmed[2];   /* all voters have the entry committed: its record may be forgotten */
byte stored[2];      /* durable: who has what the entry changed */
#define is_expired (expired)
#define keeps(e, m) (stored[e] & bit_of(m))
#define store(e, m) stored[e] = stored[e] | bit_of(m)
#else
#define is_expired (false)
#define keeps(e, m) (at(e, m) == Committed)
#define store(e, m) skip
#endif

#define bit_of(m) (1 << (m))
#define first_of(set) ((set) & 1 -> 0 : ((set) & 2 -> 1 : 2))
#define other(e) (1 - (e))
#define undecided(e, m) (at(e, m) == Prepared)
#define may_commit(e, m) (at(e, m) == Prepared || at(e, m) == Committed)

/* Whoever works on an OLD version has lost his lease: else it would not be old. */
#if defined(BREAK_LEASE)
#define KEEP_OLD
#define has_lease(m) (true)
#elif defined(BREAK_RENEW)
#define KEEP_OLD
byte renewed; /* members that have a lease again and did not learn the map */
#define has_lease(m) (known[m] > OLD || (renewed & bit_of(m)))
#else
#define has_lease(m) (known[m] > OLD)
#endif
#ifdef BREAK_ACTIVE
#define is_active(v) (true)
#else
#define is_active(v) ((v) <= ACTIVE)
#endif
#define works(m) (has_lease(m) && !(skipped & bit_of(m)) && (up[known[m]] & bit_of(m)) && is_active(known[m]))
#define is_complete(m) (complete[known[m]] & bit_of(m))
#ifdef BREAK_LEADER
#define leader_in(v) first_of(up[v])
#else
#define leader_in(v) first_of(complete[v])
#endif
#define leads(m) (works(m) && leader_in(known[m]) == (m))

#ifdef BREAK_VOTERS
#define take_votes(e) skip
#else
#define take_votes(e) participants[e] = participants[e] & ~excluded
#endif
#define voters(e, v) (participants[e] & up[v] & ((v) == NEXT -> ~excluded : 7))
#define votes(e, m) ((e) < entries && (voters(e, known[m]) & bit_of(m)))

/* --- The client and the leader ------------------------------------------------------------------------------------------------ */

/* The request, sent under the leader's version. After a failure was told no sending is left that this leader would execute. */
#ifdef BREAK_CLIENT
#define client_waits(m) (known[m] + 1 > told)
#else
#define client_waits(m) (!told)
#endif
#define can_begin(m) (entries < 2 && !is_expired && client_waits(m) && leads(m) && !may_commit(0, m) && !may_commit(1, m))

inline begin(m) {
  born[entries] = known[m];
  participants[entries] = up[known[m]];
  older[entries] = (returned > known[m]);
  entries++
}

#ifdef BREAK_ALL
#define enough(e, m, missing) ((missing) == 0 || (missing) == 1 || (missing) == 2 || (missing) == 4)
#else
#define enough(e, m, missing) ((missing) == 0)
#endif
#ifdef BREAK_ANSWERS
#define counts(e, v) (true)
#else
#define counts(e, v) (answered[e] == (v))
#endif
#define can_commit(e, m) \
  (!commit_sent[e] && votes(e, m) && leads(m) && counts(e, known[m]) && may_commit(e, m) && \
   enough(e, m, voters(e, known[m]) & ~yes[e]))

inline decide_commit(e) {
  assert(!told);
  assert(!commit_sent[other(e)]); /* the request takes effect once */
  commit_sent[e] = true; /* its own record is as late as those of the others: it need not be durable */
  answered[e] = 0;
  yes[e] = 0;
#ifndef BREAK_VERSION
  abort_sent[e] = 0;
#endif
  shown = true
}

#define refused_in(e, q, v) ((e) < entries && at(e, q) == Refused && known[q] == (v) && (voters(e, v) & bit_of(q)))
#define can_abort(e, m) \
  (leads(m) && abort_sent[e] != known[m] && (refused_in(e, 0, known[m]) || refused_in(e, 1, known[m]) || refused_in(e, 2, known[m])))

/* Nobody who is up in version v can commit the entry any more, as far as the leader m has made sure of it. */
#ifdef BREAK_TOLD
#define asked_of_this(m, q) ((m) == (q))
#else
#define asked_of_this(m, q) (true)
#endif
#ifdef BREAK_ASK
#define asked_of_older(m, q) ((m) == (q))
#else
#define asked_of_older(m, q) (true)
#endif
#ifdef BREAK_REFUSAL
#define is_out(e, q) (!may_commit(e, q))
#else
#define is_out(e, q) (at(e, q) == Refused)
#endif
#define out_at(e, m, q, v) \
  (!(up[v] & bit_of(q)) || \
   (born[e] == v -> (!asked_of_this(m, q) || (is_out(e, q) && known[q] == v)) \
                  : (!asked_of_older(m, q) || (!may_commit(e, q) && known[q] == v))))
#define out(e, m, v) ((e) >= entries || (out_at(e, m, 0, v) && out_at(e, m, 1, v) && out_at(e, m, 2, v)))
#ifdef BREAK_CLIENT
#define TOLD_IN(m) known[m]
#else
#define TOLD_IN(m) 0
#endif
#define can_tell(m) (entries > 0 && !is_expired && !told && leads(m) && out(0, m, known[m]) && out(1, m, known[m]))

/* --- Members ------------------------------------------------------------------------------------------------------------------ */

#ifdef BREAK_FENCE
#define in_time(e, m) (known[m] >= born[e])
#else
#define in_time(e, m) (known[m] == born[e])
#endif
#ifdef BREAK_TWIN
#define has_twin(e, m) (false)
#else
#define has_twin(e, m) may_commit(other(e), m)
#endif
#define can_prepare(e, m) (!is_expired && votes(e, m) && at(e, m) == None && works(m) && in_time(e, m) && !has_twin(e, m))

inline say_prepared(e, m) {
  if
#ifndef BREAK_ANSWERS
  :: answered[e] < known[m] -> answered[e] = known[m]; yes[e] = bit_of(m)
#else
  :: answered[e] < known[m] -> answered[e] = known[m]; yes[e] = yes[e] | bit_of(m)
#endif
  :: answered[e] == known[m] -> yes[e] = yes[e] | bit_of(m)
  :: else
  fi
}

#define can_answer(e, m) \
  (!commit_sent[e] && votes(e, m) && may_commit(e, m) && works(m) && \
   (answered[e] < known[m] || (answered[e] == known[m] && !(yes[e] & bit_of(m)))))

/* Somebody asks, or the prepare cannot be carried out. */
#ifdef FORGET
#define holds_open(e, q, v) (undecided(e, q) && known[q] == (v))
#define is_asked(e, m) \
  ((!expired && in_time(e, m)) || holds_open(e, 0, known[m]) || holds_open(e, 1, known[m]) || holds_open(e, 2, known[m]))
#else
#define is_asked(e, m) (true)
#endif
#define can_refuse(e, m) (votes(e, m) && at(e, m) == None && works(m) && is_asked(e, m))

inline refuse(e, m) {
#ifdef BREAK_REFUSAL
  abort_sent[e] = known[m]
#else
  change(e, m, OnAsk)
#endif
}

#ifdef BREAK_VERSION
#define abort_counts(e, m) (abort_sent[e] != 0)
#else
#define abort_counts(e, m) (abort_sent[e] == known[m])
#endif
#ifdef BREAK_REFUSAL
#define hears_abort(e, m) may_commit(e, m)
#else
#define hears_abort(e, m) (at(e, m) != Refused)
#endif
#define can_hear_abort(e, m) (votes(e, m) && abort_counts(e, m) && works(m) && hears_abort(e, m))
#define can_hear_commit(e, m) (commit_sent[e] && works(m) && (at(e, m) == Prepared || at(e, m) == Refused))

#ifdef BREAK_READ
#define settled_for_read(m) (true)
#else
#define settled_for_read(m) (!undecided(0, m) && !undecided(1, m))
#endif
#define shows(m) (keeps(0, m) || keeps(1, m))
/* A leader reads, too, when it evaluates conditions. */
#define reads_nothing(m) (works(m) && (is_complete(m) || leads(m)) && settled_for_read(m) && !shows(m))

inline learn_map(m) {
#ifndef BREAK_RETURN
  if
  :: (missed | excluded) & bit_of(m) ->
     if :: entries > 0 -> change(0, m, OnLeave) :: else fi;
     if :: entries > 1 -> change(1, m, OnLeave) :: else fi
  :: else
  fi;
#endif
  missed = missed & ~bit_of(m);
  skipped = skipped & ~bit_of(m);
#ifdef BREAK_RENEW
  renewed = renewed & ~bit_of(m);
#endif
  known[m] = newest
}

/* --- Maps --------------------------------------------------------------------------------------------------------------------- */

inline next_version() {
  newest = NEXT;
  up[NEXT] = up[ACTIVE];
  complete[NEXT] = complete[ACTIVE]
}

inline end_return() {
  returned = 0;
  copied = false;
  older[0] = false;
  older[1] = false;
  early[0] = false;
  early[1] = false
}

#define can_make (newest == ACTIVE)
/* By the end of the lease or by an administrator, who does not wait for it. */
#ifdef SKIP
#define can_make_on_top (true)
#else
#define can_make_on_top can_make
#endif
#define can_exclude(m) (can_make_on_top && (up[newest] & bit_of(m)) && (complete[newest] & ~bit_of(m)))
#define knows_next(m) ((known[m] == NEXT) * bit_of(m))

inline exclude(m) {
  if
  :: can_make -> next_version()
  :: else -> skipped = skipped | knows_next(0) | knows_next(1) | knows_next(2)
  fi;
  if :: !(complete[NEXT] & bit_of(m)) -> end_return() :: else fi;
  up[NEXT] = up[NEXT] & ~bit_of(m);
  complete[NEXT] = complete[NEXT] & ~bit_of(m);
  excluded = excluded | bit_of(m)
}

#define can_return(m) (can_make && up[ACTIVE] == complete[ACTIVE] && !(up[ACTIVE] & bit_of(m)))

inline take_back(m) {
  next_version();
  up[NEXT] = up[NEXT] | bit_of(m);
  returned = NEXT;
  older[0] = entries > 0;
  older[1] = entries > 1
}

/* Everything that was begun before the return is settled at q. */
#define open_at(e, q) (older[e] && undecided(e, q))
#define settled_at(q) (works(q) && known[q] >= returned && !open_at(0, q) && !open_at(1, q))
#define source (first_of(complete[newest]))
#ifdef BREAK_SOURCE
#define all_settled settled_at(source)
#else
#define settled_if_complete(q) (!(complete[newest] & bit_of(q)) || settled_at(q))
#define all_settled (settled_if_complete(0) && settled_if_complete(1) && settled_if_complete(2))
#endif
#define can_copy(m) (returned && !copied && (up[newest] & ~complete[newest]) == bit_of(m) && works(m) && known[m] >= returned && all_settled)

inline copy_entry(e, m) {
  if
  :: older[e] && at(e, source) == Committed -> change(e, m, OnCopy); store(e, m)
#ifdef FORGET
  :: older[e] && at(e, source) != Committed && keeps(e, source) -> store(e, m) /* data alone */
#endif
  :: else
  fi
}

inline end_copy(m) {
  copied = true;
#ifndef BREAK_EARLY
  early[0] = undecided(0, m);
  early[1] = undecided(1, m)
#endif
}

#define can_complete(m) \
  (copied && can_make && (up[ACTIVE] & ~complete[ACTIVE]) == bit_of(m) && !(early[0] && undecided(0, m)) && !(early[1] && undecided(1, m)))

inline make_complete(m) {
  next_version();
  complete[NEXT] = complete[NEXT] | bit_of(m);
  end_return()
}

#define down(v) v = (v > 0 -> v - 1 : 0)

inline move_entry(e) {
  take_votes(e);
  down(born[e]);
  down(answered[e]);
#ifndef BREAK_ANSWERS
  if :: answered[e] == 0 -> yes[e] = 0 :: else fi;
#endif
#ifndef BREAK_VERSION
  down(abort_sent[e])
#endif
}

/* Whoever has not learned of NEXT has lost his lease. */
#define can_activate (newest == NEXT)

inline forget_skipped(m) {
  if :: skipped & bit_of(m) -> known[m] = OLD :: else fi
}

inline activate() {
  missed = missed | (excluded & ~(knows_next(0) | knows_next(1) | knows_next(2))) | (excluded & skipped);
  move_entry(0);
  move_entry(1);
  excluded = 0;
  down(known[0]);
  down(known[1]);
  down(known[2]);
  forget_skipped(0);
  forget_skipped(1);
  forget_skipped(2);
  skipped = 0;
  if :: told > 1 -> told-- :: else fi;
  if :: returned == NEXT -> returned = ACTIVE :: else fi;
#ifdef KEEP_OLD
  up[OLD] = up[ACTIVE];
  complete[OLD] = complete[ACTIVE];
#endif
  up[ACTIVE] = up[NEXT];
  complete[ACTIVE] = complete[NEXT];
  up[NEXT] = 0;
  complete[NEXT] = 0;
  newest = ACTIVE
}

/* --- Everything that can happen ----------------------------------------------------------------------------------------------- */

#ifdef FORGET
#ifdef BREAK_FORGET
#define confirms(e, q, v) (true)
#else
#define confirms(e, q, v) (!(voters(e, v) & bit_of(q)) || keeps(e, q))
#endif
#define can_confirm(e, m) \
  (expired && commit_sent[e] && !confirmed[e] && leads(m) && confirms(e, 0, known[m]) && confirms(e, 1, known[m]) && confirms(e, 2, known[m]))
#define can_forget(e, m) \
  ((e) < entries && works(m) && ((at(e, m) == Committed && confirmed[e]) || (at(e, m) == Refused && known[m] > born[e])))
#define FORGETTING(e, m) \
  :: d_step { can_confirm(e, m) -> confirmed[e] = true } \
  :: d_step { can_forget(e, m) -> change(e, m, OnForget) }
#else
#define FORGETTING(e, m)
#endif

#define OF_ENTRY(e, m) \
  :: d_step { can_prepare(e, m) -> change(e, m, OnPrepare); say_prepared(e, m) } \
  :: d_step { can_answer(e, m) -> say_prepared(e, m) } \
  :: d_step { can_refuse(e, m) -> refuse(e, m) } \
  :: d_step { can_commit(e, m) -> decide_commit(e) } \
  :: d_step { can_abort(e, m) -> abort_sent[e] = known[m] } \
  :: d_step { can_hear_abort(e, m) -> change(e, m, OnAbort) } \
  :: d_step { can_hear_commit(e, m) -> change(e, m, OnCommit); store(e, m) } \
  FORGETTING(e, m)

/* Nothing is left to do until the next fault or request. */
#define has_done(e, m) \
  (!can_prepare(e, m) && !can_answer(e, m) && !can_refuse(e, m) && !can_commit(e, m) && !can_abort(e, m) && !can_hear_abort(e, m) && \
   !can_hear_commit(e, m))
#define has_map(m) (known[m] == newest && !(skipped & bit_of(m)) && !can_copy(m) && !can_complete(m))
#define quiet \
  (!can_activate && has_map(0) && has_map(1) && has_map(2) && has_done(0, 0) && has_done(0, 1) && has_done(0, 2) && has_done(1, 0) && \
   has_done(1, 1) && has_done(1, 2))

#define settled(m) (!(complete[newest] & bit_of(m)) || (!undecided(0, m) && !undecided(1, m)))
#define right(m) (!(complete[newest] & bit_of(m)) || shows(m) == shown)

#define OF_MEMBER(m) \
  :: d_step { can_begin(m) -> begin(m) } \
  OF_ENTRY(0, m) \
  OF_ENTRY(1, m) \
  :: d_step { can_tell(m) -> assert(!commit_sent[0] && !commit_sent[1]); told = 1 + TOLD_IN(m) } \
  :: d_step { shown && reads_nothing(m) -> assert(!shown) } \
  :: d_step { known[m] < newest || (skipped & bit_of(m)) -> learn_map(m) } \
  :: d_step { can_exclude(m) -> exclude(m) } \
  :: d_step { can_return(m) -> take_back(m) } \
  :: d_step { can_copy(m) -> copy_entry(0, m); copy_entry(1, m); end_copy(m) } \
  :: d_step { can_complete(m) -> make_complete(m) }

init {
  d_step {
    up[ACTIVE] = 7;
    complete[ACTIVE] = 7;
    state[0] = None; state[1] = None; state[2] = None;
    state[3] = None; state[4] = None; state[5] = None
  };
  do
  OF_MEMBER(0)
  OF_MEMBER(1)
  OF_MEMBER(2)
  :: d_step { can_activate -> activate() }
#ifdef BREAK_RENEW
  :: d_step { renewed != 7 -> renewed = 7 }
#endif
#ifdef FORGET
  :: d_step { !expired -> expired = true }
#endif
  /* All complete members show what was shown, and nothing else. */
  :: d_step { quiet && !(settled(0) && settled(1) && settled(2) && right(0) && right(1) && right(2)) -> assert(!quiet) }
  od
}
