/*
 * The batch service: how a proxy hands several calls to a server in one message.
 *
 * A server serves executeBatch by handing each message to the processor it already has, over a
 * memory buffer, and collecting what the processor wrote. Its own service, its handlers and its
 * other clients do not change.
 */

namespace c_glib ThriftBatch
namespace cpp thrift_batch
namespace d thrift_batch
namespace delphi ThriftBatch
namespace go thrift_batch
namespace java thrift_batch
namespace js ThriftBatch
namespace lua ThriftBatch
namespace netstd ThriftBatch
namespace perl ThriftBatch
namespace php ThriftBatch
namespace py thrift_batch
namespace rb ThriftBatch
namespace rs thrift_batch
namespace swift ThriftBatch

/** One call. */
struct Request {
  /**
   * One complete Thrift message of type CALL or ONEWAY: header and argument struct, without a frame,
   * in the protocol of the connection that carries the batch. Its sequence id is the call's position
   * in the batch, counted from 0.
   */
  1: required binary message

  /**
   * What is left of the call's time when the batch is sent. A server need not begin a call whose
   * time is over; it then answers with a TApplicationException of type INTERNAL_ERROR.
   */
  2: optional i32 timeoutMs

  /**
   * Requests of the same lane run one after another, in the order in which they stand. All others
   * may run side by side. Running the whole batch in order satisfies every lane.
   */
  3: optional i32 lane
}

struct BatchRequest {
  /** May be empty: that executes nothing, and asks whether the server knows this method. */
  1: required list<Request> requests
}

/** The answer to one call. */
struct Response {
  /**
   * One complete Thrift message of type REPLY or EXCEPTION, in the protocol of the connection, with
   * the name and the sequence id of its request. Absent where the processor owed no reply: a oneway
   * method, whatever the type of the request's message.
   */
  1: optional binary message
}

struct BatchResponse {
  /** Exactly one a request, in the order of the requests. */
  1: required list<Response> responses
}

service BatchService {
  BatchResponse executeBatch(1: BatchRequest batch)
}
