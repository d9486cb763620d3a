(function () {
    "use strict";
    var make = function (name, properties, parent) {
        var element = document.createElement(name);
        for (var key in properties) element[key] = properties[key];
        if (parent) parent.appendChild(element);
        return element;
    };
    var list = function (items) { return Array.prototype.slice.call(items); };
    var all = function (selector, within) { return list((within || document).querySelectorAll(selector)); };
    var unfold = function (element) {
        for (var fold; (fold = element.closest("details:not([open])")); element = fold) fold.open = true;
    };
    var main = document.querySelector("main");
    document.documentElement.classList.add("works");

    /* The words that a picture is found by: its caption and its name. */
    var words = function (pic) {
        return (pic.textContent + " " + pic.querySelector(".box").title).toLowerCase();
    };
    /* A query with its neighbours, a group, or a picture by itself. */
    var item = function (pic) { return pic.closest(".query, .group") || pic; };

    /* Search: only items that show a picture of this class, name or record. */
    var pics = all(".pic");
    var items = pics.map(item).filter(function (one, i, those) { return those.indexOf(one) === i; });
    var sections = all("section");
    var wrong = null, found = null, sought = null, texts = null;
    var show = function () {
        var wanted = sought ? sought.value.toLowerCase().trim() : "", hits = 0;
        var held = new Set();
        if (wanted && !texts) texts = pics.map(words);
        pics.forEach(function (pic, i) {
            var hit = wanted !== "" && texts[i].indexOf(wanted) >= 0;
            pic.classList.toggle("hit", hit);
            if (hit) held.add(item(pic));
            hits += hit;
        });
        items.forEach(function (one) {
            var query = one.classList.contains("query");
            one.hidden = (wanted !== "" && !held.has(one)) ||
                (query && wrong !== null && wrong.checked && one.dataset.first !== "other");
            if (wanted && !one.hidden) unfold(one);
        });
        sections.forEach(function (section) {
            section.hidden = wanted !== "" && !section.querySelector(".hit");
        });
        found.textContent = wanted ? hits + " of " + pics.length + " pictures" : pics.length + " pictures";
    };
    if (pics.length) {
        var bar = make("div", { className: "tools find" });
        main.parentNode.insertBefore(bar, main);
        sought = make("input", { type: "search", placeholder: "Class, name or record" }, bar);
        sought.setAttribute("aria-label", "Show only what has a picture of this class, name or record");
        found = make("output", {}, bar);
        sought.addEventListener("input", show);
    }

    /* Queries: an order, and only those with a neighbour of another class. */
    var queries = all(".query"), place = document.getElementById("queries");
    if (queries.length > 1) {
        var labelled = queries.some(function (q) { return q.dataset.same; });
        var tools = make("div", { className: "tools" });
        place.parentNode.insertBefore(tools, place);
        var order = make("select", {}, make("label", { textContent: "Order " }, tools));
        var orders = [["", "as drawn"], ["-cosine", "nearest first"], ["cosine", "loneliest first"]];
        if (labelled) orders.push(["same", "most mistaken first"], ["-same", "purest first"]);
        orders.forEach(function (o) { make("option", { value: o[0], textContent: o[1] }, order); });
        if (labelled) {
            var wrongLabel = make("label", {}, tools);
            wrong = make("input", { type: "checkbox" }, wrongLabel);
            wrongLabel.appendChild(document.createTextNode("nearest is of another class"));
            wrong.addEventListener("change", function () { queries.forEach(unfold); show(); });
        }
        order.addEventListener("change", function () {
            var key = order.value.replace("-", ""), sign = order.value[0] === "-" ? -1 : 1;
            var sorted = queries.slice();
            if (key) sorted.sort(function (a, b) { return sign * (a.dataset[key] - b.dataset[key]); });
            var places = all(".query").map(function (q) {
                return q.parentNode.insertBefore(document.createComment(""), q);
            });
            places.forEach(function (at, i) { at.parentNode.replaceChild(sorted[i], at); });
        });
    }
    if (found) show();

    /* Tables: a click on a heading sorts, a second one reverses. Folded rows join the others. */
    all("#classes").forEach(function (section) {
        var tables = all("table.sorts", section), body = tables.length ? tables[0].tBodies[0] : null;
        tables.slice(0, 1).forEach(function (table) {
            list(table.tHead.rows[0].cells).forEach(function (head, column) {
                if (!head.textContent) return;
                var text = head.textContent, sign = -1;
                head.textContent = "";
                make("button", { type: "button", textContent: text }, head).addEventListener("click", function () {
                    var value = function (row) {
                        var cell = row.cells[column];
                        return cell.dataset.value === undefined ? cell.textContent.toLowerCase() : +cell.dataset.value;
                    };
                    var rows = all("tbody tr", section);
                    all("details", section).forEach(function (fold) { fold.hidden = true; });
                    sign = -sign;
                    rows.sort(function (a, b) {
                        var x = value(a), y = value(b);
                        return sign * (x > y ? 1 : x < y ? -1 : 0);
                    });
                    rows.forEach(function (row) { body.appendChild(row); });
                });
            });
        });
    });

    /* A click on a picture shows it large, with its name and where else it is on the page. */
    var numbered = function (box) { return (/(^| )(p\d+)( |$)/.exec(box.className) || [])[2]; };
    var heading = function (element) {
        var section = element.closest("section");
        return section ? section.querySelector("h2").textContent : "";
    };
    var describe = function (pic) {
        var query = pic.closest(".query");
        if (!query) return heading(pic);
        if (pic.classList.contains("asks")) return "Its own neighbours";
        return "Neighbour of " + query.querySelector(".asks .box").title;
    };
    var dialog = null, shown = null;
    var view = function (box) {
        var number = numbered(box), pic = box.closest(".pic");
        if (!dialog) {
            dialog = make("dialog", { className: "view" }, document.body);
            if (!dialog.showModal) return false;
            dialog.addEventListener("click", function (event) { if (event.target === dialog) dialog.close(); });
            dialog.addEventListener("keydown", function (event) {
                var by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
                var boxes = all(".box", shown.closest(".row, .query, .groups") || document);
                var next = boxes[boxes.indexOf(shown) + by];
                if (by && next && numbered(next)) { event.preventDefault(); view(next); }
            });
        }
        shown = box;
        dialog.textContent = "";
        make("div", { className: "box " + number, title: box.title }, dialog);
        var name = make("h2", {}, dialog), title = make("bdi", {}, name);
        box.title.split("/").forEach(function (part, i) {
            if (i) { title.appendChild(document.createTextNode("/")); make("wbr", {}, title); }
            title.appendChild(document.createTextNode(part));
        });
        var caption = pic.querySelector("figcaption").cloneNode(true);
        all("br", caption).forEach(function (br) { br.replaceWith(" \u00b7 "); });
        all("bdi", caption).forEach(function (bdi) { if (bdi.textContent === box.title) bdi.remove(); });
        make("div", { className: "soft", textContent: caption.textContent.replace(/[\s\u00b7]+$/, "") }, dialog);
        var places = make("ul", {}, dialog);
        var boxes = all(".asks .box." + number, main).concat(all(".pic:not(.asks) .box." + number, main));
        boxes.forEach(function (other) {
            if (other === box && !other.closest(".asks")) return;
            var at = make("a", { href: "#", textContent: describe(other.closest(".pic")) }, make("li", {}, places));
            at.addEventListener("click", function (event) {
                event.preventDefault();
                dialog.close();
                go(item(other.closest(".pic")));
            });
        });
        make("button", { textContent: "Close" }, make("form", { method: "dialog" }, dialog));
        if (!dialog.open) dialog.showModal();
        return true;
    };
    var go = function (element) {
        sought.value = "";
        if (wrong) wrong.checked = false;
        show();
        unfold(element);
        element.scrollIntoView({ block: "center" });
        if (element.id) history.replaceState(null, "", "#" + element.id);
        all(".gone-to").forEach(function (old) { old.classList.remove("gone-to"); });
        element.classList.add("gone-to");
    };
    main.addEventListener("click", function (event) {
        var box = event.target.closest(".box");
        if (box && numbered(box) && !event.ctrlKey && !event.metaKey && view(box)) event.preventDefault();
    });
    main.addEventListener("keydown", function (event) {
        var box = event.target.closest(".box");
        if (box && numbered(box) && event.key === "Enter" && view(box)) event.preventDefault();
    });
    all("span.box").forEach(function (box) { if (numbered(box)) box.tabIndex = 0; });

    /* A link into a fold opens it; printing shows everything. */
    var arrive = function () {
        var to = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
        if (to) { unfold(to); to.scrollIntoView(); }
    };
    addEventListener("hashchange", arrive);
    addEventListener("beforeprint", function () { all("details").forEach(function (fold) { fold.open = true; }); });
    arrive();
})();
