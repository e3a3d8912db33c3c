// The HTML reports in a browser: see run.sh.

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.env.NODE_PACKAGES, 'none.js'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const pages = resolve(process.argv[2]);
const pictures = process.argv[3] && resolve(process.argv[3]);
if (pictures) mkdirSync(pictures, { recursive: true });

let passed = 0, failed = 0;
function check(what, good, detail = '') {
  if (good) { passed += 1; return; }
  failed += 1;
  console.log(`FAIL - ${what}${detail ? '\n' + String(detail).replace(/^/gm, '       | ') : ''}`);
}

const WIDE = { width: 1280, height: 900 }, NARROW = { width: 360, height: 740 };
// The width of A4 within its margins, in the pixels that style sheets count in.
const PAPER = { width: 703, height: 1009 }, MIDDLE = { width: 768, height: 1024 };
// What a page must have; each name is a file in the folder.
const EXPECTED = ['fleet.html', 'plan-evil.html', 'plan-of-files.html', 'plan.html', 'run-cut-off.html', 'run-rolled-back.html', 'run.html'];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});

// A page with everything that would be an error noted: requests, script errors, refused styles and scripts, dialogs.
async function open(name, options) {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const trouble = [];
  const url = pathToFileURL(join(pages, name)).href;
  page.on('request', (request) => {
    if (request.url().split('#')[0] !== url && !request.url().startsWith('data:')) trouble.push(`asks for ${request.url()}`);
  });
  page.on('pageerror', (error) => trouble.push(`script error: ${error}`));
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) trouble.push(message.text()); });
  page.on('dialog', (dialog) => { trouble.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(url);
  return { page, trouble, close: () => context.close() };
}

const overflow = (page) => page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return '';
  const inside = (one) => { for (let up = one.parentElement; up; up = up.parentElement) {
    if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)) return true; } return false; };
  const wide = [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > width + 1 && !inside(one));
  return `${document.documentElement.scrollWidth} > ${width}: ` +
    wide.slice(0, 5).map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 40)}`).join('; ');
});

// axe runs beside the page's policy, as an extension would: a page that lets it in through the policy would be wrong.
async function serious(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.impact} ${one.id}: ${one.help}\n` + one.nodes.slice(0, 4).map((node) => `  ${node.html.slice(0, 160)} ${node.failureSummary.split('\n')[1] ?? ''}`).join('\n'))
    .join('\n');
}

async function look(name) {
  for (const [size, viewport] of [['wide', WIDE], ['narrow', NARROW]]) {
    for (const colorScheme of ['light', 'dark']) {
      const what = `${name} ${size} ${colorScheme}`;
      const { page, trouble, close } = await open(name, { viewport, colorScheme });
      check(`${what}: does not overflow sideways`, (await overflow(page)) === '', await overflow(page));
      if (name !== 'plan-evil.html' || (size === 'wide' && colorScheme === 'light')) {
        const found = await serious(page);
        check(`${what}: axe finds nothing serious`, found === '', found);
      }
      const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      check(`${what}: follows the colour scheme`, (dark === 'rgb(255, 255, 255)') === (colorScheme === 'light'), dark);
      if (pictures && name !== 'plan-evil.html') {
        await page.screenshot({ path: join(pictures, `${name.replace('.html', '')}-${size}-${colorScheme}.png`), fullPage: true });
      }
      await use(page, what, name, size, colorScheme);
      check(`${what}: asks for nothing, and nothing goes wrong`, trouble.length === 0, trouble.join('\n'));
      await close();
    }
  }
  for (const viewport of [MIDDLE, { ...MIDDLE, width: 1000 }]) {
    const { page, close } = await open(name, { viewport });
    check(`${name} ${viewport.width} wide: does not overflow sideways`, (await overflow(page)) === '', await overflow(page));
    await close();
  }
  await printed(name);
  await withoutScripts(name);
}

const visible = (page, selector) => page.locator(selector).evaluateAll((all) =>
  all.filter((one) => one.checkVisibility({ contentVisibilityAuto: true })).length);

