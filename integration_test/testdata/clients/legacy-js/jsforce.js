// A legacy app on jsforce 1 or 3 that knows a login URL, a username and a
// password. It logs in by SOAP login(), or by the password grant if told so, and
// goes on over REST, SOAP, Bulk 1.0 and, with jsforce 3, Bulk 2.0. Prints
// "next: STEP" before each step and waits for a line on stdin, so that whoever
// runs it can change the org in between; "done" at the end. A failed check ends
// it with status 1.
//
// node jsforce.js 1|3 soap|oauth PROXY-URL USERNAME PASSWORD [API-VERSION]
const assert = require('node:assert/strict');
const { createInterface } = require('node:readline/promises');

const [major, flow, loginUrl, username, password, version = '60.0'] = process.argv.slice(2);
const { Connection } = require({ 1: 'jsforce', 3: '../jsforce/node_modules/jsforce' }[major]);
const login = flow === 'soap' ? { loginUrl } : { oauth2: { loginUrl, clientId: 'legacy', clientSecret: 'its secret' } };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function step(name, action) {
  console.log(`next: ${name}`);
  await lines.next();
  await action();
}

const errorCode = (pattern) => (e) => { assert.match(String(e.errorCode), pattern, String(e)); return true; };

// endSession logs the app's session out behind its back, as its expiry would.
async function endSession(conn) {
  const answer = await fetch(`${loginUrl}/services/oauth2/revoke`, {
    method: 'POST', body: new URLSearchParams({ token: conn.accessToken }),
  });
  assert.equal(answer.status, 200);
}

