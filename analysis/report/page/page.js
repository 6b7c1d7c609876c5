"use strict";
// The explorable part of a report: a table, two charts and one trial at a time, all of the same rows and linked by key.
// Every text from the study reaches the page as text, never as markup.

const STATUS_ORDER = ["finished", "running", "pruned", "failed", "damaged"];
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#767676"];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "pin", "arrow", "roundRect"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const byId = (id) => document.getElementById(id);
let data = JSON.parse(byId("data").textContent);
let rows = [], table = null, charts = {}, opened = null, chosen = new Set();

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const isShare = (name) => data.shares.includes(name);
const titleOf = (name) => (data.titles[name] || name.replaceAll("_", " ")) + (isShare(name) ? " (%)" : "");
const isNumber = (name) => data.columns[name].every((value) => value === null || typeof value === "number");
// What spans more than two decades is drawn on a logarithmic axis.
const isWide = (name) => { const all = data.columns[name].filter((value) => value !== null); return Math.min(...all) > 0 && Math.max(...all) > 100 * Math.min(...all); };
// What ranks the trials: of a search its objective, in which the test images have no part.
const ranked = () => data.goals.find((name) => data.scores.includes(name)) ?? data.scores.at(-1);
const inUnit = (name, value) => (value === null || !isShare(name) ? value : +(100 * value).toFixed(3));
const shown = (name, value) => value === null || value === undefined ? "–"
  : isShare(name) ? value.toFixed(2) : typeof value === "number" ? String(+value.toPrecision(5)) : String(value);

function makeRows() {
  const names = Object.keys(data.columns);
  rows = data.columns.key.map((key, number) => {
    const row = { id: key, number };
    for (const name of names) row[name] = inUnit(name, data.columns[name][number]);
    return row;
  });
}

// ---- the table

function columnNames() { return [...data.factors, ...data.scores, "status", "key"]; }

function columnsOf() {
  return columnNames().map((name) => {
    const numeric = isNumber(name);
    return {
      field: name, title: titleOf(name), hozAlign: numeric ? "right" : "left",
      sorter: numeric ? "number" : name === "status" ? (a, b) => STATUS_ORDER.indexOf(a) - STATUS_ORDER.indexOf(b) : "string",
      sorterParams: { alignEmptyValues: "bottom" }, headerSortStartingDir: data.scores.includes(name) ? "desc" : "asc",
      formatter: (cell) => document.createTextNode(shown(name, cell.getValue())),
      headerFilter: "input", headerFilterFunc: numeric ? matchesNumber : matchesText,
      headerFilterPlaceholder: numeric ? "e.g. >70" : "contains", headerFilterParams: { elementAttributes: { "aria-label": `filter ${titleOf(name)}` } },
    };
  });
}

const heightOf = () => Math.min(460, 75 + 30 * rows.length);

function makeTable() {
  table = new Tabulator("#table", {
    data: rows, columns: columnsOf(), height: heightOf(), layout: "fitDataStretch", selectableRows: 1,
    placeholder: "No trial matches", initialSort: data.scores.length ? [{ column: ranked(), dir: "desc" }] : [],
    rowFormatter: (row) => {
      const place = row.getElement();
      place.tabIndex = 0;
      place.setAttribute("aria-label", `trial ${row.getData().key}`);
      place.onkeydown = (event) => { if (event.key === "Enter") open(row.getData().key); };
    },
  });
  table.on("rowClick", (_, row) => open(row.getData().key));
  table.on("rowMouseEnter", (_, row) => highlight(row.getData().key));
  table.on("rowMouseLeave", () => highlight(opened));
  table.on("dataFiltered", (_, found) => showOnly(found.map((row) => row.getData().key)));
  table.on("tableBuilt", makeHeadingsKeys);
}

function makeHeadingsKeys() {
  for (const head of document.querySelectorAll("#table .tabulator-col-sorter")) {
    const column = head.closest(".tabulator-col"), title = column.querySelector(".tabulator-col-title");
    title.tabIndex = 0;
    title.onkeydown = (event) => { if (event.key === "Enter") column.querySelector(".tabulator-col-content").click(); };
  }
}

function matchesText(wanted, value) { return String(value ?? "").toLowerCase().includes(wanted.toLowerCase()); }

