// css: widgets.css
// RoPE as rotating pairs (5.1.3.2): a position is an angle, so q·k depends on the distance alone.
// The same arithmetic as happyllm.llama.rotary: interleaved pairs, base ** (-2i / d).

(() => {
  const WORDS = {
    en: {
      title: "RoPE: each pair turns with its position",
      lead: "One head of size d = 8 is four pairs. Dashed: before the turn. Solid: turned to its position.",
      m: "Position m of the query q",
      n: "Position n of the key k",
      lock: "Lock the distance m − n",
      base: "Base <code>theta</code>",
      other: "Other q and k",
      pair: (i) => `Pair ${i}`,
      turned: "turned",
      share: "share",
      dial: (i, q, k, share) =>
        `Pair ${i}: q is turned by ${q}, k by ${k}; its share of the dot product is ${share}.`,
      free: "Move one slider: the distance changes, and q·k with it. Then lock the distance and move again.",
      still: (distance, shift) =>
        `Both moved by ${shift}, the distance is still ${distance}: arrows turn, grey angles stay, and so does q·k.`,
      locked: (distance) => `Distance locked at ${distance}. Now move either slider.`,
      axis: "distance m − n",
      plot: (distance, value) =>
        `q·k against the distance from −63 to 63. At distance ${distance} it is ${value}.`,
      said: (distance, value) => `Distance ${distance}: q·k is ${value}.`,
      numbers: "The numbers",
      head: ["pair", "q", "k", "q turned", "k turned", "share"],
    },
    zh: {
      title: "RoPE：每一对特征随位置转动",
      lead: "一个 d = 8 的头分成四对。虚线：转动之前；实线：转到所在位置之后。",
      m: "查询 q 的位置 m",
      n: "键 k 的位置 n",
      lock: "锁定距离 m − n",
      base: "底数 <code>theta</code>",
      other: "换一组 q 和 k",
      pair: (i) => `第 ${i} 对`,
      turned: "转过",
      share: "贡献",
      dial: (i, q, k, share) => `第 ${i} 对：q 转过 ${q}，k 转过 ${k}，对点积的贡献是 ${share}。`,
      free: "拖动一个滑块：距离变了，q·k 也跟着变。再锁定距离，拖动试试。",
      still: (distance, shift) =>
        `两者都移动了 ${shift}，距离仍是 ${distance}：箭头在转，灰色夹角不变，q·k 也就不变。`,
      locked: (distance) => `距离已锁定为 ${distance}。现在拖动任意一个滑块。`,
      axis: "距离 m − n",
      plot: (distance, value) =>
        `q·k 随距离（−63 到 63）变化的曲线。距离为 ${distance} 时，值为 ${value}。`,
      said: (distance, value) => `距离 ${distance}：q·k 为 ${value}。`,
      numbers: "具体数值",
      head: ["对", "q", "k", "转后的 q", "转后的 k", "贡献"],
    },
  };

  const LAST = 63; // the last position
  const RIM = 60; // radius of a dial, for a pair of length 1
  const Q = [[0.8, 0.5], [0.6, 0.7], [-0.3, 0.9], [0.7, -0.6]];
  const K = [[0.7, -0.2], [0.8, 0.2], [0.3, 0.7], [0.8, 0.1]];

  // --- arithmetic -------------------------------------------------------------------------------

  const frequency = (base, i) => base ** ((-2 * i) / (2 * Q.length));
  const dot = ([a, b], [c, d]) => a * c + b * d;
  const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);

  function rotate([a, b], angle) {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    return [a * cos - b * sin, a * sin + b * cos];
  }

  /** The share of every pair in the dot product of q at position m with k at position n. */
  function shares(q, k, base, m, n) {
    return q.map((pair, i) => {
      const angle = frequency(base, i);
      return dot(rotate(pair, m * angle), rotate(k[i], n * angle));
    });
  }

  /** A pair of length at most 1, with one decimal, so that what is shown is what is used. */
  function randomPair() {
    const pair = [0, 0].map(() => Math.round(Math.random() * 20 - 10) / 10);
    const length = Math.hypot(...pair);
    return length > 1 || length < 0.5 ? randomPair() : pair;
  }

  // --- numbers as text --------------------------------------------------------------------------

  const minus = (text) => text.replace("-", "−");
  const whole = (x) => minus(String(x));
  const signed = (x, digits) => {
    const text = x.toFixed(digits);
    return Number(text) === 0 ? `+${(0).toFixed(digits)}` : minus(x > 0 ? `+${text}` : text);
  };
  const degrees = (radians) => `${((radians * 180) / Math.PI).toFixed(1)}°`;
  const brief = (x) => (x < 0.001 ? x.toFixed(7) : String(Number(x.toPrecision(3))));
  const point = (pair, digits) => pair.map((x) => `<span>${signed(x, digits)}</span>`).join(" ");

  // --- drawing ----------------------------------------------------------------------------------

  const at = ([a, b], scale = 1) =>
    `${(a * scale * RIM).toFixed(2)},${(-b * scale * RIM).toFixed(2)}`;

  function arrow(letter, before, after) {
    const length = Math.hypot(...after);
    const unit = after.map((x) => x / length);
    const side = [-unit[1], unit[0]];
    const corner = (back, out) => at([0, 1].map((j) => after[j] - back * unit[j] + out * side[j]));
    const tip =
      letter === "q"
        ? `<path class="hl-tip" d="M${at(after)} L${corner(0.16, 0.08)} L${corner(0.16, -0.08)} Z"/>`
        : `<circle class="hl-tip" cx="${at(after).replace(",", '" cy="')}" r="4"/>`;
    const [x, y] = at(unit, length + 0.2).split(",");
    return `<g class="hl-${letter}">
      <path class="hl-before" d="M0,0 L${at(before)}"/>
      <path class="hl-after" d="M0,0 L${at(after, 1 - 0.1 / length)}"/>${tip}
      <text class="hl-halo" x="${x}" y="${Number(y) + 5}">${letter}</text></g>`;
  }

  /** The sector between two directions, on the shorter side. */
  function wedge(q, k) {
    const [to, from] = [q, k].map(([a, b]) => Math.atan2(b, a));
    const turn = Math.atan2(Math.sin(to - from), Math.cos(to - from));
    const [start, end] = [from, to].map((angle) => at([Math.cos(angle), Math.sin(angle)], 0.45));
    const r = 0.45 * RIM;
    return `<path class="hl-wedge" d="M0,0 L${start} A${r},${r} 0 0 ${turn > 0 ? 0 : 1} ${end} Z"/>`;
  }

  function dial(title, q, k, qTurned, kTurned) {
    return `<title>${title}</title>
      <path class="hl-axis" d="M-${RIM},0 H${RIM} M0,-${RIM} V${RIM}"/>
      <circle class="hl-rim" r="${RIM}"/>
      ${wedge(qTurned, kTurned)}${arrow("k", k, kTurned)}${arrow("q", q, qTurned)}`;
  }

  /** The curve of q·k over the distance, and the point where the sliders stand. */
  function plot(words, width, q, k, base, distance, value) {
    const [left, right, top, bottom] = [26, width - 8, 22, 142];
    const over = [];
    for (let d = -LAST; d <= LAST; d += 0.25) over.push([d, sum(shares(q, k, base, d, 0))]);
    const values = over.map(([, v]) => v);
    const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
    const x = (d) => left + ((d + LAST) / (2 * LAST)) * (right - left);
    const y = (v) => top + ((high - v) / (high - low)) * (bottom - top);
    const curve = over.map(([d, v]) => `${x(d).toFixed(1)},${y(v).toFixed(1)}`);
    const ticks = [-LAST, 0, LAST].map((d) => {
      const anchor = d < 0 ? "start" : d > 0 ? "end" : "middle";
      return `<text x="${x(d)}" y="${bottom + 16}" text-anchor="${anchor}">${whole(d)}</text>`;
    });
    return `<title>${words.plot(whole(distance), signed(value, 4))}</title>
      <path class="hl-axis" d="M${left},${y(0)} H${right} M${x(0)},${top} V${bottom}"/>
      <text x="0" y="12">q·k</text>
      <text x="${left - 6}" y="${y(0) + 4}" text-anchor="end">0</text>
      ${ticks.join("")}
      <text x="${x(0) + 0.46 * (right - x(0))}" y="${bottom + 16}" text-anchor="middle">${words.axis}</text>
      <polyline class="hl-curve" points="${curve.join(" ")}"/>
      <path class="hl-here" d="M${x(distance)},${top} V${bottom}"/>
      <circle class="hl-dot" cx="${x(distance)}" cy="${y(value)}" r="6"/>`;
  }

  // --- the widget -------------------------------------------------------------------------------

  window.HappyLLM.widget("rope", function mount(element, { lang }) {
    const words = WORDS[lang] ?? WORDS.en;
    element.classList.add("hl-rope");
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", words.title);
    element.innerHTML = `
      <p class="hl-title">${words.title}</p>
      <p class="hl-aside">${words.lead}</p>
      <div class="hl-controls">
        <label class="hl-range">${words.m}<b aria-hidden="true"></b>
          <input class="hl-query" name="m" type="range" min="0" max="${LAST}" value="12"></label>
        <label class="hl-range">${words.n}<b aria-hidden="true"></b>
          <input class="hl-key" name="n" type="range" min="0" max="${LAST}" value="7"></label>
        <label class="hl-check"><input name="lock" type="checkbox">${words.lock}</label>
        <p class="hl-sum">q·k = <b></b></p>
      </div>
      <p class="hl-verdict"></p>
      <div class="hl-dials">${Q.map(
        (_, i) => `<div class="hl-dial">
          <p><b>${words.pair(i)}</b><span class="hl-frequency"></span></p>
          <svg role="img" viewBox="-80 -78 160 156"></svg>
          <p><span>q ${words.turned}</span><span class="hl-q"></span></p>
          <p><span>k ${words.turned}</span><span class="hl-k"></span></p>
          <p class="hl-share"><span>${words.share}</span><span></span></p>
        </div>`,
      ).join("")}</div>
      <svg class="hl-plot" role="img"></svg>
      <div class="hl-row">
        <label>${words.base}
          <select name="base">
            <option value="10000">10,000 (LLaMA2)</option>
            <option value="500000">500,000 (LLaMA3)</option>
          </select></label>
        <button name="other" type="button">${words.other}</button>
      </div>
      <details class="hl-numbers"><summary>${words.numbers}</summary>
        <table class="hl-table">
          <thead><tr>${words.head.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead>
          <tbody></tbody>
        </table></details>
      <p class="hl-hidden" role="status"></p>`;

    const one = (selector) => element.querySelector(selector);
    const control = (name) => one(`[name=${name}]`);
    const [mSlider, nSlider, lock, baseChoice] = ["m", "n", "lock", "base"].map(control);
    const dials = [...element.querySelectorAll(".hl-dial")];
    const plotted = one(".hl-plot");
    let [q, k] = [Q, K];
    let locked = null; // where the sliders stood when the distance was locked
    let saying;

    function draw() {
      const [m, n, base] = [mSlider, nSlider, baseChoice].map((input) => Number(input.value));
      const parts = shares(q, k, base, m, n);
      const total = sum(parts);
      mSlider.previousElementSibling.textContent = m;
      nSlider.previousElementSibling.textContent = n;

      dials.forEach((box, i) => {
        const angle = frequency(base, i);
        const [qAngle, kAngle, share] = [degrees(m * angle), degrees(n * angle), signed(parts[i], 4)];
        box.querySelector(".hl-frequency").innerHTML = `θ<sub>${i}</sub> = ${brief(angle)}`;
        box.querySelector("p .hl-q").textContent = qAngle;
        box.querySelector("p .hl-k").textContent = kAngle;
        box.querySelector(".hl-share :last-child").textContent = share;
        const [qTurned, kTurned] = [rotate(q[i], m * angle), rotate(k[i], n * angle)];
        const title = words.dial(i, qAngle, kAngle, share);
        box.querySelector("svg").innerHTML = dial(title, q[i], k[i], qTurned, kTurned);
      });

      one(".hl-sum b").textContent = signed(total, 4);
      const verdict = one(".hl-verdict");
      const shift = locked ? m - locked.m : 0;
      verdict.classList.toggle("hl-good", shift !== 0);
      verdict.textContent = shift
        ? words.still(whole(m - n), whole(shift))
        : locked
          ? words.locked(whole(m - n))
          : words.free;

      const width = plotted.clientWidth || 640;
      plotted.setAttribute("viewBox", `0 0 ${width} 162`);
      plotted.innerHTML = plot(words, width, q, k, base, m - n, total);

      one("tbody").innerHTML = parts
        .map((share, i) => {
          const angle = frequency(base, i);
          const turned = [rotate(q[i], m * angle), rotate(k[i], n * angle)];
          const cells = [point(q[i], 1), point(k[i], 1), ...turned.map((pair) => point(pair, 3))];
          return `<tr><th scope="row">${i}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}
            <td>${signed(share, 4)}</td></tr>`;
        })
        .join("");

      clearTimeout(saying); // read out where the sliders come to rest, not each step on the way
      saying = setTimeout(() => {
        one("[role=status]").textContent = words.said(whole(m - n), signed(total, 4));
      }, 700);
    }

    /** Move one slider; with the distance locked the other follows, and both stop at the ends. */
    function move(moved, follower, offset) {
      if (locked) {
        const stop = (x) => Math.min(LAST, Math.max(0, x));
        follower.value = stop(Number(moved.value) + offset);
        moved.value = Number(follower.value) - offset;
      }
      draw();
    }

    mSlider.addEventListener("input", () => move(mSlider, nSlider, locked && locked.n - locked.m));
    nSlider.addEventListener("input", () => move(nSlider, mSlider, locked && locked.m - locked.n));
    lock.addEventListener("change", () => {
      locked = lock.checked ? { m: Number(mSlider.value), n: Number(nSlider.value) } : null;
      draw();
    });
    baseChoice.addEventListener("change", draw);
    control("other").addEventListener("click", () => {
      [q, k] = [Q.map(randomPair), K.map(randomPair)];
      draw();
    });
    new ResizeObserver(draw).observe(plotted);
  });
})();
