// Pages of a running forge in real Chromium: journeys with and without scripts, accessibility by axe, requests and bytes.
//
//     node run.mjs <address> <facts.json>
//
// The facts are what the story made: {code, token, project, issue, open, own, wanted, merged, commit}.
// Exit 1 and a line for each fault.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {chromium} from 'playwright-core';

const [address, factsPath] = process.argv.slice(2);
const facts = JSON.parse(readFileSync(factsPath, 'utf8'));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const faults = [];
const fault = (where, what) => faults.push(`${where}: ${what}`);
const is = (where, got, wanted) => got === wanted || fault(where, `${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);

const {project, issue, open, own, wanted, merged, commit} = facts;
const pages = {
  today: '/',
  live: '/live',
  needs: '/needs',
  leaderboard: '/leaderboard',
  humans: '/humans',
  agent: '/agents/alpha',
  search: '/search?q=leak',
  login: '/login',
  project: `/${project}`,
  tree: `/${project}/tree/src`,
  blob: `/${project}/blob/src/lib.rs`,
  blame: `/${project}/blame/src/lib.rs`,
  log: `/${project}/log`,
  commit: `/${project}/commit/${commit}`,
  compare: `/${project}/compare`,
  branches: `/${project}/branches`,
  find: `/${project}/find?q=leak`,
  issues: `/${project}/issues`,
  issue: `/${project}/issues/${issue}`,
  pulls: `/${project}/pulls`,
  pull: `/${project}/pulls/${open}`,
  split: `/${project}/pulls/${open}?view=split`,
  merged: `/${project}/pulls/${merged}`,
  suggested: `/${project}/pulls/${own}`,
  roadmap: `/${project}/roadmap`,
  health: `/${project}/health`,
  checks: `/${project}/checks`,
  trace: `/${project}/trace/${commit}`,
  missing: `/${project}/issues/999999`,
};
// What may be sent for a first look, packed, with all that it loads.
const MOST_REQUESTS = 2;
const MOST_BYTES = {issue: 30 << 10, pull: 30 << 10, merged: 30 << 10, suggested: 30 << 10, roadmap: 30 << 10, health: 30 << 10, checks: 30 << 10, needs: 30 << 10};
// Looked at in dark and on a phone, too.
const MAIN = ['today', 'needs', 'project', 'roadmap', 'health', 'checks', 'suggested', 'blob', 'log', 'issue', 'pull', 'trace', 'agent', 'leaderboard'];

const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox']});

const watched = async (where, options) => {
  const context = await browser.newContext({baseURL: address, ...options});
  const page = await context.newPage();
  page.on('console', message => {
    // That an address is missing is what its page is about.
    const expected = message.location().url?.includes('999999');
    if (message.type() === 'error' && !expected) fault(where, `console: ${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', error => fault(where, `script: ${error}`));
  return page;
};

// Signing in comes first: a code is good for two minutes.
const signed = await watched('journey', {viewport: {width: 1200, height: 900}});
{
  const page = signed;
  await page.goto(`/login?to=/${project}#${facts.code}`);
  is('the code', await page.inputValue('#code'), facts.code);
  is('the address', new URL(page.url()).hash, '');
  await page.click('form:has(#code) button');
  is('signed in', new URL(page.url()).pathname, `/${project}`);
  is('who', await page.textContent('.who a'), 'alpha');
}

const looks = [
  ['light', {colorScheme: 'light', viewport: {width: 1200, height: 900}}],
  ['dark', {colorScheme: 'dark', viewport: {width: 1200, height: 900}}],
  ['phone', {colorScheme: 'light', viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true}],
];
const sizes = [];
for (const [look, options] of looks) {
  for (const [name, path] of Object.entries(pages)) {
    if (look !== 'light' && !MAIN.includes(name)) continue;
    const where = `${name}, ${look}`;
    const page = await watched(where, options);
    const seen = [];
    page.on('requestfinished', request => seen.push(request));
    await page.goto(path, {waitUntil: 'load'});
    await page.waitForTimeout(50);
    const bytes = await Promise.all(seen.map(async request => {
      const all = await request.sizes();
      return all.responseHeadersSize + all.responseBodySize;
    }));
    const sum = bytes.reduce((a, b) => a + b, 0);
    if (look === 'light') {
      sizes.push(`${name.padEnd(12)} ${String(seen.length).padStart(2)} requests ${(sum / 1024).toFixed(1).padStart(6)} KiB`);
      if (seen.length > MOST_REQUESTS && name !== 'live') fault(where, `${seen.length} requests`);
      if (sum > (MOST_BYTES[name] ?? Infinity)) fault(where, `${sum} bytes`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) fault(where, `${wide} pixels wider than the window`);
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']}));
    for (const {id, impact, nodes} of found.violations) {
      if (['serious', 'critical'].includes(impact)) fault(where, `axe: ${id}: ${nodes.slice(0, 3).map(node => node.target).join(' ')}`);
    }
    await page.context().close();
  }
}
console.log(sizes.join('\n'));

// With scripts: walk by keys, open an issue, answer it, review and merge.
{
  const page = signed;
  await page.keyboard.press('?');
  is('keys', await page.isVisible('dialog[open]'), true);
  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  is('search', await page.evaluate(() => document.activeElement.id), 'q');
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('g');
  await Promise.all([page.waitForURL(`**/${project}/issues`), page.keyboard.press('i')]);
  await page.keyboard.press('j');
  is('a row', await page.evaluate(() => document.activeElement.closest('.rows') !== null), true);

  await page.goto(`/${project}/issues/new`);
  await page.fill('[name=title]', 'Opened in a <b>browser</b>');
  await page.fill('[name=text]', 'First line\n\n- a list');
  await Promise.all([page.waitForURL(/\/issues\/\d+$/), page.click('main form button')]);
  is('its title', (await page.textContent('h1')).includes('Opened in a <b>browser</b>'), true);
  await page.fill('main [name=text]', 'Said in a browser');
  await Promise.all([page.waitForURL(/#latest$/), page.click('form[action$="/reply"] button')]);
  is('what was said', (await page.textContent('main')).includes('Said in a browser'), true);

  // It is planned, and stands in the roadmap; what others disagree about is decided with a reason; a suggestion is applied.
  await page.goto(`/${project}/issues/${wanted}`);
  await page.click('details:has(form[action$="/edit"]) summary');
  is('its milestone', await page.inputValue('[name=milestone]'), 'v1');
  await page.fill('[name=milestone]', 'v2');
  await page.selectOption('form[action$="/edit"] [name=priority]', 'urgent');
  await Promise.all([page.waitForURL(/#latest$/), page.click('form[action$="/edit"] button')]);
  await Promise.all([page.waitForURL(`**/${project}/roadmap`), page.click('.rooms a[href$="/roadmap"]')]);
  is('the roadmap', /v2[^]*urgent/.test(await page.textContent('main')), true);

  await page.goto('/needs');
  await page.click('details:has(form[action$="/review"]) summary');
  await page.check('form[action$="/review"] [value=approve]');
  await page.fill('form[action$="/review"] [name=text]', 'Decided in a browser');
  await Promise.all([page.waitForURL(/#latest$/), page.click('form[action$="/review"] button')]);
  is('the reason', (await page.textContent('main')).includes('Decided in a browser'), true);

  await page.goto(`/${project}/pulls/${own}`);
  await Promise.all([page.waitForURL(/#latest$/), page.click('#thread ~ article form.apply button')]);
  is('the next round', /round 2/.test(await page.textContent('.facts')), true);
  is('no button twice', await page.locator('form.apply').count(), 0);

  await page.goto(`/${project}/pulls/${open}`);
  is('the line that is gone', /Was it a leak/.test(await page.textContent('#files ~ details, .changes')), true);
  // A line's number is pressed: the review is about that line. With Shift, about those up to it.
  const number = n => page.locator(`.changes td[id$="n${n}"] a`).first();
  await number(5).click();
  is('the line', await page.inputValue('[name=at]'), 'src/lib.rs:5');
  is('what is written next', await page.evaluate(() => document.activeElement.name), 'text');
  await number(6).click({modifiers: ['Shift']});
  is('the lines', await page.inputValue('[name=at]'), 'src/lib.rs:5-6');
  await page.locator('.changes .d td[id] a').first().click();
  is('a line that is gone', await page.inputValue('[name=at]'), 'src/lib.rs:-5');
  await page.fill('[name=at]', '');
  const whole = await page.getAttribute('.changes .file p a', 'href');
  is('the whole file', (await page.request.get(whole, {maxRedirects: 0})).status(), 200);
  await page.check('form[action$="/review"] [value=approve]').catch(() => page.selectOption('form[action$="/review"] [name=verdict]', 'approve'));
  await Promise.all([page.waitForURL(/#latest$/), page.click('form[action$="/review"] button')]);
  await Promise.all([page.waitForNavigation(), page.click('form[action$="/merge"] button')]);
  is('merged', /merged/i.test(await page.textContent('main')), true);
  await Promise.all([page.waitForNavigation(), page.click('.who button')]);
  is('signed out', await page.textContent('.who'), 'Sign in');
  await page.context().close();
}

// What is to come is not past, and a phone shows the matter first.
{
  const page = await watched('phone', {viewport: {width: 390, height: 844}, isMobile: true});
  await page.goto(`/${project}/pulls/${merged}`);
  const top = selector => page.evaluate(selector => document.querySelector(selector).getBoundingClientRect().top, selector);
  is('the matter first', await top('#gate') < await top('aside'), true);
  const said = await page.evaluate(() => {
    const time = document.body.appendChild(document.createElement('time'));
    time.dateTime = new Date(Date.now() + 30e3).toISOString();
    dispatchEvent(new Event('rows'));
    return time.textContent;
  });
  is('soon', said, 'in less than a minute');
  await page.context().close();
}

// Without: the same ways by links and plain forms.
{
  const page = await watched('without scripts', {javaScriptEnabled: false, viewport: {width: 390, height: 844}});
  await page.goto('/');
  await page.click(`main a[href="/${project}"]`);
  await page.click('.rooms a[href$="/issues"]');
  // What was merged answered it.
  await page.goto(`/${project}/issues?state=all`);
  await page.click(`main a[href="/${project}/issues/${issue}"]`);
  await page.click('.rooms a[href$="/pulls"]');
  await page.goto(`/${project}/pulls/${merged}`);
  is('merged', /merged/i.test(await page.textContent('main')), true);
  await page.goto(`/${project}/issues/${issue}`);
  await page.click('a.who');
  await page.fill('[name=token]', facts.token);
  await page.click('form:has([name=token]) button');
  is('led back', new URL(page.url()).pathname, `/${project}/issues/${issue}`);
  await page.goto(`/${project}/roadmap`);
  is('a milestone', (await page.textContent('main')).includes('v2'), true);
  await page.goto('/needs');
  await page.click('summary:has-text("Give the verdict")');
  is('a form without scripts', await page.isVisible('form[action$="/review"] textarea'), true);
  await page.goto(`/${project}/issues/${issue}`);
  await page.fill('main [name=text]', 'Said without a script');
  await page.click('form[action$="/reply"] button');
  is('what was said', (await page.textContent('main')).includes('Said without a script'), true);
  await page.context().close();
}

await browser.close();
for (const line of faults) console.log(`fault: ${line}`);
process.exit(faults.length ? 1 : 0);
