/* Figures as people read them. Whatever is not known is a dash. */
'use strict';

const UNKNOWN = '–';

function isKnown(value) {
  return value !== null && value !== undefined && Number.isFinite(value);
}

/* With three significant digits, and all of those before the point. */
function threeDigits(value) {
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function countText(value) {
  return isKnown(value) ? Math.round(value).toLocaleString('en') : UNKNOWN;
}

function rateText(value) {
  if (!isKnown(value)) return UNKNOWN;
  return value === 0 ? '0' : threeDigits(value);
}

/* Of a share from 0 to 1. What is not nothing, or not all, does not read as if it were. */
function percentText(share) {
  if (!isKnown(share)) return UNKNOWN;
  if (share > 0 && share < 0.001) return '< 0.1 %';
  if (share > 0.999 && share < 1) return '> 99.9 %';
  return `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
}

/* The first unit in which the value is below `step` of the next one, or the last unit. */
function withUnit(value, units, step) {
  let unit = 0;
  while (unit < units.length - 1 && value >= step * 0.9995) {
    value /= step;
    unit += 1;
  }
  return { value, unit: units[unit] };
}

/* Of seconds: a latency. Below a microsecond it is the clock's rather than anybody's. */
const LEAST_LATENCY = 1e-6;
const LATENCY_UNITS = ['µs', 'ms', 's'];

function latencyText(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  if (seconds < LEAST_LATENCY) return '< 1 µs';
  const { value, unit } = withUnit(seconds * 1e6, LATENCY_UNITS, 1000);
  return `${threeDigits(value)} ${unit}`;
}

/* Of round values, beside a chart. */
function rateTickText(rate) {
  return rate.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 });
}

function latencyTickText(seconds) {
  const { value, unit } = withUnit(seconds * 1e6, LATENCY_UNITS, 1000);
  return `${Math.round(value)} ${unit}`;
}

function bytesText(bytes) {
  if (!isKnown(bytes)) return UNKNOWN;
  const { value, unit } = withUnit(bytes, ['B', 'KiB', 'MiB', 'GiB', 'TiB'], 1024);
  return `${Number.isInteger(value) ? countText(value) : threeDigits(value)} ${unit}`;
}

/* Of seconds: how long something has lasted, in its two largest units. */
function lastingText(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  let rest = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (unit === 's' && parts.length === 0)) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.slice(0, 2).join(' ');
}

/* Of unix seconds: local time; with the date where that is not today. */
function clockText(unix) {
  const date = new Date(unix * 1000);
  const two = (number) => String(number).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}
