#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "cenote/client/async.h"
#include "write_buffer.h"

namespace cenote::async {

/// One attempt of a transaction: reads are of one epoch and of what it wrote itself; writes stay here until `commit`
/// sends them, together with what was read.
///
/// Invariant: whatever an answer was decided on is in the buffer or among the reads. Conditions are reads, too: so what
/// is sent has none.
class Transaction {
 public:
  /// `container` is not a view of a transaction.
  explicit Transaction(Container container);

  Task<Result<UpdateReply>> update(UpdateRequest request, std::vector<ByteView> payload, Until until);
  Task<Result<FetchReply>> fetch(FetchRequest request, std::vector<MutableBytes> into, Until until);
  Task<Result<UpdateReply>> punch(PunchRequest request, Until until);
  /// All changes of `changes`, which has nothing else, or none. Both are the caller's until it returns.
  Task<Result<UpdateReply>> apply(const CommitRequest& changes, std::span<const ByteView> payload, Until until);
  Task<Result<ListReply>> list(ListRequest request, Until until);
  Task<Result<QueryReply>> query(QueryRequest request, Until until);
  Task<Result<ObjectId>> allocate_object(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys, Until until);

  /// Of no effect where it fails, unless it says that it may have had one (kDeadlineExceeded). kTxRestart: a conflict.
  Task<Result<UpdateReply>> commit(Until until);
  /// Whatever is done with the view afterwards fails.
  void end() { over_ = true; }
  /// From now on it reads what is newest, and is not for committing.
  void read_latest() { reads_latest_ = true; }

 private:
  Result<> check_open() const;
  static std::unexpected<Error> restart_in_new_map();
  Task<Result<Epoch>> snapshot(const ObjectId& object, ByteView dkey, Until until);
  Result<> note_read(AkeyRead read);
  Result<> check_read_count();

  // As the server has it at the snapshot.
  Task<Result<FetchReply>> fetch_stored(FetchRequest request, std::vector<MutableBytes> into, Until until);
  Task<Result<ListReply>> list_stored(ListRequest request, Until until);
  Task<Result<QueryReply>> query_stored(QueryRequest request, Until until);

  // Whether something exists, as the transaction sees it.
  Task<Result<bool>> object_exists(ObjectId object, Until until);
  Task<Result<bool>> dkey_exists(ObjectId object, Bytes dkey, Until until);
  Task<Result<bool>> akey_exists(ObjectId object, Bytes dkey, Bytes akey, Until until);
  Task<Result<bool>> exists(const ListRequest& list, const Bytes& name, Until until);

  Task<Result<>> check_conditions(const UpdateRequest& request, Until until);
  Task<Result<>> check_condition(const PunchRequest& request, Until until);
  Result<> check_size();
  struct Overlaid;
  Task<Result<Overlaid>> fetch_akey(const FetchRequest& request, const AkeyFetch& akey, Until until);
  static void lay_over(const WriteBuffer::Akey& changes, RecordRange range, std::uint64_t at, Overlaid& overlaid);
  Task<Result<Overlaid>> fetch_array(const FetchRequest& request, const AkeyFetch& akey,
                                     const WriteBuffer::Akey* changes, bool hidden, Until until);
  Task<Result<ListReply>> list_names(const ListRequest& request, Until until);
  std::vector<std::pair<Bytes, ListedKey>> changed_names(const ListRequest& request) const;
  Task<Result<ListReply>> list_extents(const ListRequest& request, Until until);
  Task<Result<QueryReply>> query_dkey(QueryRequest request, Until until);
  Task<Result<QueryReply>> query_greatest(QueryRequest request, Until until);

  Container container_;
  WriteBuffer buffer_;
  std::optional<Epoch> snapshot_;
  std::shared_ptr<const cluster::PoolLayout> plan_;  // by which it has read
  std::vector<AkeyRead> reads_;
  std::set<std::string> noted_;  // the same read again need not be checked twice
  std::vector<ListRead> lists_;
  std::vector<QueryRead> queries_;
  std::optional<Error> broken_;  // why it cannot be committed
  bool over_ = false;
  bool reads_latest_ = false;
};

}  // namespace cenote::async
