// A legacy app on jsforce 1 or 3 that goes on and on until its session has
// expired often enough under it, and never minds: jsforce logs in again by
// itself. Prints "done" at the end; a failed call ends it with status 1.
//
// node expiry.js 1|3 PROXY-URL USERNAME PASSWORD
const assert = require('node:assert/strict');

const [major, loginUrl, username, password] = process.argv.slice(2);
const { Connection } = require({ 1: 'jsforce', 3: '../jsforce/node_modules/jsforce' }[major]);
const wanted = 2; // sessions after the first
const deadline = Date.now() + 60_000;

async function main() {
  const conn = new Connection({ loginUrl, version: '60.0' });
  await conn.login(username, password);
  const sessions = new Set([conn.accessToken]);
  for (let n = 0; sessions.size <= wanted; n += 1) {
    assert.ok(Date.now() < deadline, `${sessions.size} sessions in a minute`);
    const name = `Round ${n}`;
    const { id } = await conn.sobject('Account').create({ Name: name });
    sessions.add(conn.accessToken);
    const updated = await conn.soap.update({ type: 'Account', Id: id, Name: `${name} ✓` });
    assert.equal(String(updated.success), 'true');
    sessions.add(conn.accessToken);
    assert.equal((await conn.query(`SELECT Name FROM Account WHERE Id = '${id}'`)).records[0].Name, `${name} ✓`);
    sessions.add(conn.accessToken);
  }
  console.log('done');
  process.exit(0);
}

main().catch((e) => { console.error(e); process.exit(1); });
