// Elements of the page: found, made and listened to.

/** Every element of the page that has an id, by it; there once the document is. */
export const $ = {};

export const on = (target, name, act, options) => target.addEventListener(name, act, options);

export function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
