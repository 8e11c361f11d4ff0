// The curve of the last minute of a camera's score, and the words beside it.

import { lasting, stateWord, svg } from "./parts.js";

const MINUTE_S = 60;
const WIDTH = 300;
const HEIGHT = 64;
const LEAST_TOP = 1.6; // of the score's axis: the threshold, 1, stands well below the top

export function curve(points) {
  const last = points.length ? points[points.length - 1][0] : 0;
  const near = points.filter(([at]) => at >= last - MINUTE_S);
  const top = Math.max(LEAST_TOP, ...near.map(([, score]) => score * 1.1));
  const x = (at) => WIDTH - ((last - at) / MINUTE_S) * WIDTH;
  const y = (score) => HEIGHT - 2 - (Math.max(0, score) / top) * (HEIGHT - 4);
  const line = near.map(([at, score]) => `${x(at).toFixed(1)},${y(score).toFixed(1)}`).join(" ");
  const highest = near.length ? Math.max(...near.map(([, score]) => score)) : null;
  const label = highest === null ? "no score in the last minute" : `score of the last minute, highest ${highest.toFixed(2)}, threshold 1`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "curve", preserveAspectRatio: "none" },
    svg("line", { x1: 0, x2: WIDTH, y1: y(1), y2: y(1), class: "threshold" }),
    svg("polyline", { points: line, class: "score" }));
}

export const detailOf = (camera) => camera.detail || (camera.since === null ? "" : `${stateWord(camera)} for ${lasting(Date.now() / 1000 - camera.since)}`);

export function takeScores(camera, fresh) {
  camera.score = fresh.score;
  const first = fresh.points[0][0];
  camera.curve = [...camera.curve.filter(([at]) => at < first), ...fresh.points].filter(([at]) => at >= fresh.at - MINUTE_S);
}
