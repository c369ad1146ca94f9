"use strict";
(function () {
  // Everything here adds to a page that is complete without it.
  function exact(row, column) {
    var cell = row.cells[column];
    var holder = cell.querySelector("[data-value]");
    if (!holder || !cell.classList.contains("num")) return cell.textContent.trim().toLowerCase();
    return holder.dataset.value === "NA" ? null : Number(holder.dataset.value);
  }

  function sort(table, column, ascending) {
    var body = table.tBodies[0];
    var rows = Array.from(body.rows);
    rows.sort(function (a, b) {
      var x = exact(a, column), y = exact(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      var order = typeof x === "number" && typeof y === "number"
        ? x - y : String(x) < String(y) ? -1 : String(x) > String(y) ? 1 : 0;
      return ascending ? order : -order;
    });
    body.append.apply(body, rows);
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      var what = head.querySelector(".what");
      button.append.apply(button, Array.from(head.childNodes).filter(function (n) { return n !== what; }));
      head.prepend(button);
      button.addEventListener("click", function () {
        var ascending = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (h) { h.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sort(table, column, ascending);
      });
    });
  });

  document.querySelectorAll("input[data-filters]").forEach(function (input) {
    var rows = Array.from(document.getElementById(input.dataset.filters).tBodies[0].rows);
    var status = input.parentElement.querySelector("[role=status]");
    // What a row says of its neighbour would find the wrong row.
    var texts = rows.map(function (row) {
      var own = row.cloneNode(true);
      own.querySelectorAll(".next").forEach(function (e) { e.remove(); });
      return own.textContent.toLowerCase();
    });
    input.parentElement.hidden = false;
    input.addEventListener("input", function () {
      var wanted = input.value.trim().toLowerCase();
      var left = rows.filter(function (row, i) {
        row.hidden = texts[i].indexOf(wanted) < 0;
        return !row.hidden;
      });
      status.textContent = wanted ? left.length + " of " + rows.length + " shown" : "";
    });
  });

  // The tables stand in the page once, deflated; an old browser keeps the names of the files.
  var tables = null;
  function unpacked() {
    if (!tables) {
      var packed = Uint8Array.from(atob(document.getElementById("tables").textContent),
        function (c) { return c.charCodeAt(0); });
      tables = new Response(
        new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
    }
    return tables;
  }

  if (window.DecompressionStream) document.querySelectorAll("button[data-table]").forEach(function (button) {
    button.hidden = false;
    button.nextElementSibling.hidden = true;
    button.addEventListener("click", function () {
      unpacked().then(function (texts) {
        var columns = texts[button.dataset.table].map(function (c) { return c.split("\n"); });
        var text = columns[0].map(function (_, i) {
          return columns.map(function (c) { return c[i]; }).join("\t") + "\n";
        }).join("");
        var link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
        link.download = button.dataset.file;
        link.click();
        setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
      });
    });
  });

  // Definitions stand in a closed list: a link to one opens it. A name in the body map's table
  // draws its map.
  function arrived() {
    var target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (var box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    if (target.tagName === "DT") target.scrollIntoView();
    if (map && target.closest("#organs thead")) drawMap(target);
  }

  var map = document.getElementById("map-choice");
  function drawMap(head) {
    var body = document.querySelector("svg.body");
    var table = document.getElementById("organs");
    map.value = head.id;
    document.getElementById("mapped").textContent = head.textContent;
    body.setAttribute("aria-label", "Body map of " + head.textContent + "; the table says the same");
    Array.from(table.tBodies[0].rows).forEach(function (row) {
      var cell = row.cells[head.cellIndex];
      var organ = body.querySelector("[data-organ=" + row.dataset.organ + "]");
      organ.setAttribute("class", cell.className.replace(/\bk(?=-| |$)/g, "o"));
      organ.querySelector(".letters").textContent = cell.textContent;
      organ.querySelector("title").textContent = row.cells[0].textContent + ": " + (cell.title || "no row in this run");
    });
  }
  if (map) {
    map.parentElement.hidden = false;
    map.addEventListener("change", function () {
      history.replaceState(null, "", "#" + map.value);
      drawMap(document.getElementById(map.value));
    });
  }
  window.addEventListener("hashchange", arrived);
  arrived();

  // One mark of the dot plot is in the order of the Tab key; arrow keys walk from there.
  var plot = document.getElementById("dotplot");
  var readout = document.querySelector(".readout");
  var here = null;
  function isMark(cell) { return cell && cell.querySelector("svg"); }
  function tell(cell) {
    var row = cell.parentElement;
    var tissue = row.parentElement.rows[0].cells[0].textContent;
    readout.hidden = false;
    readout.textContent = plot.tHead.rows[0].cells[cell.cellIndex].textContent + " · " +
      row.cells[0].textContent + ", " + tissue + ": " + cell.querySelector("span").textContent;
  }
  function step(cell, down, right) {
    var rows = Array.from(plot.querySelectorAll("tbody tr")).filter(function (r) { return r.cells.length > 1; });
    var row = rows[rows.indexOf(cell.parentElement) + down];
    return row && row.cells[cell.cellIndex + right];
  }
  var MOVES = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
  if (plot) {
    plot.classList.add("told");
    here = plot.querySelector("tbody td svg");
    here = here && here.parentElement;
    if (here) here.tabIndex = 0;
    plot.addEventListener("focusin", function (e) {
      if (isMark(e.target)) tell(e.target);
    });
    plot.addEventListener("pointerover", function (e) {
      var cell = e.target.closest("td");
      if (isMark(cell)) tell(cell);
    });
    plot.addEventListener("pointerleave", function () { readout.hidden = true; });
    plot.addEventListener("focusout", function () { readout.hidden = true; });
    plot.addEventListener("keydown", function (e) {
      var cell = e.target, next = null;
      if (!isMark(cell)) return;
      if (MOVES[e.key]) next = step(cell, MOVES[e.key][0], MOVES[e.key][1]);
      else if (e.key === "Home") next = Array.from(cell.parentElement.cells).find(isMark);
      else if (e.key === "End") next = cell.parentElement.lastElementChild;
      else return;
      e.preventDefault();
      if (!isMark(next)) return;
      here.removeAttribute("tabindex");
      here = next;
      here.tabIndex = 0;
      here.focus();
    });
  }

  var closed = [];
  window.addEventListener("beforeprint", function () {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    closed.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () {
    closed.forEach(function (d) { d.open = false; });
  });
})();
