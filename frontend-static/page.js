// What pages gain where a script may run: times relative to now, keys, and no form sent twice. Nothing needs it.
'use strict';
(() => {
  const units = [['year', 31536e3], ['month', 2592e3], ['day', 86400], ['hour', 3600], ['minute', 60]];
  const words = new Intl.RelativeTimeFormat('en', {numeric: 'auto'});
  const relate = () => {
    for (const time of document.querySelectorAll('time')) {
      const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
      if (Number.isNaN(seconds)) continue;
      time.title ||= time.textContent;
      const unit = units.find(([, size]) => Math.abs(seconds) >= size);
      const near = seconds > 0 ? 'in less than a minute' : 'just now';
      time.textContent = unit ? words.format(Math.round(seconds / unit[1]), unit[0]) : near;
    }
  };
  relate();
  setInterval(relate, 60e3);
  addEventListener('rows', relate);

  // A code to sign in with comes behind the address, so that it is in no log; whoever signs in presses the button.
  const code = document.getElementById('code');
  if (code && location.hash.length > 1) {
    code.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, '', location.pathname + location.search);
  }

  // Keys: what has `data-keys` is followed by them; `j` and `k` walk the rows of a list; `/` searches; `?` says which there are.
  const rows = () => [...document.querySelectorAll('.rows > li, .rows > tbody > tr')];
  const walk = step => {
    const all = rows();
    const at = all.findIndex(row => row.contains(document.activeElement));
    const row = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    row?.querySelector('a')?.focus();
  };
  const help = () => {
    const open = document.querySelector('dialog[open]');
    if (open) return open.close();
    const dialog = document.createElement('dialog');
    dialog.setAttribute('aria-label', 'Keys');
    const list = dialog.appendChild(document.createElement('dl'));
    const say = (keys, words) => {
      list.appendChild(document.createElement('dt')).textContent = keys;
      list.appendChild(document.createElement('dd')).textContent = words;
    };
    say('/', 'Search');
    say('j k', 'Next and previous row');
    for (const way of document.querySelectorAll('[data-keys]')) say(way.dataset.keys, way.textContent.trim());
    const close = dialog.appendChild(document.createElement('button'));
    close.textContent = 'Close';
    close.onclick = () => dialog.close();
    dialog.onclose = () => dialog.remove();
    document.body.appendChild(dialog).showModal();
  };
  const button = document.getElementById('keys');
  button.hidden = false;
  button.onclick = help;
  let before = '';
  addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input, textarea, select')) return;
    const keys = before ? `${before} ${event.key}` : event.key;
    before = event.key === 'g' ? 'g' : '';
    const way = [...document.querySelectorAll('[data-keys]')].find(way => way.dataset.keys === keys);
    if (way) way.click();
    else if (keys === '/') document.getElementById('q').focus();
    else if (keys === '?') help();
    else if (keys === 'j') walk(1);
    else if (keys === 'k') walk(-1);
    else return;
    event.preventDefault();
  });

  // The number of a line names it in the review form; with Shift, the lines up to it.
  addEventListener('click', event => {
    const number = event.target.closest('[data-lines] td[id] a');
    const field = document.querySelector('form[action$="/review"] [name=at]');
    if (!number || !field) return;
    const [, side, line] = number.parentElement.id.match(/^f\d+([on])(\d+)$/);
    if (side === 'o' && number.closest('[data-lines]').dataset.lines !== 'both') return;
    event.preventDefault();
    const path = number.closest('table').dataset.path;
    const from = field.value.match(/:(\d+)$/)?.[1];
    const ranged = event.shiftKey && side === 'n' && field.value === `${path}:${from}` && +from < +line;
    field.value = ranged ? `${path}:${from}-${line}` : `${path}:${side === 'o' ? '-' : ''}${line}`;
    field.form.elements.text.focus();
  });

  addEventListener('submit', event => {
    if (event.target.method !== 'post') return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = 'yes';
  });
  addEventListener('pageshow', () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
})();
