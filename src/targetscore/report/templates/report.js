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
      button.append.apply(button, Array.from(head.childNodes));
      head.append(button);
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
        var text = texts[button.dataset.table];
        var link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
        link.download = button.dataset.file;
        link.click();
        setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
      });
    });
  });

  var closed = [];
  window.addEventListener("beforeprint", function () {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    closed.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () {
    closed.forEach(function (d) { d.open = false; });
  });
})();
