// What the browser keeps for this page; a browser that keeps nothing is no failure.

export const store = {
  get(key, area = "localStorage") { try { return window[area].getItem(key); } catch { return null; } },
  set(key, value, area = "localStorage") { try { value === null ? window[area].removeItem(key) : window[area].setItem(key, value); } catch {} },
};
