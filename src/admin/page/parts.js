/* The parts of the page, each from an answer (`stats`) and from what was counted during the last
 * seconds (`recent`) or the last minute (`minute`): in the same form, null where nothing is known. */
'use strict';

/* --- who and how ------------------------------------------------------------------------------- */

const STATE_CLASSES = {
  running: 'good', paused: 'fair', draining: 'fair', 'not ready': 'bad', unreachable: 'bad',
};

function stateOf(stats) {
  return stats.state === 'running' && !stats.ready ? 'not ready' : stats.state;
}

function showState(state) {
  const badge = byId('state');
  setText(badge, state);
  badge.className = `badge ${STATE_CLASSES[state] ?? ''}`;
  document.title = `${state} · thrift-batchd ${location.host}`;
}

function showFacts(stats) {
  showState(stateOf(stats));
  setFigure('version', stats.version);
  setFigure('uptime', lastingText(stats.time - stats.started));
  byId('uptime').title = `since ${clockText(stats.started)}`;
  setFigure('workers', countText(stats.workers));
  const up = stats.servers.filter((server) => server.up).length;
  setFigure('servers-up', `${countText(up)} of ${countText(stats.servers.length)}`);
}

/* --- calls and latencies ----------------------------------------------------------------------- */

function showCalls(stats, recent) {
  const rate = recent && outcomesOf(recent.calls) / recent.seconds;
  setFigure('calls-rate', rateText(rate));
  setFigure('calls-total', countText(outcomesOf(stats.calls)));
  const failed = byId('calls-failed');
  setText(failed, countText(failuresOf(stats.calls)));
  failed.classList.toggle('bad', failuresOf(stats.calls) > 0);
}

/* The percentiles of a histogram, at the elements NAME-p50 and NAME-p99 and NAME-p50-total ... */
function showLatency(name, histogram, recent) {
  for (const [label, share] of [['p50', 0.5], ['p99', 0.99]]) {
    setFigure(`${name}-${label}`, latencyText(recent && percentile(recent, share)));
    const total = histogram.count > 0 ? histogram[label] : null;
    setFigure(`${name}-${label}-total`, latencyText(total));
  }
}

/* --- shares ------------------------------------------------------------------------------------ */

/* Draws counts beside each other as shares of a bar. `kinds`: [{ label, className }]. */
function drawStack(bar, kinds, counts) {
  const total = sum(counts);
  keepChildren(bar, kinds, (kind) => kind.className,
    ({ label, className }) => make('span', { class: className, title: label }),
    (part, kind) => {
      const count = counts[kinds.indexOf(kind)];
      part.style.flexGrow = count;
      part.classList.toggle('none', count === 0);
    });
  const text = kinds.map(({ label }, i) => `${label}: ${percentText(counts[i] / total)}`).join(', ');
  setAttribute(bar, 'aria-label', total > 0 ? text : 'nothing in the last minute');
}

/* A line for each kind: its share of the last minute, its count since the start. */
function listShares(list, kinds, counts, totals) {
  const all = sum(counts);
  keepChildren(list, kinds, (kind) => kind.className,
    ({ label, className, explanation }) => make('li', {},
      make('span', { class: `swatch ${className}` }), make('span', { class: 'label' }, label),
      make('span', { class: 'share' }), make('span', { class: 'count' }),
      make('small', {}, explanation)),
    (line, kind) => {
      const i = kinds.indexOf(kind);
      const [, , share, count] = line.children;
      setText(share, percentText(all > 0 ? counts[i] / all : null));
      setText(count, countText(totals[i]));
      line.classList.toggle('none', totals[i] === 0);
    });
}

function showShares(name, kinds, countOf, stats, minute) {
  const counts = kinds.map((kind) => (minute ? countOf(minute, kind) : 0));
  drawStack(byId(`${name}-bar`), kinds, counts);
  listShares(byId(name), kinds, counts, kinds.map((kind) => countOf(stats, kind)));
}

