#include "store/lmdb_puts.h"

#include <lmdb.h>

#include <string>
#include <utility>

#include "store/threads.h"
#include "store/workload.h"

namespace cenote::bench {
namespace {

constexpr std::size_t kMapBytes = std::size_t{1} << 30;

Result<> check(int error) {
  if (error == MDB_SUCCESS) return {};
  return fail(Code::kIoError, std::string("LMDB: ") + ::mdb_strerror(error));
}

MDB_val value_of(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }

struct CloseEnvironment {
  void operator()(MDB_env* environment) const { ::mdb_env_close(environment); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

class LmdbPuts final : public Side {
 public:
  LmdbPuts(Environment environment, Concurrency concurrency)
      : environment_(std::move(environment)), concurrency_(concurrency) {}

  // All keys are there from the start, as in the other engines after their warm-up.
  Result<> prepare() {
    MDB_txn* transaction = nullptr;
    CHECK_OK(check(::mdb_txn_begin(environment_.get(), nullptr, 0, &transaction)));
    if (auto opened = check(::mdb_dbi_open(transaction, nullptr, 0, &database_)); !opened) {
      ::mdb_txn_abort(transaction);
      return opened;
    }
    PutStream stream(1);
    for (std::uint64_t i = 0; i < kKeys; ++i) {
      if (auto put = put_next(transaction, stream); !put) {
        ::mdb_txn_abort(transaction);
        return put;
      }
    }
    return check(::mdb_txn_commit(transaction));
  }

  Result<Measured> measure(Duration window) override {
    return run_threads(concurrency_.writers, concurrency_.puts_per_write, window,
                       [this](PutStream& stream) { return put(stream); });
  }

  Result<double> account(Duration window) override {
    TRY(const Measured measured, measure(window));
    return measured.value * std::chrono::duration<double>(window).count();
  }

 private:
  Result<> put_next(MDB_txn* transaction, PutStream& stream) {
    stream.next();
    MDB_val key = value_of(stream.key());
    MDB_val value = value_of(stream.value());
    return check(::mdb_put(transaction, database_, &key, &value, 0));
  }

  Result<> put(PutStream& stream) {
    MDB_txn* transaction = nullptr;
    CHECK_OK(check(::mdb_txn_begin(environment_.get(), nullptr, 0, &transaction)));
    for (unsigned i = 0; i < concurrency_.puts_per_write; ++i) {
      if (auto put = put_next(transaction, stream); !put) {
        ::mdb_txn_abort(transaction);
        return put;
      }
    }
    return check(::mdb_txn_commit(transaction));
  }

  Environment environment_;
  Concurrency concurrency_;
  MDB_dbi database_ = 0;
};

}  // namespace

Result<std::unique_ptr<Side>> make_lmdb_puts(const Setting& setting, Concurrency concurrency) {
  MDB_env* made = nullptr;
  CHECK_OK(check(::mdb_env_create(&made)));
  Environment environment(made);
  CHECK_OK(check(::mdb_env_set_mapsize(environment.get(), kMapBytes)));
  CHECK_OK(check(::mdb_env_open(environment.get(), setting.directory.c_str(), 0, 0600)));
  auto side = std::make_unique<LmdbPuts>(std::move(environment), concurrency);
  CHECK_OK(side->prepare());
  return side;
}

}  // namespace cenote::bench
