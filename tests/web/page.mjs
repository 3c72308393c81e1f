// Drives Chromium through the pages: `node page.mjs STEP ADDRESS [ARGUMENT]`, in a folder with node_modules.
// A step ends with 0 if the page did what it says. What it did to the database is checked by the caller.
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { chromium } = require("playwright-core");
const [step, base, argument] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const trouble = [];

async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  // What the page's policy forbids is said in the console, and so is a script that fails.
  page.on("console", (message) => { if (message.type() === "error") trouble.push(`${page.url()}: ${message.text()}`); });
  // The browser gives up a fade between two pages by itself, where the second comes too late for it.
  const fades = (error) => /^Transition was (aborted|skipped)/.test(error.message);
  page.on("pageerror", (error) => fades(error) || trouble.push(`${page.url()}: ${error.message}`));
  await page.goto(base + path);
  return page;
}

const said = (page, text) => page.locator(".flash", { hasText: text }).waitFor();

const steps = {
  async retry() {
    const page = await open(`/jobs/${argument}`);
    await page.getByRole("button", { name: "Retry" }).click();
    await said(page, `job ${argument}`);
  },

  async cancel() {
    const page = await open(`/jobs/${argument}`);
    await page.locator("summary", { hasText: "Cancel" }).click();
    await page.getByLabel("Reason").last().fill("a duplicate");
    await page.locator(".act[open] button", { hasText: "Cancel" }).click();
    await said(page, `job ${argument}`);
  },

  async cancel_many() {
    const page = await open(`/jobs?status=queued&entrypoint=${argument}`);
    await page.locator(".bulk a", { hasText: "Cancel" }).click();
    await page.getByRole("heading", { name: "Cancel 3 jobs?" }).waitFor();
    await page.locator("#confirm").click();
    await said(page, "Canceled: 3 jobs.");
  },

  async pause() {
    const page = await open("/");
    await page.locator("tr", { hasText: argument }).getByText("Pause", { exact: true }).click();
    await page.getByLabel("Reason").fill("the partner is down");
    await page.locator("main form button", { hasText: "Pause" }).click();
    await said(page, argument);
    // Everybody sees it, on every page, and can end it there.
    await page.goto(`${base}/jobs`);
    await page.locator(".banner", { hasText: "the partner is down" }).waitFor();
  },

  async resume() {
    const page = await open("/jobs");
    await page.locator(".banner button", { hasText: "Resume" }).click();
    await said(page, "Resumed");
    await page.locator(".banner").waitFor({ state: "detached" });
  },

  async roll_back() {
    const page = await open("/plugins");
    const row = page.locator(".version-row", { hasText: argument });
    await row.locator("summary", { hasText: "Roll back" }).click();
    await row.locator(".act[open]").getByLabel("Reason").fill("it breaks orders");
    await row.locator(".act[open] button", { hasText: "Roll back" }).click();
    await said(page, "Rolled back");
  },

  async quarantine() {
    const page = await open("/plugins");
    const row = page.locator(".version-row", { hasText: argument });
    await row.locator("summary", { hasText: "Quarantine" }).click();
    await row.locator(".act[open]").getByLabel("Reason").fill("it pays twice");
    await row.locator(".act[open] button", { hasText: "Quarantine" }).click();
    await said(page, "Quarantined");
    await row.locator(".badge", { hasText: "quarantined" }).waitFor();
  },

  async lift() {
    const page = await open("/plugins");
    const row = page.locator(".version-row", { hasText: argument });
    await row.locator("summary", { hasText: "Lift" }).click();
    await row.locator(".act[open] button", { hasText: "Lift" }).click();
    await said(page, "Lifted");
  },

  // A schedule, by keyboard alone: paused, edited, put back, resumed.
  async schedule() {
    const page = await open("/schedules");
    const row = page.locator("tr", { hasText: argument });
    const reach = async (text) => {
      for (let presses = 0; presses < 120; presses++) {
        await page.keyboard.press("Tab");
        const seen = await page.evaluate((entrypoint) => {
          const { activeElement: element } = document;
          return { text: element.textContent.trim(), here: (element.closest("tr")?.textContent ?? "").includes(entrypoint) };
        }, argument);
        if (seen.here && seen.text.startsWith(text)) return;
      }
      throw new Error(`no ${text} to reach`);
    };
    await reach("Pause");
    await page.keyboard.press("Enter");
    await row.locator(".act[open] input:focus").waitFor();
    await page.keyboard.type("the numbers are wrong");
    await page.keyboard.press("Enter");
    await said(page, "Paused");
    await row.locator(".badge", { hasText: "paused" }).waitFor();
    await row.getByText("the numbers are wrong").waitFor();
    await reach("Edit");
    await page.keyboard.press("Enter");
    await row.locator(".act[open] input:focus").waitFor();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("61 * * * *");
    await page.keyboard.press("Enter");
    await said(page, "61 * * * *");
    await reach("Edit");
    await page.keyboard.press("Enter");
    await row.locator(".act[open] input:focus").waitFor();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("30 6 * * *");
    await page.keyboard.press("Tab");
    await page.keyboard.type("Europe/Berlin");
    await page.keyboard.press("Enter");
    await said(page, "Edited");
    await row.getByText("declared:").waitFor();
    await reach("As declared");
    await page.keyboard.press("Enter");
    await said(page, "Put back");
    await reach("Resume");
    await page.keyboard.press("Enter");
    await said(page, "Resumed");
  },

  // News come by themselves, and what somebody chose stays chosen.
  async live() {
    const page = await open("/jobs");
    await page.locator('[data-live-state="live"]').waitFor();
    await page.locator("tbody input[type=checkbox]").first().check();
    console.log("watching");
    await page.locator("tr", { hasText: argument }).waitFor();
    if (!(await page.locator("tbody input[type=checkbox]:checked").count())) throw new Error("what was chosen is not any more");
  },

  // From the first page to a job that is run again, without a pointer.
  async keyboard() {
    const page = await open("/");
    await page.keyboard.press("Tab");
    const first = await page.evaluate(() => document.activeElement.textContent);
    if (!first.includes("Skip")) throw new Error(`the first thing to reach is ${first}`);
    await page.keyboard.press("Enter");
    await page.keyboard.press("?");
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await page.waitForURL("**/failures");
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await page.waitForURL("**/jobs");
    await page.keyboard.press("/");
    await page.keyboard.type(argument);
    await page.keyboard.press("Enter");
    await page.waitForURL(`**/jobs/${argument}`);
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press("Tab");
      const seen = await page.evaluate(() => {
        const { activeElement: element } = document;
        return { text: element.textContent.trim(), outlined: getComputedStyle(element).outlineStyle !== "none" };
      });
      if (!seen.outlined) throw new Error(`the focus cannot be seen at ${seen.text}`);
      if (seen.text === "Retry") break;
    }
    await page.keyboard.press("Enter");
    await said(page, `job ${argument}`);
  },

  // The next page may take long to come: the click is heard at once, and what was there can be read
  // meanwhile. Nothing can be asked of a page that is being left, so it notes down how it looked.
  async waits() {
    const page = await open("/");
    await page.evaluate(() => window.addEventListener("beforeunload", () => {
      const seen = [document.body.hasAttribute("data-leaving"), document.querySelector("main").getAttribute("aria-busy"), document.querySelector("h1").textContent.trim()];
      sessionStorage.setItem("left", seen.join());
    }));
    await page.locator("nav a", { hasText: "Failures" }).click();
    await page.waitForURL("**/failures");
    const left = await page.evaluate(() => sessionStorage.getItem("left"));
    if (left !== "true,true,Overview") throw new Error(`the page was left as ${left}`);
    await page.locator("body[data-leaving]").waitFor({ state: "detached" });
  },

  async log_in() {
    const page = await open("/jobs");
    await page.getByLabel("Name").fill("ann");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator("[role=alert]").waitFor();
    trouble.length = 0; // The browser tells of the refusal.
    await page.getByLabel("Name").fill("ann");
    await page.getByLabel("Password").fill(argument);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    await page.locator(".who", { hasText: "ann" }).waitFor();
  },

  // Without script, everything is there to read, and a job can be retried.
  async without_script() {
    const page = await open(`/jobs/${argument}`, { javaScriptEnabled: false });
    await page.getByRole("button", { name: "Retry" }).click();
    await said(page, `job ${argument}`);
    await page.goto(`${base}/`);
    await page.locator("figure.chart svg").first().waitFor();
  },

  // Every page, opened up and read again in place: nothing that others wrote runs, and nothing is asked for elsewhere.
  async harmless() {
    const paths = ["/", "/jobs", "/jobs?status=failed", `/jobs/${argument}`, "/failures", "/plugins", "/hosts", "/schedules", "/audit", "/pauses", "/jobs/change?verb=requeue&status=failed"];
    const page = await open("/");
    page.on("dialog", async (dialog) => { trouble.push(`${page.url()}: a dialog: ${dialog.message()}`); await dialog.dismiss(); });
    page.on("request", (request) => { if (!request.url().startsWith(base)) trouble.push(`${page.url()} asks for ${request.url()}`); });
    for (const path of paths) {
      await page.goto(base + path);
      // Once as it came, and once as its script puts it there.
      const again = page.waitForResponse((response) => response.url().startsWith(base) && response.request().method() === "GET");
      await page.keyboard.press("r");
      await again;
      // A page that is loaded anew meanwhile is asked again.
      await page.waitForFunction(() => {
        document.querySelectorAll("details").forEach((element) => { element.open = true; });
        return document.readyState === "complete";
      });
      const made = await page.locator("main img, main svg[onload], main script, main iframe, main [onerror]").count();
      if (made) trouble.push(`${path}: ${made} elements of what others wrote`);
    }
  },

  // WCAG 2.2 AA as far as a program can tell, and nothing wider than the screen.
  async accessible() {
    const axe = require("fs").readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
    const paths = ["/", "/jobs", "/jobs?status=failed", `/jobs/${argument}`, "/failures", "/plugins", "/hosts", "/schedules", "/audit", "/pauses", "/jobs/change?verb=cancel&all=1", "/jobs?entrypoint=nothing"];
    for (const [colorScheme, width] of [["light", 1280], ["dark", 375]]) {
      const page = await open("/", { colorScheme, viewport: { width, height: 812 }, reducedMotion: "reduce" });
      for (const path of paths) {
        await page.goto(base + path);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        for (const { id, nodes } of violations) trouble.push(`${path} ${colorScheme} ${width}: ${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + " " + node.failureSummary.split("\n")[1]).join(" | ")}`);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wider > 0) trouble.push(`${path} ${width}: ${wider} px wider than the screen`);
      }
      await page.context().close();
    }
  },
};

try {
  await steps[step]();
} catch (error) {
  trouble.push(error.stack);
  const page = browser.contexts().at(-1)?.pages().at(-1);
  if (page) trouble.push(page.url(), (await page.locator("main").innerText().catch(() => "")).slice(0, 2_000));
}
await browser.close();
if (trouble.length) {
  console.error(trouble.join("\n"));
  process.exit(1);
}
