// A legacy app on nforce that knows a login URL, a username, a password and a
// security token. Steps are announced and waited for as in jsforce.js.
//
// node nforce.js PROXY-URL USERNAME PASSWORD SECURITY-TOKEN [API-VERSION]
const assert = require('node:assert/strict');
const { createInterface } = require('node:readline/promises');
const nforce = require('nforce');

const [proxy, username, password, securityToken, version = '60.0'] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function step(name, action) {
  console.log(`next: ${name}`);
  await lines.next();
  await action();
}

const connect = () => nforce.createConnection({
  clientId: 'legacy', clientSecret: 'its secret', redirectUri: 'http://localhost/', apiVersion: `v${version}`,
  loginUri: `${proxy}/services/oauth2/token`, mode: 'single', autoRefresh: true,
});

async function main() {
  const org = connect();
  await step('wrong password', async () => {
    await assert.rejects(async () => { await connect().authenticate({ username, password: 'x', securityToken }); }, /authentication failure/);
  });
  await step('login', async () => {
    const oauth = await org.authenticate({ username, password, securityToken });
    assert.equal(oauth.instance_url, proxy);
    assert.match(oauth.access_token, /^00D\w{12}!/);
  });
  const account = nforce.createSObject('Account', { Name: 'Acme Röckets' });
  await step('create', async () => {
    const created = await org.insert({ sobject: account });
    assert.equal(created.success, true);
    account.set('id', created.id);
  });
  await step('update', async () => {
    account.set('Name', 'Acme ✓');
    await org.update({ sobject: account });
    assert.equal((await org.getRecord({ sobject: account })).get('name'), 'Acme ✓');
  });
  await step('query', async () => {
    const found = await org.query({ query: "SELECT Id FROM Account WHERE Name LIKE 'Bulk Account%'", fetchAll: true });
    assert.equal(found.records.length, 2500);
  });
  await step('error', async () => {
    await assert.rejects(async () => { await org.query({ query: 'SELECT FROM Account' }); }, { errorCode: 'MALFORMED_QUERY' });
  });
  await step('identity', async () => {
    assert.equal((await org.getIdentity()).username, 'integration@example.com');
  });
  await step('delete', async () => {
    await org.delete({ sobject: account });
    await assert.rejects(async () => { await org.getRecord({ sobject: account }); }, { errorCode: /^(NOT_FOUND|ENTITY_IS_DELETED)$/ });
  });
  const revoke = async () => {
    const { access_token } = org.oauth;
    const answer = await fetch(`${proxy}/services/oauth2/revoke?token=${encodeURIComponent(access_token)}`);
    assert.equal(answer.status, 200);
  };
  await step('session ended', async () => {
    await revoke();
    assert.equal((await org.query({ query: 'SELECT Id FROM Account LIMIT 1' })).records.length, 1);
  });
  await step('logout', async () => { // nforce's own goes to login.salesforce.com
    await revoke();
    org.autoRefresh = false;
    await assert.rejects(async () => { await org.query({ query: 'SELECT Id FROM Account LIMIT 1' }); }, { errorCode: 'INVALID_SESSION_ID' });
  });
  console.log('done');
  process.exit(0);
}

main().catch((e) => { console.error(e); process.exit(1); });
