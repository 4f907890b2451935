/* The states of an entry and what becomes of them, from the table that the code has, too. */

#define ENTRY_STATE(name) mtype = { name };
#define ENTRY_EVENT(name) mtype = { On##name };
#include "../../src/protocol/include/cenote/protocol/replica_entry.def"

#define at(e, m) state[(e) * MEMBERS + (m)]

/* What the table does not list must never happen. */
inline change(e, m, what) {
  if
#define ENTRY_CHANGE(event, old, next) :: what == On##event && at(e, m) == old -> at(e, m) = next;
#include "../../src/protocol/include/cenote/protocol/replica_entry.def"
  :: else -> assert(false)
  fi
}