// The filter, the folds and the switch, by keyboard where that is how people work.
async function use(page, what, name, size, scheme) {
  const form = page.locator('form.filter').first();
  if (await form.count()) {
    const table = await form.getAttribute('data-for');
    const rows = await page.locator(`#${table} tbody tr`).count();
    const status = form.locator('[role=status]');
    check(`${what}: all rows are shown first`, (await status.textContent()) === `${rows} of ${rows} shown`, await status.textContent());
    const box = form.locator('input[type=checkbox]').first();
    const key = await box.getAttribute('value');
    const with_key = await page.locator(`#${table} tr[data-key="${key}"]`).count();
    await box.focus();
    await page.keyboard.press('Space');
    check(`${what}: a box takes its rows away`, (await visible(page, `#${table} tbody tr`)) === rows - with_key);
    check(`${what}: and the count is told`, (await status.textContent()) === `${rows - with_key} of ${rows} shown`);
    await page.keyboard.press('Space');
    await form.locator('input[type=search]').fill('no such thing anywhere');
    check(`${what}: a search that finds nothing shows nothing`, (await visible(page, `#${table} tbody tr`)) === 0);
    const first = await page.locator(`#${table} tbody tr th`).first().textContent();
    await form.locator('input[type=search]').fill(first.toUpperCase());
    const left = await visible(page, `#${table} tbody tr`);
    check(`${what}: a search finds what is there`, left >= 1 && left <= rows, `${left} of ${rows}`);
    if (pictures && size === 'wide' && name !== 'plan-evil.html') {
      await form.scrollIntoViewIfNeeded();
      await page.screenshot({ path: join(pictures, `${name.replace('.html', '')}-filter-${scheme}.png`) });
    }
    await form.locator('input[type=search]').fill('');
  }
  const files = page.locator('details.file');
  if (await files.count()) {
    const diff = files.first().locator('table.unified');
    const was = await files.first().evaluate((one) => one.open);
    await files.first().locator('summary').focus();
    await page.keyboard.press('Enter');
    check(`${what}: a file folds`, (await files.first().evaluate((one) => one.open)) !== was);
    if (was) await page.keyboard.press('Enter');
    check(`${what}: its diff is shown`, await diff.isVisible());
    await page.locator('#unified').focus();
    await page.keyboard.press('ArrowRight');
    check(`${what}: side by side`, (await files.first().locator('table.side').isVisible()) && !(await diff.isVisible()));
    check(`${what}: side by side does not overflow`, (await overflow(page)) === '', await overflow(page));
    if (pictures && name !== 'plan-evil.html') {
      await files.first().scrollIntoViewIfNeeded();
      await page.screenshot({ path: join(pictures, `${name.replace('.html', '')}-side-${size}-${scheme}.png`) });
    }
    await page.keyboard.press('ArrowLeft');
    const every = page.locator('#every');
    if (await every.isVisible()) {
      if ((await every.textContent()) === 'Open all') await every.click();
      check(`${what}: all files open`, (await page.locator('details.file[open]').count()) === (await files.count()));
      await every.click();
      check(`${what}: all files close`, (await page.locator('details.file[open]').count()) === 0);
    }
    // A link in the list of steps leads to a diff and opens it.
    const link = page.locator('a[href^="#file-"]').first();
    if (await link.count()) {
      const target = (await link.getAttribute('href')).slice(1);
      await link.click();
      await page.waitForFunction((id) => document.getElementById(id).open, target);
      check(`${what}: a link opens the diff`, await page.locator(`#${target}`).evaluate((one) => one.open));
    }
  }
  const links = await page.locator('nav a').evaluateAll((all) => all.filter((one) => !document.querySelector(one.getAttribute('href'))).length);
  check(`${what}: every entry of the contents leads somewhere`, links === 0);
  const levels = await page.locator('h1, h2, h3').evaluateAll((all) => all.map((one) => Number(one.tagName[1])));
  check(`${what}: headings go down one by one`, levels[0] === 1 && levels.every((level, at) => at === 0 || (level > 1 && level - levels[at - 1] <= 1)), levels);
}

// On paper everything is there, folded or filtered or not, whatever the screen looked like.
async function printed(name) {
  const { page, close } = await open(name, { viewport: WIDE, colorScheme: 'dark' });
  await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = false; }));
  const search = page.locator('input[type=search]').first();
  if (await search.count()) await search.fill('no such thing anywhere');
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  const all = await page.locator('details.file table.unified').count();
  check(`${name} print: diffs of folded files are there`, (await visible(page, 'details.file table.unified')) === all);
  const heights = await page.locator('details.file table.unified').evaluateAll((tables) => tables.every((one) => one.getBoundingClientRect().height > 10));
  check(`${name} print: and have a height`, heights);
  const rows = await page.locator('main table tbody tr').count();
  check(`${name} print: filtered rows are there`, (await visible(page, 'main table:not(.side) tbody tr')) + (await page.locator('table.side tbody tr').count()) === rows);
  await page.setViewportSize(PAPER);
  check(`${name} print: fits the paper`, (await overflow(page)) === '', await overflow(page));
  check(`${name} print: black on white`, (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)) === 'rgb(255, 255, 255)');
  check(`${name} print: no navigation`, (await visible(page, 'nav, form.filter, .views')) === 0);
  if (pictures && name !== 'plan-evil.html') {
    await page.pdf({ path: join(pictures, `${name.replace('.html', '')}.pdf`), format: 'A4' });
    await page.screenshot({ path: join(pictures, `${name.replace('.html', '')}-print.png`), fullPage: true });
  }
  await close();
}

async function withoutScripts(name) {
  const { page, close } = await open(name, { viewport: WIDE, javaScriptEnabled: false });
  check(`${name} without scripts: no dead filter`, (await page.locator('form.filter:visible').count()) === 0);
  check(`${name} without scripts: no dead button`, (await page.locator('button:visible').count()) === 0);
  const files = page.locator('details.file');
  if (await files.count()) {
    await page.locator('#side').check();
    const open = (await page.locator('details.file[open]').count()) > 0;
    if (!open) await files.first().locator('summary').click();
    check(`${name} without scripts: side by side`, (await page.locator('table.side:visible').count()) > 0);
  }
  await close();
}

const there = readdirSync(pages).filter((name) => name.endsWith('.html')).sort();
check('all pages are there', JSON.stringify(there) === JSON.stringify(EXPECTED), there.join(' '));
for (const name of there) {
  const [before, bad] = [passed, failed];
  try {
    await look(name);
  } catch (error) {
    check(`${name}`, false, error.stack);
  }
  console.log(`${failed === bad ? 'ok  ' : 'FAIL'} - ${name}: ${passed - before} checks`);
}
await browser.close();
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
