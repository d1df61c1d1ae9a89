/*
 * What thrift-batchd says and does at its admin address beyond fb303. A method marked (*) changes
 * the daemon: see fb303.thrift for who may call it.
 */

include "fb303.thrift"

/* The same as in fb303.thrift: c_glib's generator looks for the parent service in its own. */
namespace c_glib Fb303
namespace py thrift_batch_admin

service AdminService extends fb303.FacebookService {
  /** (*) Holds the calls of the clients: nothing new is sent upstream, calls in flight end. */
  void pause(),

  /** (*) Goes on after pause. */
  void resume(),

  /**
   * (*) Reads the configuration again. What of it only a restart changes is returned, one line a
   * key; empty where there is nothing. A bad file changes nothing and is an INTERNAL_ERROR with one
   * line an error.
   */
  string reload(),

  /** (*) fb303's shutdown, with an answer. */
  void drain(),

  /** Everything that is known, as JSON: the document that http has at /stats.json. */
  string getStatsJson(),
}
