// What a target that should hold data, and does not yet, asks of those that have it.

#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"
#include "replication/group_filter.h"
#include "replication/rebuild_messages.h"

namespace cenote::engine {
namespace {

/// Bytes of a reply, kept until they are sent.
class OwnedPage final : public rpc::PayloadOwner {
 public:
  explicit OwnedPage(Bytes bytes) : bytes_(std::move(bytes)) {}
  static void add_to(Bytes bytes, rpc::Payload& payload) {
    if (bytes.empty()) return;
    auto* const page = new OwnedPage(std::move(bytes));
    payload.add(page->bytes_, *page);
  }
  void release() override { delete this; }

 private:
  Bytes bytes_;
};

template <typename Message>
Bytes encoded(const Message& message) {
  Bytes bytes;
  encode(message, bytes);
  return bytes;
}

}  // namespace

Task<rpc::Response> ObjectService::rebuild(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kRebuild, reactor_);
  Bytes page;
  auto outcome = co_await run_rebuild(request, page);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  rpc::Response response = succeeded(*outcome);
  timer.sending(page.size());
  OwnedPage::add_to(std::move(page), response.payload);
  co_return response;
}

Task<Result<Bytes>> ObjectService::run_rebuild(rpc::Request& request, Bytes& page) {
  CO_TRY(Target* const target, steer(request));
  switch (static_cast<Opcode>(request.opcode())) {
    case Opcode::kReadHistory:
      co_return co_await run_read_history(request, *target, page);
    case Opcode::kReadEntry:
      co_return co_await run_read_entry(request, *target, page);
    case Opcode::kReadResults:
      co_return co_await run_read_results(request, *target, page);
    default:
      co_return co_await run_await_settled(request, *target);
  }
}

Task<Result<Bytes>> ObjectService::run_read_history(rpc::Request& request, Target& target, Bytes& page) {
  CO_TRY(const ReadHistoryMessage message, decode_read_history(request.body()));
  CO_TRY(const RoutedContainer container, co_await route(request, message.container));
  const auto self = groups_of(target).member.number_in(*container.layout);
  if (!self || container.layout->map() == nullptr || message.asker.value() >= container.layout->target_count())
    co_return fail(Code::kInvalidArgument, "a target that is none of the pool");
  const object::HistoryFilter wanted = lacked_by(container.layout, container.seed, message.asker, *self);
  const Instant deadline = this->deadline(request);
  object::HistoryDamage damage;
  auto read = co_await call_on(reactor_, target.reactor(), [&] {
    return target.objects().read_history(message.tree, message.from, wanted, Until{deadline, &target.cancel_source()},
                                         &damage, message.have, message.asker.value() + std::uint64_t{1});
  });
  // The asker tries again, and another member may have made it good until then.
  if (const auto place = object::dkey_of(damage.key); !read && place)
    co_await call_on(reactor_, target.reactor(), [&] { return suspect(target, message.container, *place); });
  CO_TRY(object::HistoryPage history, std::move(read));
  page = std::move(history.entries);
  co_return encoded(PageAnswer{.next = std::move(history.next),
                               .again = std::move(history.again),
                               .resume = std::move(history.resume),
                               .bytes = history.bytes,
                               .objects = history.objects,
                               .stubs = history.stubs});
}

Task<Result<Bytes>> ObjectService::run_read_entry(rpc::Request& request, Target& target, Bytes& page) {
  CO_TRY(const ReadEntryMessage message, decode_read_entry(request.body()));
  CO_TRY(const RoutedContainer container, co_await route(request, message.container));
  CO_TRY(const object::EntryPlace place, object::dkey_of(message.key));
  CO_CHECK_OK(check_reader(target, container, place.object, place.dkey));
  const Instant deadline = this->deadline(request);
  CO_TRY(page, co_await call_on(reactor_, target.reactor(), [&] {
           return target.objects().read_entry(message.tree, message.key, Until{deadline, &target.cancel_source()});
         }));
  co_return Bytes();
}

Task<Result<Bytes>> ObjectService::run_read_results(rpc::Request& request, Target& target, Bytes& page) {
  CO_TRY(const ReadResultsMessage message, decode_read_results(request.body()));
  CO_TRY(const RoutedContainer container, co_await route(request, message.container));
  const Instant deadline = this->deadline(request);
  CO_TRY(object::ResultsPage results, co_await call_on(reactor_, target.reactor(), [&] {
           return target.objects().read_results(message.from, Until{deadline, &target.cancel_source()});
         }));
  page = std::move(results.results);
  co_return encoded(PageAnswer{.next = std::move(results.next), .again = {}, .resume = {}});
}

Task<Result<Bytes>> ObjectService::run_await_settled(rpc::Request& request, Target& target) {
  CO_TRY(const AwaitSettledMessage message, decode_await_settled(request.body()));
  CO_TRY(const RoutedContainer container, co_await route(request, message.container));
  const Instant deadline = this->deadline(request);
  CO_CHECK_OK(co_await call_on(reactor_, target.reactor(), [&] {
    return groups_of(target).member.settle_older(container.layout, Until::at(deadline));
  }));
  co_return Bytes();
}

}  // namespace cenote::engine