const REASONS = [
  { key: 'slot', label: 'A connection was free', className: 'first',
    explanation: 'A server could take it at once. Usual with flush = adaptive.' },
  { key: 'full_calls', label: 'Full: max_calls', className: 'second',
    explanation: 'As many calls as one batch takes. If most are, try a larger max_calls.' },
  { key: 'full_bytes', label: 'Full: max_bytes', className: 'third',
    explanation: 'The next call would have made it too large. If most are, try a larger max_bytes.' },
  { key: 'window', label: 'Window had passed', className: 'fourth',
    explanation: 'Its first call had waited for as long as window allows.' },
  { key: 'nobody_left', label: 'Nobody left to wait for', className: 'fifth',
    explanation: 'Every connected client had a call waiting or in flight already.' },
];

function showReasons(stats, minute) {
  showShares('reasons', REASONS, (from, { key }) => from.batches[key], stats, minute);
}

const TRAVEL = [
  { label: 'In a batch', className: 'first', explanation: 'Shared one message with others.',
    countOf: (from) => from.batch_calls.sum },
  { label: 'Plain', className: 'second', explanation: 'Alone, as nobody else was there to share.',
    countOf: (from) => from.plain_calls },
  { label: 'Passed through', className: 'third', explanation: 'Set to batch = off, or not possible.',
    countOf: (from) => from.passthrough_calls - from.fallback_calls },
  { label: 'Fallback', className: 'fourth', explanation: 'Passed through: the server does not batch.',
    countOf: (from) => from.fallback_calls },
];

function showSaved(stats, minute) {
  setFigure('saved-share', percentText(minute && savedShare(minute)));
  setFigure('saved-total', countText(stats.calls_saved));
  setFigure('saved-share-total', percentText(savedShare(stats)));
  showShares('travel', TRAVEL, (from, kind) => kind.countOf(from), stats, minute);
  setFigure('retries', countText(stats.retries));
  setFigure('deduped', countText(stats.deduped_calls));
  setFigure('transcoded', countText(stats.transcoded_calls));
}

/* --- batch sizes ------------------------------------------------------------------------------- */

/* The power of two in whose column so many calls are: 1, 2, 3-4, 5-8 ... */
function sizeColumn(calls) {
  return Math.max(0, Math.ceil(Math.log2(calls) - 1e-9));
}

function sizeLabel(column) {
  if (column < 2) return String(column + 1);
  return `${2 ** (column - 1) + 1}–${2 ** column}`;
}

/* As shares of all batches. */
function sizeShares(histogram, columns) {
  const counts = new Array(columns).fill(0);
  for (const [calls, count] of histogram?.buckets ?? []) counts[sizeColumn(calls)] += count;
  return counts.map((count) => (histogram?.count > 0 ? count / histogram.count : 0));
}

function showSizes(stats, minute) {
  const all = stats.batch_calls;
  const mean = (histogram) => (histogram?.count > 0 ? histogram.sum / histogram.count : null);
  setFigure('batch-mean', rateText(mean(minute?.batch_calls)));
  setFigure('batch-mean-total', rateText(mean(all)));
  setFigure('batch-max', countText(all.max));
  setFigure('batches-total', countText(all.count));

  const limit = Number(stats.config.sections.batch?.max_calls?.value) || 1;
  const columns = 1 + Math.max(sizeColumn(limit), ...all.buckets.map(([calls]) => sizeColumn(calls)));
  drawSizes(sizeShares(minute?.batch_calls, columns), sizeShares(all, columns));
}

