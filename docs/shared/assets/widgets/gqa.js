// css: widgets.css
// Grouped heads (5.1.3.1): which query heads share which key/value head, and what that saves.
// The order is that of happyllm.llama.attention.repeat_kv: query head h reads head h // n_rep.

(() => {
  const WORDS = {
    en: {
      title: "Which query heads share a key/value head?",
      lead: "The cache stores K heads. repeat_kv copies them, so that each of the H query heads has its own.",
      heads: "Query heads H",
      kv: "Key/value heads K (divisors of H)",
      tiled: "Show the wrong order (tiled)",
      MHA: "MHA, multi-head attention: every query head has a key/value head of its own.",
      GQA: (n) => `GQA, grouped-query attention: each key/value head serves ${n} query heads.`,
      MQA: (n) => `MQA, multi-query attention: one key/value head serves all ${n} query heads.`,
      one: "One head: MHA and MQA are the same.",
      rows: (H, K) => [`H = ${H} query heads`, `K = ${K} in the cache`],
      right: "Each head is repeated in place: neighbours share.",
      wrong: (bad, H) => `Tiled: ${bad} of ${H} query heads read another group's keys. The shapes are right, so nothing complains.`,
      same: "Here both orders agree: a test with these sizes cannot tell them apart.",
      reads: (h, k) => `Q${h} reads K${k}`,
      drawing: (H, K) => `${H} query heads and ${K} key/value heads`,
      cost: "KV cache of one sequence",
      config: "the other sizes as in LLaMA2 7B, in fp16",
      formula: (layers, T, K, d, bytes, total) =>
        `2 (keys, values) × ${layers} layers × ${T} positions × ${K} heads (K) × ${d} (d) × ${bytes} bytes = ${total} bytes`,
      said: (name, n, size) => `${name}, n_rep ${n}, cache ${size}.`,
    },
    zh: {
      title: "哪些查询头共用一个键/值头？",
      lead: "缓存里只存 K 个头；repeat_kv 把它们复制成 H 份，让每个查询头都有自己的一份。",
      heads: "查询头数 H",
      kv: "键/值头数 K（H 的约数）",
      tiled: "看看错误的顺序（整组平铺）",
      MHA: "MHA（多头注意力）：每个查询头都有自己的键/值头。",
      GQA: (n) => `GQA（分组查询注意力）：每个键/值头供 ${n} 个查询头使用。`,
      MQA: (n) => `MQA（多查询注意力）：一个键/值头供全部 ${n} 个查询头使用。`,
      one: "只有一个头：MHA 与 MQA 是一回事。",
      rows: (H, K) => [`H = ${H} 个查询头`, `缓存里 K = ${K} 个头`],
      right: "每个头原地重复：相邻的查询头共用一个键/值头。",
      wrong: (bad, H) => `整组平铺：${H} 个查询头中有 ${bad} 个读到了别组的键。形状完全正确，所以不会报错。`,
      same: "此时两种顺序的结果相同：用这样的尺寸做测试，分辨不出对错。",
      reads: (h, k) => `Q${h} 读 K${k}`,
      drawing: (H, K) => `${H} 个查询头，${K} 个键/值头`,
      cost: "一条序列的 KV 缓存",
      config: "其余尺寸同 LLaMA2 7B，fp16",
      formula: (layers, T, K, d, bytes, total) =>
        `2（键、值）× ${layers} 层 × ${T} 个位置 × ${K} 个头（K）× ${d}（d）× ${bytes} 字节 = ${total} 字节`,
      said: (name, n, size) => `${name}，n_rep 为 ${n}，缓存 ${size}。`,
    },
  };

  const MODEL = { layers: 32, headDim: 128, positions: 4096, bytes: 2 }; // as LLaMA2 7B, in fp16

  // --- arithmetic -------------------------------------------------------------------------------

  const divisors = (H) => Array.from({ length: H }, (_, i) => i + 1).filter((K) => H % K === 0);
  const inPlace = (h, H, K) => Math.floor(h / (H / K)); // [K1, K1, K2, K2]
  const tiled = (h, H, K) => h % K; // [K1, K2, K1, K2]

  /** Keys and values, of every layer, at every position. */
  const cacheBytes = (K) => 2 * MODEL.layers * MODEL.positions * K * MODEL.headDim * MODEL.bytes;

  const grouped = (x) => x.toLocaleString("en-US");
  const mebibytes = (bytes) => `${grouped(bytes / 2 ** 20)} MiB`;

  // --- drawing ----------------------------------------------------------------------------------

  /** Three rows of heads: the queries, the copies that they read, and what the cache stores. */
  function drawing([queryLabel, storedLabel], width, H, K, order) {
    const nRep = H / K;
    const margin = width > 560 ? 165 : 0; // room for labels; on a phone they stand above the rows
    const slot = Math.min(60, (width - margin) / H);
    const left = margin + (width - margin - slot * H) / 2;
    const [box, high] = [Math.min(slot - 3, 44), 28];
    const [queries, copies, stored] = [22, 102, 190]; // the top of each row
    const centre = (h) => left + slot * (h + 0.5);
    const storedCentre = (k) => left + slot * nRep * (k + 0.5);

    const tone = (k) => `hl-head${k % 4}`;
    const named = (letter, i) => (box < 27 ? `${i + 1}` : `${letter}${i + 1}`);
    const head = (row, x, y, k, text) => `<g class="${row} ${tone(k)}">
      <rect x="${x - box / 2}" y="${y}" width="${box}" height="${high}" rx="4"/>
      <text x="${x}" y="${y + 19}">${text}</text></g>`;
    const label = (y, above, text, kind = "") =>
      `<text class="hl-label hl-halo ${kind}" x="0" y="${margin ? y + 19 : above}">${text}</text>`;

    const [lines, heads] = [[], []];
    for (let h = 0; h < H; h++) {
      const [mine, read] = [inPlace(h, H, K), order(h, H, K)];
      const [x, from] = [centre(h), storedCentre(read)];
      const wrong = mine !== read ? "hl-mistaken" : "";
      const half = (copies + high + stored) / 2;
      const fan = `M${from},${stored} C${from},${half} ${x},${half} ${x},${copies + high}`;
      const straight = `M${x},${copies} V${queries + high}`;
      lines.push(`<path class="${tone(read)} ${wrong}" d="${fan} ${straight}"/>`);
      heads.push(
        head("hl-query", x, queries, mine, named("Q", h)),
        head("hl-copy", x, copies, read, named("K", read)),
      );
      if (wrong) {
        heads.push(`<text class="hl-cross hl-halo" x="${x}" y="${queries + high + 19}">✗</text>`);
      }
    }
    for (let k = 0; k < K; k++) {
      heads.push(head("hl-stored", storedCentre(k), stored, k, named("K", k)));
    }
    const call = order === inPlace ? `repeat_kv(x, ${nRep})` : `x.repeat(1, 1, ${nRep}, 1)`;
    return [
      ...lines,
      label(queries, queries - 8, queryLabel),
      label(copies, copies - 9, call, "hl-call"),
      label(stored, stored + high + 18, storedLabel),
      ...heads,
    ].join("");
  }

  // --- the widget -------------------------------------------------------------------------------

  window.HappyLLM.widget("gqa", function mount(element, { lang }) {
    const words = WORDS[lang] ?? WORDS.en;
    element.classList.add("hl-gqa");
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", words.title);
    element.innerHTML = `
      <p class="hl-title">${words.title}</p>
      <p class="hl-aside">${words.lead}</p>
      <div class="hl-controls">
        <label class="hl-range">${words.heads}<b aria-hidden="true"></b>
          <input name="heads" type="range" min="1" max="16" value="8"></label>
        <fieldset><legend>${words.kv}</legend><div class="hl-choice"></div></fieldset>
        <label class="hl-check"><input name="tiled" type="checkbox">${words.tiled}</label>
      </div>
      <p class="hl-case"></p>
      <svg role="img"></svg>
      <p class="hl-verdict"></p>
      <p><b>${words.cost}</b> <span class="hl-aside">${words.config}</span></p>
      <div class="hl-bars">
        <div><span class="hl-all-name"></span>
          <span class="hl-bar"><i></i></span><b class="hl-all"></b></div>
        <div><span class="hl-some-name"></span>
          <span class="hl-bar"><i class="hl-kept"></i></span><b class="hl-some"></b></div>
      </div>
      <p class="hl-aside hl-formula"></p>
      <p class="hl-hidden" role="status"></p>`;

    const one = (selector) => element.querySelector(selector);
    const [heads, wrongOrder] = [one("[name=heads]"), one("[name=tiled]")];
    const [choice, svg] = [one(".hl-choice"), one("svg")];
    const group = `kv-${Math.random().toString(36).slice(2)}`; // radios of two widgets stay apart
    let wished = 2; // what the reader chose
    let K = wished; // the nearest to it that divides H
    let saying;

    /** Offer the divisors of H; take the wished K where it is one, else the next one below. */
    function offer() {
      const H = Number(heads.value);
      K = Math.max(...divisors(H).filter((k) => k <= wished));
      choice.innerHTML = divisors(H)
        .map((k) => `<label><input type="radio" name="${group}" value="${k}">${k}</label>`)
        .join("");
      choice.querySelector(`[value="${K}"]`).checked = true;
      draw();
    }

    function draw() {
      const H = Number(heads.value);
      const nRep = H / K;
      const name = K === H ? "MHA" : K === 1 ? "MQA" : "GQA";
      heads.previousElementSibling.textContent = H;

      const sentence = H === 1 ? words.one : name === "MHA" ? words.MHA : words[name](nRep);
      one(".hl-case").innerHTML = `<b><code>n_rep</code> = H / K = ${nRep}</b> · ${sentence}`;

      const order = wrongOrder.checked ? tiled : inPlace;
      const read = Array.from({ length: H }, (_, h) => order(h, H, K));
      const width = svg.clientWidth || 640;
      svg.setAttribute("viewBox", `0 0 ${width} 240`);
      svg.innerHTML = `<title>${words.drawing(H, K)}</title>
        <desc>${read.map((k, h) => words.reads(h + 1, k + 1)).join(", ")}</desc>
        ${drawing(words.rows(H, K), width, H, K, order)}`;

      const bad = read.filter((k, h) => k !== inPlace(h, H, K)).length;
      const verdict = one(".hl-verdict");
      verdict.className = `hl-verdict ${bad ? "hl-bad" : wrongOrder.checked ? "" : "hl-good"}`;
      verdict.textContent = bad ? words.wrong(bad, H) : wrongOrder.checked ? words.same : words.right;

      one(".hl-all").textContent = mebibytes(cacheBytes(H));
      one(".hl-some").textContent = mebibytes(cacheBytes(K));
      one(".hl-kept").style.width = `${(100 * K) / H}%`;
      one(".hl-all-name").textContent = `K = ${H} (MHA)`;
      one(".hl-some-name").textContent = `K = ${K}`;
      const { layers, positions, headDim, bytes } = MODEL;
      const [T, total] = [grouped(positions), grouped(cacheBytes(K))];
      one(".hl-formula").textContent = words.formula(layers, T, K, headDim, bytes, total);

      clearTimeout(saying); // read out where the reader comes to rest
      saying = setTimeout(() => {
        one("[role=status]").textContent = words.said(name, nRep, mebibytes(cacheBytes(K)));
      }, 700);
    }

    heads.addEventListener("input", offer);
    choice.addEventListener("change", (event) => {
      wished = K = Number(event.target.value);
      draw();
    });
    wrongOrder.addEventListener("change", draw);
    offer();
    new ResizeObserver(draw).observe(svg);
  });
})();
