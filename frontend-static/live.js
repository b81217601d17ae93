// The live page without reloading it: rows are sent when the forge changes, and none while nobody looks.
'use strict';
(() => {
  const state = document.getElementById('live-state');
  let source;
  const say = word => { if (state) state.textContent = word; };
  const stop = () => { source?.close(); source = undefined; };
  const start = () => {
    if (source) return;
    source = new EventSource('/live/events');
    source.addEventListener('rows', event => {
      const page = new DOMParser().parseFromString(event.data, 'text/html');
      const rows = page.getElementById('live'), old = document.getElementById('live');
      if (rows && old && rows.dataset.seq !== old.dataset.seq) {
        old.replaceWith(document.adoptNode(rows));
        dispatchEvent(new Event('rows'));
      }
      say('live');
    });
    source.onerror = () => say('reconnecting');
  };
  addEventListener('visibilitychange', () => {
    if (document.hidden) { stop(); say('paused'); } else start();
  });
  if (!document.hidden) start();
})();
