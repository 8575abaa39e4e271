// node play.mjs REQUEST.json: {"call": "playVrm", "arguments": [...], "files": {url: path}, "picture": path}
import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const request = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { outputFiles } = await build({
  entryPoints: [new URL("page.js", import.meta.url).pathname],
  bundle: true,
  write: false,
  format: "iife",
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  page.on("console", (line) => console.error(line.text()));
  await page.route("**/*", (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    if (name in request.files) return route.fulfill({ path: request.files[name] });
    return route.fulfill({ contentType: "text/html", body: "<body></body>" });
  });
  await page.goto("http://witness.invalid/");
  await page.addScriptTag({ content: outputFiles[0].text });
  const said = await page.evaluate(
    ([call, given]) => window[call](...given),
    [request.call, request.arguments],
  );
  if (request.picture) await page.locator("canvas").screenshot({ path: request.picture });
  console.log(JSON.stringify(said));
} finally {
  await browser.close();
}
