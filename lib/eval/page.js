(function () {
    "use strict";
    var make = function (name, properties, parent) {
        var element = document.createElement(name);
        for (var key in properties) element[key] = properties[key];
        if (parent) parent.appendChild(element);
        return element;
    };

    /* Queries: a search field, an order, and only those with a neighbour of another class. */
    var list = document.getElementById("queries");
    if (list && list.children.length > 1) {
        var queries = Array.prototype.slice.call(list.children);
        var labelled = queries.some(function (q) { return q.dataset.same; });
        var bar = make("div", { className: "tools" });
        list.parentNode.insertBefore(bar, list);
        var words = make("input", { type: "search", placeholder: "Class, name or record" }, bar);
        words.setAttribute("aria-label", "Show queries with this class, name or record");
        var orderLabel = make("label", { textContent: "Order " }, bar);
        var order = make("select", {}, orderLabel);
        var orders = [["", "as drawn"], ["-cosine", "nearest first"], ["cosine", "loneliest first"]];
        if (labelled) orders.push(["same", "most mistaken first"], ["-same", "purest first"]);
        orders.forEach(function (o) { make("option", { value: o[0], textContent: o[1] }, order); });
        var wrong = null;
        if (labelled) {
            var wrongLabel = make("label", {}, bar);
            wrong = make("input", { type: "checkbox" }, wrongLabel);
            wrongLabel.appendChild(document.createTextNode("nearest is of another class"));
        }
        var count = make("output", {}, bar);
        var texts = queries.map(function (q) { return q.textContent.toLowerCase(); });
        var show = function () {
            var wanted = words.value.toLowerCase().trim(), shown = 0;
            queries.forEach(function (q, i) {
                q.hidden = texts[i].indexOf(wanted) < 0 || (wrong && wrong.checked && q.dataset.first !== "other");
                shown += !q.hidden;
            });
            count.textContent = shown + " of " + queries.length;
        };
        var sort = function () {
            var key = order.value.replace("-", ""), sign = order.value[0] === "-" ? -1 : 1;
            var sorted = queries.slice();
            if (key) sorted.sort(function (a, b) { return sign * (a.dataset[key] - b.dataset[key]); });
            sorted.forEach(function (q) { list.appendChild(q); });
        };
        words.addEventListener("input", show);
        order.addEventListener("change", sort);
        if (wrong) wrong.addEventListener("change", show);
        show();
    }

    /* Tables: a click on a heading sorts, a second one turns round. */
    Array.prototype.forEach.call(document.querySelectorAll("table.sorts"), function (table) {
        var body = table.tBodies[0];
        Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
            if (!head.textContent) return;
            var text = head.textContent, sign = -1;
            head.textContent = "";
            make("button", { type: "button", textContent: text }, head).addEventListener("click", function () {
                var value = function (row) {
                    var cell = row.cells[column];
                    return cell.dataset.value === undefined ? cell.textContent.toLowerCase() : +cell.dataset.value;
                };
                var rows = Array.prototype.slice.call(body.rows);
                sign = -sign;
                rows.sort(function (a, b) {
                    var x = value(a), y = value(b);
                    return sign * (x > y ? 1 : x < y ? -1 : 0);
                });
                rows.forEach(function (row) { body.appendChild(row); });
            });
        });
    });
})();
