/* The page's elements. Text is always set as text, never as markup: methods have whatever names the
 * clients send. */
'use strict';

const SVG = 'http://www.w3.org/2000/svg';

function byId(id) {
  return document.getElementById(id);
}

/* The text node stays as it is where nothing changes, and with it what a reader has selected. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setFigure(id, text) {
  setText(byId(id), text);
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/* `children` are elements or texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* Gives `parent` one child for each of `items`, in their order. A child is made once and then
 * updated, as long as its item is there, so that focus and selection survive. */
function keepChildren(parent, items, keyOf, makeChild, update) {
  parent.childrenByKey ??= new Map();
  const known = parent.childrenByKey;
  const children = items.map((item) => {
    const key = keyOf(item);
    if (!known.has(key)) known.set(key, makeChild(item));
    update(known.get(key), item);
    return known.get(key);
  });
  const wanted = new Set(children);
  for (const [key, child] of known) {
    if (!wanted.has(child)) known.delete(key);
  }
  if (children.length !== parent.children.length
      || children.some((child, i) => parent.children[i] !== child)) {
    parent.replaceChildren(...children);
  }
}

/* The same where nothing in a child can change: made anew only when `items` are others. */
function replaceWhenOthers(parent, items, makeChild) {
  const text = JSON.stringify(items);
  if (parent.shownItems === text) return;
  parent.shownItems = text;
  parent.replaceChildren(...items.map(makeChild));
}
