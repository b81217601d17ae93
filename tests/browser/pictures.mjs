// Pictures of pages in light, dark, and on a phone.
//
//     node pictures.mjs <address> <pages.json> <directory>
//
// The pages are {name: path}. Exit 1 and a line for each page that is wider than its window.
import {mkdirSync, readFileSync} from 'node:fs';
import {chromium} from 'playwright-core';

const [address, pagesPath, into] = process.argv.slice(2);
const pages = JSON.parse(readFileSync(pagesPath, 'utf8'));
mkdirSync(into, {recursive: true});

const looks = [
  ['light', {colorScheme: 'light', viewport: {width: 1200, height: 900}}],
  ['dark', {colorScheme: 'dark', viewport: {width: 1200, height: 900}}],
  ['phone', {colorScheme: 'light', viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true}],
];
const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox']});
let wide = 0;
for (const [look, options] of looks) {
  const context = await browser.newContext({baseURL: address, ...options});
  const page = await context.newPage();
  for (const [name, path] of Object.entries(pages)) {
    const answer = await page.goto(path, {waitUntil: 'load'});
    await page.waitForTimeout(100);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (beyond > 0 || answer.status() !== 200) {
      console.log(`fault: ${name}, ${look}: ${answer.status()}, ${beyond} pixels wider than the window`);
      wide += 1;
    }
    await page.screenshot({path: `${into}/${name}-${look}.png`, fullPage: process.env.FULL === '1'});
  }
  await context.close();
}
await browser.close();
process.exit(wide ? 1 : 0);
