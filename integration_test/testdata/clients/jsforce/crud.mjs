// A legacy app in miniature: jsforce with its instance URL at the proxy and an
// access token that is none of Salesforce's. Prints "next: STEP" before each
// step and waits for a line on stdin, so that whoever runs it can change the
// org in between; "done" at the end. A failed check ends it with status 1.
//
// node crud.mjs PROXY-URL ACCESS-TOKEN
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import jsforce from 'jsforce';

const [instanceUrl, accessToken] = process.argv.slice(2);
const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '60.0' });
const accounts = conn.sobject('Account');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function step(name, action) {
  console.log(`next: ${name}`);
  await lines.next();
  await action();
}

let id;

await step('create', async () => {
  const created = await accounts.create({ Name: 'Acme Rockets', NumberOfEmployees: 7 });
  assert.equal(created.success, true);
  assert.match(created.id, /^001\w{15}$/);
  id = created.id;
});

await step('read and query', async () => {
  assert.equal((await accounts.retrieve(id)).NumberOfEmployees, 7);
  const found = await conn.query("SELECT Id, Name FROM Account WHERE Name = 'Acme Rockets'");
  assert.equal(found.totalSize, 1);
  assert.equal(found.records[0].Id, id);
  const sent = await accounts.find({ Name: { $like: 'Acme%' } }, ['Id']).execute();
  assert.deepEqual(sent.map((a) => a.Id), [id]);
});

await step('update', async () => {
  await accounts.update({ Id: id, Name: 'Acme Röckets ✓' });
  assert.equal((await accounts.retrieve(id)).Name, 'Acme Röckets ✓');
});

let page;

await step('first page', async () => {
  page = await conn.query("SELECT Name FROM Account WHERE Name LIKE 'Bulk Account%' ORDER BY Name");
  assert.equal(page.totalSize, 2500);
  assert.equal(page.records.length, 2000);
  assert.equal(page.done, false);
});

await step('second page', async () => {
  const rest = await conn.queryMore(page.nextRecordsUrl);
  assert.equal(rest.done, true);
  assert.equal(rest.records.length, 500);
  assert.equal(rest.records.at(-1).Name, 'Bulk Account 02500');
});

await step('all pages', async () => {
  const names = new Set();
  const query = conn.query("SELECT Name FROM Account WHERE Name LIKE 'Bulk Account%'");
  query.on('record', (a) => names.add(a.Name));
  await query.execute({ autoFetch: true, maxFetch: 10000 });
  assert.equal(names.size, 2500);
});

await step('blob', async () => {
  const bytes = randomBytes(300 * 1024);
  const file = await conn.sobject('ContentVersion').create({
    PathOnClient: 'bytes.bin', VersionData: bytes.toString('base64'),
  });
  assert.equal(file.success, true);
  const back = [];
  const stream = conn.sobject('ContentVersion').record(file.id).blob('VersionData');
  for await (const chunk of stream) back.push(chunk);
  assert.deepEqual(Buffer.concat(back), bytes);
});

await step('collections', async () => {
  const many = Array.from({ length: 30 }, (_, i) => ({ LastName: `Rocket ${i}`, AccountId: id }));
  const created = await conn.sobject('Contact').create(many);
  assert.equal(created.filter((c) => c.success).length, 30);
  const deleted = await conn.sobject('Contact').destroy(created.map((c) => c.id));
  assert.equal(deleted.filter((c) => c.success).length, 30);
});

await step('userinfo', async () => {
  const info = await conn.request(`${instanceUrl}/services/oauth2/userinfo`);
  assert.equal(info.preferred_username, 'integration@example.com');
  // What an app does with it: it goes on at the URLs it is told.
  assert.equal(info.urls.rest, `${instanceUrl}/services/data/v{version}/`);
  const limits = await conn.request(info.urls.rest.replace('{version}', '60.0') + 'limits');
  assert.ok(limits.DailyApiRequests.Max > 0);
});

await step('errors', async () => {
  await assert.rejects(conn.query('SELECT FROM Account'), (e) => {
    assert.equal(e.errorCode, 'MALFORMED_QUERY');
    assert.equal(e.message, "\nFROM Account\n^\nERROR at Row:1:Column:8\nunexpected token: 'FROM'");
    return true;
  });
  await assert.rejects(accounts.retrieve('001000000000000AAA'), (e) => {
    assert.equal(e.errorCode, 'NOT_FOUND');
    assert.equal(e.message, 'The requested resource does not exist');
    return true;
  });
  await assert.rejects(accounts.create({ Phone: '1' }), { errorCode: 'REQUIRED_FIELD_MISSING' });
});

await step('delete', async () => {
  await accounts.destroy(id);
  await assert.rejects(accounts.retrieve(id), { errorCode: /^(NOT_FOUND|ENTITY_IS_DELETED)$/ });
});

console.log('done');
process.exit(0);
