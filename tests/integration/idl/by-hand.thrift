/* The shape in which people batch by hand: requests collected into one message, answers by position.
 * The service knows nothing of the proxy's batch service. */
namespace py by_hand

struct Request {
  1: string token
  2: i32 number
}

struct Response {
  1: string token
  2: i64 square
}

struct BatchRequest {
  1: list<Request> requests
}

struct BatchResponse {
  1: list<Response> responses
}

service Worker {
  Response execute(1: Request r)

  BatchResponse executeBatch(1: BatchRequest batch)
}
