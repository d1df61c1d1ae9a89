/* Puts the parts together: each answer is shown and remembered; without one the page says so. */
'use strict';

const NOW_SECONDS = 5; /* over so many the large figures are taken: one alone is restless */
const RESTART_SHOWN_SECONDS = 60;

const past = new DaemonHistory();
const latencySeries = (name) => [
  { key: `${name}P50`, label: 'p50', className: 'first' },
  { key: `${name}P99`, label: 'p99', className: 'second' },
];
const CHARTS = [
  new TimeChart(byId('calls-chart'), [
    { key: 'calls', label: 'calls', className: 'first', filled: true },
    { key: 'messages', label: 'messages sent', className: 'second' },
    { key: 'failures', label: 'failed', className: 'failure' },
  ], LinearScale, rateText, rateTickText),
  new TimeChart(byId('wait-chart'), latencySeries('wait'), LogScale, latencyText, latencyTickText),
  new TimeChart(byId('call-chart'), latencySeries('call'), LogScale, latencyText, latencyTickText),
];

let unreachableSince = null;
let restartedAt = null;

function showBanner(text, className) {
  const banner = byId('banner');
  banner.hidden = text === '';
  banner.className = `banner ${className}`;
  setText(banner, text);
}

function showParts(stats) {
  const recent = past.during(NOW_SECONDS);
  const minute = past.during(MINUTE);
  showFacts(stats);
  showCalls(stats, recent);
  showLatency('wait', stats.batch_wait_seconds, recent?.batch_wait_seconds);
  showLatency('call', stats.call_seconds, recent?.call_seconds);
  showSaved(stats, minute);
  showSizes(stats, minute);
  showReasons(stats, minute);
  showServers(stats, minute);
  showMethods(stats, recent, minute);
  showLimits(stats);
  showClients(stats);
  showEvents(stats);
  showConfig(stats);
  for (const chart of CHARTS) chart.draw(past.points, stats.time);
}

function bannerOf(stats) {
  if (stats.state === 'paused') return ['Paused: calls are held, nothing is sent to the servers.', 'fair'];
  if (stats.state === 'draining') return ['Draining: it finishes the calls it has, then it ends.', 'fair'];
  if (!stats.ready) return ['Not ready: no server is up.', 'bad'];
  if (restartedAt !== null && stats.time - restartedAt < RESTART_SHOWN_SECONDS) {
    return [`The daemon was restarted at ${clockText(stats.started)}; all figures start anew.`, ''];
  }
  return ['', ''];
}

function answered(stats) {
  if (past.add(stats)) restartedAt = stats.time;
  unreachableSince = null;
  byId('figures').className = '';
  showBanner(...bannerOf(stats));
  showParts(stats);
}

function failed(reason) {
  if (unreachableSince === null) {
    unreachableSince = Date.now() / 1000;
    past.interrupt();
  }
  byId('figures').className = past.lastBeforeGap ? 'old' : 'waiting';
  showState('unreachable');
  showBanner(`Not reachable since ${clockText(unreachableSince)}${reason && ` (${reason})`}; `
    + 'trying again.', 'bad');
}

new Poll('stats.json', { answered, failed, paused: () => past.interrupt() });