// "70" is that number or, of fractions, their first digits; ">70", "<=5" and "60..70" are ranges.
function matchesNumber(wanted, value) {
  const text = wanted.replaceAll(" ", ""), range = text.match(/^(-?[\d.e-]+)\.\.(-?[\d.e-]+)$/), bound = text.match(/^([<>]=?)(-?[\d.e-]+)$/);
  if (value === null) return false;
  if (range) return value >= +range[1] && value <= +range[2];
  if (bound) return { ">": value > +bound[2], ">=": value >= +bound[2], "<": value < +bound[2], "<=": value <= +bound[2] }[bound[1]];
  return /^[<>]/.test(text) || (Number.isInteger(value) && /^-?\d+$/.test(text) ? value === +text : String(value).startsWith(text));
}

// ---- the charts

function ink() { return getComputedStyle(document.body).color; }
function ground() { return dark.matches ? "#121212" : "#fff"; }
function faint() { return dark.matches ? "#555" : "#ddd"; }

function chart(id) {
  if (!charts[id]) {
    charts[id] = echarts.init(byId(id), null, { renderer: "canvas" });
    new ResizeObserver(() => charts[id].resize()).observe(byId(id));
  }
  return charts[id];
}

function axis(name, more = {}) {
  const line = { lineStyle: { color: ink() } };
  return { type: data.columns[name] && isWide(name) ? "log" : "value", scale: true, name: titleOf(name), nameLocation: "middle", nameGap: 28, nameTextStyle: { color: ink() },
    axisLabel: { color: ink(), hideOverlap: true }, axisLine: line, splitLine: { lineStyle: { color: faint() } }, ...more };
}

// The groups that are told apart by colour: the values of the field that is chosen, the last ones together where they are many.
function groups() {
  const name = byId("colour").value, values = data.columns[name] || [], all = [...new Set(values)];
  const alone = all.length > COLOURS.length ? all.slice(0, COLOURS.length - 1) : all;
  const found = alone.map((value, number) => ({
    name: value === null ? "–" : shown(name, inUnit(name, value)), colour: COLOURS[number], has: (row) => values[row.number] === value,
  }));
  const others = { name: "others", colour: COLOURS.at(-1), has: (row) => !alone.includes(values[row.number]) };
  return alone.length < all.length ? [...found, others] : found;
}

function colourOf(row) { return groups().find((group) => group.has(row))?.colour ?? COLOURS[0]; }

// Text of a tooltip is built as elements: names may hold anything.
function tooltip(row, names) {
  const box = element("div");
  box.append(element("b", data.labels[row.number] || row.key), element("br"));
  for (const name of ["seed", ...names]) if (row[name] !== undefined) box.append(`${titleOf(name)}: ${shown(name, row[name])}`, element("br"));
  return box;
}

function drawScatter() {
  const x = byId("x").value, y = byId("y").value;
  const points = rows.filter((row) => row[x] !== null && row[y] !== null);
  chart("scatter").setOption({
    animation: false, aria: { enabled: true, description: `Scatter of ${titleOf(y)} against ${titleOf(x)}, ${points.length} trials` },
    grid: { left: 60, right: 20, top: 40, bottom: 50 }, textStyle: { color: ink() }, color: COLOURS,
    legend: { type: "scroll", top: 0, textStyle: { color: ink() }, selectedMode: false },
    tooltip: { formatter: (item) => tooltip(rows[item.data.number], [x, y]), confine: true },
    xAxis: axis(x), yAxis: axis(y, { nameGap: 42 }),
    series: groups().map((group, number) => ({ type: "scatter", name: group.name, symbolSize: 10, symbol: SYMBOLS[number],
      emphasis: { itemStyle: { borderColor: ink(), borderWidth: 2 }, scale: 1.6 },
      data: points.filter(group.has).map((row) => ({ value: [row[x], row[y]], number: row.number, itemStyle: { opacity: chosen.has(row.key) ? 0.85 : 0.08 } })) })),
  }, { notMerge: true });
  charts.scatter.off("click");
  charts.scatter.on("click", (item) => open(rows[item.data.number].key));
  charts.scatter.off("mouseover");
  charts.scatter.on("mouseover", (item) => markRow(rows[item.data.number].key));
}

function categories(name) { return [...new Set(data.columns[name].map((value) => value ?? "–"))]; }

// The axes on which a range is chosen.
function brushed() {
  return charts.parallel?.getModel()?.queryComponents({ mainType: "parallelAxis" }).filter((one) => one.activeIntervals.length) ?? [];
}

