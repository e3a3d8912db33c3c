
(function () {
  'use strict';
  var all = function (what, where) { return [].slice.call((where || document).querySelectorAll(what)); };

  all('form.filter').forEach(function (form) {
    var table = document.getElementById(form.getAttribute('data-for'));
    var words = form.querySelector('input[type=search]'), boxes = all('input[type=checkbox]', form);
    var status = form.querySelector('[role=status]');
    var rows = all('tbody tr', table), texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
    function filter() {
      var wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), on = {}, count = 0;
      boxes.forEach(function (box) { on[box.value] = box.checked; });
      rows.forEach(function (row, i) {
        var hit = on[row.getAttribute('data-key')] !== false && wanted.every(function (word) { return texts[i].indexOf(word) >= 0; });
        row.hidden = !hit;
        if (hit) count += 1;
      });
      status.textContent = count + ' of ' + rows.length + ' shown';
    }
    form.hidden = false;
    form.addEventListener('input', filter);
    form.addEventListener('submit', function (event) { event.preventDefault(); });
    filter();
  });

  var files = all('details.file'), every = document.getElementById('every');
  function label() {
    every.textContent = files.every(function (file) { return file.open; }) ? 'Close all' : 'Open all';
  }
  if (every && files.length > 1) {
    every.hidden = false;
    every.addEventListener('click', function () {
      var open = !files.every(function (file) { return file.open; });
      files.forEach(function (file) { file.open = open; });
    });
    files.forEach(function (file) { file.addEventListener('toggle', label); });
    label();
  }

  // A link to a diff opens it.
  function follow() {
    var target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === 'DETAILS') target.open = true;
  }
  window.addEventListener('hashchange', follow);
  follow();

  var closed = [];
  window.addEventListener('beforeprint', function () {
    closed = all('details:not([open])');
    closed.forEach(function (one) { one.open = true; });
  });
  window.addEventListener('afterprint', function () {
    closed.forEach(function (one) { one.open = false; });
  });
})();
