// Live pictures: one request for all cameras that are seen now. Pictures are drawn on canvases.

import { api } from "./parts.js";

const AGAIN_MS = 2000;
const END = new TextEncoder().encode("\r\n\r\n");

// onPicture(camera, bitmap, takenAt), onProblem(sentence or "")
export function feed(onPicture, onProblem) {
  let wished = "";
  let reading = null; // AbortController of the present request
  let timer = 0;
  let closed = false;
  const busy = new Set(); // cameras whose last picture is still decoded: a newer one replaces those that wait

  function see(cameras, heat = false) {
    const query = cameras.length === 0 ? "" : `${cameras.map((name) => `camera=${encodeURIComponent(name)}`).join("&")}${heat ? "&heat=true" : ""}`;
    if (query === wished) return;
    wished = query;
    restart();
  }

  function restart() {
    clearTimeout(timer);
    reading?.abort();
    reading = null;
    if (closed || wished === "" || document.hidden) return;
    read(reading = new AbortController());
  }

  async function read(own) {
    try {
      const answer = await fetch(`/api/v1/live?${wished}`, { signal: own.signal });
      if (answer.status === 401) await api("session"); // asks for a new login
      if (!answer.ok) {
        const { detail } = await answer.json().catch(() => ({}));
        throw new Error(typeof detail === "string" ? detail : "live pictures cannot be shown now");
      }
      onProblem("");
      await parts(answer.body.getReader());
    } catch (error) {
      if (own.signal.aborted) return;
      onProblem(error instanceof TypeError ? "" : error.message); // that the server is away is said elsewhere
    }
    if (!own.signal.aborted) timer = setTimeout(restart, AGAIN_MS);
  }

  async function parts(reader) {
    let have = new Uint8Array(0);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const more = new Uint8Array(have.length + value.length);
      more.set(have);
      more.set(value, have.length);
      have = more;
      for (;;) {
        const head = find(have, END);
        if (head < 0) break;
        const headers = new TextDecoder().decode(have.subarray(0, head));
        const size = Number(/content-length: (\d+)/i.exec(headers)?.[1] ?? 0);
        if (have.length < head + 4 + size) break;
        take(headers, have.slice(head + 4, head + 4 + size));
        have = have.subarray(head + 4 + size);
      }
    }
  }

  async function take(headers, content) {
    if (!/content-type: image\/jpeg/i.test(headers)) {
      onProblem(JSON.parse(new TextDecoder().decode(content)).problem);
      return;
    }
    const camera = decodeURIComponent(/x-camera: (\S+)/i.exec(headers)[1]);
    if (busy.has(camera)) return;
    busy.add(camera);
    try {
      const bitmap = await createImageBitmap(new Blob([content], { type: "image/jpeg" }));
      onPicture(camera, bitmap, Number(/x-taken-at: (\S+)/i.exec(headers)[1]));
      bitmap.close();
    } catch { /* a picture that cannot be decoded: the next one comes */ }
    busy.delete(camera);
  }

  document.addEventListener("visibilitychange", restart);
  return {
    see,
    close() {
      closed = true;
      document.removeEventListener("visibilitychange", restart);
      restart();
    },
  };
}

function find(bytes, pattern) {
  for (let at = bytes.indexOf(pattern[0]); at >= 0; at = bytes.indexOf(pattern[0], at + 1)) {
    if (at + pattern.length > bytes.length) return -1;
    if (pattern.every((byte, number) => bytes[at + number] === byte)) return at;
  }
  return -1;
}

export function paint(canvas, bitmap) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}
