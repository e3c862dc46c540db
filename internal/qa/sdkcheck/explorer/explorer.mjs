// A reader opens the API explorer in Chromium, pastes a token, executes a request and sees the 200. Nothing may leave the
// server's host, and the page may not complain.
// Arguments: address, tenant, a token of the tenant's administrator, a file for the picture.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [baseUrl, tenant, token, picture] = process.argv.slice(2);
const requests = [];
const complaints = [];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // The page is our own server's; root, as in a container, cannot use the sandbox.
  chromiumSandbox: process.getuid() !== 0,
  // No name but the server's address resolves: what would load from elsewhere fails even where the network is there.
  args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-dev-shm-usage"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));

  await page.goto(`${baseUrl}/docs/`);
  const operation = page.locator("[id$=-listTenantSessions]");
  await operation.waitFor();

  await page.locator(".auth-wrapper .btn.authorize").click();
  await page.locator(".auth-container input").fill(token);
  await page.locator(".auth-container .btn.authorize").click();
  await page.locator(".auth-container .btn-done").click();

  await operation.locator(".opblock-summary-control").click();
  await operation.locator(".try-out__btn").click();
  await operation.locator('tr[data-param-name="tenant_id"] input').fill(tenant);
  await operation.locator('tr[data-param-name="per_page"] input').fill("1");
  await operation.locator(".btn.execute").click();
  const answer = operation.locator(".live-responses-table tbody tr").first();
  assert.match(await answer.locator(".response-col_status").innerText(), /^200/);
  assert.match(await answer.locator(".response-col_description").innerText(), /"total_items"/);

  await operation.locator(".responses-wrapper").evaluate((element) => element.scrollIntoView());
  await page.screenshot({ path: picture });
} finally {
  await browser.close();
}

assert.deepEqual(complaints, []);
assert(requests.some((url) => url.includes(`/api/v1/tenants/${tenant}/sessions?`)), "the request was not recorded");
const elsewhere = requests.filter((url) => !url.startsWith(`${baseUrl}/`) && !url.startsWith("data:"));
assert.deepEqual(elsewhere, []);
