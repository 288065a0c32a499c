(() => {
  const data = JSON.parse(document.getElementById("data").textContent), get = id => document.getElementById(id);
  const array = (text, Type) => new Type(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
  const n = data.n, frames = data.frames.length, labels = array(data.labels, Uint16Array), k = data.k;
  const predicted = data.predicted.map(text => array(text, Uint16Array));
  const panels = data.panels.map(panel => ({
    ...panel, scale: 1, dx: 0, dy: 0,
    maps: panel.maps.map(map => ({...map, frames: map.frames.map(text => array(text, Uint16Array))})),
    near: panel.near.map(text => array(text, Uint16Array)),
  }));
  const members = data.classes.map(() => []);
  for (let i = 0; i < n; i++) members[labels[i]].push(i);
  const shapes = ["circle", "square", "triangle", "diamond"], sprite = new Image();
  let hovered = -1, pinned = -1, method = 0, moment = 0, alone = -1, waiting = false, playing = 0, ready = false, from = 0;

  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = c => data.colors[c % data.colors.length];
  const form = c => shapes[Math.floor(c / data.colors.length) % shapes.length];
  const wrong = i => predicted[Math.round(moment)][i] !== labels[i];
  const visible = i => (alone < 0 || labels[i] === alone) && (!get("mistakes").checked || wrong(i));
  const cell = i => [(i % data.columns) * data.side, Math.floor(i / data.columns) * data.side, data.side, data.side];

  // ---- places: between two moments, points are on their way
  const side = panel => panel.canvas.clientWidth;
  const places = panel => {
    const map = panel.maps[method], low = Math.floor(moment), part = moment - low, width = side(panel);
    const a = map.frames[low], b = map.frames[Math.min(low + 1, frames - 1)], found = new Float32Array(2 * n);
    const unit = (width - 24) / 65535 * panel.scale;
    for (let i = 0; i < n; i++) {
      found[2 * i] = (a[2 * i] + (b[2 * i] - a[2 * i]) * part) * unit + 12 + panel.dx;
      found[2 * i + 1] = (a[2 * i + 1] + (b[2 * i + 1] - a[2 * i + 1]) * part) * unit + 12 + panel.dy;
    }
    return found;
  };

  const mark = (pen, what, x, y, r) => {
    if (what === "circle") { pen.moveTo(x + r, y); pen.arc(x, y, r, 0, 6.2832); }
    else if (what === "square") pen.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
    else if (what === "triangle") { pen.moveTo(x, y - 1.2 * r); pen.lineTo(x + 1.1 * r, y + 0.8 * r); pen.lineTo(x - 1.1 * r, y + 0.8 * r); pen.closePath(); }
    else { pen.moveTo(x, y - 1.3 * r); pen.lineTo(x + 1.3 * r, y); pen.lineTo(x, y + 1.3 * r); pen.lineTo(x - 1.3 * r, y); pen.closePath(); }
  };
  const draw = panel => {
    const canvas = panel.canvas, pen = canvas.getContext("2d"), width = side(panel), ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = canvas.height = Math.round(width * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, width);
    const at = panel.at = places(panel), text = style("--text"), link = style("--link");
    const inside = i => at[2 * i] > -32 && at[2 * i] < width + 32 && at[2 * i + 1] > -32 && at[2 * i + 1] < width + 32;
    const r = Math.max(1.4, Math.min(7, Math.sqrt(7000 / n) * Math.pow(panel.scale, 0.5)));
    const open = pinned < 0 ? hovered : pinned;
    const seen = [];
    for (let i = 0; i < n; i++) if (inside(i) && visible(i)) seen.push(i);
    if (ready && panel.scale > 1.5 && seen.length && seen.length <= 700) pictures(pen, seen, at, width);
    else points(pen, at, r, inside, text);
    if (open >= 0) {
      const near = panel.near[Math.round(moment)];
      pen.strokeStyle = link; pen.lineWidth = 1.2; pen.beginPath();
      for (let j = 0; j < k; j++) { const o = near[open * k + j]; pen.moveTo(at[2 * open], at[2 * open + 1]); pen.lineTo(at[2 * o], at[2 * o + 1]); }
      pen.stroke();
      pen.lineWidth = 3; pen.beginPath(); pen.arc(at[2 * open], at[2 * open + 1], r + 5, 0, 6.2832); pen.stroke();
    }
  };
  const points = (pen, at, r, inside, text) => {
    pen.globalAlpha = 0.8;
    members.forEach((own, c) => {
      const what = form(c);
      pen.fillStyle = color(c); pen.beginPath();
      for (const i of own) if (visible(i) && inside(i)) {
        if (r < 2) pen.rect(at[2 * i] - r, at[2 * i + 1] - r, 2 * r, 2 * r); else mark(pen, what, at[2 * i], at[2 * i + 1], r);
      }
      pen.fill();
    });
    const mistaken = [];
    for (let i = 0; i < n; i++) if (wrong(i)) mistaken.push(i);
    pen.globalAlpha = Math.max(0.2, Math.min(1, 0.15 * n / (mistaken.length + 1)));  // so that many do not hide the classes
    pen.strokeStyle = text; pen.lineWidth = 1.1; pen.beginPath();
    for (const i of mistaken) if (visible(i) && inside(i)) {
      const x = at[2 * i], y = at[2 * i + 1], d = r + 1.2;
      pen.moveTo(x - d, y - d); pen.lineTo(x + d, y + d); pen.moveTo(x - d, y + d); pen.lineTo(x + d, y - d);
    }
    pen.stroke(); pen.globalAlpha = 1;
  };
  const pictures = (pen, seen, at, width) => {
    const size = Math.max(14, Math.min(56, width / Math.sqrt(seen.length) * 0.7)), text = style("--text");
    pen.imageSmoothingEnabled = false;
    for (const i of seen) {
      const x = at[2 * i] - size / 2, y = at[2 * i + 1] - size / 2;
      pen.fillStyle = color(labels[i]); pen.fillRect(x - 2, y - 2, size + 4, size + 4);
      pen.drawImage(sprite, ...cell(i), x, y, size, size);
      if (wrong(i)) {
        pen.strokeStyle = text; pen.lineWidth = 2; pen.strokeRect(x - 3, y - 3, size + 6, size + 6);
      }
    }
  };
  const redraw = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; panels.forEach(draw); }); } };

  // ---- the image that is pointed at, and its neighbors in each layer
  const figure = (i, large) => {
    const made = document.createElement("figure"), picture = document.createElement("canvas"), caption = document.createElement("figcaption");
    picture.width = picture.height = data.side;
    if (ready) picture.getContext("2d").drawImage(sprite, ...cell(i), 0, 0, data.side, data.side);
    picture.style.borderColor = color(labels[i]);
    const guess = predicted[Math.round(moment)][i];
    caption.textContent = `${data.split}[${data.indices[i]}] ${data.classes[labels[i]]}` + (guess === labels[i] ? "" : ` ✕ taken for ${data.classes[guess]}`);
    made.className = large ? "large" : "";
    made.append(picture, caption);
    return made;
  };
  const tell = () => {
    const open = pinned < 0 ? hovered : pinned, box = get("shown"), words = document.createElement("p");
    box.replaceChildren();
    if (open < 0) {
      words.textContent = "Point at a dot to see its image; click to keep it and see its nearest neighbors. Drag to move, scroll to zoom: close up, dots become images. A cross marks a mistake.";
      box.append(words); return;
    }
    box.append(figure(open, true));
    if (pinned < 0) return;
    panels.forEach((panel, p) => {
      if (p !== from) return;
      words.textContent = `Nearest in ${panel.layer}, by distance between its values (not on the map):`;
      box.append(words);
      const near = panel.near[Math.round(moment)];
      for (let j = 0; j < k; j++) box.append(figure(near[open * k + j], false));
    });
  };
  const nearest = (panel, x, y) => {
    let best = -1, least = 144;
    for (let i = 0; i < n; i++) {
      const d = (panel.at[2 * i] - x) ** 2 + (panel.at[2 * i + 1] - y) ** 2;
      if (d < least && visible(i)) { least = d; best = i; }
    }
    return best;
  };

  // ---- moving
  const zoom = (panel, factor, x, y) => {
    const before = panel.scale;
    panel.scale = Math.min(200, Math.max(0.8, before * factor));
    const share = panel.scale / before;
    panel.dx = x - 12 - (x - 12 - panel.dx) * share; panel.dy = y - 12 - (y - 12 - panel.dy) * share;
    redraw();
  };
  const fit = () => { panels.forEach(panel => { panel.scale = 1; panel.dx = panel.dy = 0; }); redraw(); };
  const listen = (panel, index) => {
    const canvas = panel.canvas, down = new Map();
    let moved = 0, spread = 0;
    const place = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    canvas.addEventListener("wheel", event => { event.preventDefault(); zoom(panel, Math.exp(-event.deltaY / 300), ...place(event)); }, {passive: false});
    canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); down.set(event.pointerId, place(event)); moved = spread = 0; });
    canvas.addEventListener("pointermove", event => {
      const here = place(event), last = down.get(event.pointerId);
      if (!last) {
        const found = nearest(panel, ...here);
        if (found !== hovered) { hovered = found; if (pinned < 0) { from = index; tell(); } redraw(); }
        return;
      }
      down.set(event.pointerId, here);
      if (down.size === 2) {
        const [a, b] = [...down.values()], apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) zoom(panel, apart / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
        spread = apart; moved = 99;
      } else {
        panel.dx += here[0] - last[0]; panel.dy += here[1] - last[1];
        moved += Math.hypot(here[0] - last[0], here[1] - last[1]);
        redraw();
      }
    });
    const up = event => {
      if (down.delete(event.pointerId) && moved < 4 && event.type === "pointerup") {
        from = index; pinned = nearest(panel, ...place(event)); tell(); redraw();
      }
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => { hovered = -1; if (pinned < 0) tell(); redraw(); });
    canvas.addEventListener("keydown", event => {
      const middle = side(panel) / 2, step = {ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40]}[event.key];
      if (step) { panel.dx += step[0]; panel.dy += step[1]; redraw(); }
      else if (event.key === "+" || event.key === "=") zoom(panel, 1.4, middle, middle);
      else if (event.key === "-") zoom(panel, 1 / 1.4, middle, middle);
      else if (event.key === "0") fit();
      else if (event.key === "Enter") { from = index; pinned = nearest(panel, middle, middle); tell(); redraw(); }
      else if (event.key === "Escape") { pinned = -1; tell(); redraw(); }
      else return;
      event.preventDefault();
    });
  };

  // ---- the training
  const say = () => {
    const at = Math.round(moment);
    get("name").textContent = frames > 1 ? data.frames[at] : "";
    panels.forEach(panel => { panel.words.textContent = panel.maps[method].words[at]; });
  };
  const go = value => { moment = value; get("moment").value = value; say(); tell(); redraw(); };
  const play = time => {
    if (!playing) return;
    const next = moment + (time - playing) / 1200;
    playing = time;
    go(Math.min(next, frames - 1));
    if (moment >= frames - 1) { playing = 0; get("play").textContent = "Play"; } else requestAnimationFrame(play);
  };

  // ---- the page
  for (const panel of panels) {
    const box = document.createElement("section"), head = document.createElement("h2");
    panel.canvas = document.createElement("canvas"); panel.words = document.createElement("p");
    panel.canvas.tabIndex = 0; panel.canvas.setAttribute("role", "application");
    panel.canvas.setAttribute("aria-label", `Map of ${n} images by layer ${panel.layer}. Arrow keys move, plus and minus zoom, Enter keeps the image in the middle, Escape lets it go.`);
    head.textContent = panel.layer; box.className = "panel"; box.append(head, panel.canvas, panel.words);
    get("panels").append(box);
    listen(panel, panels.indexOf(panel));
  }
  panels[0].maps.forEach((map, m) => get("method").append(new Option(map.title, m)));
  get("method").addEventListener("change", event => { method = Number(event.target.value); say(); fit(); });
  get("mistakes").addEventListener("change", redraw);
  get("time").hidden = get("play").hidden = frames < 2;
  get("moment").max = frames - 1;
  get("moment").addEventListener("input", event => { playing = 0; get("play").textContent = "Play"; go(Number(event.target.value)); });
  get("play").addEventListener("click", event => {
    if (playing) { playing = 0; event.target.textContent = "Play"; return; }
    event.target.textContent = "Stop";
    if (moment >= frames - 1) moment = 0;
    requestAnimationFrame(time => { playing = time; play(time); });
  });
  get("in").addEventListener("click", () => panels.forEach(panel => zoom(panel, 1.5, side(panel) / 2, side(panel) / 2)));
  get("out").addEventListener("click", () => panels.forEach(panel => zoom(panel, 1 / 1.5, side(panel) / 2, side(panel) / 2)));
  get("fit").addEventListener("click", fit);
  data.classes.forEach((name, c) => {
    if (!members[c].length) return;
    const button = document.createElement("button"), sample = document.createElement("canvas"), words = document.createElement("span");
    sample.width = sample.height = 28;
    const pen = sample.getContext("2d");
    pen.fillStyle = color(c); pen.beginPath(); mark(pen, form(c), 14, 14, 10); pen.fill();
    words.textContent = name; button.type = "button"; button.append(sample, words);
    button.addEventListener("click", () => {
      alone = alone === c ? -1 : c;
      [...get("key").children].forEach(other => other.setAttribute("aria-pressed", String(alone < 0 || other === button)));
      redraw();
    });
    get("key").append(button);
  });
  sprite.addEventListener("load", () => { ready = true; tell(); redraw(); });
  sprite.src = data.sprite;
  get("tools").hidden = false;
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  go(frames - 1);
})();
