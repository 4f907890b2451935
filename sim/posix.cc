// One client works on a tree of files while connections break and the engine crashes, and is itself cut short at any
// point. After each operation the tree equals the model; in the end no object is left that nothing leads to.

#include "faults.h"
#include "posix_tree.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

Task<Result<>> work(Run& run, PosixTree& tree) { co_return co_await tree.work(60 + run.below(120)); }

Task<Result<>> finish(PosixTree& tree) {
  CO_CHECK_OK(co_await tree.verify());
  CO_CHECK_OK(co_await tree.check_leaks());
  co_return co_await tree.remove_all();
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  roughen_network(run);
  ClientNode client(run, "client");
  PosixTree tree(run, client);
  CancelSource stop;
  Scope faults(run.director());
  faults.spawn(inject_faults(run, random_plan(run), {client.name()}, &stop));
  const auto worked = co_await on_node(run, client.node(), [&] { return work(run, tree); });
  if (!worked) run.fail(worked.error().to_string());
  stop.cancel();
  co_await faults.drain();
  run.network().set_default_rules({});
  if (!run.failed()) {
    const auto finished = co_await on_node(run, client.node(), [&] { return finish(tree); });
    if (!finished) run.fail("in the end: " + finished.error().to_string());
  }
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

}  // namespace

Outcome run_posix(std::uint64_t seed, const Options& options) {
  Run run(seed, options, shape_engine(seed));
  return run.drive(body(run), std::chrono::hours(24));
}

}  // namespace cenote::sim