async function main() {
  const conn = new Connection({ ...login, version });
  const accounts = conn.sobject('Account');
  let id;

  await step('wrong password', async () => {
    const stranger = new Connection({ ...login, version });
    await assert.rejects(async () => { await stranger.login(username, password + 'x'); },
      flow === 'soap' ? /INVALID_LOGIN: Invalid username, password, security token; or user locked out\./ : /authentication failure/);
  });

  await step('login', async () => {
    const user = await conn.login(username, password);
    assert.match(user.id, /^005\w{15}$/);
    assert.match(user.organizationId, /^00D\w{15}$/);
    assert.equal(conn.instanceUrl, loginUrl);
    assert.match(conn.accessToken, /^00D\w{12}!/);
  });

  await step('rest create', async () => {
    const created = await accounts.create({ Name: 'Acme Röckets', NumberOfEmployees: 7 });
    assert.equal(created.success, true);
    id = created.id;
  });

  await step('rest update', async () => {
    await accounts.update({ Id: id, Name: 'Acme & <Söhne>' });
    assert.equal((await accounts.retrieve(id)).Name, 'Acme & <Söhne>');
  });

  let page;
  await step('rest query', async () => {
    page = await conn.query("SELECT Id, Name FROM Account WHERE Name LIKE 'Bulk Account%' ORDER BY Name");
    assert.equal(page.totalSize, 2500);
    assert.equal(page.records.length, 2000);
  });

  await step('rest queryMore', async () => {
    const rest = await conn.queryMore(page.nextRecordsUrl);
    assert.equal(rest.done, true);
    assert.equal(rest.records.length, 500);
    assert.equal(rest.records.at(-1).Name, 'Bulk Account 02500');
  });

  await step('rest errors', async () => {
    await assert.rejects(async () => { await conn.query('SELECT FROM Account'); }, errorCode(/^MALFORMED_QUERY$/));
    await assert.rejects(async () => { await accounts.create({ Phone: '1' }); }, errorCode(/^REQUIRED_FIELD_MISSING$/));
  });

  await step('rest delete', async () => {
    await accounts.destroy(id);
    await assert.rejects(async () => { await accounts.retrieve(id); }, errorCode(/^(NOT_FOUND|ENTITY_IS_DELETED)$/));
  });

  await step('identity', async () => {
    assert.equal((await conn.identity()).username, 'integration@example.com');
  });

  await step('soap create', async () => {
    const created = await conn.soap.create([{ type: 'Account', Name: 'Soap & <Süds>' }, { type: 'Account', Phone: '1' }]);
    assert.equal(created.length, 2);
    assert.equal(String(created[0].success), 'true', JSON.stringify(created));
    assert.equal(String(created[1].success), 'false');
    assert.match(JSON.stringify(created[1].errors), /REQUIRED_FIELD_MISSING/);
    id = created[0].id;
  });

  await step('soap update', async () => {
    const updated = await conn.soap.update({ type: 'Account', Id: id, Name: 'Soap ✓' });
    assert.equal(String(updated.success), 'true', JSON.stringify(updated));
    assert.equal((await accounts.retrieve(id)).Name, 'Soap ✓');
  });

  await step('soap user', async () => {
    assert.equal((await conn.soap.getUserInfo()).userName, 'integration@example.com');
  });

  await step('soap error', async () => {
    await assert.rejects(async () => { await conn.soap.create({ type: 'NoSuchThing', Name: 'x' }); }, errorCode(/:INVALID_TYPE$/));
  });

  await step('soap delete', async () => {
    const deleted = await conn.soap.delete(id);
    assert.equal(String(deleted.success), 'true', JSON.stringify(deleted));
  });

  await step('bulk insert', async () => {
    const names = Array.from({ length: 50 }, (_, i) => ({ Name: `Bulk1 "${i}", ü` }));
    const loaded = await loadBulk(conn, 'insert', names);
    assert.equal(loaded.filter((r) => r.success && /^001/.test(r.id)).length, 50, JSON.stringify(loaded).slice(0, 300));
    id = loaded.map((r) => r.id);
  });

  await step('bulk query', async () => {
    assert.equal((await queryBulk(conn, "SELECT Id, Name FROM Account WHERE Name LIKE 'Bulk Account%'")).length, 2500);
  });

  await step('bulk error', async () => {
    await assert.rejects(async () => { await loadBulk(conn, 'insert', [{ Name: 'x' }], 'NoSuchThing'); }, errorCode(/^InvalidEntity$/));
  });

  await step('bulk delete', async () => {
    const deleted = await loadBulk(conn, 'delete', id.map((Id) => ({ Id })));
    assert.equal(deleted.filter((r) => r.success).length, 50);
  });

  if (major === '3') {
    conn.bulk2.pollInterval = 20;
    await step('bulk2 insert', async () => {
      const input = Array.from({ length: 50 }, (_, i) => ({ Name: `Bulk2 "${i}", ü` }));
      const done = await conn.bulk2.loadAndWaitForResults({ object: 'Account', operation: 'insert', input, pollInterval: 20 });
      assert.equal(done.successfulResults.length, 50);
      assert.equal(done.failedResults.length, 0);
      id = done.successfulResults.map((r) => r.sf__Id);
    });
    await step('bulk2 query', async () => {
      const records = await (await conn.bulk2.query("SELECT Id, Name FROM Account WHERE Name LIKE 'Bulk Account%'", { pollInterval: 20 })).toArray();
      assert.equal(records.length, 2500);
    });
    await step('bulk2 delete', async () => {
      const done = await conn.bulk2.loadAndWaitForResults({
        object: 'Account', operation: 'delete', input: id.map((Id) => ({ Id })), pollInterval: 20,
      });
      assert.equal(done.successfulResults.length, 50);
    });
  }

  // The password grant gives no refresh token, and without one jsforce does not
  // log in again by itself but for SOAP login().
  if (flow === 'soap') {
    await step('session ended, rest', async () => {
      await endSession(conn);
      assert.equal((await conn.query('SELECT Id FROM Account LIMIT 1')).records.length, 1);
    });
    await step('session ended, soap', async () => {
      await endSession(conn);
      assert.equal((await conn.soap.getUserInfo()).userName, 'integration@example.com');
    });
    await step('session ended, bulk', async () => {
      await endSession(conn);
      assert.equal((await loadBulk(conn, 'insert', [{ Name: 'After all' }])).length, 1);
    });
  }

  await step('logout', async () => {
    const { accessToken, instanceUrl } = conn;
    await conn.logout();
    const late = new Connection({ accessToken, instanceUrl, version });
    await assert.rejects(async () => { await late.query('SELECT Id FROM Account LIMIT 1'); }, errorCode(/INVALID_SESSION_ID/));
    await assert.rejects(async () => { await late.soap.getUserInfo(); }, errorCode(/INVALID_SESSION_ID/));
    await assert.rejects(async () => { await loadBulk(late, 'insert', [{ Name: 'x' }]); }, errorCode(/^InvalidSessionId$/));
  });

  console.log('done');
  process.exit(0);
}

function loadBulk(conn, operation, records, type = 'Account') {
  conn.bulk.pollInterval = 20;
  conn.bulk.pollTimeout = 20000;
  return new Promise((resolve, reject) => {
    const job = conn.bulk.createJob(type, operation);
    job.on('error', reject); // jsforce 3 says it here and at the batch
    const batch = job.createBatch();
    batch.on('error', reject);
    batch.on('queue', () => batch.poll(20, 20000));
    batch.on('response', (result) => { Promise.resolve(job.close()).then(() => resolve(result), reject); });
    batch.execute(records);
    if (batch.then) batch.then(() => {}, reject);
  });
}

async function queryBulk(conn, soql) {
  const stream = await conn.bulk.query(soql);
  const records = [];
  await new Promise((resolve, reject) => {
    stream.on('record', (r) => records.push(r));
    stream.on('error', reject);
    stream.on('end', resolve);
  });
  return records;
}

main().catch((e) => { console.error(e); process.exit(1); });
