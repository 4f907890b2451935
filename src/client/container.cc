#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"
#include "payload.h"
#include "transaction.h"

namespace cenote::async {
namespace {

/// Counts the running parts of a vectored call down to the end of the last one.
class Pending {
 public:
  Pending(Reactor& reactor, std::size_t count) : done_(reactor), left_(count) {
    if (left_ == 0) done_.set();
  }
  void finish_one() {
    if (--left_ == 0) done_.set();
  }
  // Every part is bounded by its own deadline, so this wait needs none.
  Task<> wait() { static_cast<void>(co_await done_.wait(Until::forever())); }

 private:
  Event done_;
  std::size_t left_;
};

Task<> run_update(Container container, UpdateItem* item, Until until, Pending* pending) {
  item->result = co_await container.update(item->request, item->payload, until);
  pending->finish_one();
}

Task<> run_fetch(Container container, FetchItem* item, Until until, Pending* pending) {
  item->result = co_await container.fetch(item->request, item->into, until);
  pending->finish_one();
}

template <typename Item>
Task<> run_all(Scope& scope, Reactor& reactor, Container container, std::span<Item> items, Until until,
               Task<> (*run)(Container, Item*, Until, Pending*)) {
  Pending pending(reactor, items.size());
  for (Item& item : items) {
    if (scope.spawn(run(container, &item, until, &pending))) continue;
    item.result = fail(Code::kStopped, "the client is closing");
    pending.finish_one();
  }
  co_await pending.wait();
}

}  // namespace

Container::Container(std::shared_ptr<State> state) : state_(std::move(state)) {}

const ContainerInfo& Container::info() const { return state_->info; }
Client& Container::client() const { return *state_->client; }
std::uint32_t Container::redundancy() const { return state_->info.redundancy; }

std::optional<std::uint32_t> Container::target_of(const ObjectId& object) const {
  if (object.object_class() != ObjectClass::kS1) return std::nullopt;
  const auto home = state_->routes->layout().home(object, state_->seed(), {});
  if (!home) return std::nullopt;
  return home->value();
}

Task<Result<UpdateReply>> Container::update(UpdateRequest request, std::vector<ByteView> payload, Until until) {
  const auto state = state_;
  if (state->transaction) co_return co_await state->transaction->update(std::move(request), std::move(payload), until);
  CO_CHECK_OK(check_writable());
  request.container = state->info.id;
  const Scattered<const std::byte> data{std::span<const ByteView>(payload)};
  CO_CHECK_OK(check_payload(request, data.bytes()));
  if (state->checksums) fill_checksums(request, data);
  CO_CHECK_OK(validate(request));
  Bytes body;
  encode(request, body);
  until = state->impl->bounded(until);
  Leases::Changing changing(state->impl->leases, request);
  auto reply = co_await state->impl->call(Opcode::kUpdate, body, rpc::BulkSource(std::span<const ByteView>(payload)),
                                          {}, state->home(request.object, request.dkey), until);
  changing.ended(reply, until);
  if (!reply) co_return fail(std::move(reply).error());
  co_return decode_update_reply(reply->body);
}

Task<Result<FetchReply>> Container::fetch(FetchRequest request, std::vector<MutableBytes> into, Until until) {
  const auto state = state_;
  if (state->transaction) co_return co_await state->transaction->fetch(std::move(request), std::move(into), until);
  request.container = state->info.id;
  request.epoch = std::min(request.epoch, state->epoch);
  CO_CHECK_OK(validate(request));
  Bytes body;
  encode(request, body);
  const Scattered<std::byte> room{std::span<const MutableBytes>(into)};
  CO_TRY(const rpc::Reply reply,
         co_await state->impl->call(Opcode::kFetch, body, {}, rpc::BulkSink(std::span<const MutableBytes>(into)),
                                    state->reader(request.object, request.dkey), until));
  CO_TRY(FetchReply fetched, decode_fetch_reply(reply.body));
  auto settled = settle_payload(request, fetched, reply.bulk_bytes, room, state->checksums);
  if (!settled) {
    co_return fail(settled.error().with_context(
        fmt::format("object {}, dkey '{}'", request.object.to_string(), printable(request.dkey))));
  }
  co_return fetched;
}

Task<> Container::update_many(std::span<UpdateItem> items, Until until) {
  const auto state = state_;
  co_await run_all(state->impl->scope, state->impl->reactor, *this, items, until, run_update);
}

Task<> Container::fetch_many(std::span<FetchItem> items, Until until) {
  const auto state = state_;
  co_await run_all(state->impl->scope, state->impl->reactor, *this, items, until, run_fetch);
}

Task<Result<ObjectId>> Container::allocate_object(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys,
                                                  Until until) {
  const auto state = state_;
  if (state->transaction) {
    co_return co_await state->transaction->allocate_object(object_class, dkeys, akeys, until);
  }
  CO_CHECK_OK(check_writable());
  CO_TRY(const ClassParts parts, class_parts(object_class));
  if (parts.redundancy_factor() < state->info.redundancy)
    co_return failf(Code::kInvalidArgument,
                    "objects of class {} keep their data through the loss of {} engines, those of container '{}' of at "
                    "least {}: {}, for instance, does",
                    class_name(object_class), parts.redundancy_factor(), state->info.label, state->info.redundancy,
                    class_name(with_redundancy(object_class, state->info.redundancy)));
  if (state->objects_left == 0) {
    CO_CHECK_OK(co_await state->lease->acquire(1, state->impl->bounded(until)));
    Result<> leased;
    if (state->objects_left == 0) leased = co_await lease_objects(until);  // else another call leased meanwhile
    state->lease->release();
    CO_CHECK_OK(std::move(leased));
  }
  ASSERT(state->objects_left > 0);
  --state->objects_left;
  co_return ObjectId::make(object_class, dkeys, akeys, 0, state->next_object++);
}

Task<Result<>> Container::lease_objects(Until until) {
  const auto state = state_;
  const Uuid container = state->info.id;
  CO_TRY(const rpc::Reply reply, co_await state->impl->call(Opcode::kOidRange, container.bytes(), {}, {}, {}, until));
  Decoder decoder(reply.body);
  const auto first = decoder.integer<std::uint64_t>();
  const auto count = decoder.integer<std::uint64_t>();
  decoder.require(count > 0);
  CO_CHECK_OK(decoder.finish("object id range"));
  state->next_object = first;
  state->objects_left = count;
  co_return Result<>();
}

}  // namespace cenote::async