function drawParallel() {
  const differs = (name) => new Set(data.columns[name]).size > 1;
  const names = [...data.factors.filter((name) => name !== "seed").slice(0, 7), ...data.scores].filter(differs);
  byId("parallel").hidden = names.length < 2;
  if (names.length < 2) return;
  chart("parallel").setOption({
    animation: false, aria: { enabled: true, description: `Parallel coordinates of ${names.map(titleOf).join(", ")}` },
    parallel: { left: 50, right: 75, top: 50, bottom: 40, parallelAxisDefault: { nameTextStyle: { color: ink(), fontSize: 11, width: 90, overflow: "break" },
      axisLine: { lineStyle: { color: ink() } }, axisLabel: { color: ink(), backgroundColor: ground(), padding: 1 }, areaSelectStyle: { color: "#0072B2", opacity: 0.3 } } },
    parallelAxis: names.map((name, dim) => isNumber(name) ? { dim, name: titleOf(name), scale: true, type: isWide(name) ? "log" : "value" }
      : { dim, name: titleOf(name), type: "category", data: categories(name) }),
    series: [{ type: "parallel", inactiveOpacity: 0.03, activeOpacity: 0.8, smooth: false, lineStyle: { width: 1.5 },
      data: rows.filter((row) => chosen.has(row.key)).map((row) => ({ name: row.key, value: names.map((name) => row[name] ?? (isNumber(name) ? NaN : "–")), lineStyle: { color: colourOf(row), opacity: 0.7 } })) }],
  }, { notMerge: true });
  charts.parallel.off("axisareaselected");
  charts.parallel.on("axisareaselected", () => {
    const place = (row, name) => isNumber(name) ? row[name] : categories(name).indexOf(row[name] ?? "–");
    table.setFilter((row) => brushed().every((one) => one.getActiveState(place(row, names[one.option.dim])) === "active"));
  });
  charts.parallel.off("click");
  charts.parallel.on("click", (item) => open(item.name));
}

function showOnly(keys) {
  chosen = new Set(keys);
  byId("count").textContent = `${keys.length} of ${rows.length} trials`;
  drawScatter();
  if (!brushed().length) drawParallel();
}

function highlight(key) {
  (charts.scatter?.getOption()?.series || []).forEach((series, seriesIndex) => {
    charts.scatter.dispatchAction({ type: "downplay", seriesIndex });
    const dataIndex = series.data.findIndex((point) => rows[point.number]?.key === key);
    if (dataIndex >= 0) charts.scatter.dispatchAction({ type: "highlight", seriesIndex, dataIndex });
  });
}

function markRow(key) {
  table.deselectRow();
  if (table.getRow(key)) table.selectRow(key);
}

// ---- one trial

function open(key, focus = true) {
  const row = rows.find((one) => one.key === key);
  if (!row) return;
  opened = key;
  history.replaceState(null, "", `#trial-${key}`);
  markRow(key);
  highlight(key);
  const place = byId("trial");
  place.hidden = false;
  place.replaceChildren(element("h3", `${data.labels[row.number] || "Trial"}, seed ${row.seed ?? "?"} (${key})`, { id: "trial-title", tabindex: -1 }), closing(), summaryOf(row), partsOf(row));
  drawCurves(row);
  drawConfusion(row);
  if (focus) { byId("trial-title").focus(); place.scrollIntoView({ block: "nearest" }); }
}

function closing() {
  const button = element("button", "Close", { type: "button" });
  button.onclick = () => { byId("trial").hidden = true; opened = null; history.replaceState(null, "", "#explore"); highlight(null); table.deselectRow(); };
  return button;
}

function summaryOf(row) {
  const line = element("p");
  line.append(element("b", row.status, { class: row.status === "finished" ? "good" : row.status === "failed" ? "bad" : "" }));
  for (const name of [...data.scores, "wall_seconds", "device"]) if (row[name] !== null && row[name] !== undefined) line.append(`, ${titleOf(name)} ${shown(name, row[name])}`);
  if (row.error) line.append(element("br"), element("span", row.error, { class: "bad" }));
  return line;
}

