// Between the members of redundancy groups, and the changes that this engine leads.

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"
#include "replication/entry_note.h"
#include "replication/messages.h"

namespace cenote::engine {

Task<Result<UpdateReply>> ObjectService::lead(rpc::Request& request, Target& target, RoutedContainer container,
                                              CommitRequest change, const media::Buffer& payload) {
  const Instant deadline = this->deadline(request);
  GroupLeader::Change what{.request = change,
                           .payload = payload ? payload.span() : MutableBytes(),
                           .payload_bytes = request.bulk_bytes(),
                           .version = container.layout->version(),
                           .seed = container.seed,
                           .resent = request.is_retry()};
  co_return co_await call_on(reactor_, target.reactor(),
                             [&] { return groups_of(target).leader.execute(what, Until::at(deadline)); });
}

Task<rpc::Response> ObjectService::entries(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kEntries, reactor_);
  auto outcome = co_await run_entries(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return succeeded(*outcome);
}

Task<Result<Bytes>> ObjectService::run_entries(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  switch (static_cast<Opcode>(request.opcode())) {
    case Opcode::kPrepareEntry:
      co_return co_await run_prepare(request, *target);
    case Opcode::kDecideEntries:
      co_return co_await run_decide(request, *target);
    case Opcode::kSettleEntry:
      co_return co_await run_settle(request, *target);
    default:
      co_return co_await run_ask(request, *target);
  }
}

namespace {

template <typename Answer>
Bytes encoded(const Answer& answer) {
  Bytes bytes;
  encode(answer, bytes);
  return bytes;
}

}  // namespace

Task<Result<Bytes>> ObjectService::run_prepare(rpc::Request& request, Target& target) {
  CO_TRY(const PrepareMessage message, decode_prepare_message(request.body()));
  const std::uint32_t bytes = request.bulk_bytes();
  if (bytes > kMaxPayloadBytes)
    co_return failf(Code::kOutOfRange, "{} bytes of payload: one change carries at most {}", bytes, kMaxPayloadBytes);
  CO_TRY(const RoutedContainer container, co_await route(request, message.request.container));
  CO_TRY(const EntryNote note, decode_entry_note(message.note));
  CO_CHECK_OK(check_note(note, *container.layout));
  const Instant deadline = this->deadline(request);
  media::Buffer payload;
  if (bytes != 0) {
    CO_TRY(rpc::PulledBulk pulled, co_await request.pull(Until{deadline, &request.cancel_source()}));
    payload = pulled.take(0);
  }
  const MutableBytes memory = payload ? payload.span() : MutableBytes();
  CO_TRY(const PrepareAnswer answer, co_await call_on(reactor_, target.reactor(), [&] {
           return groups_of(target).member.prepare({message, message.request, note, memory, bytes},
                                                   Until::at(deadline));
         }));
  co_return encoded(answer);
}

Task<Result<Bytes>> ObjectService::run_decide(rpc::Request& request, Target& target) {
  CO_TRY(const DecideMessage message, decode_decide_message(request.body()));
  // That an entry was committed, or may be forgotten, is right in any version.
  const bool in_any = std::ranges::all_of(message.decisions, [](const EntryDecision& decision) {
    return decision.event == EntryEvent::kCommit || decision.event == EntryEvent::kForget;
  });
  RoutedContainer container;
  if (!in_any) {
    CO_TRY(container, co_await route(request, message.container));
    if (container.layout->map() == nullptr) co_return fail(Code::kInvalidArgument, "the pool keeps no entries");
  }
  const DecideAnswer answer = co_await call_on(reactor_, target.reactor(), [&] {
    return groups_of(target).member.decide(message.decisions, container.layout.get());
  });
  co_return encoded(answer);
}

Task<Result<Bytes>> ObjectService::run_settle(rpc::Request& request, Target& target) {
  CO_TRY(const SettleMessage message, decode_settle_message(request.body()));
  CO_TRY(const RoutedContainer container, co_await route(request, message.entry.container));
  CO_TRY(const EntryNote note, decode_entry_note(message.entry.note));
  CO_CHECK_OK(check_note(note, *container.layout));
  const Instant deadline = this->deadline(request);
  CO_TRY(const EntryState outcome, co_await call_on(reactor_, target.reactor(), [&] {
           return groups_of(target).leader.settle(message.entry, Until::at(deadline));
         }));
  co_return encoded(SettleAnswer{outcome});
}

Task<Result<Bytes>> ObjectService::run_ask(rpc::Request& request, Target& target) {
  CO_TRY(const AskMessage message, decode_ask_message(request.body()));
  CO_CHECK_OK(co_await route(request, message.container));
  CO_TRY(const AskAnswer answer,
         co_await call_on(reactor_, target.reactor(), [&] { return groups_of(target).member.ask(message); }));
  co_return encoded(answer);
}

}  // namespace cenote::engine
