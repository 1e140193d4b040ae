// Calls of the native API.

import { language } from "./language.js";
import { state } from "./state.js";

export const API = "/api/v1/chats";

export async function call(method, path, body, headers) {
  const response = await fetch(API + path, {
    method,
    headers: { "Accept-Language": language, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
    body: body && JSON.stringify(body),
  });
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  return { status: response.status, ok: response.ok, content, retryAfter: +response.headers.get("Retry-After") || 0 };
}

export const isGone = (answer) => [401, 404].includes(answer?.status);
export const path = () => "/" + encodeURIComponent(state.chat);
