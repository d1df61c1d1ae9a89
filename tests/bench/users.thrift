/* What python_upstream.py serves: one lookup, and the batch method that such a service tends to
 * have. */

namespace py bench_users

struct User {
  1: i64 id
  2: string name
  3: bool active
}

service Users {
  User getUser(1: i64 id)

  /** By position. */
  list<User> getUsers(1: list<i64> ids)
}