function drawSizes(recent, total) {
  const highest = Math.max(...recent, ...total) || 1;
  const bar = (element, share) => { element.style.height = `${100 * share / highest}%`; };
  keepChildren(byId('sizes'), [...recent.keys()], (column) => column,
    (column) => make('div', { class: 'column' },
      make('span', { class: 'share' }),
      make('div', { class: 'bars' }, make('i', { class: 'first' }), make('i', { class: 'faint' })),
      make('span', { class: 'size' }, sizeLabel(column))),
    (element, column) => {
      const [share, bars] = element.children;
      setText(share, recent[column] > 0 ? `${Math.max(1, Math.round(recent[column] * 100))}%` : '');
      bar(bars.firstChild, recent[column]);
      bar(bars.lastChild, total[column]);
      element.title = `${sizeLabel(column)} calls: ${percentText(recent[column])} of the last `
        + `minute's batches, ${percentText(total[column])} of all`;
    });
  setAttribute(byId('sizes'), 'aria-label', `Batches by calls. ${total.map((share, column) =>
    `${sizeLabel(column)}: ${percentText(recent[column])} in the last minute, `
    + `${percentText(share)} since the start`).join('; ')}`);
}

/* --- servers ----------------------------------------------------------------------------------- */

const SERVER_CLASSES = { up: 'good', trying: 'fair', probing: 'fair', draining: 'fair', out: 'bad' };
const BATCHING_TEXTS = { yes: 'yes', no: 'no', unknown: 'not known yet' };

/* '3 lost, 1 timeout': what there is of them. */
function countsText(counts) {
  return Object.entries(counts).filter(([, count]) => count > 0)
    .map(([name, count]) => `${countText(count)} ${name}`).join(', ');
}

/* A cell; its label is shown where the table's head is not. */
function makeCell(label, className = '') {
  return make('td', { 'data-label': label, class: className });
}

/* Of a row. Names may be very long: then their end is not shown. */
function makeName(name) {
  return make('th', { scope: 'row' }, make('span', { class: 'name', title: name }, name));
}

function makeServerRow({ name }) {
  const state = makeCell('State');
  state.append(make('span', { class: 'badge' }));
  return make('tr', {}, makeName(name), state, makeCell('Batching'),
    makeCell('In flight', 'number'), makeCell('Failures', 'last'));
}

function showServers(stats, minute) {
  const recent = new Map((minute?.servers ?? []).map((server) => [server.name, server.failures]));
  keepChildren(byId('servers'), stats.servers, (server) => server.name, makeServerRow,
    (row, server) => {
      const [, state, batching, inflight, failures] = row.children;
      setText(state.firstChild, server.state);
      state.firstChild.className = `badge ${SERVER_CLASSES[server.state] ?? ''}`;
      setText(batching, BATCHING_TEXTS[server.batching] ?? server.batching);
      setText(inflight, countText(server.inflight));
      setText(failures, countsText(server.failures) || 'none');
      const now = countsText(recent.get(server.name) ?? {});
      failures.classList.toggle('alarm', now !== '');
      failures.title = now && `In the last minute: ${now}`;
    });
}

/* --- methods ----------------------------------------------------------------------------------- */

const OUTCOME_LABELS = {
  ok: 'OK', exception: 'Exception', error: 'Error', timeout: 'Timeout', withdrawn: 'Withdrawn',
};
const FAILED_OUTCOMES = ['error', 'timeout'];

function makeMethodRow({ name }) {
  return make('tr', {}, makeName(name), makeCell('Calls/s', 'number'),
    ...CALL_OUTCOMES.map((outcome) => makeCell(OUTCOME_LABELS[outcome], 'number')));
}

function showMethods(stats, recent, minute) {
  const rates = new Map((recent?.methods ?? []).map((method) =>
    [method.name, outcomesOf(method) / recent.seconds]));
  byId('no-methods').hidden = stats.methods.length > 0;
  byId('methods-table').hidden = stats.methods.length === 0;
  const lately = new Map((minute?.methods ?? []).map((method) => [method.name, method]));
  keepChildren(byId('methods'), stats.methods, (method) => method.name, makeMethodRow,
    (row, method) => {
      const [, rate, ...cells] = row.children;
      setText(rate, rateText(recent && (rates.get(method.name) ?? 0)));
      cells.forEach((cell, i) => {
        const outcome = CALL_OUTCOMES[i];
        const now = lately.get(method.name)?.[outcome] ?? 0;
        setText(cell, countText(method[outcome]));
        cell.classList.toggle('none', method[outcome] === 0);
        if (!FAILED_OUTCOMES.includes(outcome)) return;
        cell.classList.toggle('bad', method[outcome] > 0);
        cell.classList.toggle('alarm', now > 0);
        cell.title = now > 0 ? `In the last minute: ${countText(now)}` : '';
      });
    });
}

