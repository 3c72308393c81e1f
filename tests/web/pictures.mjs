// Takes the pictures of docs/page.md: `node pictures.mjs ADDRESS FOLDER NAME=PATH...`, in a folder with
// node_modules. Each page, light and dark; with a name that ends in +, on a phone as well.
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { chromium } = require("playwright-core");
const [base, folder, ...pages] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
for (const [name, path] of pages.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)])) {
  for (const colorScheme of ["light", "dark"]) {
    for (const phone of name.endsWith("+") ? [false, true] : [false]) {
      const viewport = phone ? { width: 375, height: 812 } : { width: 1440, height: 900 };
      const context = await browser.newContext({ colorScheme, viewport, reducedMotion: "reduce" });
      const page = await context.newPage();
      await page.goto(base + path);
      // Some pages have no news.
      await page.locator('[data-live-state="live"]').waitFor({ timeout: 6_000 }).catch(() => {});
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `${folder}/${name.replace("+", "")}${phone ? "-phone" : ""}-${colorScheme}.png` });
      await context.close();
    }
  }
}
await browser.close();
