/*
 * A line chart of the last minutes, up to five: SVG that stretches with its figure, and beside it
 * the scale as text, which must not stretch. Pointing at it, or the arrow keys, choose a moment
 * whose figures the legend then shows instead of the latest.
 */
'use strict';

const CHART_WIDTH = 300; /* in the drawing's own units */
const CHART_HEIGHT = 100;
const JOINED_SECONDS = 5; /* points further apart are not joined by a line */

/* The smallest of 1, 2, 3, 4, 5, 6, 8, 10, 20 ... that is not below the value. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power);
  return steps.find((step) => step >= value * 0.999999);
}

/* From nothing to a round number; for rates. */
class LinearScale {
  constructor(values) {
    this.top = roundUp(Math.max(1, ...values));
    this.ticks = [0, this.top / 2, this.top];
  }

  share(value) {
    return value / this.top;
  }
}

/* From a power of ten to another; for latencies, of which the small ones matter too. */
class LogScale {
  constructor(values) {
    const exponents = values.map((value) => Math.log10(Math.max(value, LEAST_LATENCY)));
    this.low = exponents.length ? Math.floor(Math.min(...exponents) + 1e-9) : -6;
    this.high = Math.max(this.low + 2, Math.ceil(Math.max(...exponents) - 1e-9));
    this.ticks = [];
    for (let power = this.low; power <= this.high; power += 1) this.ticks.push(10 ** power);
  }

  share(value) {
    return (Math.log10(Math.max(value, LEAST_LATENCY)) - this.low) / (this.high - this.low);
  }
}

class TimeChart {
  /* `series`: [{ key: of a point, label, className, filled }]. `text` and `tickText` make texts of
   * a value and of a tick of the scale. */
  constructor(figure, series, Scale, text, tickText) {
    Object.assign(this, { figure, series, Scale, text, tickText, points: [], chosen: null });
    this.svg = makeSvg('svg', {
      viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    });
    this.grid = makeSvg('g', { class: 'grid' });
    this.lines = makeSvg('g');
    this.cursor = makeSvg('line', { class: 'cursor', y1: 0, y2: CHART_HEIGHT });
    this.svg.append(this.grid, this.lines, this.cursor);
    this.scaleTexts = make('div', { class: 'scale', 'aria-hidden': 'true' });
    this.plot = make('div', { class: 'plot', tabindex: '0', role: 'img' }, this.svg, this.scaleTexts);
    this.legend = make('ul', { class: 'legend' });
    this.moment = make('span', { class: 'moment' });
    this.begin = make('span');
    const axis = make('div', { class: 'axis' }, this.begin, this.moment, make('span', {}, 'now'));
    figure.append(this.plot, axis, this.legend);
    this.listen();
  }

  listen() {
    this.plot.addEventListener('pointermove', (event) => this.pointAt(event));
    for (const end of ['pointerleave', 'blur']) {
      this.plot.addEventListener(end, () => this.choose(null));
    }
    this.plot.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === 'Escape') this.choose(null);
      if (step === undefined) return;
      event.preventDefault();
      this.step(step);
    });
  }

  pointAt(event) {
    const box = this.svg.getBoundingClientRect();
    const time = this.now - this.seconds * (1 - (event.clientX - box.left) / box.width);
    const near = this.points.filter((point) => point && Math.abs(point.time - time) < JOINED_SECONDS);
    near.sort((a, b) => Math.abs(a.time - time) - Math.abs(b.time - time));
    this.choose(near[0] ?? null);
  }

  step(step) {
    const known = this.points.filter((point) => point !== null);
    const from = this.chosen ? known.indexOf(this.chosen) : known.length - (step < 0 ? 0 : 1);
    this.choose(known[Math.min(Math.max(from + step, 0), known.length - 1)] ?? null);
  }

  choose(point) {
    this.chosen = point;
    this.drawChosen();
  }

  draw(points, now) {
    const minutes = Math.ceil((now - (points[0]?.time ?? now)) / MINUTE);
    this.seconds = MINUTE * Math.min(Math.max(minutes, 1), CHART_SECONDS / MINUTE);
    Object.assign(this, { points, now });
    setText(this.begin, `${this.seconds / MINUTE} min ago`);
    if (!points.includes(this.chosen)) this.chosen = null;
    const values = points.flatMap((point) =>
      (point ? this.series.map((series) => point[series.key]).filter(isKnown) : []));
    this.scale = new this.Scale(values);
    this.drawGrid();
    this.lines.replaceChildren(...this.series.flatMap((series) => this.pathsOf(series)));
    this.drawChosen();
  }

  x(time) {
    return CHART_WIDTH * (1 - (this.now - time) / this.seconds);
  }

  y(value) {
    return CHART_HEIGHT * (1 - this.scale.share(value));
  }

  drawGrid() {
    const { ticks } = this.scale;
    this.grid.replaceChildren(...ticks.map((tick) => makeSvg('line', {
      x1: 0, x2: CHART_WIDTH, y1: this.y(tick), y2: this.y(tick),
    })));
    const every = Math.ceil(ticks.length / 4); /* more texts would touch each other */
    const shown = ticks.filter((_, i) => i % every === 0);
    replaceWhenOthers(this.scaleTexts, shown, (tick) => {
      const text = make('span', {}, this.tickText(tick));
      text.style.top = `${100 * (1 - this.scale.share(tick))}%`;
      return text;
    });
  }

  /* The stretches of a series in which it is known. */
  stretchesOf(key) {
    const stretches = [];
    let last = null;
    for (const point of this.points) {
      if (isKnown(point?.[key])) {
        if (last === null || point.time - last.time > JOINED_SECONDS) stretches.push([]);
        stretches.at(-1).push(point);
        last = point;
      } else if (point === null) last = null;
    }
    return stretches;
  }

  pathsOf({ key, className, filled }) {
    return this.stretchesOf(key).flatMap((stretch) => {
      const corners = stretch.map((point) =>
        `${this.x(point.time).toFixed(1)},${this.y(point[key]).toFixed(2)}`);
      const [first, last] = [stretch[0], stretch.at(-1)].map((point) => this.x(point.time).toFixed(1));
      const line = `M${corners.join('L')}${corners.length === 1 ? 'h0.01' : ''}`;
      const paths = [makeSvg('path', { class: `line ${className}`, d: line })];
      if (filled) {
        const area = `M${first},${CHART_HEIGHT}L${corners.join('L')}L${last},${CHART_HEIGHT}Z`;
        paths.unshift(makeSvg('path', { class: `area ${className}`, d: area }));
      }
      return paths;
    });
  }

  drawChosen() {
    const point = this.chosen ?? this.points.at(-1) ?? {};
    this.cursor.classList.toggle('shown', this.chosen !== null);
    if (this.chosen) {
      const x = this.x(this.chosen.time);
      for (const end of ['x1', 'x2']) setAttribute(this.cursor, end, x);
    }
    setText(this.moment, this.chosen ? clockText(this.chosen.time) : '');
    keepChildren(this.legend, this.series, (series) => series.key,
      ({ label, className }) => make('li', {}, make('span', { class: `swatch ${className}` }),
        `${label} `, make('b')),
      (item, { key }) => setText(item.lastChild, this.text(point[key])));
    const latest = this.points.at(-1);
    setAttribute(this.plot, 'aria-label', `${this.figure.dataset.name}: `
      + this.series.map(({ label, key }) => `${label} ${this.text(latest?.[key])}`).join(', '));
  }
}