/* --- limits ------------------------------------------------------------------------------------ */

const LIMITS = [
  { label: 'Clients', key: 'clients', limit: 'max_clients', text: countText },
  { label: 'Pending calls', key: 'pending_calls', limit: 'max_pending_calls', text: countText },
  { label: 'Pending bytes', key: 'pending_bytes', limit: 'max_pending_bytes', text: bytesText },
];

function makeMeter({ label }) {
  const bar = make('div', { class: 'meter', role: 'meter', 'aria-label': label, 'aria-valuemin': 0 },
    make('span'));
  return make('li', {}, make('span', { class: 'label' }, label), make('span', { class: 'value' }), bar);
}

function showLimits(stats) {
  keepChildren(byId('limits'), LIMITS, (limit) => limit.key, makeMeter, (item, { key, limit, text }) => {
    const [, value, bar] = item.children;
    const [used, most] = [stats[key], stats.limits[limit]];
    const share = Math.min(1, used / most);
    const words = `${text(used)} of ${text(most)}`;
    setText(value, words);
    setAttribute(bar, 'aria-valuemax', most);
    setAttribute(bar, 'aria-valuenow', used);
    setAttribute(bar, 'aria-valuetext', words);
    bar.firstChild.style.width = `${100 * share}%`;
    bar.className = `meter ${share >= 0.9 ? 'bad' : share >= 0.7 ? 'fair' : ''}`;
  });
}

const CLIENT_ERROR_LABELS = {
  not_thrift: 'sent no Thrift', message_too_large: 'sent more than max_message_size',
  nesting: 'nested values too deeply', protocol: 'sent arguments that do not parse',
  message_type: 'sent a message that is no call', output: 'did not take their replies',
  max_clients: 'were more than max_clients', idle: 'were idle for too long',
};

function showClients(stats) {
  const errors = Object.entries(stats.client_errors).filter(([, count]) => count > 0);
  setFigure('clients-total', countText(stats.clients_total));
  setFigure('client-errors-total', countText(sum(errors.map(([, count]) => count))));
  setFigure('client-errors', errors.map(([reason, count], i) =>
    `${i === 0 ? ': ' : ', '}${countText(count)} ${CLIENT_ERROR_LABELS[reason] ?? reason}`).join(''));
}

/* --- events and configuration ------------------------------------------------------------------ */

const LEVEL_CLASSES = { error: 'bad', warning: 'fair', info: '', debug: 'none' };

function showEvents(stats) {
  const events = stats.events.slice().reverse();
  replaceWhenOthers(byId('events'), events, ({ time, level, text }) => make('li', {},
    make('time', { datetime: new Date(time * 1000).toISOString() }, clockText(time)),
    make('span', { class: `badge ${LEVEL_CLASSES[level] ?? ''}` }, level),
    make('span', { class: 'text' }, text)));
}

function makeSetting([key, { value, given, live }]) {
  const shown = make('dd', { class: live ? 'live' : given ? 'given' : 'default' }, value);
  if (live) shown.append(' ', make('span', { class: 'badge live' }, 'live'));
  return make('div', {}, make('dt', {}, key), shown);
}

function showConfig({ config }) {
  setFigure('config-path', config.path);
  replaceWhenOthers(byId('config'), Object.entries(config.sections), ([section, settings]) =>
    make('section', {}, make('h3', {}, `[${section}]`),
      make('dl', {}, ...Object.entries(settings).map(makeSetting))));
}
