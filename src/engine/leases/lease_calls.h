#pragma once

#include "lease_table.h"

namespace cenote::engine {

/// How the table of a target asks clients: over the sessions of their connections, which belong to other reactors.
LeaseTable::Ask ask_client_from(Reactor& reactor);

}  // namespace cenote::engine
