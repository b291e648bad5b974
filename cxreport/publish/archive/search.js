"use strict";
// Finds packs by report, period, audience, KPI and headline. All texts are put in place as texts, never as markup.
(() => {
  const MOST = 40;
  const index = JSON.parse(document.getElementById("index").textContent);
  const query = document.getElementById("query");
  const count = document.getElementById("count");
  const list = document.getElementById("found");

  // Letters without their accents, so that "cafe" finds "Café".
  const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  const entries = index.reports.flatMap((report) =>
    report.issues.flatMap((issue) =>
      issue.packs.map(([audience, name, headline]) => ({
        report, issue, audience, name, headline,
        text: fold([report.title, report.id, report.organisation, issue.label, issue.also, issue.period,
          name, headline].join(" ")),
      }))));
  // Newest first; packs of everybody before those of audiences.
  const later = (one, other) => (one.issue.period < other.issue.period) - (one.issue.period > other.issue.period);
  entries.sort((one, other) => Boolean(one.audience) - Boolean(other.audience) || later(one, other));
  const kpis = index.kpis.map((titles) => titles.map((title) => ({ title, text: fold(title) })));

  // Every word must be found in an entry or in the title of one of its KPIs, which is then named.
  const matched = (entry, words) => {
    const rest = words.filter((word) => !entry.text.includes(word));
    if (!rest.length) return { entry, named: "" };
    const kpi = kpis[entry.issue.kpis].find(({ text }) => rest.every((word) => text.includes(word)));
    return kpi ? { entry, named: kpi.title } : null;
  };

  const element = (name, text, parent) => {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  };

  const show = ({ entry, named }) => {
    const item = element("li", "", list);
    const page = `${encodeURIComponent(entry.report.id)}/${encodeURIComponent(entry.issue.period)}.html`;
    const title = [entry.report.title, entry.issue.label, entry.name].filter(Boolean).join(", ");
    element("a", title, item).href = page + (entry.audience && `#for-${encodeURIComponent(entry.audience)}`);
    if (entry.headline) element("p", entry.headline, item);
    if (named) element("p", index.words.kpi.replace("{kpi}", () => named), item).className = "soft";
  };

  const search = () => {
    const words = fold(query.value).split(/\s+/).filter(Boolean);
    const found = words.length ? entries.map((entry) => matched(entry, words)).filter(Boolean) : [];
    list.replaceChildren();
    found.slice(0, MOST).forEach(show);
    const said = !words.length ? "" : !found.length ? index.words.none
      : found.length > MOST ? index.words.many : index.words.found;
    count.textContent = said.replace("{count}", found.length).replace("{shown}", MOST);
    const address = words.length ? `#${new URLSearchParams({ q: query.value })}` : location.pathname;
    if (words.length || location.hash.startsWith("#q=")) history.replaceState(null, "", address);
  };

  const ask = () => {
    const asked = new URLSearchParams(location.hash.slice(1)).get("q");
    if (asked !== null) {
      query.value = asked;
      search();
    }
  };

  document.getElementById("search").hidden = false;
  query.addEventListener("input", search);
  addEventListener("hashchange", ask);
  ask();
})();
