/*
 * The base service of the Thrift world, as Apache Thrift's contrib/fb303 has it: names, field ids
 * and numbers are those, so that every tool that speaks fb303 speaks to the daemon.
 */

namespace c_glib Fb303
namespace cpp facebook.fb303
namespace java com.facebook.fb303
namespace perl Facebook.FB303
namespace py fb303

/** What a service says of itself. */
enum fb_status {
  DEAD = 0,
  STARTING = 1,
  /** It serves, and a server of the upstream is up. */
  ALIVE = 2,
  /** It drains. */
  STOPPING = 3,
  STOPPED = 4,
  /** It is paused, or no server of the upstream is up. */
  WARNING = 5,
}

/** Methods marked (*) change the daemon: only root and the daemon's own user may call them, and
 * only over a unix socket. All others get an INTERNAL_ERROR, or, where the method is oneway, a line
 * in the log. */
service FacebookService {
  /** thrift-batchd */
  string getName(),

  /** As thrift-batchd --version says it. */
  string getVersion(),

  fb_status getStatus(),

  /** The same in a line of words, with the reason. */
  string getStatusDetails(),

  /**
   * The metrics by their names without the prefix, a metric's labels behind it, joined by dots:
   * calls_total.getUser.ok. A histogram gives NAME.count, NAME.sum, NAME.p50 and NAME.p99; one of
   * seconds gives NAME.count, NAME.sum_us, NAME.p50_us and NAME.p99_us, in microseconds.
   */
  map<string, i64> getCounters(),

  /** One of them; INTERNAL_ERROR where there is none of that name. */
  i64 getCounter(1: string key),

  /**
   * (*) Changes a live option: window, max_calls, flush or log_level, with a value as the
   * configuration file has it. A bad one is an INTERNAL_ERROR that says why, and changes nothing.
   * The next reload of the configuration sets it back.
   */
  void setOption(1: string key, 2: string value),

  /** The value in force. */
  string getOption(1: string key),

  map<string, string> getOptions(),

  /** Always an INTERNAL_ERROR: the daemon keeps no profile. */
  string getCpuProfile(1: i32 profileDurationInSec),

  /** Since when it runs: unix time in seconds. */
  i64 aliveSince(),

  /** (*) Reads the configuration again; AdminService.reload says how it went, too. */
  oneway void reinitialize(),

  /** (*) Drains and ends the daemon. */
  oneway void shutdown(),
}
