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
      time.textContent = unit ? words.format(Math.round(seconds / unit[1]), unit[0]) : 'just now';
    }
  };
  relate();
  setInterval(relate, 60e3);

  // A code to sign in with comes behind the address, so that it is in no log; whoever signs in presses the button.
  const code = document.getElementById('code');
  if (code && location.hash.length > 1) {
    code.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, '', location.pathname + location.search);
  }

  addEventListener('submit', event => {
    if (event.target.method !== 'post') return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = 'yes';
  });
  addEventListener('pageshow', () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
})();
