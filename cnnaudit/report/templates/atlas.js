(() => {
  const list = document.getElementById("units"), cards = [...list.children];
  const order = document.getElementById("order"), search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const value = (card, key) => card.dataset[key] === "" ? -Infinity : Number(card.dataset[key]);
  const sort = () => {
    const key = order.value, sign = key === "number" ? 1 : -1;
    const rank = card => sign * value(card, key);
    cards.sort((a, b) => rank(a) - rank(b) || value(a, "number") - value(b, "number"));
    list.append(...cards);
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      const meant = word => /^\d+$/.test(word) ? card.dataset.number === word : card.dataset.words.includes(word);
      card.hidden = !words.every(meant);
      count += !card.hidden;
    }
    shown.textContent = count + " of " + cards.length + " units";
  };
  order.addEventListener("change", sort);
  search.addEventListener("input", filter);
  document.getElementById("controls").hidden = false;
  filter();
})();