function partsOf(row) {
  const parts = element("div", null, { class: "parts" });
  const part = (title, ...content) => { const box = element("section"); box.append(element("h4", title), ...content); parts.append(box); };
  if (data.curves[row.key]) part("Learning curves", element("div", null, { class: "small chart", id: "curves" }));
  if (data.confusion[row.key]) {
    const select = element("select", null, { "aria-label": "test set of the confusion matrix", id: "confusion-set" });
    for (const name of ["augmented", "base"]) select.append(element("option", `${name} test set`, { value: name }));
    select.onchange = () => drawConfusion(row);
    part("Confusion matrix", select, element("div", null, { class: "small chart", id: "confusion" }));
  }
  const picture = data.pictures[row.key];
  if (picture && picture.startsWith("data:image/jpeg;base64,")) {
    const tanh = (row.output_activation ?? data.shared.output_activation) === "tanh" ? " The decoder ends in tanh: no output pixel is as bright as white." : "";
    part("Reconstructions", element("img", null, { src: picture, alt: "Rows from above: ten base test images, their reconstructions, the same images augmented, their reconstructions" }),
      element("p", `From above: base images, their reconstructions, augmented images, their reconstructions.${tanh}`, { class: "note" }));
  }
  const box = element("div", null, { class: "scroll", tabindex: 0, role: "region", "aria-label": "settings and metrics" }), list = element("table");
  list.append(element("caption", "Settings, then metrics"));
  const own = Object.keys(data.columns).filter((name) => !data.metrics.includes(name) && !["key", "status", "error"].includes(name));
  const line = (name, text) => { const tr = element("tr"); tr.append(element("th", titleOf(name), { scope: "row" }), element("td", text, { class: "right" })); list.append(tr); };
  for (const name of own) if (row[name] !== null) line(name, shown(name, row[name]));
  for (const [name, value] of Object.entries(data.shared)) line(name, shown(name, value));
  for (const name of data.metrics) if (row[name] !== null) line(name, shown(name, row[name]));
  box.append(list);
  part("Settings and metrics", box);
  const command = data.commands[row.number], copy = element("button", "Copy", { type: "button", id: "copy" });
  copy.onclick = async () => { await navigator.clipboard.writeText(command); copy.textContent = "Copied"; };
  part("Run it again", element("pre", command, { id: "command" }), copy);
  return parts;
}

function drawCurves(row) {
  const curves = data.curves[row.key];
  if (!curves) return;
  charts.curves?.dispose();
  delete charts.curves;
  const names = Object.keys(curves).filter((name) => name !== "epoch");
  chart("curves").setOption({
    animation: false, color: COLOURS, textStyle: { color: ink() }, legend: { textStyle: { color: ink() }, top: 0 }, tooltip: { trigger: "axis", confine: true },
    grid: { left: 60, right: 20, top: 35, bottom: 45 }, xAxis: axis("epoch", { minInterval: 1 }), yAxis: axis("weighted loss", { nameGap: 42 }),
    aria: { enabled: true }, series: names.map((name) => ({ name: titleOf(name), type: "line", showSymbol: curves.epoch.length < 3, data: curves.epoch.map((epoch, i) => [epoch, curves[name][i]]) })),
  });
}

function drawConfusion(row) {
  const both = data.confusion[row.key];
  if (!both) return;
  charts.confusion?.dispose();
  delete charts.confusion;
  const matrix = both[byId("confusion-set").value], classes = data.classes[row.dataset ?? data.shared.dataset] ?? [], names = matrix.map((_, i) => classes[i] ?? String(i));
  const cells = matrix.flatMap((line, truth) => line.map((count, guess) => [guess, truth, +(100 * count / Math.max(1, line.reduce((a, b) => a + b))).toFixed(1)]));
  const labels = { type: "category", data: names, axisLabel: { color: ink(), fontSize: 10, interval: 0 } };
  chart("confusion").setOption({
    animation: false, textStyle: { color: ink() }, grid: { left: 90, right: 10, top: 10, bottom: 75 }, aria: { enabled: true },
    tooltip: { confine: true, formatter: (item) => element("span", `${names[item.value[1]]} taken for ${names[item.value[0]]}: ${item.value[2]} %`) },
    xAxis: { ...labels, axisLabel: { ...labels.axisLabel, rotate: 40 }, name: "predicted", nameLocation: "middle", nameGap: 58, nameTextStyle: { color: ink() } },
    yAxis: { ...labels, inverse: true }, visualMap: { show: false, min: 0, max: 100, inRange: { color: dark.matches ? ["#121212", "#56B4E9"] : ["#ffffff", "#0072B2"] } },
    series: [{ type: "heatmap", data: cells, label: { show: true, fontSize: 9, formatter: (item) => (item.value[2] >= 1 ? item.value[2].toFixed(0) : ""), color: ink() } }],
  });
}

