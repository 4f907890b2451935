// One client works on a tree of files while connections break and the engine crashes, and is itself cut short at any
// point. After each operation the tree equals the model; in the end a check finds nothing, and no object is left that
// nothing leads to.

#include "faults.h"
#include "posix_tree.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

Task<Result<>> work(Run& run, PosixTree& tree) { co_return co_await tree.work(60 + run.below(120)); }

Task<Result<>> finish(PosixTree& tree) {
  CO_CHECK_OK(co_await tree.verify());
  // What clients that died have left waits to be freed, which is no damage.
  CO_CHECK_OK(co_await tree.check());
  CO_CHECK_OK(co_await tree.check_leaks());
  CO_CHECK_OK(co_await tree.check());
  co_return co_await tree.remove_all();
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  roughen_network(run);
  ClientNode client(run, "client");
  PosixTree tree(run, client);
  co_await work_under_faults(
      run, client, [&] { return work(run, tree); }, [&] { return finish(tree); }, [&] { return tree.end(); });
  co_await stop_engine(run);
}

}  // namespace

Outcome run_posix(std::uint64_t seed, const Options& options) {
  Run run(seed, options, shape_engine(seed));
  return run.drive(body(run), std::chrono::hours(24));
}

}  // namespace cenote::sim
