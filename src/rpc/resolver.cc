#include "resolver.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/runtime/thread_refused.h"

namespace cenote::rpc {

/// One name on its way through the system's resolver. Keeps itself until its mail has been delivered, whoever else has
/// lost interest by then.
class Resolver::Query final : public Mail, public std::enable_shared_from_this<Query> {
 public:
  Query(Reactor& reactor, Address address) : done(reactor), reactor_(reactor), address_(std::move(address)) {}

  void begin() {
    self_ = shared_from_this();
    try {
      thread_ = std::jthread([this] {
        result = resolve_blocking(address_);
        reactor_.post(*this);
      });
    } catch (const std::system_error& refused) {
      result = cenote::fail(thread_refused(refused));
      reactor_.post(*this);
    }
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  Event done;
  Result<std::vector<Address>> result;

 private:
  void deliver() override {
    const std::shared_ptr<Query> last = std::move(self_);
    join();
    done.set();
  }

  Reactor& reactor_;
  Address address_;
  std::shared_ptr<Query> self_;
  std::jthread thread_;
};

Resolver::~Resolver() {
  for (const auto& query : queries_) query->join();
}

Task<Result<std::vector<Address>>> Resolver::resolve(Address address, Until until) {
  std::erase_if(queries_, [](const auto& query) { return query->done.is_set(); });
  const auto query = std::make_shared<Query>(reactor_, address);
  queries_.push_back(query);
  query->begin();
  const Result<> waited = co_await query->done.wait(until);
  if (!waited) co_return failf(waited.error().code(), "cannot resolve '{}': no answer in time", address.host);
  // To whoever wants a connection, a name without an address is a peer that cannot be reached, and may be back later.
  if (!query->result && query->result.error() == Code::kNotFound)
    co_return cenote::fail(Code::kUnreachable, query->result.error().message());
  co_return std::move(query->result);
}

}  // namespace cenote::rpc