// ---- live

function showProgress(status) {
  const place = byId("progress");
  if (!place || !status) return;
  const counts = [`${status.finished} of ${status.trials} trials done`, `${status.running.length} running`, ...["waiting", "pruned", "failed"].filter((name) => status[name]).map((name) => `${status[name]} ${name}`)];
  place.replaceChildren(element("p", `${status.state}: ${counts.join(", ")}${status.left ? `, ${status.left} left` : ""}`));
  for (const job of status.running) {
    const line = element("p", null), bar = element("progress", null, { max: Math.max(1, job.epochs), value: job.row.epoch ?? 0, "aria-label": `epochs of ${job.key}` });
    line.append(bar, ` ${job.label}: epoch ${job.row.epoch ?? 0} of ${job.epochs}`);
    place.append(line);
  }
}

// The sections of the fresh page take the place of those here, and those that are new their own.
function refreshSections(page) {
  const fresh = [...page.querySelectorAll("main > section")];
  for (const gone of document.querySelectorAll("section[data-static]")) if (!fresh.some((part) => part.id === gone.id)) gone.remove();
  let last = null;
  for (const part of fresh) {
    const here = byId(part.id), isOpen = here?.querySelector("details")?.open;
    if (!here) last ? last.after(part) : byId("content").prepend(part);
    else if (part.hasAttribute("data-static")) here.replaceChildren(...part.childNodes);
    last = byId(part.id);
    if (isOpen) last.querySelector("details").open = true;
  }
  document.querySelector("nav").replaceChildren(...page.querySelector("nav").childNodes);
}

async function follow() {
  try {
    const fresh = await (await fetch("data.json")).json();
    showProgress(fresh.status);
    if (fresh.version !== data.version) {
      const page = new DOMParser().parseFromString(await (await fetch("page.html")).text(), "text/html");
      refreshSections(page);
      const before = columnNames().join();
      data = fresh;
      makeRows();
      // A first trial that ends brings the accuracies, a second cell its factor.
      if (columnNames().join() !== before) {
        fillChoices();
        table.setColumns(columnsOf());
        makeHeadingsKeys();
        if (data.scores.length) table.setSort(ranked(), "desc");
      }
      table.setHeight(heightOf());
      await table.replaceData(rows);
      showOnly(table.getData("active").map((row) => row.key));
      if (opened) open(opened, false);
    }
    byId("stale").hidden = true;
  } catch { byId("stale").hidden = false; }
  setTimeout(follow, 2000);
}

function redraw() { drawScatter(); drawParallel(); if (opened) open(opened, false); }

// What the charts can show; what was chosen stays where it is still there.
function fillChoices() {
  const numeric = [...new Set([...data.scores, ...data.metrics, ...data.factors.filter(isNumber)])];
  const colours = [...data.factors, "status"];
  const fill = (id, names, wanted) => {
    const choice = byId(id), chosen = choice.dataset.chosen;
    choice.replaceChildren(...names.map((name) => element("option", titleOf(name), { value: name })));
    choice.value = names.includes(chosen) ? chosen : wanted;
  };
  const searched = data.goals.includes(ranked()) && data.factors.find((name) => name !== "seed" && isNumber(name));
  fill("x", numeric, searched || (data.scores[0] ?? numeric[0]));
  fill("y", numeric, searched ? ranked() : data.scores[1] ?? data.scores[0] ?? numeric[0]);
  fill("colour", colours, data.factors.includes("model") ? "model" : data.factors[0]);
  byId("charts").hidden = !data.scores.length;
}

function start() {
  makeRows();
  chosen = new Set(rows.map((row) => row.key));
  fillChoices();
  for (const id of ["x", "y", "colour"]) {
    byId(id).onchange = (event) => {
      event.target.dataset.chosen = event.target.value;
      drawScatter();
      if (id === "colour") drawParallel();
    };
  }
  byId("reset").onclick = () => { table.clearFilter(true); drawParallel(); };
  makeTable();
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
  const linked = location.hash.match(/^#trial-(\w+)$/);
  table.on("tableBuilt", () => { document.body.dataset.ready = "true"; if (linked) open(linked[1]); });
  if (document.body.dataset.live) { showProgress(data.status); setTimeout(follow, 2000); }
}

start();
