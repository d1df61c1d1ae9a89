/*
 * A small user directory, served by thrift-batch-demo: something for the proxy to stand in front of.
 *
 * Most methods take a token and give it back, so that a client can tell whether the answer it got is
 * the answer to its own call. The service knows nothing of batches; the server answers executeBatch
 * (batch.thrift) on the same connections, by the adapter in front of this service's processor.
 */

namespace c_glib Demo
namespace cpp thrift_batch_demo
namespace d thrift_batch_demo
namespace delphi ThriftBatchDemo
namespace go thrift_batch_demo
namespace java thrift_batch_demo
namespace js ThriftBatchDemo
namespace lua ThriftBatchDemo
namespace netstd ThriftBatchDemo
namespace perl ThriftBatchDemo
namespace php ThriftBatchDemo
namespace py thrift_batch_demo
namespace rb ThriftBatchDemo
namespace rs thrift_batch_demo
namespace swift ThriftBatchDemo

/** Users 1 to 1,000,000 exist. User 7 is "user-7"; every tenth is not active. */
struct User {
  1: i64 id
  2: string name
  3: bool active
  /** The token of the call that asked; empty where the method takes none. */
  4: string token
}

exception NotFound {
  1: i64 id
  2: string reason
}

struct Point {
  1: double x
  2: double y
}

/** One field of every type. */
struct Everything {
  1: string token
  2: bool aBool
  3: byte aByte
  4: i16 anI16
  5: i32 anI32
  6: i64 anI64
  7: double aDouble
  8: string aString
  9: binary aBinary
  10: list<i32> aList
  11: set<string> aSet
  12: map<string, i64> aMap
  13: Point aStruct
  14: list<Point> structs
}

/** What the server has seen since it started. */
struct Counters {
  /** Messages that came over connections. A batch counts as one. */
  1: i64 messages
  /** Calls executed, alone or in batches, this one included. */
  2: i64 calls
  /** executeBatch messages with at least one call. */
  3: i64 batches
  /** Calls in the largest batch. */
  4: i64 largestBatch
  5: i64 connectionsOpen
  /** Most connections that were open at once. */
  6: i64 connectionsMost
  /** Connections accepted. */
  7: i64 connectionsTotal
  /** executeBatch messages without a call. */
  8: i64 emptyBatches
  /** Calls executed in batches. */
  9: i64 batchedCalls
}

/** The arguments of getUser. */
struct UserRequest {
  1: string token
  2: i64 id
}

/** The result of getUser: one of the two. (c_glib's generator knows exceptions only in lower case.) */
struct UserResult {
  1: optional User user
  2: optional NotFound missing
}

service Directory {
  string echo(1: string token)

  User getUser(1: string token, 2: i64 id) throws (1: NotFound missing)

  /** Those of the users that exist. */
  map<i64, User> getUsers(1: string token, 2: list<i64> ids)

  void touch(1: string token)

  /** Counted in logged(). */
  oneway void log(1: string line)

  /** How many log() calls have been executed. */
  i64 logged()

  /** Gives back what it was given. */
  Everything everything(1: string token, 2: bool aBool, 3: byte aByte, 4: i16 anI16, 5: i32 anI32,
                        6: i64 anI64, 7: double aDouble, 8: string aString, 9: binary aBinary,
                        10: list<i32> aList, 11: set<string> aSet, 12: map<string, i64> aMap,
                        13: Point aStruct, 14: list<Point> structs)

  /** `size` bytes (at most 64 MiB): the payload, over and over. */
  binary blob(1: binary payload, 2: i32 size)

  /** Fails with an error that it does not declare: the client gets a TApplicationException. */
  string fail(1: string token)

  /** Gives the token back after that time (at most a minute). */
  string wait(1: string token, 2: i32 milliseconds)

  /** Adds a line to the journal of that name and returns how many stood in it before. */
  i64 append(1: string journal, 2: string line)

  /** The journal's lines in the order in which their calls were executed. */
  list<string> lines(1: string journal)

  Counters stats()

  /* Methods in the shapes in which servers that batch natively offer them: one item and many. */

  User findUser(1: i64 id) throws (1: NotFound missing)

  /** By id; users that do not exist have no entry. */
  map<i64, User> findUsers(1: list<i64> ids)

  /** Answers by position, each what getUser would have returned or thrown. */
  list<UserResult> getUserBatch(1: list<UserRequest> requests)
}
