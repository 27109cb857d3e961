'use strict';
// Sorting, searching and shortening of tables, the timeline's zoom, and links into closed trees. The page is whole
// without it. Everything it writes is text or SVG made of numbers; nothing from a capture is ever taken for markup.
(() => {
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const show = (element, on = true) => { if (element) element.hidden = !on; };
  const grouped = new Intl.NumberFormat('en-US');
  for (const tools of all('.tools, .help, .readout')) show(tools);

  // ---- Tables ----
  for (const table of all('table[data-first]')) {
    const body = table.tBodies[0], first = Number(table.dataset.first), box = table.closest('.table');
    const rows = [...body.rows];
    const search = box.querySelector('input'), output = box.querySelector('output');
    let words = '', whole = rows.length <= first + 5;
    const button = document.createElement('button');
    button.type = 'button';
    const fill = () => {
      let found = 0;
      for (const row of body.rows) {
        const hit = !words || row.textContent.toLowerCase().includes(words);
        if (hit) found++;
        row.classList.toggle('hidden', !hit || (!whole && !words && found > first));
      }
      if (output) output.textContent = words ? `${grouped.format(found)} of ${grouped.format(rows.length)} rows` : '';
      button.textContent = whole ? 'Show fewer rows' : `Show all ${grouped.format(rows.length)} rows`;
      show(button, !words);
    };
    if (!whole) {
      const more = document.createElement('p');
      more.className = 'more';
      more.append(button);
      box.append(more);
      button.addEventListener('click', () => { whole = !whole; fill(); });
    }
    search?.addEventListener('input', () => { words = search.value.trim().toLowerCase(); fill(); });

    const heads = [...table.tHead.rows[0].cells];
    const key = (row, at) => { const cell = row.cells[at]; return cell.dataset.k ?? cell.textContent; };
    heads.forEach((head, at) => {
      const sort = document.createElement('button');
      sort.type = 'button';
      sort.textContent = head.textContent;
      head.textContent = '';
      head.append(sort);
      sort.addEventListener('click', () => {
        const numbers = rows.every((row) => /^\d{1,15}$/.test(row.cells[at].dataset.k ?? ''));
        // Numbers are asked for from the largest down, texts and times from the first on.
        const before = head.getAttribute('aria-sort');
        const down = before ? before === 'ascending' : numbers;
        const compare = numbers
          ? (a, b) => Number(key(a, at)) - Number(key(b, at))
          : (a, b) => { const [x, y] = [key(a, at), key(b, at)]; return x < y ? -1 : x > y ? 1 : 0; };
        const order = new Map(rows.map((row, place) => [row, place]));
        const sorted = [...rows].sort((a, b) => (down ? compare(b, a) : compare(a, b)) || order.get(a) - order.get(b));
        for (const other of heads) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        body.append(...sorted);
        fill();
      });
    });
    fill();
  }

  // ---- Trees ----
  for (const button of all('[data-trees]')) {
    button.addEventListener('click', () => {
      for (const node of all('.forest details')) node.open = button.dataset.trees === 'open';
    });
  }
  const reveal = () => {
    const target = location.hash.startsWith('#p') && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
    if (target) target.scrollIntoView({ block: 'center' });
  };
  addEventListener('hashchange', reveal);
  reveal();
  // Paper has no triangles to click on.
  let opened = [];
  addEventListener('beforeprint', () => {
    opened = all('.forest details:not([open])');
    for (const node of opened) node.open = true;
  });
  addEventListener('afterprint', () => { for (const node of opened) node.open = false; });

  // ---- Timeline ----
  const holder = document.getElementById('timeline-data');
  if (!holder) return;
  const data = JSON.parse(holder.textContent), layout = data.layout;
  const figure = holder.closest('figure'), svg = figure.querySelector('.plot'), drawn = svg.querySelector('.drawn');
  const range = figure.querySelector('.range'), readout = figure.querySelector('.readout');
  const segments = data.segments.map(([from, at, length]) => ({ from: BigInt(from), at, length }));
  const second = 1000000000n, unit = BigInt(data.unit), steps = data.steps.map(BigInt);
  for (const lane of data.lanes) {
    let at = 0;
    lane.at = lane.steps.map((step) => (at += step));
    lane.n = Array.isArray(lane.counts) ? lane.counts : null;
  }
  let from = 0, to = data.length, wide = 0, high = 0, columns = [];
  const least = Math.min(data.length, 20);

  const node = (name, attributes, text) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const x = (at) => layout.gutter + (wide - layout.gutter) * (at - from) / (to - from);
  const position = (px) => from + (px - layout.gutter) / (wide - layout.gutter) * (to - from);
  const segmentAt = (at) => { let found = segments[0]; for (const s of segments) if (s.at <= at) found = s; return found; };
  const timeAt = (at) => {
    const segment = segmentAt(at);
    return segment.from + BigInt(Math.round(Math.max(0, Math.min(at - segment.at, segment.length)))) * unit;
  };
  const iso = (ns) => {
    const second = new Date(Number(ns / 1000000000n) * 1000).toISOString().slice(0, 19);
    return `${second}.${String(ns % 1000000000n).padStart(9, '0')}`;
  };
  const label = (ns, step) => {
    const text = iso(ns);
    if (step >= 86400000000000n) return text.slice(0, 10);
    return text.slice(11, step >= 1000000000n ? 19 : step >= 1000000n ? 23 : step >= 1000n ? 26 : 29);
  };
  const near = () => { const width = (BigInt(Math.ceil(to - from)) * unit) / 400n; return steps.find((step) => step >= width) ?? steps.at(-1); };
  const barHeight = (count, most, height) => 4 + (height - 10) * Math.log1p(count) / Math.log1p(Math.max(1, most));
  const short = (n) => n < 1e5 ? grouped.format(n) : n < 1e6 ? `${(n / 1e3).toFixed(1)}k` : `${(n / 1e6).toFixed(1)}M`;
  // First index with at[i] >= value.
  const lower = (at, value) => {
    let low = 0, top = at.length;
    while (low < top) { const mid = (low + top) >> 1; if (at[mid] < value) low = mid + 1; else top = mid; }
    return low;
  };

  const draw = () => {
    wide = Math.max(320, Math.round(figure.clientWidth));
    const parts = [];
    let y = 0;
    const name = (bottom, text, count) => {
      parts.push(node('text', { class: 'lane', x: 0, y: bottom }, text));
      parts.push(node('text', { class: 'num', x: layout.gutter - 12, y: bottom, 'text-anchor': 'end' }, short(count)));
    };
    if (data.activity.length) {
      const bottom = layout.activity - 4, bars = data.activity.length, bar = data.length / bars;
      const [a, b] = [Math.max(0, Math.floor(from / bar)), Math.min(bars, Math.ceil(to / bar))];
      const seen = data.activity.slice(a, b), most = Math.max(0, ...seen);
      name(bottom - 10, 'All events', data.activity.reduce((sum, n) => sum + n, 0));
      let path = '';
      seen.forEach((count, i) => {
        if (!count) return;
        const left = Math.max(layout.gutter, x((a + i) * bar)), right = Math.min(wide, x((a + i + 1) * bar));
        const up = barHeight(count, most, layout.activity).toFixed(1);
        if (right > left) path += `M${left.toFixed(1)} ${bottom}v-${up}h${(right - left).toFixed(2)}v${up}z`;
      });
      parts.push(node('path', { class: 'activity', d: path }));
      y += layout.activity;
    }
    const cells = Math.floor((wide - layout.gutter) / 2);
    columns = [];
    for (const lane of data.lanes) {
      const counts = new Array(cells).fill(0), bottom = y + layout.lane - 3;
      for (let i = lower(lane.at, from); i < lane.at.length && lane.at[i] <= to; i++) {
        const cell = Math.min(cells - 1, Math.floor((lane.at[i] - from) / (to - from) * cells));
        counts[cell] += lane.n ? lane.n[i] : 1;
      }
      columns.push({ name: lane.name, counts });
      parts.push(node('path', { class: 'floor', d: `M${layout.gutter} ${bottom}H${wide}` }));
      name(bottom - 5, lane.name, lane.total);
      const most = counts.reduce((a, b) => Math.max(a, b), 0), width = (wide - layout.gutter) / cells;
      let path = '';
      counts.forEach((count, i) => {
        if (!count) return;
        const up = barHeight(count, most, layout.lane).toFixed(1);
        path += `M${(layout.gutter + i * width).toFixed(1)} ${bottom}v-${up}h${Math.max(2, width).toFixed(1)}v${up}z`;
      });
      parts.push(node('path', { class: `s${lane.severity}`, d: path }));
      y += layout.lane;
    }
    const within = (a, b) => b >= from && a <= to;
    const clip = (a, b, smallest) => {
      const left = Math.max(layout.gutter, x(a)), right = Math.min(wide, x(b));
      return [left.toFixed(1), Math.max(smallest, right - left).toFixed(1)];
    };
    const band = (cls, a, b, top, height, smallest, title) => {
      const [left, width] = clip(a, b, smallest);
      const rect = node('rect', { class: cls, x: left, width, y: top, height });
      rect.append(node('title', {}, title));
      parts.push(rect);
    };
    if (data.captures.length) {
      parts.push(node('text', { class: 'lane', x: 0, y: y + 16 }, 'Captures'));
      parts.push(node('text', { class: 'num', x: layout.gutter - 12, y: y + 16, 'text-anchor': 'end' }, short(data.captures.length)));
      for (const [a, b, what] of data.captures) if (within(a, b)) band('span', a, b, y + 8, 7, 2, what);
      y += layout.spans;
    }
    for (let i = 1; i < segments.length; i++) {
      const a = segments[i - 1].at + segments[i - 1].length, b = segments[i].at;
      if (within(a, b)) band('gap', a, b, 0, y, 1, 'nothing was recorded here');
    }
    for (const [a, b, what] of data.losses) if (within(a, b)) band('loss', a, b, 0, y, 3, what);

    // The axis.
    const room = 100, smallest = BigInt(Math.max(1, Math.floor((to - from) * room / (wide - layout.gutter)))) * unit;
    const day = steps.at(-1), step = steps.find((s) => s >= smallest) ?? (smallest / day + 1n) * day;
    parts.push(node('path', { class: 'axis', d: `M${layout.gutter} ${y}H${wide}` }));
    let free = layout.gutter, dated = layout.gutter, said = '';
    const tick = (at, text) => {
      const px = x(at);
      if (px < free || px > wide - 30) return;
      parts.push(node('path', { class: 'axis', d: `M${px.toFixed(1)} ${y}v4` }));
      parts.push(node('text', { x: px.toFixed(1), y: y + 17, 'text-anchor': 'middle' }, text));
      free = px + room * 0.9;
    };
    for (const segment of segments) {
      const start = Math.max(segment.at, from), end = Math.min(segment.at + segment.length, to);
      if (end < start) continue;
      const begin = timeAt(start);
      const date = iso(begin).slice(0, 10);
      if (date !== said && x(start) >= dated && x(start) <= wide - 70) {
        parts.push(node('text', { class: 'date', x: x(start), y: y + 33 }, date));
        dated = x(start) + room * 0.9;
        said = date;
      }
      // A stretch between gaps that is too short for round times says when it begins.
      if (segments.length > 1 && x(end) - x(start) < room * 2 && step < day) {
        tick(start, label(begin, second));
        continue;
      }
      let time = (begin + step - 1n) / step * step;
      for (let i = 0; i < 100; i++, time += step) {
        const at = segment.at + Number((time - segment.from) / unit);
        if (at > end) break;
        tick(at, label(time, step));
      }
    }
    high = y;
    parts.push(node('rect', { class: 'clear', x: layout.gutter, y: 0, width: wide - layout.gutter, height: y }));
    drawn.replaceChildren(...parts);
    svg.setAttribute('viewBox', `0 0 ${wide} ${y + layout.axis}`);
    range.textContent = `${iso(timeAt(from)).slice(0, 23).replace('T', ' ')} to ${iso(timeAt(to)).slice(from === 0 && to === data.length ? 0 : 11, 23).replace('T', ' ')} UTC`;
    svg.dataset.from = from;
    svg.dataset.to = to;
  };

  const view = (a, b) => {
    const span = Math.max(least, Math.min(data.length, b - a));
    from = Math.max(0, Math.min(a, data.length - span));
    to = from + span;
    draw();
  };
  const zoom = (factor, around = (from + to) / 2) => view(around - (around - from) * factor, around + (to - around) * factor);
  const acts = {
    in: () => zoom(0.5), out: () => zoom(2), all: () => view(0, data.length),
    left: () => view(from - (to - from) / 4, to - (to - from) / 4),
    right: () => view(from + (to - from) / 4, to + (to - from) / 4),
  };
  for (const button of all('[data-zoom]', figure)) button.addEventListener('click', () => acts[button.dataset.zoom]());
  const keys = { '+': 'in', '=': 'in', '-': 'out', ArrowLeft: 'left', ArrowRight: 'right', 0: 'all', Home: 'all' };
  svg.addEventListener('keydown', (event) => {
    const act = !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key];
    if (act) { event.preventDefault(); acts[act](); }
  });
  const px = (event) => { const box = svg.getBoundingClientRect(); return (event.clientX - box.left) * wide / box.width; };
  // The wheel belongs to the page until the chart is asked for.
  svg.addEventListener('wheel', (event) => {
    if (document.activeElement !== svg && !event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, position(Math.max(layout.gutter, px(event))));
  }, { passive: false });

  let drag = null;
  const brush = node('rect', { class: 'brush', y: 0 }), cursor = node('path', { class: 'cursor' });
  svg.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || px(event) < layout.gutter) return;
    drag = { at: px(event), from, to, moves: event.shiftKey };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener('pointermove', (event) => {
    const at = Math.max(layout.gutter, Math.min(wide, px(event)));
    if (drag?.moves) {
      const by = (at - drag.at) / (wide - layout.gutter) * (drag.to - drag.from);
      return view(drag.from - by, drag.to - by);
    }
    if (drag && Math.abs(at - drag.at) > 3) {
      for (const [key, value] of Object.entries({ x: Math.min(at, drag.at), width: Math.abs(at - drag.at), height: high })) brush.setAttribute(key, value);
      drawn.append(brush);
    }
    cursor.setAttribute('d', `M${at.toFixed(1)} 0V${high}`);
    drawn.append(cursor);
    const place = (at - layout.gutter) / (wide - layout.gutter);
    const found = columns.flatMap(({ name, counts }) => {
      const middle = Math.floor(place * counts.length);
      const n = counts.slice(Math.max(0, middle - 1), middle + 2).reduce((sum, count) => sum + count, 0);
      return n ? [`${grouped.format(n)} ${name}`] : [];
    });
    const shown = label(timeAt(position(at)), near());
    readout.textContent = `${iso(timeAt(position(at))).slice(0, 10)} ${shown}${found.length ? ` · ${found.join(', ')}` : ''}`;
  });
  const release = (event) => {
    const begun = drag;
    drag = null;
    brush.remove();
    if (!begun || begun.moves || event.type === 'pointercancel') return;
    const at = Math.max(layout.gutter, Math.min(wide, px(event)));
    if (Math.abs(at - begun.at) > 3) view(...[position(begun.at), position(at)].sort((a, b) => a - b));
  };
  svg.addEventListener('pointerup', release);
  svg.addEventListener('pointercancel', release);
  svg.addEventListener('pointerleave', () => { cursor.remove(); readout.textContent = ''; });
  svg.addEventListener('dblclick', acts.all);
  let last = 0;
  new ResizeObserver(() => { if (figure.clientWidth !== last) { last = figure.clientWidth; draw(); } }).observe(figure);
  draw();
})();
