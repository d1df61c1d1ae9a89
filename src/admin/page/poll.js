/* Asks for statistics once a second while the page is in view, and less often while there is no
 * answer. */
'use strict';

const EVERY_MS = 1000;
const SLOWEST_MS = 5000;
const PATIENCE_MS = 5000;

class Poll {
  /* Calls `answered(stats)`, or `failed(reason)` each time there is none, and `paused()` when the
   * page is no longer in view. */
  constructor(url, { answered, failed, paused }) {
    Object.assign(this, { url, answered, failed, paused, pause: EVERY_MS });
    document.addEventListener('visibilitychange', () => this.follow());
    this.follow();
  }

  follow() {
    this.stop();
    if (document.visibilityState === 'hidden') this.paused();
    else this.ask();
  }

  /* Neither asks again nor takes the answer that is under way. */
  stop() {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.asked = null;
  }

  async ask() {
    const asked = new AbortController();
    this.asked = asked;
    const begun = performance.now();
    const patience = setTimeout(() => asked.abort(), PATIENCE_MS);
    const [stats, reason] = await this.fetch(asked.signal);
    clearTimeout(patience);
    if (this.asked !== asked) return;

    this.pause = stats ? EVERY_MS : Math.min(this.pause * 1.5, SLOWEST_MS);
    const used = performance.now() - begun;
    this.timer = setTimeout(() => this.ask(), Math.max(this.pause - used, EVERY_MS / 4));
    if (stats) this.answered(stats);
    else this.failed(reason);
  }

  /* [the answer] or [null, why there is none]. */
  async fetch(signal) {
    try {
      const response = await fetch(this.url, { signal, cache: 'no-store' });
      if (!response.ok) return [null, `it answers ${response.status}`];
      return [await response.json()];
    } catch (problem) {
      if (problem.name === 'AbortError') return [null, 'it does not answer'];
      return [null, problem.name === 'SyntaxError' ? 'its answer is not JSON' : ''];
    }
  }
}
