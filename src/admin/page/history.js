/*
 * What the daemon has said during the last minutes, and what changed in between.
 *
 * The daemon counts from its start; a rate is the difference of two answers. Where there is none,
 * because the daemon was restarted, could not be reached or the page was hidden, everything starts
 * anew: no figure is ever a difference across such a gap.
 *
 * A `point` is what changed between two answers, one a second, kept for the charts; null marks a gap.
 */
'use strict';

const CHART_SECONDS = 300;
const MINUTE = 60;
const GAP_SECONDS = 10; /* answers further apart have nothing between them that could be shown */

const CALL_OUTCOMES = ['ok', 'exception', 'error', 'timeout', 'withdrawn'];

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

function outcomesOf(calls) {
  return sum(CALL_OUTCOMES.map((outcome) => calls[outcome]));
}

function failuresOf(calls) {
  return calls.error + calls.timeout;
}

/* What went to the servers: batches, and calls that travelled alone. */
function upstreamMessages(stats) {
  return stats.batch_calls.count + stats.plain_calls + stats.passthrough_calls;
}

/* The calls in these messages. */
function upstreamCalls(stats) {
  return stats.batch_calls.sum + stats.plain_calls + stats.passthrough_calls;
}

/* What would have gone there, had every call travelled alone: 0 to 1, null where nothing went. */
function savedShare(stats) {
  const calls = upstreamCalls(stats);
  return calls > 0 ? stats.calls_saved / calls : null;
}

/* --- histograms -------------------------------------------------------------------------------- */

/* [[upper bound, count], ...], ascending, without empty ones. */
function bucketsBetween(before, after) {
  const old = new Map(before.buckets);
  return after.buckets
    .map(([bound, count]) => [bound, count - (old.get(bound) ?? 0)])
    .filter(([, count]) => count > 0);
}

function histogramBetween(before, after) {
  return {
    count: after.count - before.count,
    sum: after.sum - before.sum,
    max: after.max,
    buckets: bucketsBetween(before, after),
  };
}

/* The upper bound of the bucket in which that share of the values ends; null where there is none. */
function percentile(histogram, share) {
  const wanted = Math.max(1, Math.ceil(share * sum(histogram.buckets.map(([, count]) => count))));
  let seen = 0;
  for (const [bound, count] of histogram.buckets) {
    seen += count;
    if (seen >= wanted) return Math.min(bound, histogram.max);
  }
  return null;
}

/* --- differences ------------------------------------------------------------------------------- */

/* Each number of `after` less the one in `before`; all others as in `after`. */
function numbersBetween(before, after) {
  return Object.fromEntries(Object.entries(after).map(([key, value]) =>
    [key, typeof value === 'number' ? value - (before?.[key] ?? 0) : value]));
}

/* By their names; one that is new has counted from 0. */
function namedBetween(before, after, between) {
  const old = new Map(before.map((entry) => [entry.name, entry]));
  return after.map((entry) => between(old.get(entry.name), entry));
}

const COUNTERS = ['calls_saved', 'plain_calls', 'passthrough_calls', 'fallback_calls',
  'deduped_calls', 'transcoded_calls', 'retries', 'clients_total'];
const HISTOGRAMS = ['batch_calls', 'batch_wait_seconds', 'call_seconds', 'upstream_seconds'];

/* What was counted in between, in the form of /stats.json. */
function statsBetween(before, after) {
  const pick = (names, between) => Object.fromEntries(
    names.map((name) => [name, between(before[name], after[name])]));
  return {
    seconds: after.time - before.time,
    ...pick(['calls', 'batches', 'client_errors'], numbersBetween),
    ...pick(COUNTERS, (old, value) => value - old),
    ...pick(HISTOGRAMS, histogramBetween),
    methods: namedBetween(before.methods, after.methods, numbersBetween),
    servers: namedBetween(before.servers, after.servers, (old, server) => ({
      name: server.name, failures: numbersBetween(old?.failures, server.failures),
    })),
  };
}

/* What the daemon counts never falls while it lives. */
function isAnotherLife(before, after) {
  return after.started !== before.started
    || outcomesOf(after.calls) < outcomesOf(before.calls)
    || after.clients_total < before.clients_total
    || HISTOGRAMS.some((name) => after[name].count < before[name].count);
}

function pointBetween(before, after) {
  const change = statsBetween(before, after);
  const rate = (count) => count / change.seconds;
  return {
    time: after.time,
    calls: rate(outcomesOf(change.calls)),
    failures: rate(failuresOf(change.calls)),
    messages: rate(upstreamMessages(change)),
    waitP50: percentile(change.batch_wait_seconds, 0.5),
    waitP99: percentile(change.batch_wait_seconds, 0.99),
    callP50: percentile(change.call_seconds, 0.5),
    callP99: percentile(change.call_seconds, 0.99),
  };
}

/* --- the history ------------------------------------------------------------------------------- */

class DaemonHistory {
  constructor() {
    this.points = [];
    this.answers = []; /* without a gap between them; the latest last */
  }

  get latest() {
    return this.answers.at(-1);
  }

  /* Takes an answer. Returns true where the daemon was restarted since the one before. */
  add(stats) {
    const before = this.latest ?? this.lastBeforeGap;
    const restarted = before !== undefined && isAnotherLife(before, stats);
    if (before?.time > stats.time) this.points = []; /* its clock was set back */
    if (restarted || before?.time > stats.time || this.isTooLate(stats)) this.interrupt();
    if (this.latest?.time === stats.time) return restarted;
    if (this.latest) this.points.push(pointBetween(this.latest, stats));
    this.answers.push(stats);
    this.forget(stats.time);
    return restarted;
  }

  /* Nothing is known of what happens from now on until the next answer. */
  interrupt() {
    this.lastBeforeGap = this.latest ?? this.lastBeforeGap;
    this.answers = [];
    if (this.points.at(-1)) this.points.push(null);
  }

  isTooLate(stats) {
    return this.latest !== undefined && stats.time - this.latest.time > GAP_SECONDS;
  }

  forget(now) {
    const isOld = (point) => point === null || point.time < now - CHART_SECONDS - 2;
    while (this.points.length > 0 && isOld(this.points[0])) this.points.shift();
    while (this.answers.length > 1 && this.answers[1].time <= now - MINUTE) this.answers.shift();
  }

  /* What was counted during about the last so many seconds, or the shorter time that is known; null
   * where nothing is. */
  during(seconds) {
    const { latest } = this;
    const first = this.answers.find((answer) => answer.time >= latest.time - seconds - 0.5);
    return first === undefined || first === latest ? null : statsBetween(first, latest);
  }
}
